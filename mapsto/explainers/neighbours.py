"""What each teaching example is worth to a K-nearest-neighbour vote: exact Shapley values after one sort.

    v(S) = 1/K · Σ_{i among the K nearest of S} [y_i = label]
    φ_n = [y_n = label] / max(n, K),    φ_i = φ_{i+1} + ([y_i = label] − [y_{i+1} = label]) / K · min(K, i) / i

with the examples 1 … n ordered from the nearest to the farthest (Jia et al. 2019, "Efficient Task-Specific Data
Valuation for Nearest Neighbor Algorithms", Theorem 1). The theorem assumes n ≥ K, where max(n, K) is n;
with fewer examples every match gives 1/K, which is what max(n, K) says. Ties in distance go by the order of the rows.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..checks import readable
from ..errors import MapstoError


def knn_shapley(
    x: Float[Tensor, "n f"],
    y: Int[Tensor, " n"],
    query: Float[Tensor, " f"],
    label: Int[Tensor, ""] | int,
    k: int = 5,
) -> Float[Tensor, " n"]:
    """Return the Shapley value of each example for one query, `n·log n` work and no adaptation.

    Give embeddings, of a learner's `features` say, where raw inputs have no meaningful distance. The values add up to
    the share of the `k` nearest that are of the query's class. Several queries: `vmap`, then the mean, as Shapley
    values are linear. Examples of weight 0 should not be given.

    Raises:
        MapstoError: `k` below 1, no examples, labels or a query that do not fit them, or a distance that is no number.

    >>> x, y = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([1, 0, 1])
    >>> knn_shapley(x, y, torch.tensor([0.2]), label=1, k=1)
    tensor([ 0.8333, -0.1667,  0.3333])
    """
    n = len(x)
    if k < 1:
        raise MapstoError(f"k: got {k}, expected at least 1 neighbour.")
    if n < 1:
        raise MapstoError("x: got no examples, expected at least 1.")
    if y.shape != (n,) or query.shape != x.shape[1:]:
        raise MapstoError(
            f"y, query: got shapes {tuple(y.shape)} and {tuple(query.shape)}, expected ({n},) and "
            f"{tuple(x.shape[1:])}: a label an example, and features like theirs."
        )
    apart = (x - query).square().sum(1)
    if readable(apart) and apart.isnan().any():
        raise MapstoError("x, query: got NaN, from which nothing is far or near, expected numbers.")
    order = apart.argsort(stable=True)  # nearest first
    match = (y[order] == label).to(x.dtype)
    place = torch.arange(1, n, dtype=x.dtype, device=x.device)
    steps = (match[:-1] - match[1:]) / k * (place.clamp(max=k) / place)  # [n − 1]
    ranked = torch.cat([steps, match[-1:] / max(n, k)]).flip(0).cumsum(0).flip(0)
    return ranked[order.argsort()]
