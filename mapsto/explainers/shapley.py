"""Shapley values: each player's fair share of an outcome, exact or estimated from sampled coalitions.

    φ = weights @ v(masks)

(Shapley 1953). Sampled, the weights are those of KernelSHAP's question (Lundberg & Lee 2017), answered by `kriging`.
They are computed once for each number of players and seed. Exact or sampled, the values add up to `v(all) − v(none)`.
"""

from typing import Literal, final

import torch
from torch import Tensor

from .. import checks
from ..games import Game
from . import coalitions, kriging
from .designed import DesignedExplainer, outcomes_of, values_of

_FIRST, _MOST = 8, 8192  # coalitions a player, and in all


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
            If "auto", 8 coalitions a player are evaluated, then 16 and so on, until no standard error is above the
            tolerance, or there are 8,192. `BayesianShapley` needs fewer coalitions for the same error, and more time
            besides.
        seed: the random seed of the coalitions.
        chunk_size: the number of coalitions to evaluate at a time, to limit memory; if None, the game decides.
        tolerance: the largest standard error of a value, in the unit of the outcome, for `samples="auto"`.

    Raises:
        MapstoError: if `samples` is neither "auto" nor a whole number from 1, or `tolerance` is not above 0; if "auto"
            is called inside a transform, as by `over` and `Explainer`, whose points would need different numbers of
            coalitions.

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0])
    >>> Shapley()(game(lambda x: x[0] * x[1] + x[0], x, baseline=0.0))
    tensor([5., 3.])
    """

    def __init__(
        self,
        samples: int | Literal["auto"] | None = None,
        seed: int = 0,
        chunk_size: int | None = None,
        tolerance: float = 0.01,
    ):
        if isinstance(samples, str):
            checks.one_of(("auto",), samples=samples)
        elif samples is not None:
            checks.count(samples=samples)
        checks.above(0, tolerance=tolerance)
        checks.count(0, seed=seed)
        checks.chunk(chunk_size=chunk_size)
        self.samples, self.seed, self.chunk_size, self.tolerance = samples, seed, chunk_size, tolerance

    def design(self, players: int) -> coalitions.Design:
        """Return the coalitions to evaluate, and the matrix that maps their outcomes to Shapley values.

        With "auto", they are those that are evaluated first.
        """
        samples = _FIRST * players if self.samples == "auto" else self.samples
        if samples is not None:
            return kriging.design(players, samples, self.seed, dtype=torch.float64)
        coalitions.refuse_many(players, f"samples={32 * players}", most=16)
        return coalitions.exact(players, dtype=torch.float64)

    def attribute(self, game: Game) -> Tensor:
        """Return the players' values `[players]`, or `[players, k]` if the game has k scores."""
        return self.attribute_with_error(game)[0] if self.samples == "auto" else super().attribute(game)

    def attribute_with_error(self, game: Game) -> tuple[Tensor, Tensor]:
        """Return the values and the standard errors that sampling causes; the errors of exact values are 0."""
        if self.samples == "auto":
            return self._until_certain(game)
        design = self.design(game.players)
        outcomes = outcomes_of(design, game, self.chunk_size)
        values = values_of(design, outcomes)
        if self.samples is None:
            return values, torch.zeros_like(values)
        scores = outcomes.double().reshape(len(outcomes), -1)  # [c, k or 1]
        errors = kriging.error(game.players, self.samples, self.seed, scores)
        return values, errors.reshape(values.shape).to(values.dtype)

    def _until_certain(self, game: Game) -> tuple[Tensor, Tensor]:
        samples, remedy = _FIRST * game.players, "pass a number, or call it with the game of one point after the other"
        checks.expect(not checks.tracing(), "samples", "'auto' inside a transform of torch.func", "a number", remedy)
        while True:
            values, errors = Shapley(samples, self.seed, self.chunk_size).attribute_with_error(game)
            if samples >= _MOST or not bool((errors > self.tolerance).any()):
                return values, errors
            samples *= 2
