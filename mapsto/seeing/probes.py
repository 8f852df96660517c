"""Linear probes: can the answer still be read off a layer, or was it lost on the way?

    B = (H̃ᵀH̃ + n·penalty·1)⁻¹ H̃ᵀY,   ŷ = argmax_c (h̃ᵀB + ȳ)_c         H̃ standardised and Y centred on the training rows

Alain & Bengio 2017, "Understanding intermediate layers using linear classifier probes". Where we depart: their probes
are logistic regressions trained by descent, ours ridge regressions of one-hot labels in closed form, which leaves
nothing to tune but the penalty. Accuracy is always that of rows the probe was not fitted to: rows are dealt into folds
of like classes, or, with `groups`, a fold is a group, so that a probe is judged on tasks, patients or drawers that it
has not seen. A later layer cannot hold more than an earlier one, but it can hold it more plainly: accuracy that falls
says that what is linear was lost.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from ..errors import MapstoError
from ..learners.ridge import ridge
from .layers import Features


class Probes(NamedTuple):
    """Accuracy of a probe at each of `l` layers, in each of `s` states."""

    layers: tuple[str, ...]
    accuracy: Float[Tensor, "l s"]
    chance: float  # of always answering the commonest class
    rows: int


def probes(
    features: Features,
    y: Int[Tensor, " _n"],
    folds: int = 5,
    groups: Int[Tensor, " _n"] | None = None,
    penalty: float = 0.1,
    seed: int = 0,
) -> Probes:
    """Return how well each layer's features tell the classes `y`, on rows that the probe was not fitted to.

    Raises:
        MapstoError: no features, not finite, or not of the same rows; not an integer label or group for each row, too
            few rows or groups for the folds, or a penalty not above 0.
    """
    if not isinstance(features, dict) or any(f.ndim != 3 for f in features.values()):
        shapes = f" of {[tuple(f.shape) for f in features.values()]}" if isinstance(features, dict) else ""
        raise MapstoError(
            f"features: got a {type(features).__name__}{shapes}, expected a dict from layers to features [s, n, d], "
            "as features_over returns it."
        )
    rows = {f.shape[1] for f in features.values()}
    if len(rows) != 1 or not all(f.isfinite().all() for f in features.values()):
        raise MapstoError(
            f"features: got those of {len(features)} layers on {sorted(rows)} rows, expected finite ones of at least "
            "one, on the same rows."
        )
    n = rows.pop()
    for name, given in (("y", y), ("groups", y if groups is None else groups)):
        if given.shape != (n,) or given.is_floating_point():
            raise MapstoError(
                f"{name}: got {given.dtype} of shape {tuple(given.shape)}, expected one integer for each of the {n} "
                "rows; probes tell classes."
            )
    if not penalty > 0:
        raise MapstoError(f"penalty: got {penalty}, expected a number above 0.")
    fold = dealt(y, folds, seed) if groups is None else groups.unique(return_inverse=True)[1]
    if int(fold.max()) < 1:
        raise MapstoError(
            "groups: got one group, expected at least two: one to be judged on, the others to learn from."
        )
    accuracy = [torch.stack([_accuracy(h, y, fold, penalty) for h in steps]) for steps in features.values()]
    commonest = int(y.unique(return_counts=True)[1].max())
    return Probes(tuple(features), torch.stack(accuracy), commonest / n, n)


def dealt(y: Int[Tensor, " n"], folds: int, seed: int) -> Int[Tensor, " n"]:
    """Deal rows into folds at random, the rows of each class round and round.

    Raises:
        MapstoError: fewer than two folds, or more than there are rows.
    """
    if not 2 <= folds <= len(y):
        raise MapstoError(f"folds: got {folds} for {len(y)} rows, expected 2 to {len(y)}.")
    shuffled = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed)).to(y.device)
    order = shuffled[y[shuffled].argsort(stable=True)]
    return torch.empty_like(y).scatter(0, order, torch.arange(len(y), device=y.device) % folds)


def _accuracy(h: Float[Tensor, "n d"], y: Int[Tensor, " n"], fold: Int[Tensor, " n"], penalty: float) -> Tensor:
    """Return the share of rows that a probe fitted to the other folds gets right."""
    classes, labels = y.unique(return_inverse=True)
    targets = F.one_hot(labels, len(classes)).double()
    right = torch.zeros(len(y), device=y.device)
    for k in fold.unique():
        held = fold == k
        scores = _fitted(h[~held].double(), targets[~held], h[held].double(), penalty)
        right[held] = (scores.argmax(1) == labels[held]).to(right)
    return right.mean().to(h.dtype)


def _fitted(h: Float[Tensor, "n d"], y: Float[Tensor, "n c"], x: Float[Tensor, "m d"], penalty: float) -> Tensor:
    """Fit ridge regression to `h, y` and return its answers for `x`, in the smaller of both forms."""
    mean, std = h.mean(0), h.std(0, correction=0)
    scale = torch.where(std > 1e-12 * h.abs().amax(0), std, torch.inf)  # what does not vary tells nothing
    h, x, centre = (h - mean) / scale, (x - mean) / scale, y.mean(0)
    share = h.new_full((len(h),), 1 / len(h))
    return x @ ridge(h, y - centre, share, h.new_tensor(penalty)) + centre
