"""Linear probes: whether the answer can be read off a layer linearly.

    B = (H̃ᵀH̃ + n·penalty·1)⁻¹ H̃ᵀY,   ŷ = argmax_c (h̃ᵀB + ȳ)_c         H̃ standardised and Y centred on the training
    rows

Alain & Bengio 2017, "Understanding intermediate layers using linear classifier probes". Departure: their probes are
logistic regressions trained by descent; these are ridge regressions of one-hot labels in closed form, which leaves only
the penalty to tune. Accuracy is always measured on rows that the probe was not fitted to: rows are dealt into folds
with the classes in proportion, or, with `groups`, each fold is a group, so that a probe is tested on unseen tasks,
patients or drawers. A later layer cannot hold more information than an earlier one, but can hold it more plainly:
falling accuracy says that linear information was lost.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from .. import checks
from ..learners.ridge import ridge
from .layers import Features


class Probes(NamedTuple):
    """The accuracy of a linear probe at each of `l` layers, in each of `s` adapted states."""

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
    """Return the accuracy with which a linear probe on each layer's features predicts the classes `y`.

    A probe is a ridge regression of the classes on the features. Its accuracy is measured on held-out rows, by
    cross-validation.

    Args:
        features: the result of `features_over`.
        y: the class of each row.
        folds: the number of random folds; each fold is predicted by a probe that was fitted to the other folds.
        groups: the group number of each row, such as its task. Each group is then a fold, so that probes are tested on
            new groups. If None, the folds are random.
        penalty: the ridge penalty.
        seed: the random seed of the folds.

    Raises:
        MapstoError: if there are no features; if features are not finite or differ in their number of rows; if `y` or
            `groups` does not have an integer for each row; or if there are fewer rows than `folds`, `folds` is below 2,
            there is only one group, or the penalty is not above 0.
    """
    fits = isinstance(features, dict) and all(f.ndim == 3 for f in features.values())
    kind, remedy = type(features).__name__, "pass the result of features_over"
    checks.expect(fits, "features", f"a {kind} of other shapes", "a dict from layers to features [s, n, d]", remedy)
    rows = {f.shape[1] for f in features.values()}
    checks.expect(len(rows) == 1, "features", f"{sorted(rows)} rows", "the same rows in all layers, at least one layer")
    for values in features.values():
        checks.finite(features=values)
    n = rows.pop()
    for name, labels in (("y", y), ("groups", y if groups is None else groups)):
        whole = labels.shape == (n,) and not labels.is_floating_point()
        got = f"{labels.dtype} of shape {tuple(labels.shape)}"
        checks.expect(whole, name, got, f"one integer for each of {n} rows", "probes predict classes")
    checks.above(0, penalty=penalty)
    fold = dealt(y, folds, seed) if groups is None else groups.unique(return_inverse=True)[1]
    checks.expect(int(fold.max()) >= 1, "groups", "one group", "at least two, to fit and to test the probe on")
    accuracy = [torch.stack([_accuracy(h, y, fold, penalty) for h in steps]) for steps in features.values()]
    commonest = int(y.unique(return_counts=True)[1].max())
    return Probes(tuple(features), torch.stack(accuracy), commonest / n, n)


def dealt(y: Int[Tensor, " n"], folds: int, seed: int) -> Int[Tensor, " n"]:
    """Deal rows into folds at random, the rows of each class in turn.

    Raises:
        MapstoError: if there are fewer than two folds, or more folds than rows.
    """
    checks.between(2, len(y), folds=folds)
    shuffled = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed)).to(y.device)
    order = shuffled[y[shuffled].argsort(stable=True)]
    return torch.empty_like(y).scatter(0, order, torch.arange(len(y), device=y.device) % folds)


def _accuracy(h: Float[Tensor, "n d"], y: Int[Tensor, " n"], fold: Int[Tensor, " n"], penalty: float) -> Tensor:
    """Return the share of rows that a probe fitted to the other folds predicts rightly."""
    classes, labels = y.unique(return_inverse=True)
    targets = F.one_hot(labels, len(classes)).double()
    right = torch.zeros(len(y), device=y.device)
    for k in fold.unique():
        held = fold == k
        scores = _fitted(h[~held].double(), targets[~held], h[held].double(), penalty)
        right[held] = (scores.argmax(1) == labels[held]).to(right)
    return right.mean().to(h.dtype)


def _fitted(h: Float[Tensor, "n d"], y: Float[Tensor, "n c"], x: Float[Tensor, "m d"], penalty: float) -> Tensor:
    """Fit ridge regression to `h, y` and return its predictions for `x`, in the smaller of both forms."""
    mean, std = h.mean(0), h.std(0, correction=0)
    scale = torch.where(std > 1e-12 * h.abs().amax(0), std, torch.inf)  # a constant feature predicts nothing
    h, x, centre = (h - mean) / scale, (x - mean) / scale, y.mean(0)
    share = h.new_full((len(h),), 1 / len(h))
    return x @ ridge(h, y - centre, share, h.new_tensor(penalty)) + centre
