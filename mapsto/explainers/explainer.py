"""An explainer is a mapping from a model to reasons.

Two kinds, by what they do to the input: a `ViewExplainer` *moves* it (gradients, paths), a `GameExplainer` *hides*
parts of it (occlusion, Shapley). Both are written for one point and know nothing of learners; `vmap` batches them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from ..checks import readable
from ..errors import MapstoError
from ..games import Game as Game
from ..games import View as View


class ViewExplainer(ABC):
    """(view, point) ↦ attribution."""

    @abstractmethod
    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Attribute `view(point)` to the entries of `point`: its shape, with one more axis `k` where the view has k."""

    def over(self, view: View, points: Float[Tensor, "n ..."], chunk_size: int | None = None) -> Float[Tensor, "n ..."]:
        """Explain `n` points at once; `chunk_size` of them at a time bounds memory.

        Raises `MapstoError` for values that are NaN (inside a transform of `torch.func` they pass).
        """
        return numbers(vmap(lambda point: self(view, point), chunk_size=chunk_size)(points))


class GameExplainer(ABC):
    """game ↦ attribution."""

    @abstractmethod
    def __call__(self, game: Game) -> Float[Tensor, "players ..."]:
        """Attribute the game's outcome to its players: `[players]`, or `[players, k]` where the game has k scores."""

    def over(
        self, games: Callable[[Tensor], Game], points: Float[Tensor, "n ..."], chunk_size: int | None = None
    ) -> Float[Tensor, "n players ..."]:
        """Explain the games that `games` makes of `n` points, `chunk_size` of them at a time.

        Raises `MapstoError` for values that are NaN (inside a transform of `torch.func` they pass).
        """
        return numbers(vmap(lambda point: self(games(point)), chunk_size=chunk_size)(points))


def number(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return the values of one point, or raise MapstoError where some are NaN."""
    return numbers(values[None])[0]


def numbers(values: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """Return the values of `n` points, or raise MapstoError where some are NaN."""
    if not readable(values):
        return values
    lost = int(values.isnan().flatten(1).any(1).sum())
    if lost:
        raise MapstoError(
            f"attributions: those of {lost} of {len(values)} points hold NaN, expected numbers: the scores are not "
            "finite there (a class that was not taught scores −∞, a cell is missing); pick another target, or explain "
            "probabilities with a link such as softmax."
        )
    return values
