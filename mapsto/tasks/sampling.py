"""Draw without replacement, and divide rows into support and query, for a whole batch of tasks at once."""

from numbers import Real
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from .. import checks
from ..episodes import Episode, Examples
from .source import SPLITS

Shots = int | tuple[int, int]
"""Number of support examples; if a pair (lowest, highest), the number is drawn anew for each task."""


def choose(generator: torch.Generator, population: Int[Tensor, "..."], k: int) -> Int[Tensor, "... k"]:
    """Choose `k` distinct numbers of 0 … population−1 for each population, all ordered choices being equally likely.

    Floyd's algorithm takes `k` steps for any population (Bentley & Floyd 1987, CACM 30(9), Algorithm F2). The order of
    its choices is not uniform, so they are shuffled. Every population must be at least `k`.
    """
    chosen = population.new_empty((*population.shape, 0))
    for i in range(k):
        top = population - k + i  # [...]
        candidate = (torch.rand(population.shape, generator=generator, dtype=torch.float64) * (top + 1)).long()
        taken = (chosen == candidate[..., None]).any(-1)
        chosen = torch.cat([chosen, torch.where(taken, top, candidate)[..., None]], -1)
    return chosen.gather(-1, orders(generator, *population.shape, k))


def orders(generator: torch.Generator, *shape: int) -> Int[Tensor, "..."]:
    """Return a random permutation of 0 … shape[-1]−1 along the last axis, for each leading index."""
    return torch.rand(shape, generator=generator, dtype=torch.float64).argsort(-1)


def each_once(generator: torch.Generator, population: int, count: int) -> Int[Tensor, " c"]:
    """Draw `count` numbers of 0 … population−1 at random, where each comes once before any comes again."""
    rounds = [torch.randperm(population, generator=generator) for _ in range(-(-count // population))]
    return torch.cat(rounds)[:count]


def bounds(name: str, shots: Shots, least: int = 1) -> tuple[int, int]:
    """Return the lowest and the highest number of `shots`, which is the argument `name`.

    Raises:
        MapstoError: if the lowest is below `least` or above the highest, or the highest is below 1.
    """
    pair: Any = tuple(shots) if isinstance(shots, tuple | list) else (shots, shots)
    valid = len(pair) == 2 and all(isinstance(number, int) for number in pair)
    valid = valid and least <= pair[0] <= pair[1] and pair[1] >= 1
    pairs = "of such numbers" if least else "in which the lowest may be 0"
    checks.expect(valid, name, shots, f"a whole number from 1, or a pair (lowest, highest) {pairs}")
    return pair


def ends(splits: tuple[float, float, float]) -> Float[Tensor, "3"]:
    """Return the cumulative fractions of train, validation and test, between 0 and 1.

    Raises:
        MapstoError: if there are not three fractions from 0 whose sum is above 0 and at most 1.
    """
    numbers = len(splits) == 3 and all(isinstance(fraction, Real) for fraction in splits)
    valid = numbers and min(splits) >= 0 and 0 < sum(splits) <= 1 + 1e-9
    checks.expect(valid, "splits", splits, "three fractions from 0 that sum to at most 1")
    return torch.tensor(splits, dtype=torch.float64).cumsum(0)


def divided(
    classes: Int[Tensor, " n"] | None, n: int, splits: tuple[float, float, float], seed: int
) -> dict[str, Int[Tensor, " rows"]]:
    """Return the rows of each split; if `classes` are given, each class is divided in the same proportions."""
    codes = torch.zeros(n, dtype=torch.long) if classes is None else classes
    part = torch.bucketize(_quantile(codes, seed), ends(splits), right=True)
    return {name: (part == i).nonzero()[:, 0] for i, name in enumerate(SPLITS)}


def _quantile(codes: Tensor, seed: int) -> Tensor:
    """Return (rank + ½) / size of each row among the shuffled rows of its class.

    A cut of these numbers divides every class in the same proportion.
    """
    shuffled = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))
    order = shuffled[codes[shuffled].argsort(stable=True)]  # sorted by class, at random within a class
    sizes = torch.bincount(codes)
    rank = torch.arange(len(codes)) - (sizes.cumsum(0) - sizes)[codes[order]]
    return torch.zeros(len(codes), dtype=torch.float64).scatter(0, order, (rank + 0.5) / sizes[codes[order]].double())


def weights(generator: torch.Generator, count: int, shots: tuple[int, int]) -> Float[Tensor, "T n"]:
    """Return the weights of `count` support sets of random length: 1/length, then 0 for padding up to `shots[1]`.

    If the length is 0, all weights are 0.
    """
    length = torch.randint(shots[0], shots[1] + 1, (count, 1), generator=generator)  # [T, 1]
    return (torch.arange(shots[1]) < length) / length.clamp(min=1)


def episode(x: Float[Tensor, "T m ..."], y: Shaped[Tensor, "T m ..."], w: Float[Tensor, "T n"]) -> Episode:
    """Return an episode whose support set has the first rows, one for each weight in `w`; the others are its query set.

    Rows of weight 0 are set to 0, so that no learner can read the padding.
    """
    n = w.shape[1]
    queries = x.shape[1] - n
    real = w > 0  # [T, n]
    blank = [torch.where(real.view(*real.shape, *[1] * (t.dim() - 2)), t[:, :n], 0) for t in (x, y)]
    return Episode(
        Examples(blank[0], blank[1], w), Examples(x[:, n:], y[:, n:], torch.full((len(x), queries), 1 / queries))
    )
