"""Explainers that ask a fixed set of coalitions and map the outcomes linearly to values.

    a = weights @ v(masks)

Masks and weights depend on the number of players only, so that all rows, tasks and scores share one product.
"""

from abc import abstractmethod

from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from ..games import Game
from .coalitions import Design
from .explainer import GameExplainer


class DesignedExplainer(GameExplainer):
    """Attribute by a fixed linear map of the outcomes of fixed coalitions, in units of outcome."""

    chunk_size: int | None

    @abstractmethod
    def design(self, players: int) -> Design:
        """Return the coalitions `[c, p]` to ask, and the matrix `[p, c]` from outcomes to values in float64.

        Raises:
            MapstoError: if the coalitions are too many, or too few to tell the players apart.
        """

    def __call__(self, game: Game) -> Float[Tensor, "players ..."]:
        """Return the values `[players]`, or `[players, k]` if the game has k scores; raises as `design` does."""
        masks, weights = self.design(game.players)
        outcomes = vmap(game, chunk_size=self.chunk_size)(masks)  # [c] or [c, k]
        # Thousands of outcomes cancel: in single precision the rounding would show in the fifth digit.
        return (weights.to(outcomes.device) @ outcomes.double()).to(outcomes.dtype)
