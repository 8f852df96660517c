"""What the sources share: drawing without replacement, and dividing rows, for a whole batch of tasks at once."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from ..episodes import Episode, Examples
from ..errors import MapstoError

Shots = int | tuple[int, int]
"""Examples a task teaches with: a number, or the lowest and highest of a number drawn anew for each task."""


def choose(generator: torch.Generator, population: Int[Tensor, "..."], k: int) -> Int[Tensor, "... k"]:
    """Choose `k` distinct numbers of 0 … population−1, every ordered choice equally likely, for each population.

    Floyd's algorithm takes `k` steps whatever the population (Bentley & Floyd 1987, CACM 30(9), Algorithm F2); its
    order is not uniform, so it is shuffled. Every population must be at least `k`.
    """
    chosen = population.new_empty((*population.shape, 0))
    for i in range(k):
        top = population - k + i  # [...]
        drawn = (torch.rand(population.shape, generator=generator, dtype=torch.float64) * (top + 1)).long()
        taken = (chosen == drawn[..., None]).any(-1)
        chosen = torch.cat([chosen, torch.where(taken, top, drawn)[..., None]], -1)
    return chosen.gather(-1, orders(generator, *population.shape, k))


def orders(generator: torch.Generator, *shape: int) -> Int[Tensor, "..."]:
    """Return a random permutation of 0 … shape[-1]−1 along the last axis, for each leading index."""
    return torch.rand(shape, generator=generator, dtype=torch.float64).argsort(-1)


def bounds(name: str, shots: Shots) -> tuple[int, int]:
    """Return the lowest and highest number of `shots`, or raise MapstoError naming the argument `name`."""
    pair = tuple(shots) if isinstance(shots, tuple | list) else (shots, shots)
    if len(pair) != 2 or not all(isinstance(number, int) for number in pair) or not 1 <= pair[0] <= pair[1]:
        raise MapstoError(
            f"{name}: got {shots}, expected a whole number from 1, or a pair (lowest, highest) of such numbers."
        )
    return pair


def whole(name: str, number: int) -> int:
    """Return `number`, or raise MapstoError naming the argument `name` where it is no whole number from 1."""
    if not isinstance(number, int) or number < 1:
        raise MapstoError(f"{name}: got {number}, expected a whole number from 1.")
    return number


def shares(splits: tuple[float, float, float]) -> Float[Tensor, "3"]:
    """Return where the shares of train, validation and test end (0 … 1), or raise MapstoError."""
    if len(splits) != 3 or min(splits) < 0 or not 0 < sum(splits) <= 1 + 1e-9:
        raise MapstoError(f"splits: got {splits}, expected three shares from 0 that sum to at most 1.")
    return torch.tensor(splits, dtype=torch.float64).cumsum(0)


def weights(generator: torch.Generator, count: int, shots: tuple[int, int]) -> Float[Tensor, "T n"]:
    """Return the weights of `count` support sets of random length: 1/length, then 0 for padding up to `shots[1]`."""
    length = torch.randint(shots[0], shots[1] + 1, (count, 1), generator=generator)  # [T, 1]
    return (torch.arange(shots[1]) < length) / length


def episode(x: Float[Tensor, "T m ..."], y: Shaped[Tensor, "T m ..."], w: Float[Tensor, "T n"]) -> Episode:
    """Put the first rows of each task, as many as `w` has, in its support set and the others in its query set.

    Rows of weight 0 are blanked, so that no learner can read the padding.
    """
    n = w.shape[1]
    queries = x.shape[1] - n
    real = w > 0  # [T, n]
    blank = [torch.where(real.view(*real.shape, *[1] * (t.dim() - 2)), t[:, :n], 0) for t in (x, y)]
    return Episode(
        Examples(blank[0], blank[1], w), Examples(x[:, n:], y[:, n:], torch.full((len(x), queries), 1 / queries))
    )
