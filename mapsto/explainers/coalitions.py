"""Coalitions to evaluate, and the linear map from their outcomes to Shapley values.

A *design* is a pair `(masks [c, p], weights [p, c])` with `φ = weights @ v(masks)`, for c coalitions of p players. The
same design serves every row, task and score, so it is computed once. The values of every design add up to `v(all) −
v(none)`. `exact` and `permutations` also give exactly 0 to a player who changes nothing; `kernel` does so only up to
its sampling error.
"""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks
from ..estimate import student

Arrays = tuple[np.ndarray, np.ndarray]
MOST_PLAYERS = 12  # 4,096 coalitions


class Design(NamedTuple):
    """Coalitions to evaluate, and the linear map from their outcomes to the players' values."""

    masks: Float[Tensor, "c p"]  # 1 present, 0 absent; float32
    weights: Float[Tensor, "p c"]


def refuse_many(players: int, remedy: str, most: int = MOST_PLAYERS) -> None:
    """Raise MapstoError, with the advice `remedy`, if a game has too many players to evaluate all its coalitions."""
    expected = f"at most {most} to ask all 2^players coalitions"
    checks.expect(players <= most, "game", f"{players} players", expected, f"pass {remedy}, or play with groups")


def exact(players: int, dtype: torch.dtype = torch.float32) -> Design:
    """Return all `2^p` coalitions and their exact Shapley weights (Shapley 1953).

    `φ_j = Σ_S |S|!(p−|S|−1)!/p! · (v(S∪j) − v(S))`, summed over the coalitions S without j.

    >>> design = exact(2)
    >>> v = torch.tensor([0.0, 1.0, 2.0, 5.0])  # v(none), v(first), v(second), v(both)
    >>> design.weights @ v
    tensor([2., 3.])
    """
    return _tensors(exact_arrays(players), dtype)


