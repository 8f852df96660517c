"""The explainers of a query, by name, with arguments that suit the task.

Methods that need a background take the teaching examples, and those that compare with one row their mean, as the game
does that judges all methods. Noise is a share of their standard deviations. A learner that explains itself is one more
method, `SelfExplaining`: the shipped mapping, or a `Joint` with explainers that tell how important each player is. Each
of several such explainers is a method.
"""

import inspect
from collections.abc import Sequence
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from ... import checks, explainers
from ...episodes import Examples
from ...errors import MapstoError
from ...explainers import GameExplainer, ViewExplainer
from ...explainers.groups import shared
from ...explainers.learned.amortised_shapley import ShapleyReasons
from ...explainers.learned.explainer import PlayerExplainer
from ...explainers.learned.interpreter import Concepts
from ...explainers.learned.leave_one_out import LeaveOneOutReasons
from ...explainers.learned.selector import Selection
from ...joint import Joint, SelfExplaining
from ...learners import Learner
from ...views import View
from .hiding import Hiding
from .question import TaskQuestion, most_probable

Methods = str | Sequence[str]
"""Names of explainers, or one text with commas between the names."""

_OF_LAYERS = ("GradCAM", "HiResCAM")
OWN = "SelfExplaining"
TRUSTED = ShapleyReasons | Concepts | Selection
"""The explanations that say how far they can be trusted."""
_SAMPLES = 16  # coalitions a player
_NOISE = 0.1  # of the unit of each entry, see `Hiding.unit`


