"""The value of each support example to a vote of the K nearest neighbours: exact Shapley values after one sort.

    v(S) = 1/K · Σ_{i among the K nearest of S} [y_i = label]
    φ_n = [y_n = label] / max(n, K),    φ_i = φ_{i+1} + ([y_i = label] − [y_{i+1} = label]) / K · min(K, i) / i

[ ] is 1 if true, else 0. The examples 1 … n are ordered from the nearest to the farthest (Jia et al. 2019, "Efficient
Task-Specific Data Valuation for Nearest Neighbor Algorithms", Theorem 1). The theorem assumes n ≥ K and divides φ_n by
n. With fewer examples every match contributes 1/K, hence max(n, K). Examples at equal distance keep their order.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import checks
from .explainer import without_graph


@without_graph()
def knn_shapley(
    x: Float[Tensor, "n f"],
    y: Int[Tensor, " n"],
    query: Float[Tensor, " f"],
    label: Int[Tensor, ""] | int,
    k: int = 5,
) -> Float[Tensor, " n"]:
    """Return the Shapley value of each support example when the `k` nearest neighbours vote on one query's class.

    The players are the support examples. The outcome is the fraction of the `k` nearest examples that have the query's
    class, and the values add up to it. The exact values need only a single sorting of the `n` examples by distance; no
    learner is adapted. For several queries, use `vmap` and take the mean of the values.

    Args:
        x: the features of the support examples. If distances between raw inputs mean little, pass embeddings, for
            example from a learner's `features`. Leave out examples of weight 0.
        y: the class of each example.
        query: the features of the query.
        label: the class of the query.
        k: the number of neighbours that vote.

    Raises:
        MapstoError: if `k` is below 1, there are no examples, `y` or `query` does not fit `x`, or a distance is NaN.

    >>> x, y = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([1, 0, 1])
    >>> knn_shapley(x, y, torch.tensor([0.2]), label=1, k=1)
    tensor([ 0.8333, -0.1667,  0.3333])
    """
    n = len(x)
    checks.count(k=k)
    checks.expect(n > 0, "x", "no examples", "at least 1")
    checks.shape((n,), "one label for each example", y=y)
    checks.shape(tuple(x.shape[1:]), "features like those of the examples", query=query)
    distance = (x - query).square().sum(1)
    if checks.readable(distance):
        checks.expect(not bool(distance.isnan().any()), "x, query", "NaN, which has no distance", "numbers")
    order = distance.argsort(stable=True)  # nearest first
    match = (y[order] == label).to(x.dtype)
    place = torch.arange(1, n, dtype=x.dtype, device=x.device)
    steps = (match[:-1] - match[1:]) / k * (place.clamp(max=k) / place)  # [n − 1]
    ranked = torch.cat([steps, match[-1:] / max(n, k)]).flip(0).cumsum(0).flip(0)
    return ranked[order.argsort()]
