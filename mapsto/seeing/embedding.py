"""What adaptation did to a layer, as a picture: the same rows before and after, on one plane.

    [before; after] ──t-SNE──▶ points [2n, 2]           fitted once to both, so that all distances mean the same

t-SNE is scikit-learn's (van der Maaten & Hinton 2008, "Visualizing Data using t-SNE"). It knows neither unit nor
origin of the features, but computes in single precision, so it is handed them centred and of size 1; rows that are all
alike, from which it would divide by 0 and kill the process, are refused. A picture can mislead, so two
numbers stand beside it. *Trustworthiness* (Venna & Kaski 2001; scikit-learn's) is 1 where the plane's neighbours are
neighbours among the features. *Purity* is the share of a row's k nearest neighbours that have its label, and is
measured on the features themselves, not on the plane; `chance` is its value for neighbours drawn at random.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import MapstoError


class Embedding(NamedTuple):
    """Rows on a plane, before and after adaptation."""

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
    """Put features of the same rows, before and after adaptation, on one plane.

    `perplexity` is about how many neighbours t-SNE keeps near: 30, or a sixth of the points where they are few.

    Raises:
        MapstoError: other shapes, features that are not finite or the same on all rows, fewer than `2·neighbours + 1`
            rows, or a perplexity that is not above 0 and below the number of points, which is twice that of the rows.
    """
    _check(before, after, y, neighbours)
    from sklearn.manifold import TSNE, trustworthiness

    features = _of_size_one(torch.cat([before, after]).detach().double())
    both = features.cpu().numpy()
    chosen = min(30.0, len(both) / 6) if perplexity is None else perplexity
    if not 0 < chosen < len(both):
        raise MapstoError(f"perplexity: got {perplexity}, expected above 0 and below {len(both)}, the points.")
    points = TSNE(perplexity=chosen, init="pca", learning_rate="auto", random_state=seed).fit_transform(both)
    n, plane = len(before), torch.as_tensor(points).to(before)
    trust = [
        float(trustworthiness(both[part], points[part], n_neighbors=neighbours)) for part in (slice(n), slice(n, None))
    ]
    pure = [purity(part, y, neighbours) for part in (features[:n], features[n:])]
    return Embedding(plane[:n], plane[n:], y, (trust[0], trust[1]), (pure[0], pure[1]), chance(y), neighbours)


def purity(features: Float[Tensor, "n d"], y: Int[Tensor, " n"], neighbours: int = 5) -> float:
    """Return the share of the rows' nearest neighbours, themselves left out, that have their label.

    >>> purity(torch.tensor([[0.0], [1.0], [5.0], [6.0]]), torch.tensor([0, 0, 1, 1]), neighbours=1)
    1.0

    Raises MapstoError for fewer than one neighbour, or not fewer than rows.
    """
    if not 1 <= neighbours < len(y):
        raise MapstoError(f"neighbours: got {neighbours} for {len(y)} rows, expected 1 to {len(y) - 1}.")
    distances = torch.cdist(features.double(), features.double(), compute_mode="donot_use_mm_for_euclid_dist")
    distances = distances + torch.diag(distances.new_full((len(y),), torch.inf))
    nearest = distances.topk(neighbours, largest=False).indices  # [n, k]
    return float((y[nearest] == y[:, None]).double().mean())


def chance(y: Int[Tensor, " n"]) -> float:
    """Return the purity of neighbours drawn at random: Σ_c n_c·(n_c − 1) / n·(n − 1).

    >>> chance(torch.tensor([0, 0, 1, 1]))
    0.3333333333333333
    """
    counts = y.unique(return_counts=True)[1].double()
    return float((counts * (counts - 1)).sum() / (len(y) * (len(y) - 1)))


def _of_size_one(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Return the features from their mean, divided by a power of two, which rounds nothing."""
    centred = features - features.mean(0)
    if not centred.abs().max() > 1e-12 * features.abs().max():  # rounding is no variation
        raise MapstoError(
            "before, after: got the same features on all rows, expected some that differ; take a layer that does not "
            "map every row to the same output."
        )
    return torch.ldexp(centred, -centred.abs().max().frexp().exponent)


def _check(before: Tensor, after: Tensor, y: Tensor, neighbours: int) -> None:
    fit = before.shape == after.shape and before.ndim == 2 and before.shape[1] > 1 and before.is_floating_point()
    if not fit or y.shape != before.shape[:1]:
        raise MapstoError(
            f"before, after, y: got {str(before.dtype).removeprefix('torch.')} of shapes {tuple(before.shape)}, "
            f"{tuple(after.shape)} and {tuple(y.shape)}, expected floating features [n, d] of the same rows and layer "
            "twice, of at least two columns, and a label for each row; flatten what has more axes."
        )
    most = (len(y) - 1) // 2
    if not 1 <= neighbours <= most:
        raise MapstoError(f"neighbours: got {neighbours} for {len(y)} rows, expected 1 to {most}: fewer than half.")
    if not (before.isfinite().all() and after.isfinite().all()):
        raise MapstoError("before, after: got numbers that are not finite, expected finite features.")
