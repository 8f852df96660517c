"""Shapley values by Bayesian quadrature: ask about the coalitions that say most, given what games are like.

    v ~ GP(β₀ + Σ_j β_j·S_j, κ),  κ(S, T) = Π_g (a + [S_g, T_g both or neither empty]·exp(−ρ·‖S_g/|S_g| − T_g/|T_g|‖²))
    φ = E[Shapley values of v | outcomes] = weights @ v(masks)

Players come in groups `g`, as teaching examples in classes: whether anybody of a group is there counts most, who it is
less, and what one member adds depends on who else is there. Outcomes being known, the posterior mean of v is known for
every coalition, and its Shapley values are a linear map of the outcomes (O'Hagan 1991, "Bayes–Hermite Quadrature",
with a linear trend). Each coalition asked about is the one that most reduces the variance of φ that is left,
which no outcome is needed for: sequential Bayesian quadrature (Huszár & Duvenaud 2012; for Shapley values, over
orders of the players, Mitchell et al. 2022). So masks and weights are made once, by the sizes of the groups.

Complete, and exact for games that are a sum over players, whatever the prior. Without groups every player is one alone:
the prior then goes by the number of players in which two coalitions differ.
"""

import functools
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from .coalitions import Arrays, exact
from .explainer import Game, GameExplainer
from .shapley import MOST_PLAYERS

_BASE, _LENGTH, _NUGGET = 1.0, 0.3, 1e-10  # a, ρ, and what keeps the system solvable


@final
class BayesianShapley(GameExplainer):
    """Estimate Shapley values from `samples` well-chosen coalitions, in units of outcome; up to 12 players.

    `groups` tells the group of each player, as `support.y.tolist()` for teaching examples: they are what makes few
    samples enough. Nobody and everybody are among the coalitions; `chunk_size` of them at a time bounds memory.

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0, 4.0])
    >>> BayesianShapley(samples=8)(game(lambda x: x[0] * x[1] + x[2], x, baseline=0.0)).round(decimals=3)
    tensor([3., 3., 4.])
    """

    def __init__(self, samples: int = 100, groups: Sequence[int] | None = None, chunk_size: int | None = None):
        self.samples, self.groups, self.chunk_size = samples, groups, chunk_size

    def __call__(self, game: Game) -> Float[Tensor, "players ..."]:
        """Return the values `[players]`, or `[players, k]` where the game has k scores.

        Raises `ValueError` for more than 12 players, groups of another number of players, or too few samples.
        """
        masks, weights = self._design(game.players)
        outcomes = vmap(game, chunk_size=self.chunk_size)(masks)  # [c] or [c, k]
        return (weights.to(outcomes.device) @ outcomes.double()).to(outcomes.dtype)

    def _design(self, players: int) -> tuple[Tensor, Tensor]:
        groups = list(range(players)) if self.groups is None else list(self.groups)
        _check(players, groups, self.samples)
        names, sizes = np.unique(groups, return_counts=True)
        by_size = np.argsort(sizes, kind="stable")  # so that one design serves all tasks with classes of these sizes
        order = np.concatenate([np.flatnonzero(np.array(groups) == names[g]) for g in by_size])
        masks, weights = _designed(tuple(sizes[by_size].tolist()), min(self.samples, 2**players))
        place = np.argsort(order)
        return torch.tensor(masks[:, place], dtype=torch.float32), torch.tensor(weights[place])


@functools.cache
def _designed(sizes: tuple[int, ...], samples: int) -> Arrays:
    """Return the coalitions `[c, p]` and the linear map `[p, c]`, for players in the order of their groups."""
    enumerated = exact(sum(sizes), torch.float64)
    masks, shapley = enumerated.masks.numpy().astype(float), enumerated.weights.numpy()
    asked = _chosen(masks, shapley, sizes, samples)
    told = prior(masks[asked], masks[asked], sizes) + _NUGGET * np.eye(samples)
    trend = np.column_stack([np.ones(samples), masks[asked]])  # [c, 1 + p]
    solved = np.linalg.solve(told, trend)
    slopes = np.linalg.solve(trend.T @ solved, solved.T)  # [1 + p, c]: generalised least squares
    rest = np.linalg.solve(told, np.eye(samples) - trend @ slopes)
    return masks[asked], shapley @ prior(masks, masks[asked], sizes) @ rest + slopes[1:]


def _chosen(masks: np.ndarray, shapley: np.ndarray, sizes: tuple[int, ...], samples: int) -> np.ndarray:
    """Choose coalitions one by one by a pivoted Cholesky factor of the prior: nobody, everybody, the most telling."""
    variance = prior(masks[:1], masks[:1], sizes)[0, 0] * np.ones(len(masks))
    left = shapley @ prior(masks, masks, sizes)  # [p, c]: the covariance of φ with each outcome
    factor, asked, least = np.zeros((len(masks), samples)), [0, len(masks) - 1], 1e-9 * variance[0]
    for i in range(samples):
        if i >= len(asked):
            gain = np.where(variance > least, np.square(left).sum(0) / np.maximum(variance, least), 0)
            gain[asked] = -1
            asked.append(int(gain.argmax()))
        column = prior(masks, masks[asked[i], None], sizes)[:, 0] - factor[:, :i] @ factor[asked[i], :i]
        factor[:, i] = column / np.sqrt(max(column[asked[i]], least))
        left = left - np.outer(shapley @ factor[:, i], factor[:, i])
        variance = variance - np.square(factor[:, i])
    return np.array(asked)


def prior(s: np.ndarray, t: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Return κ `[s, t]` of coalitions `[s, p]` and `[t, p]`, whose players are in the order of groups of `sizes`."""
    together, start = np.ones((len(s), len(t))), 0
    for size in sizes:
        a, b = s[:, start : start + size], t[:, start : start + size]
        some_a, some_b = a.sum(1, keepdims=True) > 0, b.sum(1) > 0
        mean_a, mean_b = (part / np.maximum(part.sum(1, keepdims=True), 1) for part in (a, b))
        apart = np.square(mean_a).sum(1)[:, None] + np.square(mean_b).sum(1) - 2 * mean_a @ mean_b.T
        same = (some_a == some_b) * np.exp(-_LENGTH * apart)  # neither has anybody: means of 0, so 1
        together, start = together * (_BASE + same), start + size
    return together


def _check(players: int, groups: list[int], samples: int) -> None:
    if players > MOST_PLAYERS:
        raise ValueError(
            f"game: got {players} players, expected at most {MOST_PLAYERS}, whose coalitions the prior is summed over; "
            "use Shapley(samples=...), or play with groups."
        )
    if len(groups) != players:
        raise ValueError(f"groups: got {len(groups)} entries, expected {players}, one for each player.")
    if samples < min(players + 2, 2**players):
        raise ValueError(f"samples: got {samples}, expected at least {players + 2} for {players} players.")