@final
class OwnReasons(ViewExplainer):
    """The attributions that a learner gives with its answers, to the class that it predicts; the view is not used."""

    def __init__(self, learner: SelfExplaining, support: Examples):
        self.learner, self.state = learner, learner.adapt(support)

    def attribute(self, view: View, point: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
        """Return the values of `point`'s columns, in probability; a missing cell has value 0."""
        values, base = self.learner.explain(self.state, point[None])
        return values[0] @ most_probable(base[0] + values[0].sum(0))


@final
class JointReasons(ViewExplainer):
    """The reasons of one explainer of a `Joint`, divided evenly among the entries of each player.

    They are the Shapley values of the predicted class or of the mean number, the changes of this outcome if one player
    is hidden, or the probabilities with which a selector shows the players.
    """

    def __init__(self, learner: Joint, support: Examples, name: str):
        self.learner, self.state, self.name = learner, learner.adapt(support), name

    def attribute(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the reasons for the entries of `point`."""
        explanation = self.learner.explain(self.state, point[None])[self.name]
        if isinstance(explanation, ShapleyReasons):
            values = explanation.values @ self._chosen(explanation.base[0] + explanation.values[0].sum(0))
        elif isinstance(explanation, LeaveOneOutReasons):
            values = explanation.values @ self._chosen(explanation.outcome[0])
        else:
            values = explanation.probability
        return shared(values, self.learner.player_explainers[self.name].players.groups)[0]

    def _chosen(self, outcome: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Return the weights of the outcomes to explain: 1 for the predicted class, or equal weights for numbers."""
        classes = self.learner.criterion.outcome == "classes"
        return most_probable(outcome) if classes else torch.full_like(outcome, 1 / len(outcome))


def player_networks(learner: Learner) -> dict[str, PlayerExplainer]:
    """Return the explainers of a `Joint` that tell how important each player is, by name; none for other learners."""
    return learner.player_explainers if isinstance(learner, Joint) else {}


def explains_itself(learner: Learner) -> bool:
    """Return whether the learner gives reasons with its predictions."""
    return isinstance(learner, SelfExplaining) or bool(player_networks(learner))


def own_reasons(learner: Learner, support: Examples) -> dict[str, ViewExplainer]:
    """Return the explainers that ask the learner for its own reasons, by the names of these methods."""
    if isinstance(learner, SelfExplaining):
        return {OWN: OwnReasons(learner, support)}
    if not isinstance(learner, Joint):
        return {}
    names = list(learner.player_explainers)
    titles = [OWN] if len(names) == 1 else [f"{OWN}: {name}" for name in names]
    return {title: JointReasons(learner, support, name) for title, name in zip(titles, names, strict=True)}


def own_trust(learner: Learner, support: Examples, x: Float[Tensor, "n ..."]) -> dict[str, Float[Tensor, " n"]]:
    """Return how far each explainer of a `Joint` trusts its explanation of each row, by the name of the explainer."""
    reasons = learner.explain(learner.adapt(support), x) if isinstance(learner, Joint) else {}
    return {name: of.trust for name, of in reasons.items() if isinstance(of, TRUSTED)}


def available() -> dict[str, Any]:
    """Return the explainers that attribute to the entries or the parts of a row, by name."""
    kinds = {name: getattr(explainers, name) for name in explainers.__all__ if name not in _OF_LAYERS}
    return {
        name: kind
        for name, kind in kinds.items()
        if inspect.isclass(kind) and issubclass(kind, ViewExplainer | GameExplainer) and not inspect.isabstract(kind)
    }


def default_methods(question: TaskQuestion) -> list[str]:
    """Return the names of three or four methods that suit the learner and its rows, cheap ones for large rows."""
    own = [OWN] if explains_itself(question.learner) else []
    x = question.query.x
    if x.dim() > 2:
        return [*own, "IntegratedGradients", "Smooth", "Occlusion"]
    if x[0].numel() == 1:
        return ["Gradient", "IntegratedGradients", "Occlusion"]
    if x.isnan().any():
        return [*own, "Occlusion", "LIME", "PermutationShapley"]
    return [*own, "IntegratedGradients", "Occlusion", "LIME" if own else "Shapley"]


def names_of(methods: Methods) -> list[str]:
    """Return the names in a list of methods, each once.

    Raises:
        MapstoError: there is no name, or one is not an explainer of rows.

    >>> names_of("LIME, Shapley,LIME")
    ['LIME', 'Shapley']
    """
    parts = methods.split(",") if isinstance(methods, str) else methods
    names = list(dict.fromkeys(name.strip() for name in parts if name.strip()))
    expected = "names with commas between them, such as IntegratedGradients,LIME"
    checks.expect(len(names) > 0, "methods", repr(methods), expected)
    for name in names:
        if name not in available() and name != OWN:
            layers = f" {name} explains a layer's feature maps: in Python, see `views.feature`."
            listed = ", ".join(sorted(available()))
            raise MapstoError(f"methods: got {name!r}, expected one of {listed}.{layers if name in _OF_LAYERS else ''}")
    return names


def refuse_own(names: Sequence[str], learner: Learner) -> None:
    """Raise MapstoError if `SelfExplaining` is among the names but the learner does not explain itself."""
    possible = explains_itself(learner) or OWN not in names
    got = f"{OWN} for {type(learner).__name__}"
    checks.expect(possible, "methods", got, "a learner that explains itself", "leave it out")


def explainers_of(
    methods: Methods, hiding: Hiding, question: TaskQuestion | None = None
) -> dict[str, ViewExplainer | GameExplainer]:
    """Return the explainers by name; `question` holds the learner that may explain itself.

    Raises:
        MapstoError: a name is not an explainer of rows, or the learner does not explain itself.
    """
    explainers: dict[str, ViewExplainer | GameExplainer] = {}
    for name in names_of(methods):
        if name == OWN and question is not None:
            refuse_own([name], question.learner)
            explainers |= own_reasons(question.learner, question.support)
        else:
            explainers[name] = _build(name, hiding)
    return explainers


def _build(name: str, hiding: Hiding) -> ViewExplainer | GameExplainer:
    """Build an explainer with the arguments that its signature asks for."""
    kind = available()[name]
    parameters = inspect.signature(kind).parameters
    arguments: dict[str, Any] = {}
    if "background" in parameters:
        arguments["background"] = hiding.background
    if "baseline" in parameters:
        arguments["baseline"] = hiding.reference
    if "noise" in parameters:
        arguments["noise"] = _NOISE * hiding.unit
    many = hiding.players > explainers.coalitions.MOST_PLAYERS
    if many and "samples" in parameters and issubclass(kind, GameExplainer):
        arguments["samples"] = _SAMPLES * hiding.players
    if "explainer" in parameters:
        arguments["explainer"] = explainers.Gradient()
    return kind(**arguments)
