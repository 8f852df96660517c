"""An explainer maps a model to reasons.

There are two kinds: a `ViewExplainer` *moves* the input (gradients, paths), a `GameExplainer` *hides* parts of it
(occlusion, Shapley). Both are written for one point and know nothing of learners; `vmap` batches them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from .. import checks
from ..games import Game as Game
from ..games import View as View

# Attribute `view(point)` to the entries of `point`: a `ViewExplainer`, or a function such as
# `lambda view, point: Shapley()(game(view, point, baseline=0.0))`.
Explain = Callable[[View, Tensor], Tensor]


class ViewExplainer(ABC):
    """(view, point) ↦ attribution."""

    @abstractmethod
    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Attribute `view(point)` to the entries of `point`.

        The result has the shape of `point`, and one more axis `k` if the view has k scores.
        """

    def over(self, view: View, points: Float[Tensor, "n ..."], chunk_size: int | None = None) -> Float[Tensor, "n ..."]:
        """Explain `n` points at once; `chunk_size` of them at a time bounds memory.

        Raises:
            MapstoError: if a value is NaN. Inside a transform of `torch.func` values cannot be read, so NaN passes.
        """
        return numbers(vmap(lambda point: self(view, point), chunk_size=chunk_size)(points))


class GameExplainer(ABC):
    """An explainer that attributes a game's outcome to its players: game ↦ attribution."""

    @abstractmethod
    def __call__(self, game: Game) -> Float[Tensor, "players ..."]:
        """Attribute the game's outcome to its players: `[players]`, or `[players, k]` if the game has k scores."""

    def over(
        self, games: Callable[[Tensor], Game], points: Float[Tensor, "n ..."], chunk_size: int | None = None
    ) -> Float[Tensor, "n players ..."]:
        """Explain the games that `games` makes of `n` points; `chunk_size` of them at a time bounds memory.

        Raises:
            MapstoError: if a value is NaN. Inside a transform of `torch.func` values cannot be read, so NaN passes.
        """
        return numbers(vmap(lambda point: self(games(point)), chunk_size=chunk_size)(points))


def number(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return the values of one point; raise MapstoError if one of them is NaN."""
    return numbers(values[None])[0]


def numbers(values: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """Return the values of `n` points; raise MapstoError if one of them is NaN."""
    if checks.readable(values):
        lost = int(values.isnan().flatten(1).any(1).sum())
        checks.expect(
            lost == 0,
            "attributions",
            f"NaN for {lost} of {len(values)} points",
            "numbers",
            "the scores are not finite there (a class without support examples scores −∞, a cell is missing): pick "
            "another target, or explain probabilities with a link such as softmax",
        )
    return values
