"""Sentences on the learned explainers of a `Joint`: whether the choice of what they show tells the answer."""

from __future__ import annotations

from ...estimate import Estimate
from ...learners import Learner
from ...measures.audit.selections import Gap, Leak, eval_x, label_leak
from ...tasks import Tasks
from .methods import player_networks

_ROWS, _STEPS = 1000, 500  # test rows, training steps of the readers


def choices(learner: Learner, tasks: Tasks, seed: int) -> list[str]:
    """Return a sentence for each explainer of a `Joint` that shows parts of a row; none for other learners."""
    if not player_networks(learner) or learner.criterion.outcome != "classes":
        return []
    gaps = eval_x(learner, tasks, _ROWS, _STEPS, seed=seed)
    leaks = label_leak(learner, tasks, _ROWS, _STEPS, seed=seed)
    return [sentence(name, gaps[name], leaks[name]) for name in gaps]


def sentence(name: str, gap: Gap, leak: Leak) -> str:
    """Say what can be predicted from the parts that an explainer shows, and whether it tells the answer by its choice."""
    told = gap.flagged or leak.flagged
    verdict = "so its choice tells the answer: do not rely on it" if told else "so its choice does not tell the answer"
    return (
        f"{name} shows {gap.shown.mean:.3g} parts of a query. From these, its own predictor is right in "
        f"{_percent(gap.own)}, a network that has learned from random parts in {_percent(gap.evaluator)}, and one that "
        f"has learned from its choices in {_percent(leak.reader)}, {verdict}."
    )


def _percent(share: Estimate) -> str:
    return f"{100 * share.mean:.0f} %"
