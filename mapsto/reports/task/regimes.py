"""How an explainer came to explain a task: three regimes side by side, each measured on the queries of the task.

    trained on this task alone   new explainers, after many steps on the support set
    meta-trained, as it is       the explainers of the `Joint`
    meta-trained and adapted     the explainers of the `Joint`, after a few steps on the support set

A task without a support set has one regime only, so there is nothing to compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ...adaptation.inner import Adam
from ...adaptation.learner import evaluating
from ...episodes import Episode
from ...explainers.learned.explainer import LearnedExplainer, PlayerExplainer, Prediction, targets
from ...explainers.learned.interpreter import Concepts
from ...explainers.learned.selector import Selection
from ...joint import Joint, Tuning
from ...learners import Learner
from ...measures.audit.readers import Reader, at_random, choice_of, own_outcome, target_of, train_readers
from ...measures.audit.selections import credit
from ...tasks import Tasks
from .methods import TRUSTED

ALONE, AS_IS, ADAPTED = "trained on this task alone", "meta-trained, as it is", "meta-trained and adapted"
_ALONE = Tuning(steps=200, lr=2e-3, optimizer=Adam())
_STRONGEST, _DRAWS = 5, 8
_READING = {"steps": 300, "batch": 1, "lr": 5e-3}


class Regime(NamedTuple):
    """How well one explainer explains the queries of a task in one regime; None if it has no such measure."""

    explainer: str
    regime: str
    agreement: float | None  # with the model: the fraction of its changes, or of its classes, that is explained
    own: float | None  # accuracy from the parts that it shows, of its own predictor or else of the model
    evaluator: float | None  # accuracy of EVAL-X from the same parts
    trust: float | None  # that the explainer predicts for its own explanations


def regimes(learner: Learner, tasks: Tasks, episode: Episode, seed: int) -> list[Regime]:
    """Return the measures of each explainer of a `Joint` in each regime; none if the joint cannot be tuned."""
    if not isinstance(learner, Joint) or not len(episode.support.w) or episode.context is not None:
        return []
    readers = _readers(learner, tasks, seed)
    question, joints = _asked(learner, episode), versions(learner, episode)
    return [
        Regime(name, regime, *_measured(_explainers(joint)[name], readers.get(name), *question))
        for name in learner.explainers
        for regime, joint in joints.items()
    ]


def versions(joint: Joint, episode: Episode) -> dict[str, Joint]:
    """Return the `Joint` in each regime; new explainers are left out if the joint was built with trained ones."""
    new = joint.untrained()
    untrained = all(float(explainer.steps) == 0 for explainer in _explainers(new).values())
    alone = {ALONE: new.tuned(episode.support, _ALONE)} if untrained else {}
    return alone | {AS_IS: joint, ADAPTED: joint.tuned(episode.support, joint.tuning or Tuning())}


def _explainers(joint: Joint) -> dict[str, LearnedExplainer]:
    return dict(joint.explainers.items())  # type: ignore[arg-type]


def _readers(joint: Joint, tasks: Tasks, seed: int) -> Mapping[str, Reader]:
    """Return EVAL-X for each explainer that shows parts, trained on predictions for other tasks."""
    if joint.criterion.outcome != "classes" or not joint.player_explainers:
        return {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        readers = {name: Reader(explainer, at_random(explainer)) for name, explainer in joint.player_explainers.items()}
        train_readers(joint, readers.values(), tasks, seed, _READING)
    return readers


@torch.no_grad()
def _asked(joint: Joint, episode: Episode) -> tuple[Prediction, Tensor, Tensor]:
    """Return the prediction for the queries, with their targets and weights."""
    with evaluating(joint):
        return joint.prediction(joint.adapt(episode.support), episode.query.x), episode.query.y, episode.query.w


@torch.no_grad()
def _measured(
    explainer: LearnedExplainer, reader: Reader | None, prediction: Prediction, y: Tensor, w: Tensor
) -> tuple[float | None, float | None, float | None, float | None]:
    """Return the agreement, the two accuracies and the trust of one explainer."""
    explanation, own, evaluator = explainer.explain(prediction), None, None
    if reader is not None and isinstance(explainer, PlayerExplainer):
        masks = choice_of(explainer, _STRONGEST)(prediction)
        label = targets(prediction, y, target_of(explainer)).argmax(1)
        outcomes = (own_outcome(explainer, prediction, masks), reader.read_from(prediction, masks))
        own, evaluator = (float(w @ credit(outcome, label) / w.sum()) for outcome in outcomes)
    trust = float(w @ explanation.trust / w.sum()) if isinstance(explanation, TRUSTED) else None
    if isinstance(explanation, Concepts | Selection) and prediction.of_classes:
        same = explanation.outcome.argmax(1) == prediction.outcome.argmax(1)
        return float(w @ same.to(w) / w.sum()), own, evaluator, trust
    return _explained(explainer, prediction, y, w), own, evaluator, trust


def _explained(explainer: LearnedExplainer, prediction: Prediction, y: Tensor, w: Tensor) -> float | None:
    """Return how much of the model's changes the values explain; None if the explainer has no such measure."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the same random coalitions in each regime
        draws = [explainer.loss(prediction, y, w)[1].get("unexplained") for _ in range(_DRAWS)]
    shares = [draw for draw in draws if draw is not None]
    return 1 - float(torch.stack(shares).mean()) if shares else None
