"""A table's answer in short lines, as the terminal prints them: quality, predictions and training rows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ...figures import numbers
from ..words import count
from .answer import Answer, row_names

_LISTED = 10  # rows whose predictions are listed if the quality cannot be measured
_STRONGEST = 3  # columns, or training rows, that a line names
_WRITTEN = 0.0005  # a smaller contribution would be written as 0.0 points


def quality_lines(answer: Answer) -> list[tuple[str, str, str]]:
    """Return each measure with its value and a remark."""
    s, agreement = answer.summary, answer.summary["agreement"]
    measured = s["accuracy"] is not None
    remark = f"on {count(len(answer.truth), 'row')} not used for training" if measured else "no outcome is known"
    baselines = [
        (f"AUC of {name.replace('_', ' ')}", _number(scores["auc"]), "on the same rows" if measured else "")
        for name, scores in s["baselines"].items()
    ]
    checked = f"with exact Shapley values, {count(agreement['rows'], 'row')} × {count(agreement['columns'], 'column')}"
    return [
        ("AUC", _number(s["auc"]), remark),
        *((name.replace("_", " "), _number(s[name]), "") for name in ("accuracy", "log_loss", "calibration_error")),
        *baselines,
        ("agreement R²", _number(agreement["r2"]), checked),
        ("agreement cosine", _number(agreement["cosine"]), ""),
        ("ms per explained row", f"{s['ms_per_row']:.2f}", ""),
    ]


def listed(answer: Answer) -> list[int]:
    """Choose the rows that are listed: the cases, after the first rows if their outcomes are unknown."""
    complete = answer.outcome_count == len(answer.probabilities)
    first = range(0 if complete else min(_LISTED, len(answer.probabilities)))
    return list(dict.fromkeys([*first, *answer.cases]))


def prediction_line(answer: Answer, i: int) -> tuple[str, str, str]:
    """Return the name of row `i`, its prediction, and its strongest reasons in percentage points."""
    best, e = int(answer.probabilities[i].argmax()), answer.reasons
    values = e.values[i, :, best]
    reasons = [
        f"{answer.columns[j]} = {numbers.cell(answer.cells[i, j], 99)}: {numbers.points(values[j])}"
        for j in _largest(values)
    ]
    prediction = f"{answer.classes[best]} {numbers.percent(answer.probabilities[i, best])}"
    return _name(answer, i), prediction, ", ".join(reasons) or "no column moves it by 0.1 points"


def training_lines(answer: Answer) -> list[tuple[str, str]]:
    """Return the name of each case and the training rows that pushed its predicted class most."""
    names = row_names(answer.question.train)
    lines = []
    for i, push in zip(answer.cases, answer.push, strict=True):
        p = push[:, int(answer.probabilities[i].argmax())]
        strongest = [f"{names[j]} ({answer.question.labels[j]}) {numbers.points(p[j])}" for j in _largest(p)]
        lines.append((_name(answer, i), ", ".join(strongest) or "none moves it by 0.1 points"))
    return lines


def _name(answer: Answer, i: int) -> str:
    """Return the name of a row with its place in the file."""
    place = answer.place(i).removesuffix(" of the file")
    return f"{answer.row_names[i]} ({place})" if place else answer.row_names[i]


def _largest(values: Float[np.ndarray, " n"]) -> list[int]:
    return [int(j) for j in np.argsort(-np.abs(values), kind="stable")[:_STRONGEST] if abs(values[j]) >= _WRITTEN]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
