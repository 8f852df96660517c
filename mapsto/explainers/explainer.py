"""The two kinds of explainers: one moves the input of a model, the other hides parts of it.

A `ViewExplainer` *moves* the input (gradients, paths), and a `GameExplainer` *hides* parts of it (occlusion, Shapley
values). Each explains one point of any function of tensors; `vmap` applies it to a batch of points.

Attributions are numbers without a gradient, so that no graph of the model stays in memory. To differentiate an
attribution, for example as a penalty in training, call `explainer.attribute(...)` in place of `explainer(...)`. Inside
a transform of `torch.func`, both can be differentiated.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from jaxtyping import Float, Int, Shaped
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


def refuse_others(game: Game) -> None:
    """Raise MapstoError if the argument `game` of an explainer is something else, such as a model."""
    remedy = "pass mt.views.game(mt.views.model(f), x), or take mt.explainers.Explainer(f, background)(rows)"
    checks.expect(isinstance(game, Game), "game", f"a {type(game).__name__}", "a game", remedy)


class _Explainer(ABC):  # noqa: B024, the two kinds add the abstract method
    def __init_subclass__(cls, **arguments: Any):
        """Let a subclass define `__call__` in place of `attribute`."""
        super().__init_subclass__(**arguments)
        if "__call__" in vars(cls) and "attribute" not in vars(cls) and cls.__module__ != __name__:
            cls.attribute = cls.__call__  # type: ignore[attr-defined]
            del cls.__call__


class ViewExplainer(_Explainer):
    """The base of all explainers that attribute a score to the entries of an input: (view, point) ↦ attribution.

    The point is the input to explain. The view is a differentiable function from the input to one score or `[k]`
    scores.
    """

    @abstractmethod
    def attribute(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the attributions, differentiable with respect to `point` and the parameters of the view.

        The result has the shape of `point`; if the view has k scores, a last axis `k` is added.
        """

    @final
    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Attribute the score `view(point)` to the entries of `point`, without a gradient (see `attribute`).

        The result has the shape of `point`; if the view has k scores, a last axis `k` is added.

        Raises:
            MapstoError: if `point` is not a tensor, or if an attribution is NaN, which is not detected inside a
                transform of `torch.func`.
        """
        remedy = "of a model of several inputs, take view, point = h.at((a, b))"
        checks.expect(isinstance(point, Tensor), "point", f"a {type(point).__name__}", "a tensor", remedy)
        with without_graph():
            return number(self.attribute(view, point))

    def over(
        self,
        view: View,
        points: Float[Tensor, "n ..."],
        chunk_size: int | None = None,
        target: int | Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n ..."]:
        """Return the attributions of `n` points, computed in batches.

        `chunk_size` is the number of points to explain at a time, to limit memory; None explains all at once. `target`
        is the index of the score to explain: one for all points, or one for each point, such as the predicted classes.
        If None, the view decides.

        Raises:
            MapstoError: if `target` is not the index of a score, or if an attribution is NaN. If `over` is called
                inside a transform of `torch.func`, NaN is not detected.
        """
        with without_graph():
            explain = lambda point, select: self.attribute(lambda x: select(view(x)), point)  # noqa: E731
            return numbers(each(explain, points, chunk_size, target))


class GameExplainer(_Explainer):
    """The base of all explainers that attribute a game's outcome to its players: game ↦ attribution.

    The players are parts of an input, such as columns, patches of pixels or support examples. A game is a function from
    a mask to an outcome, such as a score. The mask is 1 for each visible player and 0 for each hidden player.
    """

    @abstractmethod
    def attribute(self, game: Game) -> Float[Tensor, "players ..."]:
        """Return the attribution of each player, differentiable with respect to the parameters of the game.

        The result has shape `[players]`, or `[players, k]` if the game has k scores.
        """

    @final
    def __call__(self, game: Game) -> Float[Tensor, "players ..."]:
        """Return the attribution of each player: `[players]`, or `[players, k]` if the game has k scores.

        The result has no gradient (see `attribute`).

        Raises:
            MapstoError: if `game` is not a game, or if an attribution is NaN, which is not detected inside a transform
                of `torch.func`.
        """
        refuse_others(game)
        with without_graph():
            return number(self.attribute(game))

    def attribute_with_error(
        self, game: Game
    ) -> tuple[Float[Tensor, "players ..."], Float[Tensor, "players ..."] | None]:
        """Return the attributions, and their standard errors due to sampling; None if the explainer has no estimate.

        `Shapley`, `BayesianShapley` and `PermutationShapley` estimate the errors from the outcomes that they evaluate
        anyway. About 95 % of intervals of ± 1.96 errors contain the exact value. Errors are NaN if there are too few
        coalitions to estimate them. Values are NaN if outcomes are not finite; only a call refuses that.
        """
        return self.attribute(game), None

    def over(
        self,
        games: Callable[[Tensor], Game],
        points: Shaped[Tensor, "n ..."],
        chunk_size: int | None = None,
        target: int | Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n players ..."]:
        """Return the attributions of `n` points, computed in batches.

        `games` is a function from a point to its game. `chunk_size` is the number of points to explain at a time, to
        limit memory; None explains all at once. `target` is the index of the score to explain: one for all points, or
        one for each point, such as the predicted classes. If None, the game decides.

        Raises:
            MapstoError: if `target` is not the index of a score, or if an attribution is NaN. If `over` is called
                inside a transform of `torch.func`, NaN is not detected.
        """
        return over_games(self.attribute, games, points, chunk_size, target)


def over_games(
    attribute: Callable[[Game], Tensor],
    games: Callable[[Tensor], Game],
    points: Shaped[Tensor, "n ..."],
    chunk_size: int | None,
    target: int | Int[Tensor, " n"] | None,
) -> Shaped[Tensor, "n ..."]:
    """Return `attribute(game)` for the games of `n` points, without a gradient; see `GameExplainer.over`."""
    with without_graph():
        explain = lambda point, select: attribute(games(point).selected(select))  # noqa: E731
        return numbers(each(explain, points, chunk_size, target))


def each(
    explain: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor],
    points: Shaped[Tensor, "n ..."],
    chunk_size: int | None,
    target: int | Int[Tensor, " n"] | None,
) -> Shaped[Tensor, "n ..."]:
    """Return `explain(point, select)` for each of `n` points; `select` maps scores `[k]` to the score of the target."""
    checks.chunk(chunk_size=chunk_size)
    checks.expect(isinstance(points, Tensor), "points", f"a {type(points).__name__}", "a tensor")
    checks.expect(len(points) > 0, "points", "none", "at least one")
    if target is None:
        return vmap(lambda point: explain(point, lambda scores: scores), chunk_size=chunk_size)(points)
    remedy = "pass the index of a score, or one for each point"
    named = isinstance(target, str)  # only a view knows the names of classes
    checks.expect(not named, "target", repr(target), "whole numbers", f"{remedy}; a view takes names of classes")
    targets = torch.as_tensor(target, device=points.device)
    checks.expect(not targets.is_floating_point(), "target", targets.dtype, "whole numbers", remedy)
    targets = (targets.expand(len(points)) if targets.ndim == 0 else targets).long()
    checks.shape((len(points),), remedy, target=targets)
    low, high = targets.min().item(), targets.max().item()
    got = str(low) if low == high else f"from {low} to {high}"

    def score(scores: Tensor, index: Tensor) -> Tensor:
        several = "None, because there is one score" if scores.ndim == 0 else f"from 0 to {len(scores) - 1}"
        checks.expect(scores.ndim == 1 and low >= 0 and high < len(scores), "target", got, several)
        return scores.gather(0, index[None])[0]

    return vmap(lambda point, i: explain(point, lambda scores: score(scores, i)), chunk_size=chunk_size)(
        points, targets
    )


@contextmanager
def without_graph() -> Iterator[None]:
    """Compute without a graph of gradients, unless a transform of `torch.func` is active.

    >>> w = torch.ones(2, requires_grad=True)
    >>> with without_graph():
    ...     print((2 * w).requires_grad)
    False
    """
    with torch.set_grad_enabled(torch.is_grad_enabled() and checks.tracing()):
        yield


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
            "the scores are not finite there (a class without support examples scores −∞, a cell is missing or "
            "infinite): look at the row, pick another target, or explain probabilities with a link such as softmax",
        )
    return values
