"""Explainers that evaluate a fixed set of coalitions and map their outcomes linearly to values.

    a = weights @ v(masks)

Masks and weights depend only on the number of players, so that all rows, tasks and scores share one product.
"""

from abc import abstractmethod

from jaxtyping import Float
from torch import Tensor

from ..games import Game
from .coalitions import Design
from .explainer import GameExplainer


class DesignedExplainer(GameExplainer):
    """A game explainer whose values are a fixed linear map of the outcomes of fixed coalitions.

    Values are in the unit of the game's outcome.
    """

    chunk_size: int | None

    @abstractmethod
    def design(self, players: int) -> Design:
        """Return the coalitions `[c, p]` to evaluate, and the float64 matrix `[p, c]` from their outcomes to values.

        Raises:
            MapstoError: if there are too many coalitions, or too few to determine the values.
        """

    def attribute(self, game: Game) -> Float[Tensor, "players ..."]:
        """Return the players' values `[players]`, or `[players, k]` if the game has k scores.

        Raises:
            MapstoError: if there are too many coalitions, or too few to determine the values.
        """
        design = self.design(game.players)
        return values_of(design, outcomes_of(design, game, self.chunk_size))


def outcomes_of(design: Design, game: Game, chunk_size: int | None) -> Float[Tensor, "c ..."]:
    """Return the outcomes of the coalitions of a design, `[c]` or `[c, k]`."""
    return game.outcomes(design.masks, chunk_size)


def values_of(design: Design, outcomes: Float[Tensor, "c ..."]) -> Float[Tensor, "p ..."]:
    """Return the values of the players, a linear map of the outcomes."""
    # Thousands of outcomes cancel: in single precision the rounding would show in the fifth digit.
    return (design.weights.to(outcomes.device) @ outcomes.double()).to(outcomes.dtype)
