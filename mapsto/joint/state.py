"""What a `Joint` keeps of a task: the learner's adapted state, and what the explainers read of the support set."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Shaped
from torch import Tensor

from ..adaptation.learner import Learner
from ..episodes import Examples, State
from ..explainers.learned.explainer import LearnedExplainer, PlayerExplainer
from ..explainers.learned.players import background
from .class_means import means


class JointState(NamedTuple):
    """The learner's adapted state, and what the explainers read of the support set."""

    state: State
    classes: dict[str, Tensor]
    background: Shaped[Tensor, "b ..."] | None = None  # rows of the support set, if an explainer hides parts by them


def with_support(
    learner: Learner, explainers: Sequence[LearnedExplainer], state: State, support: Examples
) -> JointState:
    """Return the learner's state, plus the class means and the rows of the support set that the explainers read."""
    hides = any(explainer.players.of_support for explainer in explainers if isinstance(explainer, PlayerExplainer))
    rows = background(support.x, support.w) if hides else None
    return JointState(state, _classes(learner, explainers, state, support), rows)


def _classes(
    learner: Learner, explainers: Sequence[LearnedExplainer], state: State, support: Examples
) -> dict[str, Tensor]:
    if not any(explainer.by_class for explainer in explainers):
        return {}
    ways = learner.predict(state, support.x[:1]).shape[-1]
    mass = (support.y == torch.arange(ways, device=support.y.device)[:, None]) * support.w  # [k, n]
    read = {name for explainer in explainers for name in explainer.reads}
    features = {name: f for name, f in learner.features(state, support.x).items() if name in read}
    return {name: means(mass, values) for name, values in {"x": support.x, **features}.items()}
