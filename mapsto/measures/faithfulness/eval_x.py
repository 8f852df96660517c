"""EVAL-X: whether a reader who sees only the selection of an explanation predicts the model's answer.

    q = argmax_q E_x E_{y ~ model(x)} E_{r ~ Bernoulli(½)} [log q(y | x·r, r)]            score(R) = q's hits, given x·R

q is the reader, a network called the evaluator. r is a random mask of the entries of x, and R is the mask that an
explainer selects. Jethani et al. 2021, "Have We Learned to Explain?".

The evaluator is trained on random masks, never on those of an explainer. Otherwise it could read the class from *which*
columns are selected, and a selector that encodes the answer in its mask, while it shows irrelevant columns, would win.

Here `y` is the class that the *model* predicts for a row (in the paper: the label), because the model is explained. A
model that was trained with missing columns (`InContext`, for which NaN is an absent cell) is such an evaluator already:
use it in `views.game(..., baseline=nan)` and read the sufficiency of `rationale`.
"""

import copy
from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from ... import checks
from ...adaptation.fitting import explained
from ...errors import MapstoError
from .known_truth import auroc
from .ranking import order, refuse_lost


class Judgement(NamedTuple):
    """Measures of how well the evaluator predicts the model's classes from selected entries: large is good."""

    right: Float[Tensor, " n"]  # 1 where it predicts the model's class, else 0
    log_probability: Float[Tensor, " n"]  # of the model's class in the evaluator's prediction, in nats
    auroc: Float[Tensor, ""]  # of one class against the rest, averaged over classes that some but not all rows have


