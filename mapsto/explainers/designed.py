"""Explainers that evaluate a fixed set of coalitions and map their outcomes linearly to values.

    a = weights @ v(masks)

Masks and weights depend only on the number of players, so that all rows, tasks and scores share one product.
"""

from abc import abstractmethod

from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

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
        masks, weights = self.design(game.players)
        outcomes = vmap(game, chunk_size=self.chunk_size)(masks)  # [c] or [c, k]
        # Thousands of outcomes cancel: in single precision the rounding would show in the fifth digit.
        return (weights.to(outcomes.device) @ outcomes.double()).to(outcomes.dtype)
