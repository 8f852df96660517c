"""Which explainers `mapsto explain RUN --method` knows, made ready for what a task's rows are.

Rows that are images are hidden by patches, at most 64 of them; the columns of a table one by one, in whose place
stand those of teaching examples, one after the other. Methods that need a background take the teaching examples.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import explainers, views
from ..errors import MapstoError
from ..explainers import GameExplainer, ViewExplainer
from ..measures.trust import explained
from ..views import Game, View

_PATCHES, _SAMPLES, _BACKGROUND = 8, 16, 32  # patches a side, coalitions a player, rows


class Playing(NamedTuple):
    """How parts of a row are hidden: a game of it, and which entries belong together."""

    game: Callable[[View, Tensor], Game]
    groups: Tensor | None
    background: Tensor

    @property
    def players(self) -> int:
        """Parts of a row."""
        return self.background[0].numel() if self.groups is None else int(self.groups.max()) + 1


def playing(teaching: Tensor) -> Playing:
    """Return how rows like those of the support set `[n, ...]` are hidden."""
    background = teaching[:_BACKGROUND]
    if teaching.dim() > 2:
        groups = explainers.patches(tuple(teaching.shape[1:]), -(-max(teaching.shape[-2:]) // _PATCHES))
        mean = background.mean(0)
        return Playing(lambda view, x: views.game(view, x, baseline=mean, groups=groups), groups, background)
    return Playing(lambda view, x: views.game(view, x, background=background), None, background)


def asked_methods(names: str, plays: Playing) -> dict[str, ViewExplainer | GameExplainer]:
    """Return the explainers of a list of names, as `IntegratedGradients,LIME`.

    Raises MapstoError for a name that is no explainer of rows.
    """
    return {name: _made(name.strip(), plays) for name in dict.fromkeys(names.split(","))}


def _made(name: str, plays: Playing) -> ViewExplainer | GameExplainer:
    kind = known().get(name)
    if kind is None:
        raise MapstoError(f"--method: got {name!r}, expected one of {', '.join(sorted(known()))}.")
    takes = inspect.signature(kind).parameters
    given: dict[str, Any] = {}
    if "background" in takes:
        given["background"] = plays.background
    if "samples" in takes and issubclass(kind, GameExplainer) and plays.players > explainers.shapley.MOST_PLAYERS:
        given["samples"] = _SAMPLES * plays.players
    if "explainer" in takes:
        given["explainer"] = explainers.Gradient()
    return kind(**given)


def known() -> dict[str, Any]:
    """Return the explainers that attribute to the entries or the parts of a row."""
    maps = (explainers.GradCAM, explainers.HiResCAM)  # of layers
    kinds = {name: getattr(explainers, name) for name in explainers.__all__}
    return {
        name: kind
        for name, kind in kinds.items()
        if inspect.isclass(kind)
        and issubclass(kind, ViewExplainer | GameExplainer)
        and not inspect.isabstract(kind)
        and kind not in maps
    }


def attributed(
    explainer: ViewExplainer | GameExplainer, view: Callable[[Tensor], View], plays: Playing, x: Tensor
) -> Tensor:
    """Return the values of rows `[n, ...]`, those of a part of a row at each of its entries, shared out evenly."""
    return of_entries(explained(explainer, view, lambda row: plays.game(view(row), row), x, chunk_size=1), plays, x)


def of_entries(values: Tensor, plays: Playing, x: Tensor) -> Tensor:
    """Return values of entries as they are, those of parts of rows `x` at each of their entries, shared out evenly."""
    if values.shape == x.shape:
        return values
    if plays.groups is None:
        return values.reshape(x.shape)
    sizes = torch.bincount(plays.groups.flatten()).to(values)
    return (values / sizes)[:, plays.groups]
