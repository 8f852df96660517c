"""Which explainers `mapsto explain RUN --method` knows, made ready for what a task's rows are.

Rows that are images are hidden by patches, at most 64 of them; the columns of a table one by one, in whose place
stand those of teaching examples, one after the other; or nothing, where the task's cells may be missing. Methods that
need a background take the teaching examples. A learner that explains itself is one more method, `SelfExplaining`.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from .. import explainers, views
from ..episodes import Examples
from ..errors import MapstoError
from ..explainers import GameExplainer, ViewExplainer
from ..explainers.groups import shared
from ..joint import SelfExplaining
from ..learners import Learner
from ..views import Game, View
from .asked_task import AskedTask, predicted

_MAPS = ("GradCAM", "HiResCAM")
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


@final
class OwnReasons(ViewExplainer):
    """The attributions that a learner gives with its answers, for the class that it predicts; views are not asked."""

    def __init__(self, learner: SelfExplaining, support: Examples):
        self.learner, self.state = learner, learner.adapt(support)

    def __call__(self, view: View, point: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
        """Return the values of `point`'s columns, in probability; that of a missing cell is 0."""
        values, base = self.learner.explain(self.state, point[None])
        return values[0] @ predicted(base[0] + values[0].sum(0))


def playing(teaching: Tensor, missing: bool = False) -> Playing:
    """Return how rows like those of the support set `[n, ...]` are hidden; `missing` as missing cells (NaN)."""
    background = teaching[:_BACKGROUND]
    if missing:
        return Playing(lambda view, x: views.game(view, x, baseline=torch.nan), None, background)
    if teaching.dim() > 2:
        groups = explainers.patches(tuple(teaching.shape[1:]), -(-max(teaching.shape[-2:]) // _PATCHES))
        mean = background.mean(0)
        return Playing(lambda view, x: views.game(view, x, baseline=mean, groups=groups), groups, background)
    return Playing(lambda view, x: views.game(view, x, background=background), None, background)


def default_methods(task: AskedTask) -> str:
    """Return the names of three or four methods that fit the learner and its rows, cheap ones for large rows."""
    own = ["SelfExplaining"] if isinstance(task.learner, SelfExplaining) else []
    if task.query.x.dim() > 2:
        return "IntegratedGradients,Smooth,Occlusion"
    if task.query.x[0].numel() == 1:
        return "Gradient,IntegratedGradients,Occlusion"
    if task.query.x.isnan().any():
        return ",".join([*own, "Occlusion", "LIME", "PermutationShapley"])
    return ",".join([*own, "IntegratedGradients", "Occlusion", "LIME" if own else "Shapley"])


def refuse_unknown(names: str) -> None:
    """Raise MapstoError for a list of names, as `IntegratedGradients,LIME`, with one that is no explainer of rows."""
    for name in _names(names):
        if name not in known() and name != "SelfExplaining":
            layers = (
                f" {name} explains a layer's feature maps: in Python, see `views.feature`." if name in _MAPS else ""
            )
            raise MapstoError(f"--method: got {name!r}, expected one of {', '.join(sorted(known()))}.{layers}")


def refuse_own(names: str, learner: Learner) -> None:
    """Raise MapstoError for a list of names with the own reasons of a learner that gives none."""
    if "SelfExplaining" in _names(names) and not isinstance(learner, SelfExplaining):
        kind = type(learner).__name__
        raise MapstoError(f"--method: SelfExplaining asks a learner that explains itself, got {kind}; leave it out.")


def asked_methods(
    names: str, plays: Playing, task: AskedTask | None = None
) -> dict[str, ViewExplainer | GameExplainer]:
    """Return the explainers of a list of names; `task` is the one whose learner may explain itself.

    Raises MapstoError for a name that is no explainer of rows, and for own reasons of a learner that gives none.
    """
    refuse_unknown(names)
    own: dict[str, ViewExplainer | GameExplainer] = {}
    if task is not None:
        refuse_own(names, task.learner)
        if isinstance(task.learner, SelfExplaining):
            own["SelfExplaining"] = OwnReasons(task.learner, task.support)
    return {name: own.get(name) or _made(name, plays) for name in _names(names)}


def _names(names: str) -> list[str]:
    named = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not named:
        raise MapstoError(
            f"--method: got {names!r}, expected names with commas between them, as IntegratedGradients,LIME."
        )
    return named


def _made(name: str, plays: Playing) -> ViewExplainer | GameExplainer:
    kind = known()[name]
    takes = inspect.signature(kind).parameters
    given: dict[str, Any] = {}
    if "background" in takes:
        given["background"] = plays.background
    if "samples" in takes and issubclass(kind, GameExplainer) and plays.players > explainers.coalitions.MOST_PLAYERS:
        given["samples"] = _SAMPLES * plays.players
    if "explainer" in takes:
        given["explainer"] = explainers.Gradient()
    return kind(**given)


def known() -> dict[str, Any]:
    """Return the explainers that attribute to the entries or the parts of a row."""
    kinds = {name: getattr(explainers, name) for name in explainers.__all__ if name not in _MAPS}
    return {
        name: kind
        for name, kind in kinds.items()
        if inspect.isclass(kind) and issubclass(kind, ViewExplainer | GameExplainer) and not inspect.isabstract(kind)
    }


def of_entries(values: Tensor, plays: Playing, x: Tensor) -> Tensor:
    """Return values of entries as they are, those of parts of rows `x` at each of their entries, shared out evenly."""
    if values.shape == x.shape:
        return values
    if plays.groups is None:
        return values.reshape(x.shape)
    return shared(values, plays.groups)