@final
class EvalX:
    """Judge explanations by how well a second network predicts the model's class from the selected entries alone.

    This second network is called the evaluator. The method `fit` trains it on rows in which random entries are hidden.
    The method `judge` then returns the accuracy, the log-probability and the AUROC with which the evaluator predicts
    the model's class from the entries that an explainer has selected. The evaluator reads the row, with 0 for hidden
    entries, and the mask, which is 1 for visible entries. For rows of a table `[n, d]`, an input of `network` is a row
    followed by its mask: `network` must map inputs `[n, 2·d]` to class scores `[n, k]`. For images `[n, c, h, w]`, the
    mask is an additional channel: `network` must map inputs `[n, c + 1, h, w]` to class scores.

    Args:
        network: the evaluator before training. A copy of it is trained; the module itself does not change.
        steps: the number of Adam steps.
        lr: the learning rate of Adam.
        batch: the number of rows in a step. Each row has its own random mask.
        seed: the random seed for the row order and the masks.
    """

    def __init__(self, network: nn.Module, steps: int = 1000, lr: float = 3e-3, batch: int = 256, seed: int = 0):
        checks.count(steps=steps, batch=batch)
        self._start, self.steps, self.lr = copy.deepcopy(network).requires_grad_(True), steps, lr
        self.network: nn.Module | None = None  # until it is fitted
        self.batch, self.seed = batch, seed

    def fit(self, x: Float[Tensor, "n ..."], y: Int[Tensor, " n"]) -> "EvalX":
        """Train the evaluator to predict the model's classes `y` from randomly masked rows `x`, and return `self`.

        Each call of `fit` starts training from the initial weights.

        Raises:
            MapstoError: if there are no rows, rows are not finite, the network cannot read the masked rows, or `y` does
                not hold one of the network's classes for each row.
        """
        checks.expect(len(x) > 0, "x", "0 rows", "at least one to learn from")
        _refuse_missing(x)
        network = copy.deepcopy(self._start).eval()
        with torch.no_grad():
            classes = _scores(network, x[:1], x.new_ones(1, *_mask_shape(x))).shape[1]
        y = _classes(y, len(x), classes)
        generator = torch.Generator().manual_seed(self.seed)
        optimizer = torch.optim.Adam(network.parameters(), lr=self.lr)
        network.train()
        for _ in range(self.steps):
            rows = torch.randint(len(x), (self.batch,), generator=generator).to(x.device)
            mask = torch.rand(self.batch, *_mask_shape(x), generator=generator) < 0.5
            loss = F.cross_entropy(_scores(network, x[rows], mask.to(x)), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.network = network.eval()
        return self

    def judge(self, x: Float[Tensor, "n ..."], y: Int[Tensor, " n"], selected: Bool[Tensor, "n ..."]) -> Judgement:
        """Return how accurately the evaluator predicts the model's classes `y` from the `selected` entries of rows `x`.

        `selected` is True for the entries that the evaluator sees. For rows of a table, it has the shape of `x`. For
        images, its shape is `[n, 1, h, w]`, because a pixel is selected with all its channels. The function `most` of
        this module selects the entries of largest absolute attribution.

        Raises:
            MapstoError: if `fit` was not called before; if `selected` does not have the shape described above, is not
                boolean, or selects entries that are not finite; or if `y` does not hold one of the network's classes
                for each row.
        """
        if self.network is None:
            raise MapstoError("network: it has not been trained, expected an evaluator that has; call `fit` first.")
        remedy = "an entry for each column, or for each pixel with all its channels; see `most`"
        checks.shape((len(x), *_mask_shape(x)), remedy, selected=selected)
        checks.expect(selected.dtype == torch.bool, "selected", selected.dtype, "torch.bool")
        _refuse_missing(torch.where(selected, x, 0.0))
        with torch.no_grad():
            log_q = _scores(self.network, x, selected.to(x)).log_softmax(-1)
        y = _classes(y, *log_q.shape)
        right = (log_q.argmax(-1) == y).to(x.dtype)
        log_probability = log_q.gather(-1, y[:, None])[:, 0]
        return Judgement(right, log_probability, _mean_auroc(log_q, y))


def most(values: Float[Tensor, "n p"], m: int, seed: int = 0) -> Bool[Tensor, "n p"]:
    """Return a mask of the `m` entries of largest |value| in each row, with ties broken as by `ranking.order`.

    Raises:
        MapstoError: if `m` exceeds the number of entries, or values are not finite.

    >>> most(torch.tensor([[0.1, -3.0, 2.0]]), 2)
    tensor([[False,  True,  True]])
    """
    checks.between(0, values.shape[1], m=m)
    return order(refuse_lost(values).abs(), seed).argsort(-1) < m


def _scores(network: nn.Module, x: Tensor, mask: Tensor) -> Float[Tensor, "n k"]:
    """Score rows whose entries outside `mask` are hidden; raise MapstoError if the network cannot read them."""
    seen = torch.cat([torch.where(mask > 0.5, x, 0.0), mask], 1)
    with explained(
        lambda error: (
            f"network: it cannot read rows of shape {tuple(seen.shape[1:])} ({' '.join(str(error).split())}), expected "
            "one that takes those of `x` with their mask beside them: twice the columns, or a channel more."
        )
    ):
        scores = network(seen)
    checks.shape(("n", "k"), "one score for each class", network=scores)
    return scores


def _classes(y: Tensor, rows: int, classes: int) -> Int[Tensor, " n"]:
    whole = not y.is_floating_point() and y.dtype != torch.bool
    if y.shape != (rows,) or not whole or ((y < 0) | (y >= classes)).any():
        between = f" from {y.min()} to {y.max()}" if whole and y.numel() else ""
        raise MapstoError(
            f"y: got {y.dtype} of shape {tuple(y.shape)}{between}, expected the model's class of each of the {rows} "
            f"rows, an integer from 0 to {classes - 1}, one of the network's; take argmax(-1) of the model."
        )
    return y.long()


def _refuse_missing(x: Tensor) -> None:
    lost = int((~x.isfinite()).sum())
    checks.expect(lost == 0, "x", f"{lost} cells that are not finite", "numbers in the visible cells")


def _mask_shape(x: Tensor) -> tuple[int, ...]:
    """Return the shape of a row's mask: the shape of a table's row, or one channel for an image."""
    return (1, *x.shape[2:]) if x.ndim > 2 else tuple(x.shape[1:])


def _mean_auroc(log_q: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    classes = torch.arange(log_q.shape[-1], device=y.device)[:, None]
    return auroc(log_q.T, y == classes).nanmean()
