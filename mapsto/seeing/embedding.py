"""A picture of a layer's features before and after adaptation: the same rows twice, on one plane.

    [before; after] ──t-SNE──▶ points [2n, 2]           fitted once to both, so that all distances mean the same

t-SNE is scikit-learn's (van der Maaten & Hinton 2008, "Visualizing Data using t-SNE"). It depends on neither unit nor
origin of the features, but computes in single precision, so its input is centred and scaled to size 1. Rows that are
all equal are refused, because it would divide by 0 and kill the process. A picture can mislead, so two numbers stand
beside it. *Trustworthiness* (Venna & Kaski 2001; scikit-learn's) is 1 if neighbours on the plane are neighbours among
the features. *Purity* is the share of a row's k nearest neighbours that have its label, measured on the features
themselves, not on the plane; `chance` is its value for random neighbours.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import checks


class Embedding(NamedTuple):
    """Rows as points in a plane, before and after adaptation, with two measures of quality."""

    before: Float[Tensor, "n 2"]
    after: Float[Tensor, "n 2"]
    y: Int[Tensor, " n"]
    trustworthiness: tuple[float, float]  # of the plane, for the rows before and those after
    purity: tuple[float, float]  # of the features, before and after
    chance: float
    neighbours: int  # k of both measures


def embedding(
    before: Float[Tensor, "_n _d"],
    after: Float[Tensor, "_n _d"],
    y: Int[Tensor, " _n"],
    neighbours: int = 5,
    perplexity: float | None = None,
    seed: int = 0,
) -> Embedding:
    """Return points in one plane, found by t-SNE, for the features of rows before adaptation and after adaptation.

    Each row has two points: one for its features before adaptation, one for its features after adaptation. Two measures
    are returned with the points. Trustworthiness is 1 if the nearest neighbours of each point in the plane are also
    neighbours among the features; the more points have false neighbours, the lower it is. Purity is the fraction of the
    rows' nearest neighbours that have the same class as the row. It is measured on the features, not in the plane;
    `chance` is its expected value for random neighbours.

    Args:
        before: the features before adaptation, `[n, d]`.
        after: the features of the same rows after adaptation, `[n, d]`.
        y: the class of each row.
        neighbours: the number of nearest neighbours in trustworthiness and purity.
        perplexity: roughly the number of neighbours that t-SNE keeps close to each point. If None, it is 30 or a sixth
            of the number of points, whichever is smaller. There are 2·n points.
        seed: the random seed of t-SNE.

    Raises:
        MapstoError: if shapes differ, features are not finite or are the same for all rows, there are fewer than
            `2·neighbours + 1` rows, or the perplexity is not between 0 and the number of points.
    """
    _check_features(before, after, y, neighbours)
    from sklearn.manifold import TSNE, trustworthiness

    features = _of_size_one(torch.cat([before, after]).detach().double())
    both = features.cpu().numpy()
    chosen = min(30.0, len(both) / 6) if perplexity is None else perplexity
    inside = 0 < chosen < len(both)
    checks.expect(inside, "perplexity", perplexity, f"a number above 0 and below {len(both)}, the points")
    points = TSNE(perplexity=chosen, init="pca", learning_rate="auto", random_state=seed).fit_transform(both)
    n, plane = len(before), torch.as_tensor(points).to(before)
    trust = [
        float(trustworthiness(both[part], points[part], n_neighbors=neighbours)) for part in (slice(n), slice(n, None))
    ]
    pure = [purity(part, y, neighbours) for part in (features[:n], features[n:])]
    return Embedding(plane[:n], plane[n:], y, (trust[0], trust[1]), (pure[0], pure[1]), chance(y), neighbours)


def purity(features: Float[Tensor, "n d"], y: Int[Tensor, " n"], neighbours: int = 5) -> float:
    """Return the purity: the fraction of the rows' nearest neighbours that have the same label as the row.

    Raises:
        MapstoError: if `neighbours` is below 1 or not below the number of rows.

    >>> purity(torch.tensor([[0.0], [1.0], [5.0], [6.0]]), torch.tensor([0, 0, 1, 1]), neighbours=1)
    1.0
    """
    checks.between(1, len(y) - 1, neighbours=neighbours)
    distances = torch.cdist(features.double(), features.double(), compute_mode="donot_use_mm_for_euclid_dist")
    distances = distances + torch.diag(distances.new_full((len(y),), torch.inf))
    nearest = distances.topk(neighbours, largest=False).indices  # [n, k]
    return float((y[nearest] == y[:, None]).double().mean())


def chance(y: Int[Tensor, " n"]) -> float:
    """Return the purity of random neighbours: Σ_c n_c·(n_c − 1) / n·(n − 1).

    >>> chance(torch.tensor([0, 0, 1, 1]))
    0.3333333333333333
    """
    counts = y.unique(return_counts=True)[1].double()
    return float((counts * (counts - 1)).sum() / (len(y) * (len(y) - 1)))


def _of_size_one(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Return the centred features divided by a power of two, which does not round."""
    centred = features - features.mean(0)
    varies = bool(centred.abs().max() > 1e-12 * features.abs().max())  # up to rounding
    remedy = "take a layer that does not map every row to the same output"
    checks.expect(varies, "before, after", "the same features on all rows", "some that differ", remedy)
    return torch.ldexp(centred, -centred.abs().max().frexp().exponent)


def _check_features(before: Tensor, after: Tensor, y: Tensor, neighbours: int) -> None:
    fit = before.shape == after.shape and before.ndim == 2 and before.shape[1] > 1 and before.is_floating_point()
    checks.expect(
        fit and y.shape == before.shape[:1],
        "before, after, y",
        f"{before.dtype} of shapes {tuple(before.shape)}, {tuple(after.shape)} and {tuple(y.shape)}",
        "floats [n, d] of the same rows and layer twice, d at least 2, and a label for each row",
        "flatten features with more axes",
    )
    checks.between(1, (len(y) - 1) // 2, neighbours=neighbours)
    checks.finite(before=before, after=after)
