"""Shapley–Taylor interactions: the contributions of single players, and the additional contributions of pairs.

    a_ii = v({i}) − v(none)
    a_ij = ½ · 2/p · Σ_{S∌i,j} (v(S∪ij) − v(S∪i) − v(S∪j) + v(S)) / C(p−1, |S|)              i ≠ j

(Sundararajan, Dhamdhere & Agarwal 2020, at order 2). The paper gives a pair one value. Here it is split evenly between
`a_ij` and `a_ji`, so that the whole matrix sums to `v(all) − v(none)`, and each row to its player's Shapley value.

If sampled, the same mean is taken over random orders of the players, where `S` holds the players before both i and j.
Every single order already gives the exact sum of the matrix; the sums of the rows are exact on average.
"""

import functools
import math
from collections.abc import Callable
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from .. import checks
from ..games import Game
from . import coalitions
from .explainer import number, over_games, refuse_others, without_graph


@final
class ShapleyInteractions:
    """Divide a game's outcome among players and pairs of players, by the Shapley–Taylor interaction index.

    The result is a symmetric matrix in the unit of the game's outcome. A diagonal entry is the contribution of one
    player alone. The two entries of a pair are equal; their sum is the contribution of the pair beyond the
    contributions of its two players alone. The matrix sums to v(all) − v(none), the outcome with all players minus the
    outcome without any player. All entries of a player who never changes the outcome are 0. The class is not a
    `GameExplainer`, because it does not return one value for each player.

    Args:
        orders: the number of random orders of the players. Half of them are the reverses of the other half. For each
            order, the game is evaluated at most `players·(players+1)/2` times. The empty coalition is evaluated once
            for all orders. If None, all `2^players` coalitions are evaluated, and the result is exact; the game may
            then have at most 12 players.
        seed: the random seed of the orders.
        chunk_size: the number of coalitions to evaluate at a time, to limit memory; if None, the game decides.

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0, 4.0])
    >>> ShapleyInteractions()(game(lambda x: x[0] * x[1] + x[2], x, baseline=0.0)).round(decimals=4)
    tensor([[0., 3., 0.],
            [3., 0., 0.],
            [0., 0., 4.]])
    """

    def __init__(self, orders: int | None = None, seed: int = 0, chunk_size: int | None = None):
        if orders is not None:
            checks.count(orders=orders)
        checks.count(0, seed=seed)
        checks.chunk(chunk_size=chunk_size)
        self.orders, self.seed, self.chunk_size = orders, seed, chunk_size

    def __call__(self, game: Game) -> Float[Tensor, "players players ..."]:
        """Return the matrix `[players, players]`, or `[players, players, k]` if the game has k scores.

        Raises:
            MapstoError: if `game` is not a game; if `orders` is None and the game has more than 12 players; or if a
                value is NaN, which is not detected inside a transform of `torch.func`.
        """
        refuse_others(game)
        with without_graph():
            return number(self.attribute(game))

    def attribute(self, game: Game) -> Float[Tensor, "players players ..."]:
        """Return the symmetric matrix of interactions, differentiable with respect to the parameters of the game."""
        return self._sampled(game, self.orders) if self.orders is not None else self._exact(game)

    def over(
        self,
        games: Callable[[Tensor], Game],
        points: Shaped[Tensor, "n ..."],
        chunk_size: int | None = None,
        target: int | Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n players players ..."]:
        """Return the interaction matrices of `n` points, computed in batches.

        `games` is a function from a point to its game. `chunk_size` is the number of points to explain at a time, to
        limit memory; None explains all at once. `target` is the index of the score to explain: one for all points, or
        one for each point, such as the predicted classes. If None, the game decides.

        Raises:
            MapstoError: if `target` is not the index of a score, or if a value is NaN. If `over` is called inside a
                transform of `torch.func`, NaN is not detected.
        """
        return over_games(self.attribute, games, points, chunk_size, target)

    def _exact(self, game: Game) -> Tensor:
        coalitions.refuse_many(game.players, "orders=32")
        outcomes = game.outcomes(coalitions.exact(game.players).masks, self.chunk_size)  # [c] or [c, k]
        weights = torch.tensor(_weights(game.players), device=outcomes.device)  # [p, p, c]
        return torch.tensordot(weights, outcomes.double(), 1).to(outcomes.dtype)

    def _sampled(self, game: Game, orders: int) -> Tensor:
        masks, corners = (torch.tensor(part) for part in _orders(game.players, orders, self.seed))
        outcomes = game.outcomes(masks, self.chunk_size)  # [c] or [c, k]
        none, i, j, both = outcomes.double()[corners.to(outcomes.device)]  # [o, p, p, (k)] each
        alone = torch.eye(game.players, dtype=torch.bool, device=outcomes.device)
        alone = alone.reshape(*alone.shape, *(1,) * (outcomes.ndim - 1))
        # A player with itself has the corners none, none, none and {i}.
        return torch.where(alone, 1.0, 0.5).mul((both - i - j + none).mean(0)).to(outcomes.dtype)


@functools.cache
def _weights(players: int) -> np.ndarray:
    """Return the matrix `[p, p, 2^p]` from the outcomes of `coalitions.exact` to the values."""
    masks = (np.arange(2**players)[:, None] >> np.arange(players)) & 1  # [c, p]
    i, j = masks.T[:, None], masks.T[None, :]  # [p, 1, c], [1, p, c]
    share = np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)])
    others = masks.sum(1) - i - j  # |S|, wrong on the diagonal, which is replaced
    weights = (1 - 2 * i) * (1 - 2 * j) * share[others.clip(0)]
    alone = (2.0 ** np.arange(players))[:, None] == np.arange(2**players)  # [p, c]
    weights[np.diag_indices(players)] = alone - 1.0 * (np.arange(2**players) == 0)
    return weights


@functools.cache
def _orders(players: int, orders: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return coalitions `[c, p]`, and the indices `[4, o, p, p]` of `S`, `S∪i`, `S∪j` and `S∪ij` for each pair."""
    generator = np.random.default_rng(seed)
    forward = np.stack([generator.permutation(players) for _ in range(-(-orders // 2))])
    rank = np.concatenate([forward, forward[:, ::-1]])[:orders].argsort(1)  # [o, p]: the place of each player
    first = np.minimum(rank[:, :, None], rank[:, None, :])  # [o, p, p]
    before = rank[:, None, None, :] < first[..., None]  # [o, p, p, p]
    single = np.eye(players, dtype=bool)
    i, j = single[:, None, :], single[None, :, :]
    same = single[..., None]
    corners = [before & ~same, np.where(same, False, before | i), np.where(same, False, before | j)]
    corners += [np.where(same, i, before | i | j)]
    masks, place = np.unique(np.stack(corners).reshape(-1, players), axis=0, return_inverse=True)
    return masks.astype(np.float32), place.reshape(4, len(rank), players, players)
