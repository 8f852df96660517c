"""A table's answer in short lines, as the terminal prints them: quality, predictions and training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from ...figures import numbers, style
from ...figures.unit import Unit
from ..words import count
from . import words
from .base import TableAnswer, row_names

_NAMES = {"auc": "AUC", "accuracy": "accuracy", "log_loss": "log loss", "calibration_error": "calibration error"}
_LISTED = 10  # rows whose predictions are listed if the quality cannot be measured
_STRONGEST = 3  # columns, or training rows, that a line names


def quality_lines(answer: TableAnswer) -> list[tuple[str, str, str]]:
    """Return each measure with its value and a remark."""
    s, agreement = answer.summary, answer.summary["agreement"]
    checked = f"with exact Shapley values, {count(agreement['rows'], 'row')} × {count(agreement['columns'], 'column')}"
    return [
        *((name, _number(s[key]), words.interval(s, key)) for key, name in _NAMES.items()),
        *_at_threshold(s),
        *_baselines(s),
        ("agreement R²", _number(agreement["r2"]), checked),
        ("agreement cosine", _number(agreement["cosine"]), ""),
        ("exact values in 90 % intervals", _number(agreement["covered"]), ""),
        ("ms per explained row", f"{s['ms_per_row']:.2f}", ""),
    ]


def _at_threshold(s: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the four shares of a threshold if there are two classes, recall and precision of each class if more."""
    names = {"sensitivity": "sensitivity", "specificity": "specificity", "ppv": "PPV", "npv": "NPV"}
    if s.get("confusion"):
        at = f"; {style.shorten(s['positive'], 20)} from {s['threshold']} on"
        return [
            (name, _number(s[key]), words.interval(s, key) + (at if key == "sensitivity" else ""))
            for key, name in names.items()
        ]
    return [
        (f"recall of {style.shorten(name, 20)}", _number(scores["recall"]), _recall_remark(scores))
        for name, scores in (s.get("per_class") or {}).items()
    ]


def _recall_remark(scores: Mapping[str, Any]) -> str:
    between = words.interval(scores, "precision")
    precision = f"precision {_number(scores['precision'])}" + (f" ({between})" if between else "")
    return "; ".join(filter(None, [words.interval(scores, "recall"), precision]))


def _baselines(s: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return what the baselines reach on the same rows, with the difference from the mapping."""
    measures = {"majority": ("accuracy",), "base_rates": ("log_loss",)}
    return [
        (f"{_NAMES[key]} of {name.replace('_', ' ')}", _number(scores.get(key)), words.difference(scores, key))
        for name, scores in s["baselines"].items()
        for key in measures.get(name, ("auc", "log_loss") if "log_loss" in scores else ("auc",))
    ]


def listed(answer: TableAnswer) -> list[int]:
    """Choose the rows that are listed: the cases, after the first rows if their outcomes are unknown."""
    n = len(answer.outputs)
    first = range(0 if answer.outcome_count == n else min(_LISTED, n))
    return list(dict.fromkeys([*first, *answer.cases]))


def prediction_line(answer: TableAnswer, i: int) -> tuple[str, str, str]:
    """Return the name of row `i`, its prediction, and its strongest reasons in the unit of the prediction."""
    best, verdict = answer.predicted(i), answer.verdict(i)
    values, unit = answer.values[i, :, best], answer.unit(best)
    reasons = [
        f"{answer.columns[j]} = {numbers.cell(answer.cells[i, j], 99)}: {answer.change(i, j, best)}"
        for j in _largest(values, unit)
    ]
    nothing = f"no column moves it by {unit.step:g} {unit.measure}"
    return _name(answer, i), verdict.line, ", ".join(reasons) or nothing


def training_lines(answer: TableAnswer) -> list[tuple[str, str]]:
    """Return the name of each case and the training rows that pushed its prediction most."""
    names, outcomes = row_names(answer.question.train), answer.training_outcomes
    lines = []
    for i, push in zip(answer.cases, answer.pushes, strict=True):
        p, unit = push[:, answer.predicted(i)], answer.unit(answer.predicted(i))
        strongest = [f"{names[j]} ({outcomes[j]}) {unit.change(p[j])}" for j in _largest(p, unit)]
        nothing = f"none moves it by {unit.step:g} {unit.measure}"
        lines.append((_name(answer, i), ", ".join(strongest) or nothing))
    return lines


def _name(answer: TableAnswer, i: int) -> str:
    """Return the name of a row with its place in the file."""
    place = answer.place(i).removesuffix(" of the file")
    return f"{answer.row_names[i]} ({place})" if place else answer.row_names[i]


def _largest(values: Float[np.ndarray, " n"], unit: Unit) -> list[int]:
    """Return the largest contributions, without those that would be written as 0."""
    order = np.argsort(-np.abs(values), kind="stable")[:_STRONGEST]
    return [int(j) for j in order if unit.factor * abs(values[j]) >= unit.step / 2]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
