"""Sentences on the learned explainers of a `Joint`: whether the choice of what they show tells the answer."""

from __future__ import annotations

from ...estimate import Estimate, estimate
from ...joint import Joint
from ...learners import Learner
from ...measures.audit.readers import Reader
from ...measures.audit.selections import EVALUATOR, Gap, Roles, accuracies, gap, leaks
from ...tasks import Tasks

_ROWS, _STEPS, _STRONGEST, _TOLERANCE = 1000, 300, 5, 0.02  # test rows, training steps of readers, see `eval_x`


def choices(learner: Learner, tasks: Tasks, seed: int) -> list[str]:
    """Return a sentence for each explainer of a `Joint` that shows parts of a row; none for other learners."""
    if not isinstance(learner, Joint) or not learner.player_explainers or learner.criterion.outcome != "classes":
        return []
    roles: Roles = EVALUATOR | {"reader": Reader}
    of = accuracies(learner, tasks, roles, _ROWS, _STRONGEST, seed, {"steps": _STEPS, "batch": 1, "lr": 5e-3})
    return [
        sentence(name, gap(role, _TOLERANCE), estimate(role["reader"]), leaks(role, _TOLERANCE))
        for name, role in of.items()
    ]


def sentence(name: str, of: Gap, reader: Estimate, leaked: bool) -> str:
    """Say what can be predicted from the parts that an explainer shows, and whether its choice tells the answer."""
    tells = of.flagged or leaked
    verdict = "so its choice tells the answer: do not rely on it" if tells else "so its choice does not tell the answer"
    return (
        f"{name} shows {of.shown.mean:.3g} parts of a query. From these, its own predictor is right in "
        f"{_percent(of.own)}, a network that has learned from random parts in {_percent(of.evaluator)}, and one that "
        f"has learned from its choices in {_percent(reader)}, {verdict}."
    )


def _percent(share: Estimate) -> str:
    return f"{100 * share.mean:.0f} %"
