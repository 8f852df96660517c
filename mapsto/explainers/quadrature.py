"""Shapley values of grouped players by Bayesian quadrature: a Gaussian process chooses the coalitions to evaluate.

    v ~ GP(β₀ + Σ_j β_j·S_j, κ),  κ(S, T) = Π_g (a + [S_g, T_g both or neither empty]·exp(−ρ·‖S_g/|S_g| − T_g/|T_g|‖²))
    φ = E[Shapley values of v | outcomes] = weights @ v(masks)

S and T are coalitions as vectors of zeros and ones, S_g is the part of S in group g, and [ ] is 1 if true, else 0. a
and ρ are constants.

Players come in groups `g`, such as the classes of support examples. The prior assumes that a group matters mostly by
whether any of its members is present, and less by which members these are. It also assumes that the contribution of a
member depends on the other members present. Given the outcomes of some coalitions, the posterior mean of v is known for
every coalition, and its Shapley values are a linear map of the outcomes (O'Hagan 1991, "Bayes–Hermite Quadrature", with
a linear trend). Each next coalition is the one that most reduces the remaining variance of φ. This choice does not
depend on the outcomes: it is sequential Bayesian quadrature (Huszár & Duvenaud 2012; for Shapley values, over orders of
the players, Mitchell et al. 2022). So masks and weights are computed once for each list of group sizes.

Whatever the prior, the values sum to v(all) − v(none), and they are exact for games that are a sum over players.
"""

import functools
from collections.abc import Sequence

import numpy as np
import torch

from .. import checks
from . import coalitions

_BASE, _LENGTH, _NUGGET = 1.0, 0.3, 1e-10  # a, ρ, and a diagonal that keeps the system solvable


def design(groups: Sequence[int], samples: int) -> coalitions.Design:
    """Return the chosen coalitions, and the matrix that maps their outcomes to the estimated Shapley values.

    `groups` holds the group number of each player.

    Raises:
        MapstoError: if there are too few `samples`.
    """
    players = len(groups)
    enough = samples >= min(players + 2, 2**players)
    checks.expect(enough, "samples", samples, f"at least {players + 2} for {players} players")
    names, sizes = np.unique(groups, return_counts=True)
    by_size = np.argsort(sizes, kind="stable")  # so that all tasks with classes of these sizes share one design
    order = np.concatenate([np.flatnonzero(np.array(groups) == names[g]) for g in by_size])
    masks, weights = _design(tuple(sizes[by_size].tolist()), min(samples, 2**players))
    place = np.argsort(order)
    return coalitions.Design(torch.tensor(masks[:, place], dtype=torch.float32), torch.tensor(weights[place]))


@functools.cache
def _design(sizes: tuple[int, ...], samples: int) -> coalitions.Arrays:
    """Return the coalitions `[c, p]` and the linear map `[p, c]`, for players in the order of their groups."""
    every, shapley = (part.astype(float) for part in coalitions.exact_arrays(sum(sizes)))
    masks = every[_chosen(every, shapley, sizes, samples)]
    covariance = prior(masks, masks, sizes) + _NUGGET * np.eye(samples)
    trend = np.column_stack([np.ones(samples), masks])  # [c, 1 + p]
    solved = np.linalg.solve(covariance, trend)
    slopes = np.linalg.solve(trend.T @ solved, solved.T)  # [1 + p, c]: generalised least squares
    rest = np.linalg.solve(covariance, np.eye(samples) - trend @ slopes)
    return masks, shapley @ prior(every, masks, sizes) @ rest + slopes[1:]


def _chosen(masks: np.ndarray, shapley: np.ndarray, sizes: tuple[int, ...], samples: int) -> np.ndarray:
    """Return the indices of the coalitions to evaluate, by a pivoted Cholesky factor.

    The empty and the full coalition come first.
    """
    variance = prior(masks[:1], masks[:1], sizes)[0, 0] * np.ones(len(masks))
    left = shapley @ prior(masks, masks, sizes)  # [p, c]: the covariance of φ with each outcome
    factor, chosen, least = np.zeros((len(masks), samples)), [0, len(masks) - 1], 1e-9 * variance[0]
    for i in range(samples):
        if i >= len(chosen):
            gain = np.where(variance > least, np.square(left).sum(0) / np.maximum(variance, least), 0)
            gain[chosen] = -1
            chosen.append(int(gain.argmax()))
        column = prior(masks, masks[chosen[i], None], sizes)[:, 0] - factor[:, :i] @ factor[chosen[i], :i]
        factor[:, i] = column / np.sqrt(max(column[chosen[i]], least))
        left = left - np.outer(shapley @ factor[:, i], factor[:, i])
        variance = variance - np.square(factor[:, i])
    return np.array(chosen)


def prior(s: np.ndarray, t: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Return the covariance κ `[s, t]` between coalitions `[s, p]` and `[t, p]`.

    `sizes` holds the number of players in each group; the players are in the order of their groups.
    """
    together, start = np.ones((len(s), len(t))), 0
    for size in sizes:
        a, b = s[:, start : start + size], t[:, start : start + size]
        some_a, some_b = a.sum(1, keepdims=True) > 0, b.sum(1) > 0
        mean_a, mean_b = (part / np.maximum(part.sum(1, keepdims=True), 1) for part in (a, b))
        apart = np.square(mean_a).sum(1)[:, None] + np.square(mean_b).sum(1) - 2 * mean_a @ mean_b.T
        same = (some_a == some_b) * np.exp(-_LENGTH * apart)  # if both are empty, both means are 0: 1
        together, start = together * (_BASE + same), start + size
    return together
