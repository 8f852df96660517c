"""Recovery of known reasons: how well |attributions| find the columns that are known to decide the outcome.

    auroc    = P(|a| of a true column > |a| of another), ties counting ½
    tpr      = fraction of the m true columns among the m of largest |a|;      fdr = 1 − tpr
    pointing = 1 if the largest |a| belongs to a true column
    mass     = Σ_{true} |a| / Σ |a|

TPR (true positive rate) and FDR (false discovery rate) follow Yoon et al. 2019 (INVASE) and Chen et al. 2018 (L2X),
with as many columns selected as are true. This TPR is also the relevance rank accuracy of Arras et al. 2022,
"CLEVR-XAI", and `mass` its relevance mass accuracy. `pointing` is the pointing game of Zhang et al. 2018, "Top-down
Neural Attention by Excitation Backprop", without its margin of 15 pixels. `selection` gives TPR and FDR at a threshold.

Equal values share the places for which they compete, and an attribution of zeros counts as constant. A constant
attribution gets ½ for AUROC and m/p for the others of p columns, which is chance. Quantus takes signed attributions for
all of these, and its pointing game is won if one of several largest values is true.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ... import checks
from .complexity import shares
from .ranking import midranks, refuse_lost, top


class Recovery(NamedTuple):
    """How well each row's attribution finds the true columns, those that are known to decide the outcome."""

    auroc: Float[Tensor, "*n"]  # chance that a true column has a larger |value| than another; NaN if all are true
    tpr: Float[Tensor, "*n"]  # fraction of the m true columns that are among the m of largest |value|
    fdr: Float[Tensor, "*n"]  # 1 − tpr
    pointing: Float[Tensor, "*n"]  # 1 if the largest |value| belongs to a true column, else 0
    mass: Float[Tensor, "*n"]  # fraction of the sum of |values| that is on true columns


class Selection(NamedTuple):
    """How many of the true columns are selected, and how many of the selected columns are not true."""

    tpr: Float[Tensor, "*n"]  # fraction of the true columns that are selected
    fdr: Float[Tensor, "*n"]  # fraction of the selected columns that are not true; 0 if none is selected


def recovery(values: Float[Tensor, "*n p"], truth: Bool[Tensor, "*n p"]) -> Recovery:
    """Return measures of how well attributions find the true columns (the columns known to decide the outcome).

    `values` holds the attributions, and `truth` is True for the true columns. The last axis of `values` and of `truth`
    is the axis of columns; any other axes, such as tasks and rows, come before it. All measures use |attributions|.
    `auroc` is the probability that a true column has a larger |attribution| than a column that is not true. `tpr` is
    the fraction of the m true columns that are among the m columns of largest |attribution|, and `fdr` is 1 − `tpr`.
    `pointing` is 1 if the column of largest |attribution| is true, else 0. `mass` is the fraction of the summed
    |attributions| that belongs to true columns.

    Raises:
        MapstoError: if `truth` differs in shape from `values`, a row has no true column, or values are not finite.

    >>> result = recovery(torch.tensor([[3.0, -2.0, 1.0, 0.0]]), torch.tensor([[True, False, True, False]]))
    >>> result.auroc.item(), result.tpr.item(), result.pointing.item(), round(result.mass.item(), 3)
    (0.75, 0.5, 1.0, 0.667)
    """
    size = _sizes(values, truth).double()  # half precision cannot count beyond 256
    tpr = (top(size, truth.sum(-1, keepdim=True).to(size)) * truth).sum(-1) / truth.sum(-1)
    pointing = (top(size, torch.ones_like(size[..., :1])) * truth).sum(-1)
    parts = auroc(size, truth), tpr, 1 - tpr, pointing, (shares(size) * truth).sum(-1)
    return Recovery(*(part.to(values.dtype) for part in parts))


def selection(values: Float[Tensor, "*n p"], truth: Bool[Tensor, "*n p"], threshold: float) -> Selection:
    """Select the columns with |attribution| above `threshold`, and compare them with the columns known to matter.

    `truth` is True for the true columns, which are the columns known to decide the outcome. The result holds two
    fractions. `tpr` is the fraction of the true columns that are selected. `fdr` is the fraction of the selected
    columns that are not true.

    Raises:
        MapstoError: if `truth` differs in shape from `values`, a row has no true column, or values are not finite.
    """
    chosen = _sizes(values, truth) > threshold
    hits = (chosen & truth).sum(-1).to(values.dtype)
    return Selection(hits / truth.sum(-1), 1 - torch.where(chosen.any(-1), hits / chosen.sum(-1).clamp(min=1), 1.0))


def auroc(scores: Float[Tensor, "*n p"], truth: Bool[Tensor, "*n p"]) -> Float[Tensor, "*n"]:
    """Return the area under the ROC curve: the probability that a true entry has a higher score than a false one.

    The last axis of `scores` and `truth` holds the entries; `truth` says which of them are true. A tie counts as ½. The
    result is NaN if all or none of the entries are true, or if a score is NaN.

    >>> auroc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([False, False, True, True]))
    tensor(0.7500)
    """
    checks.expect(scores.is_floating_point(), "scores", scores.dtype, "floating-point numbers")
    positive = truth.sum(-1).double()
    negative = truth.shape[-1] - positive
    above = (midranks(scores.double()) * truth).sum(-1) - positive * (positive + 1) / 2  # pairs won
    return torch.where(scores.isnan().any(-1), torch.nan, above / (positive * negative)).to(scores.dtype)


def _sizes(values: Tensor, truth: Tensor) -> Tensor:
    """Return |values|; raise MapstoError if there is no truth to compare them with."""
    checks.shape(tuple(values.shape), "the shape of values", truth=truth)
    empty = int((~truth.any(-1)).sum())
    checks.expect(empty == 0, "truth", f"{empty} row(s) without a true column", "at least one", "leave these rows out")
    return refuse_lost(values).abs()
