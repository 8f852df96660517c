"""Sentences on the learned explainers of a `Joint`: whether the choice of what they show tells the answer."""

from __future__ import annotations

from ...estimate import Estimate
from ...joint import Joint
from ...learners import Learner
from ...measures.audit.selections import READERS, Gap, Leak, accuracies, gap, leak
from ...tasks import Tasks
from .methods import player_networks

_ROWS, _STEPS, _STRONGEST, _TOLERANCE = 1000, 300, 5, 0.02  # test rows, training steps of readers, see `eval_x`


def choices(learner: Learner, tasks: Tasks, seed: int) -> list[str]:
    """Return a sentence for each explainer of a `Joint` that shows parts of a row; none for other learners."""
    if not isinstance(learner, Joint) or not player_networks(learner) or learner.criterion.outcome != "classes":
        return []
    training = {"steps": _STEPS, "batch": 1, "lr": 5e-3}
    of = accuracies(learner, tasks, READERS, _ROWS, _STRONGEST, seed, training)
    return [sentence(name, gap(values, _TOLERANCE), leak(values, _TOLERANCE)) for name, values in of.items()]


def sentence(name: str, of: Gap, leaked: Leak) -> str:
    """Say what can be predicted from the parts that an explainer shows, and whether its choice tells the answer."""
    told = of.flagged or leaked.flagged
    verdict = "so its choice tells the answer: do not rely on it" if told else "so its choice does not tell the answer"
    return (
        f"{name} shows {of.shown.mean:.3g} parts of a query. From these, its own predictor is right in "
        f"{_percent(of.own)}, a network that has learned from random parts in {_percent(of.evaluator)}, and one that "
        f"has learned from its choices in {_percent(leaked.reader)}, {verdict}."
    )


def _percent(share: Estimate) -> str:
    return f"{100 * share.mean:.0f} %"
