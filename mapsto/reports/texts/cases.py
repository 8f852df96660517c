"""Single texts on the page: their words or sentences shaded by value, and the training texts that pushed them most."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from ...figures import numbers, style
from ...texts.scripts import isolated
from ...texts.words import join
from ..words import listing
from .answer import Answer

_LISTED = 200  # texts on the page: beyond it the page grows slow and nobody reads it
_NAMED = 3  # words that a sentence names, and sentences of an extract
_TAUGHT = 3  # training texts of a case
_WRITTEN = 0.0005  # a smaller contribution would be written as 0.0 points
_DEEPEST = 0.55  # opacity of the strongest shade of a text
_SHADES = {True: "217, 114, 11", False: "60, 130, 200"}  # raises, lowers


def listed(answer: Answer) -> list[dict[str, Any]]:
    """Return the first texts, each shaded by the contributions to its most probable class."""
    return [shaded(answer, i) for i in range(min(len(answer.predicted), _LISTED))]


def cases(answer: Answer) -> list[dict[str, Any]]:
    """Return the chosen texts with the training texts that pushed their most probable class most."""
    return [{**shaded(answer, i), "taught": _taught(answer, r, i)} for r, i in enumerate(answer.cases)]


def shaded(answer: Answer, i: int) -> dict[str, Any]:
    """Return text `i` as parts with their contributions to its most probable class, and sentences about them."""
    e, c = answer.reasons, int(answer.predicted[i])
    parts = e.parts[i]
    values = e.values[i, : len(parts), c]
    largest = max(0.01, float(np.abs(values).max(initial=0)))
    joined = [join(parts[: j + 1])[len(join(parts[:j])) :] for j in range(len(parts))]
    name, p, true = style.shorten(answer.classes[c], 40), answer.probabilities[i, c], answer.outcomes[i]
    mistake = true is not None and true != answer.classes[c]
    return {
        "row": answer.names[i],
        "prediction": answer.classes[c],
        "probability": p,
        "outcome": true,
        "wrong": mistake,
        "parts": [
            {"space": gap.startswith(" "), "text": part, "value": float(v), "style": _style(v / largest)}
            for gap, part, v in zip(joined, parts, values, strict=True)
        ],
        "unit": e.units[i],
        "extract": e.extract(i, c) if e.units[i] == "sentences" else [],
        "caption": f"{_heading(name, p, e.base_values[i, c])} {strongest(parts, values)}",
    }


def strongest(parts: list[str], values: Float[np.ndarray, " p"]) -> str:
    """Name the parts that moved a probability most, with their contributions in percentage points.

    >>> strongest(["lost", "card"], np.array([0.1, 0.305]))
    'Moved most by “card” (+30.5) and “lost” (+10.0).'
    """
    order = [j for j in np.argsort(-np.abs(values), kind="stable")[:_NAMED] if abs(values[j]) >= _WRITTEN]
    named = listing([f"“{isolated(style.shorten(parts[j], 60))}” ({numbers.points(values[j])})" for j in order])
    return f"Moved most by {named}." if named else "Nothing in it moved this probability by 0.1 points."


def _heading(name: str, p: float, base: float) -> str:
    return f"{name}: from {numbers.percent(base)}, without any word, to {numbers.percent(p)}."


def _style(share: float) -> str:
    """Return the shade of a part, given its contribution as a share of the largest one of its text."""
    opacity = _DEEPEST * abs(share)
    return f"background: rgba({_SHADES[bool(share > 0)]}, {opacity:.2f})" if opacity >= 0.02 else ""


def _taught(answer: Answer, r: int, i: int) -> list[dict[str, Any]]:
    """Return the training texts that raised the most probable class of a case most, and one that lowered it most."""
    push = answer.push[r, :, int(answer.predicted[i])]
    order = np.argsort(-push, kind="stable")
    chosen = [j for j in order[:_TAUGHT] if push[j] >= _WRITTEN] + [j for j in order[:-2:-1] if push[j] <= -_WRITTEN]
    texts, labels = answer.question.train.iloc[:, 0], answer.question.labels
    return [{"text": texts.iloc[j], "class": str(labels[j]), "push": float(push[j])} for j in chosen]
