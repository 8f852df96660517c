"""Where the reasons are known: how well |attributions| find the columns that decide.

    auroc    = P(|a| of a true column > |a| of another), ties counting ½
    tpr      = share of the m true columns among the m of largest |a|;      fdr = 1 − tpr
    pointing = 1 where the largest |a| is a true column's
    mass     = Σ_{true} |a| / Σ |a|

TPR and FDR as Yoon et al. 2019 (INVASE) and Chen et al. 2018 (L2X) with as many columns selected as are true;
this TPR is also the relevance rank accuracy of Arras et al. 2022, "CLEVR-XAI", and `mass` its relevance mass accuracy;
`pointing` is the pointing game of Zhang et al. 2018, "Top-down Neural Attention by Excitation Backprop", without its
margin of 15 pixels. `selection` gives TPR and FDR at a threshold.

Equal values share the places they compete for, and an attribution of zeros counts as constant: a constant attribution
gets ½ for AUROC and m/p for the rest, which is chance. Quantus takes signed attributions for all of these; in its
pointing game it is enough that one of several largest is true.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import MapstoError
from .complexity import shares
from .ranking import midranks, refuse_lost, top


class Recovery(NamedTuple):
    """How well each row's attribution finds its true columns; auroc is nan where all are true."""

    auroc: Float[Tensor, "*n"]
    tpr: Float[Tensor, "*n"]
    fdr: Float[Tensor, "*n"]
    pointing: Float[Tensor, "*n"]
    mass: Float[Tensor, "*n"]


class Selection(NamedTuple):
    """The share of true columns that were selected, and of selected columns that are not true (0 if none was)."""

    tpr: Float[Tensor, "*n"]
    fdr: Float[Tensor, "*n"]


def recovery(values: Float[Tensor, "*n p"], truth: Bool[Tensor, "*n p"]) -> Recovery:
    """Compare attributions with the columns that are known to decide: any leading axes, as rows or tasks and rows.

    >>> found = recovery(torch.tensor([[3.0, -2.0, 1.0, 0.0]]), torch.tensor([[True, False, True, False]]))
    >>> found.auroc.item(), found.tpr.item(), found.pointing.item(), round(found.mass.item(), 3)
    (0.75, 0.5, 1.0, 0.667)

    Raises:
        MapstoError: a truth of another shape, a row without a true column, or values that are not finite.
    """
    size = _judged(values, truth).double()  # half precision cannot count beyond 256
    one = torch.ones_like(size)
    tpr = (top(size, truth.sum(-1, keepdim=True).to(size)) * truth).sum(-1) / truth.sum(-1)
    pointing = (top(size, one[..., :1]) * truth).sum(-1)
    found = auroc(size, truth), tpr, 1 - tpr, pointing, (shares(size) * truth).sum(-1)
    return Recovery(*(part.to(values.dtype) for part in found))


def selection(values: Float[Tensor, "*n p"], truth: Bool[Tensor, "*n p"], threshold: float) -> Selection:
    """Return TPR and FDR of selecting the columns with |value| above `threshold`.

    Raises MapstoError as `recovery` does.
    """
    chosen = _judged(values, truth) > threshold
    hits = (chosen & truth).sum(-1).to(values.dtype)
    return Selection(hits / truth.sum(-1), 1 - torch.where(chosen.any(-1), hits / chosen.sum(-1).clamp(min=1), 1.0))


def auroc(scores: Float[Tensor, "*n p"], truth: Bool[Tensor, "*n p"]) -> Float[Tensor, "*n"]:
    """Return the area under the ROC curve along the last axis, by midranks; nan where all or none are true, or one of
    the scores is nan.

    >>> auroc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([False, False, True, True]))
    tensor(0.7500)
    """
    if not scores.is_floating_point():
        raise MapstoError(f"scores: got {scores.dtype}, expected floating-point numbers; convert them.")
    positive = truth.sum(-1).double()
    negative = truth.shape[-1] - positive
    above = (midranks(scores.double()) * truth).sum(-1) - positive * (positive + 1) / 2  # pairs won
    return torch.where(scores.isnan().any(-1), torch.nan, above / (positive * negative)).to(scores.dtype)


def _judged(values: Tensor, truth: Tensor) -> Tensor:
    """Return |values|, or raise MapstoError where there is nothing to judge."""
    if truth.shape != values.shape:
        raise MapstoError(f"truth: got shape {tuple(truth.shape)}, expected {tuple(values.shape)}, that of values.")
    empty = int((~truth.any(-1)).sum())
    if empty:
        raise MapstoError(f"truth: got {empty} row(s) without a true column, expected at least one; leave them out.")
    return refuse_lost(values).abs()
