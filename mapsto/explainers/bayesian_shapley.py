"""Shapley values by a Gaussian process over games: the most from each coalition that is evaluated.

Without groups, the prior is fitted to the outcomes (`kriging`); with groups, it chooses the coalitions (`quadrature`).
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from .. import checks
from ..games import Game
from . import coalitions, kriging, kriging_products, quadrature
from .designed import outcomes_of, values_of
from .explainer import GameExplainer


@final
class BayesianShapley(GameExplainer):
    """Estimate Shapley values from the outcomes of a few coalitions, under a Gaussian process prior on the game.

    Values are in the unit of the game's outcome. They add up to v(all) − v(none), the outcome with all players minus
    the outcome without any player. Without `groups`, the prior is fitted to the outcomes of each game: players of large
    values also interact more, as far as the outcomes say so. The values have standard errors, and less error than those
    of `Shapley` from the same coalitions. With `groups`, the prior is fixed, and each further coalition is the one that
    makes the values most certain.

    Args:
        samples: the largest number of coalitions to evaluate, the empty and the full one included: at least
            `2·players`, or `players + 2` with `groups`. If there are no more than `samples`, the values are exact.
        groups: the group number of each player. For support examples, it can be the class: `support.y.tolist()`.
            Players of one group are assumed to be similar, so that fewer samples are enough. The game may then have at
            most 12 players.
        chunk_size: the number of coalitions to evaluate at a time, to limit memory; if None, the game decides.
        seed: the random seed of the coalitions; with `groups`, they are not random.

    Raises:
        MapstoError: if `samples` is not a whole number from 1.

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0, 4.0])
    >>> BayesianShapley(samples=8)(game(lambda x: x[0] * x[1] + x[2], x, baseline=0.0)).round(decimals=3)
    tensor([3., 3., 4.])
    """

    def __init__(
        self, samples: int = 100, groups: Sequence[int] | None = None, chunk_size: int | None = None, seed: int = 0
    ):
        checks.count(samples=samples)
        checks.count(0, seed=seed)
        checks.chunk(chunk_size=chunk_size)
        listed = groups is None or isinstance(groups, Sequence)
        checks.expect(listed, "groups", f"a {type(groups).__name__}", "a list of group numbers, one for each player")
        self.samples, self.groups, self.chunk_size, self.seed = samples, groups, chunk_size, seed

    def attribute(self, game: Game) -> Tensor:
        """Return the players' values `[players]`, or `[players, k]` if the game has k scores.

        Raises:
            MapstoError: if there are too few `samples`, if `groups` does not have one entry for each player, or if
                there are groups and more than 12 players.
        """
        return self.attribute_with_error(game)[0]

    def attribute_with_error(self, game: Game) -> tuple[Tensor, Tensor | None]:
        """Return the values and the standard errors of the prior that fits best; None in their place with groups.

        The errors are NaN if there are not more pairs of coalitions than players, which say nothing about products.
        """
        if self.groups is not None:
            return self._linear(self._of_groups(game.players, self.groups), game), None
        least = min(2 * game.players, 2**game.players)
        checks.expect(self.samples >= least, "samples", self.samples, f"at least {least} for {game.players} players")
        if self.samples >= 2**game.players:
            values = self._linear(coalitions.exact(game.players, torch.float64), game)
            return values, torch.zeros_like(values)
        masks = kriging.masks(game.players, self.samples - 2, self.seed)
        outcomes = game.outcomes(masks, self.chunk_size)
        half = masks[len(masks) // 2 :].double().to(outcomes.device)
        scores = kriging.odd(outcomes).reshape(len(half), -1)  # [n, k or 1]
        found = kriging.values(kriging_products.sharpened(kriging.fit(half, scores)))
        values, errors = (part.reshape(-1, *outcomes.shape[1:]).to(outcomes.dtype) for part in found)
        return values, errors

    def _linear(self, design: coalitions.Design, game: Game) -> Tensor:
        return values_of(design, outcomes_of(design, game, self.chunk_size))

    def _of_groups(self, players: int, groups: Sequence[int]) -> coalitions.Design:
        coalitions.refuse_many(players, "no groups to BayesianShapley")
        checks.expect(len(groups) == players, "groups", f"{len(groups)} entries", f"{players}, one for each player")
        return quadrature.design(list(groups), self.samples)
