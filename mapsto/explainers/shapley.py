"""Shapley values: each player's fair share of an outcome, exact or estimated from sampled coalitions.

    φ = weights @ v(masks)

(Shapley 1953). Sampled, the weights are those of KernelSHAP's question (Lundberg & Lee 2017), answered by `kriging`.
They are computed once for each number of players and seed. Exact or sampled, the values add up to `v(all) − v(none)`.
"""

from typing import final

import torch
from torch import Tensor

from ..games import Game
from . import coalitions, kriging
from .designed import DesignedExplainer, outcomes_of, values_of


@final
class Shapley(DesignedExplainer):
    """Attribute an outcome to players by Shapley values: exact, or from a sample of coalitions as KernelSHAP is.

    A Shapley value is a player's marginal contribution, averaged over all orders in which the players can join. Values
    are in the unit of the game's outcome. They add up to v(all) − v(none), the outcome with all players minus the
    outcome without any player.

    Args:
        samples: the approximate number of coalitions that are evaluated, besides the empty and the full coalition: each
            single player, and random coalitions. They come in pairs of a coalition and its complement. If None, all
            `2^players` coalitions are evaluated, and the values are exact; the game may then have at most 16 players.
            `BayesianShapley` needs fewer coalitions for the same error, and more time besides.
        seed: the random seed of the coalitions.
        chunk_size: the number of coalitions to evaluate at a time, to limit memory; None evaluates all at once.

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0])
    >>> Shapley()(game(lambda x: x[0] * x[1] + x[0], x, baseline=0.0))
    tensor([5., 3.])
    """

    def __init__(self, samples: int | None = None, seed: int = 0, chunk_size: int | None = None):
        self.samples, self.seed, self.chunk_size = samples, seed, chunk_size

    def design(self, players: int) -> coalitions.Design:
        """Return the coalitions to evaluate, and the matrix that maps their outcomes to Shapley values."""
        if self.samples is not None:
            return kriging.design(players, self.samples, self.seed, dtype=torch.float64)
        coalitions.refuse_many(players, f"samples={32 * players}", most=16)
        return coalitions.exact(players, dtype=torch.float64)

    def attribute_with_error(self, game: Game) -> tuple[Tensor, Tensor]:
        """Return the values and the standard errors that sampling causes; the errors of exact values are 0."""
        design = self.design(game.players)
        outcomes = outcomes_of(design, game, self.chunk_size)
        values = values_of(design, outcomes)
        if self.samples is None:
            return values, torch.zeros_like(values)
        scores = outcomes.double().reshape(len(outcomes), -1)  # [c, k or 1]
        errors = kriging.error(game.players, self.samples, self.seed, scores)
        return values, errors.reshape(values.shape).to(values.dtype)
