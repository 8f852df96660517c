"""The answer to questions about pupils: predictions, the earlier answers behind them, and the item to ask next.

One record feeds the page, the terminal and the JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from ... import checks
from ...estimators import PupilTracer
from ...explanation import Explanation
from ...tasks.answer_log import AnswerLog
from .quality import measured

MOST = 30  # pupils that are explained if no one is named


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer about pupils; all probabilities are fractions.

    Attributes:
        tracer: the fitted model with the log.
        pupils: the names of the explained pupils.
        questions: the questions with the columns pupil, skill and item; without an item, a typical one of the skill is
            meant.
        reasons: the contribution of each earlier answer to the probability of a right answer to each question.
        advice: for each pupil, the items to ask next, see `PupilTracer.recommend`.
        summary: the numbers that `--json` prints.
        notes: sentences about the log.
    """

    tracer: PupilTracer
    pupils: list[str]
    questions: pd.DataFrame
    reasons: Explanation
    advice: dict[str, pd.DataFrame]
    summary: dict[str, Any]
    notes: list[str]

    @property
    def probabilities(self) -> Float[np.ndarray, " n"]:
        """The probability of a right answer to each question."""
        return self.reasons.predictions

    def by_skill(self, question: int) -> dict[str, float]:
        """Return the sum of the contributions of the answers about each skill, the largest size first."""
        seen = self.tracer.answers(self.questions["pupil"].iloc[question])
        values = pd.Series(self.reasons.values[question, : len(seen)], seen["skill"].to_numpy(), dtype=float)
        total = values.groupby(level=0).sum()
        return {str(skill): float(total[skill]) for skill in total.abs().sort_values(ascending=False).index}


def answer(log: AnswerLog, pupils: list[str] | None = None, seed: int = 0) -> Answer:
    """Answer the questions of a log: its rows without an answer; if there are none, a typical item of each skill.

    `pupils` names the pupils to explain; if None, those with a question, or else the first 30.

    Raises:
        MapstoError: if a pupil is not in the log, or has no question although others have.
    """
    tracer = PupilTracer().fit(log)
    asked = list(dict.fromkeys(log.questions["pupil"]))
    for pupil in pupils or ():
        checks.expect(pupil in log.pupils, "pupils", repr(pupil), "a pupil of the log", f"such as {log.pupils[0]!r}")
    chosen = list(dict.fromkeys(pupils)) if pupils else (asked or log.pupils)[:MOST]
    left = len(asked or log.pupils) - MOST
    notes = [f"{left} further pupil(s) are not explained; name those that should be."] * (left > 0 and not pupils)
    own = log.questions[log.questions["pupil"].isin(chosen)]
    typical = [(pupil, skill, None) for pupil in chosen if pupil not in asked for skill in tracer.skills_]
    questions = pd.concat([own, pd.DataFrame(typical, columns=["pupil", "skill", "item"], dtype=object)])
    questions = questions[["pupil", "skill", "item"]].reset_index(drop=True)
    new = _unseen(tracer, questions)
    advice = {pupil: tracer.recommend(pupil) for pupil in chosen}
    counts = {"pupils": len(log.pupils), "answers": len(log.answers), "skills": len(tracer.skills_)}
    counts |= {"items": len(log.answers[["skill", "item"]].drop_duplicates()), "questions": len(questions)}
    quality = measured(log, seed) or {"measured_answers": 0}
    best = [{"pupil": pupil} | of.iloc[0].to_dict() for pupil, of in advice.items()]
    summary = counts | quality | {"ask_next": best}
    reasons = tracer.explain(questions)
    return Answer(tracer, chosen, questions, reasons, advice, summary, [*tracer.notes_, *new, *notes])


def _unseen(tracer: PupilTracer, questions: pd.DataFrame) -> list[str]:
    """Return a sentence about items that nobody has answered."""
    known = set(tracer.skill_of_)
    new = [item for item in dict.fromkeys(questions["item"]) if item is not None and item not in known]
    named = ", ".join(map(repr, new[:5])) + (" and more" if len(new) > 5 else "")
    return [f"{len(new)} item(s) that nobody has answered ({named}) are as difficult as their skill."] * bool(new)
