"""The quality of predictions on the pupils of a log: each answer is predicted from the answers before it.

The difficulties of items come from other pupils: those of the other four of five groups. Beside the predictions stand
two simple ones: how often others answer the item rightly, and how often the pupil was right so far.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ...estimators import PupilTracer
from ...tasks.answer_log import AnswerLog
from ...tasks.item_difficulty import PRIOR, difficulties, share_of

_FOLDS, _ANSWERS = 5, 1500  # groups of pupils, and about so many answers, which take a few seconds


def measured(log: AnswerLog, seed: int) -> dict[str, Any] | None:
    """Return the scores of the predictions and of two simple ones, and the number of answers; None for one pupil.

    The scores are `log_loss` (in nats), `accuracy` and `auc`, which is None if all answers are the same.
    """
    names = sorted(set(log.answers["pupil"]))
    if len(names) < 2:
        return None
    order = np.random.default_rng(seed).permutation(len(names))
    tracer, parts = PupilTracer().fit(log), []
    for group in np.array_split(order, min(_FOLDS, len(names))):
        held = [names[i] for i in group]
        others = log.answers[~log.answers["pupil"].isin(held)]
        tracer.difficulties_ = difficulties(others)
        parts += _of_pupils(tracer, held, others["correct"].mean(), _ANSWERS // _FOLDS)
    y, *predicted = (np.concatenate(part) for part in zip(*parts, strict=True))
    own, of_item, of_pupil = (_scores(y, p) for p in predicted)
    rivals = {"others_on_the_item": of_item, "the_pupil_so_far": of_pupil}
    return {"measured_answers": len(y), **own, "baselines": rivals}


def _of_pupils(tracer: PupilTracer, pupils: list[str], share: float, most: int) -> list[tuple[np.ndarray, ...]]:
    """Return the answers of pupils, and the three predictions of them, until there are `most` answers."""
    parts: list[tuple[np.ndarray, ...]] = []
    for pupil in pupils:
        if sum(len(part[0]) for part in parts) < most:
            every = tracer.of_pupil_[pupil]
            y = every["correct"].to_numpy(float)
            pairs = zip(every["skill"], every["item"], strict=True)
            difficulty = np.array([tracer.difficulties_.of(skill, item) for skill, item in pairs])
            so_far = (np.cumsum(y) - y + PRIOR * share) / (np.arange(len(y)) + PRIOR)
            parts.append((y, tracer.follow(pupil), share_of(difficulty), so_far))
    return parts


def _scores(y: Int[np.ndarray, " n"] | Float[np.ndarray, " n"], p: Float[np.ndarray, " n"]) -> dict[str, float | None]:
    from sklearn.metrics import log_loss, roc_auc_score

    both = 0 < y.mean() < 1
    return {
        "log_loss": float(log_loss(y, p.clip(1e-6, 1 - 1e-6), labels=[0, 1])),
        "accuracy": float(((p > 0.5) == y).mean()),
        "auc": float(roc_auc_score(y, p)) if both else None,
    }
