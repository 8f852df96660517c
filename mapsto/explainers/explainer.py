"""The two kinds of explainers: one moves the input of a model, the other hides parts of it.

A `ViewExplainer` *moves* the input (gradients, paths), and a `GameExplainer` *hides* parts of it (occlusion, Shapley
values). Each explains one point of any function of tensors; `vmap` applies it to a batch of points.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from jaxtyping import Float, Shaped
from torch import Tensor
from torch.func import vmap

from .. import checks
from ..games import Game as Game
from ..games import View as View

# Attribute `view(point)` to the entries of `point`: a `ViewExplainer`, or a function such as
# `lambda view, point: Shapley()(game(view, point, baseline=0.0))`.
Explain = Callable[[View, Tensor], Tensor]


def refuse_games(explain: Explain) -> None:
    """Raise MapstoError if an argument `explain` is an explainer of games, which takes no point."""
    wrong, remedy = isinstance(explain, GameExplainer), "pass lambda view, x: explainer(mt.views.game(view, x))"
    checks.expect(not wrong, "explain", type(explain).__name__, "a function of a view and a point", remedy)


class ViewExplainer(ABC):
    """The base of all explainers that attribute a score to the entries of an input: (view, point) ↦ attribution.

    The point is the input to explain. The view is a differentiable function from the input to one score or `[k]`
    scores.
    """

    @abstractmethod
    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Attribute the score `view(point)` to the entries of `point`.

        The result has the shape of `point`; if the view has k scores, a last axis `k` is added.
        """

    def over(self, view: View, points: Float[Tensor, "n ..."], chunk_size: int | None = None) -> Float[Tensor, "n ..."]:
        """Return the attributions of `n` points, computed in batches.

        `chunk_size` is the number of points to explain at a time, to limit memory; None explains all at once.

        Raises:
            MapstoError: if an attribution is NaN. If `over` is called inside a transform of `torch.func`, NaN is not
                detected.
        """
        return numbers(vmap(lambda point: self(view, point), chunk_size=chunk_size)(points))


class GameExplainer(ABC):
    """The base of all explainers that attribute a game's outcome to its players: game ↦ attribution.

    The players are parts of an input, such as columns, patches of pixels or support examples. A game is a function from
    a mask to an outcome, such as a score. The mask is 1 for each visible player and 0 for each hidden player.
    """

    @abstractmethod
    def __call__(self, game: Game) -> Float[Tensor, "players ..."]:
        """Return the attribution of each player: `[players]`, or `[players, k]` if the game has k scores."""

    def over(
        self, games: Callable[[Tensor], Game], points: Shaped[Tensor, "n ..."], chunk_size: int | None = None
    ) -> Float[Tensor, "n players ..."]:
        """Return the attributions of `n` points, computed in batches.

        `games` is a function from a point to its game. `chunk_size` is the number of points to explain at a time, to
        limit memory; None explains all at once.

        Raises:
            MapstoError: if an attribution is NaN. If `over` is called inside a transform of `torch.func`, NaN is not
                detected.
        """
        return numbers(vmap(lambda point: self(games(point)), chunk_size=chunk_size)(points))


def number(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return the attributions of one point; raise MapstoError if one of them is NaN."""
    return numbers(values[None])[0]


def numbers(values: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """Return the attributions of `n` points; raise MapstoError if one of them is NaN."""
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
