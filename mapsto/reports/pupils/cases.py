"""Single pupils on the page: their answers shaded by what they did to a prediction, and the item to ask next."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...figures import numbers, style
from ..words import count, listing
from .answer import Answer

MARKS = {1: "✓", 0: "✗"}  # a right and a wrong answer
_NAMED = 3  # answers or skills that a sentence names
_WRITTEN = 0.0005  # a smaller contribution would be written as 0.0 points
_DEEPEST = 0.55  # opacity of the strongest shade of a question
_SHADES = {True: "217, 114, 11", False: "60, 130, 200"}  # raises, lowers
_EVEN = (0.4, 0.6)  # a probability that says little beforehand


def cases(answer: Answer) -> list[dict[str, Any]]:
    """Return each pupil with the questions, shaded answers, and the advice."""
    asked = answer.questions["pupil"].to_numpy()
    return [
        {
            "pupil": pupil,
            "answers": course(answer, pupil),
            "questions": [shaded(answer, i) for i in np.flatnonzero(asked == pupil).tolist()],
            "advice": advice(answer, pupil),
        }
        for pupil in answer.pupils
    ]


def course(answer: Answer, pupil: str) -> str:
    """Say how many answers a pupil has given, and how many of them were right."""
    every = answer.tracer.log_.answers
    right = every["correct"][every["pupil"] == pupil]
    read = len(answer.tracer.answers(pupil))
    window = f"; the last {read} are read" if len(right) > read else ""
    if not len(right):
        return "No answer yet: these are the predictions for a new pupil."
    return f"{count(len(right), 'answer')}, {int(right.sum()):,} of them right{window}."


def name_of(skill: str | None, item: str | None) -> str:
    """Name a question: an item with its skill, or a typical item of the skill."""
    if item is None or item == skill:
        return f"a typical item of {skill}" if skill is not None else "a typical item"
    return f"{item} ({skill})" if skill not in (None, "-") else str(item)


def shaded(answer: Answer, i: int) -> dict[str, Any]:
    """Return question `i` with the earlier answers, their contributions, and sentences about them."""
    question, e = answer.questions.iloc[i], answer.reasons
    seen = answer.tracer.answers(question["pupil"])
    values = e.values[i, : len(seen)]
    largest = max(0.01, float(np.abs(values).max(initial=0)))
    names = [f"{MARKS[y]} {item}" for y, item in zip(seen["correct"], seen["item"], strict=True)]
    name, p = name_of(question["skill"], question["item"]), float(answer.probabilities[i])
    sentences = (_heading(p, float(e.base_values[i]), len(seen)), rests_on(answer, i), strongest(names, values))
    return {
        "question": name,
        "probability": p,
        "parts": [
            {"text": label, "skill": skill, "value": float(v), "style": _style(v / largest)}
            for label, skill, v in zip(names, seen["skill"], values, strict=True)
        ],
        "caption": " ".join(filter(None, sentences)),
    }


def rests_on(answer: Answer, i: int) -> str:
    """Name the skills on whose answers a prediction rests, with their contributions in percentage points."""
    total = {skill: value for skill, value in answer.by_skill(i).items() if abs(value) >= _WRITTEN}
    named = [f"{style.shorten(skill, 40)} ({numbers.points(total[skill])})" for skill in list(total)[:_NAMED]]
    return f"It rests on the answers about {listing(named)}." if named else ""


def strongest(names: list[str], values: np.ndarray) -> str:
    """Name the answers that moved a prediction most, with their places and contributions.

    >>> strongest(["✓ 3+4", "✗ 9-7"], np.array([0.1, -0.2]))
    'Moved most by answer 2, ✗ 9-7 (−20.0) and answer 1, ✓ 3+4 (+10.0).'
    """
    order = [j for j in np.argsort(-np.abs(values), kind="stable")[:_NAMED] if abs(values[j]) >= _WRITTEN]
    named = [f"answer {j + 1}, {style.shorten(names[j], 40)} ({numbers.points(values[j])})" for j in order]
    return f"Moved most by {listing(named)}." if named else ""


def advice(answer: Answer, pupil: str) -> list[dict[str, Any]]:
    """Return the items to ask next, each with the reason in a sentence."""
    table = answer.advice[pupil]
    return [
        {"item": name_of(skill, item), "probability": p, "gain": gain, "reason": reason(p, about)}
        for item, skill, p, gain, about in table.itertuples(index=False)
    ]


def reason(probability: float, about: str) -> str:
    """Say in plain words why the answer to an item is expected to tell much.

    >>> reason(0.52, "sums")
    'Either answer is likely (52 % right), and it tells most about sums.'
    """
    low, high = _EVEN
    likely = f"({100 * probability:.0f} % right)"
    if low <= probability <= high:
        start = f"Either answer is likely {likely}"
    else:
        start = (
            f"A {'right' if probability > high else 'wrong'} answer is likely {likely}, but the other would say much"
        )
    return f"{start}, and it tells most about {style.shorten(about, 40)}."


def _heading(p: float, base: float, answers: int) -> str:
    if not answers:
        return f"{numbers.percent(p)}, as for every new pupil."
    return f"From {numbers.percent(base)}, if nothing had been asked, to {numbers.percent(p)}."


def _style(share: float) -> str:
    opacity = _DEEPEST * abs(share)
    return f"background: rgba({_SHADES[bool(share > 0)]}, {opacity:.2f})" if opacity >= 0.02 else ""
