"""Shapley values: each player's fair share of an outcome, exact or by KernelSHAP.

    φ = weights @ v(masks)

(Shapley 1953; Lundberg & Lee 2017, Theorem 2). The coalitions and the matrix depend only on the number of players and
the seed, so the weighted least squares of KernelSHAP is solved once; all rows, tasks and scores share one product.
Complete: the values add up to `v(all) − v(none)`, sampled or not.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from . import coalitions
from .explainer import Game, GameExplainer

MOST_PLAYERS = 12  # 4,096 coalitions


@final
class Shapley(GameExplainer):
    """Attribute by Shapley values, in units of outcome.

    `samples=None` enumerates all `2^players` coalitions: exact, up to 12 players. A number asks for that many of them
    (KernelSHAP, in complementary pairs drawn from `seed`, no two alike) besides nobody and everybody; where no more
    exist it enumerates them and is exact too. `chunk_size` coalitions at a time bounds memory.

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0])
    >>> Shapley()(game(lambda x: x[0] * x[1] + x[0], x, baseline=0.0))
    tensor([5., 3.])
    """

    def __init__(self, samples: int | None = None, seed: int = 0, chunk_size: int | None = None):
        self.samples, self.seed, self.chunk_size = samples, seed, chunk_size

    def __call__(self, game: Game) -> Float[Tensor, "players ..."]:
        """Return the values `[players]`, or `[players, k]` where the game has k scores.

        Raises `ValueError` when enumeration would need more than 12 players, or the samples are too few to tell the
        players apart.
        """
        masks, weights = self._design(game.players)
        outcomes = vmap(game, chunk_size=self.chunk_size)(masks)  # [c] or [c, k]
        # Thousands of outcomes cancel: in single precision the rounding would show in the fifth digit.
        return (weights.to(outcomes.device) @ outcomes.double()).to(outcomes.dtype)

    def _design(self, players: int) -> coalitions.Design:
        if self.samples is not None:
            return coalitions.kernel(players, self.samples, self.seed, dtype=torch.float64)
        if players > MOST_PLAYERS:
            raise ValueError(
                f"samples: got None for a game of {players} players, expected a number beyond {MOST_PLAYERS} players "
                f"(all 2^{players} coalitions are too many); pass samples={32 * players}, or play with groups."
            )
        return coalitions.exact(players, dtype=torch.float64)