def permutations(players: int, pairs: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Design:
    """Return the coalitions along `pairs` random orders of the players and along the reverses of these orders.

    The players join one after the other, in each order. A player's value is the mean of its marginal contributions over
    the `2·pairs` orders (antithetic sampling; Mitchell et al. 2022). No order is drawn twice: if there are at most
    `pairs` pairs, all are taken.
    """
    return _tensors(permutation_arrays(players, pairs, seed), dtype)


def kernel(players: int, samples: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Design:
    """Return about `samples` random coalitions, and the weights that map their outcomes to KernelSHAP's values.

    The values minimise `Σ_S π(S) (v(S) − v(none) − Σ_{j∈S} φ_j)²` subject to `Σφ = v(all) − v(none)` (Lundberg & Lee
    2017, Theorem 2), so they are linear in `v`. The sampled coalitions are all different, and each comes with its
    complement (Covert & Lee 2021). The Shapley kernel gives the size `s` the mass `(p−1)/(s(p−s))`. The number of
    samples of each size is proportional to this mass, and π spreads the mass evenly over the sampled coalitions of the
    size. The empty and the full coalition are always added. If `samples ≥ 2^p − 2`, all coalitions are evaluated with
    their exact weights, and the values are exact.

    Raises:
        MapstoError: if the sampled coalitions do not determine the values.

    >>> design = kernel(10, samples=256)
    >>> design.masks.shape  # 128 pairs, the empty and the full coalition
    torch.Size([258, 10])
    """
    return _tensors(_kernel(players, samples, seed), dtype)


def widened(freedom: int) -> float:
    """Return the factor by which few degrees of freedom widen a 95 % interval: Student's t over the normal quantile.

    >>> round(widened(1), 2), round(widened(1000), 2)
    (6.48, 1.0)
    """
    return student(freedom + 1) / 1.96


def design(players: int, limit: int = 10, pairs: int = 32, dtype: torch.dtype = torch.float32) -> Design:
    """Return all coalitions of up to `limit` players; for more, those along `pairs` orders and their reverses."""
    return exact(players, dtype) if players <= limit else permutations(players, pairs, dtype=dtype)


def _tensors(arrays: Arrays, dtype: torch.dtype) -> Design:
    # Only NumPy arrays are cached: a tensor born inside grad or vmap belongs to that transform and must not outlive it.
    masks, weights = arrays
    return Design(torch.tensor(masks, dtype=torch.float32), torch.tensor(weights, dtype=dtype))


@functools.cache
def exact_arrays(players: int) -> Arrays:
    """Return the masks and the weights of `exact` as arrays."""
    masks = (np.arange(2**players)[:, None] >> np.arange(players)) & 1  # [c, p], player j is bit j
    size = masks.sum(1)
    share = np.array([1 / (players * math.comb(players - 1, s)) for s in range(players)])  # of a join at size s
    joins, leaves = np.append(share, 0.0), np.append(0.0, share)
    return masks, np.where(masks == 1, leaves[size][:, None], -joins[size][:, None]).T


@functools.cache
def permutation_arrays(players: int, pairs: int, seed: int) -> Arrays:
    """Return the masks and the weights of `permutations` as arrays."""
    forward = _different_orders(players, min(pairs, pairs_of_orders(players)), np.random.default_rng(seed))
    orders = np.concatenate([forward, forward[:, ::-1]])  # [o, p]
    rank = orders.argsort(1)  # [o, p]: the place of each player
    masks = rank[:, None, :] < np.arange(players + 1)[:, None]  # [o, p+1, p]: the first i players
    steps = np.eye(players + 1)
    joins = steps[rank + 1] - steps[rank]  # [o, p, p+1]
    return masks.reshape(-1, players), joins.transpose(1, 0, 2).reshape(players, -1) / len(orders)


def pairs_of_orders(players: int) -> int:
    """Return the number of pairs of an order and its reverse: `players!/2`, and 1 for a single player."""
    return max(math.factorial(players) // 2, 1)


def _different_orders(players: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return random orders `[count, p]`, none of which is another one or its reverse."""
    orders: dict[tuple[int, ...], np.ndarray] = {}
    while len(orders) < count:
        order = generator.permutation(players)
        orders.setdefault(min(tuple(order), tuple(order[::-1])), order)
    return np.stack(list(orders.values()))


@functools.lru_cache(maxsize=64)  # some megabytes for each number of players
def _kernel(players: int, samples: int, seed: int) -> Arrays:
    masks, mass = _pairs(players, samples, seed)  # [c, p], [c]
    size = masks.sum(1)
    root = np.sqrt(mass)[:, None]
    across = masks - size[:, None] / players  # masks with the direction of the constraint taken out
    checks.expect(
        bool(np.linalg.matrix_rank(root * across) >= players - 1),
        "samples",
        f"{samples}, too few coalitions to tell {players} players apart",
        f"at least {2 * (players - 1)}",
        f"pass about {max(8 * players, 64)}",
    )
    solve = np.linalg.pinv(root * across, rcond=1e-10) * root.T  # [p, c], every column sums to 0; rank p − 1
    none = solve @ (size / players - 1) - 1 / players
    everyone = 1 / players - solve @ (size / players)
    ends = np.stack([np.zeros(players), np.ones(players)])
    return np.concatenate([ends, masks]), np.column_stack([none, everyone, solve])


@functools.lru_cache(maxsize=64)
def complements(players: int, samples: int, seed: int) -> np.ndarray:
    """Return one coalition `[1 + samples/2, p]` of each pair of a coalition and the rest; all players are first.

    Then come the single players, and then random coalitions, all different. The number of each size is proportional to
    the square root of the number of its coalitions: half-way between leverage scores, for which all sizes count alike
    (Musco & Witter 2025), and products of the players' signs, for which all coalitions do.

    Raises:
        MapstoError: if the coalitions do not determine the values.
    """
    left, generator = samples // 2, np.random.default_rng(seed)
    expected, remedy = f"at least {2 * (players - 1)}", f"pass about {max(8 * players, 64)}"
    got = f"{samples}, too few coalitions to tell {players} players apart"
    checks.expect(left >= players - 1, "samples", got, expected, remedy)
    rooms = {size: math.comb(players, size) // (1 + (2 * size == players)) for size in range(1, players // 2 + 1)}
    most = max(rooms.values())  # may exceed the largest float, its ratios do not
    drawn, share = [np.ones((1, players))], {size: math.sqrt(room / most) for size, room in rooms.items()}
    for size, room in rooms.items():
        wanted = players if size == 1 else round(left * share[size] / sum(share.values()))
        count = min(room, left, wanted)
        drawn.append(_subsets(players, size, count, room, generator))
        left -= count
        del share[size]
    return np.concatenate(drawn)


class _Size(NamedTuple):
    """How many pairs of a coalition of this size and its complement are sampled, of how many that exist."""

    size: int
    taken: int
    room: int
    mass: float  # of the Shapley kernel


def _sizes(players: int, samples: int) -> list[_Size]:
    sizes = range(1, players // 2 + 1)
    mass = [(1 if 2 * s == players else 2) * (players - 1) / (s * (players - s)) for s in sizes]  # of s and p−s
    left, parts = min(samples, 2**players - 2) // 2, []
    for i, size in enumerate(sizes):
        room = math.comb(players, size) // (2 if 2 * size == players else 1)
        count = min(room, round(left * mass[i] / sum(mass[i:])))  # small sizes fill up first
        left -= count
        parts.append(_Size(size, count, room, mass[i]))
    return parts


def _pairs(players: int, samples: int, seed: int) -> Arrays:
    """Return coalitions and their complements `[c, p]`, and the kernel mass of each `[c]`."""
    generator = np.random.default_rng(seed)
    masks, weights = [np.zeros((0, players))], [np.zeros(0)]
    for size, count, room, mass in _sizes(players, samples):
        subsets = _subsets(players, size, count, room, generator)
        masks += [subsets, 1 - subsets]
        weights += [np.full(2 * count, mass / max(2 * count, 1))]
    return np.concatenate(masks), np.concatenate(weights)


def _subsets(players: int, size: int, count: int, room: int, generator: np.random.Generator) -> np.ndarray:
    """Return `count` different coalitions of one size `[count, p]`; at half size, one of each complementary pair."""
    half = 2 * size == players
    if count == room:
        subsets = set(itertools.combinations(range(players), size))
        chosen = {subset for subset in subsets if subset[0] == 0} if half else subsets
    else:
        chosen = set()
        while len(chosen) < count:
            subset = generator.permutation(players)[:size].tolist()
            if half and 0 not in subset:
                subset = list(set(range(players)) - set(subset))
            chosen.add(tuple(sorted(subset)))
    masks = np.zeros((count, players))
    np.put_along_axis(masks, np.array(sorted(chosen), int).reshape(count, size), 1, axis=1)
    return masks
