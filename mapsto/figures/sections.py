"""The sections of a table's report: each turns the facts into the pictures and words that its part of the page shows.

facts ↦ {pictures, captions, rows of text}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import page, style, words
from .beeswarm import beeswarm, ranking, reach
from .facts import Facts, row_labels
from .influence import influence, strongest
from .reliability import reliability, reliability_bins
from .waterfall import steps, waterfall

_LISTED = 300  # rows named one by one: beyond it the page grows slow and nobody reads it


def overview(facts: Facts, summary: Mapping[str, float | None]) -> list[str]:
    """Say the whole page in a few sentences."""
    n, d, _ = facts.values.shape
    taught = words.outcome_counts(facts.train_labels, facts.classes)
    learned = f"The model learned from {words.count(len(facts.train), 'row')} with a known outcome ({taught})"
    said = [f"{learned} and then predicted {words.count(n, 'other row')} from {words.count(d, 'column')}."]
    if facts.y is None:
        counts = words.outcome_counts(facts.p.argmax(1), facts.classes)
        said.append(f"Most probable outcomes: {counts}. The true outcomes of these rows are not known.")
    if (accuracy := summary.get("accuracy")) is not None:
        where = "rows with a known outcome" if facts.y is None else "predicted rows"
        said.append(f"About {round(100 * accuracy)} of 100 {where} that it had not seen were put in the right class.")
    return [*said, _strongest_columns(facts)]


def _strongest_columns(facts: Facts) -> str:
    means = np.abs(facts.values[:, :, facts.targets]).mean((0, 2))
    strong = [j for j in np.argsort(-means, kind="stable")[:3] if means[j] > 0]
    if not strong:
        return "No column moved any prediction: every row was given the starting value."
    moved = [f"{style.shorten(facts.names[j], 40)} ({100 * means[j]:.1f})" for j in strong]
    return (
        f"The predictions were moved most by {words.listing(moved)}; in brackets, by how many percentage points of "
        "probability on average, up or down."
    )


def swarms(facts: Facts) -> list[dict[str, Any]]:
    """Draw the beeswarm of each class, all to one scale and in one order of columns."""
    limits = reach(facts.values[:, :, facts.targets])
    order = ranking(np.abs(facts.values).mean(2))
    return [_swarm(facts, c, limits, order) for c in facts.targets]


def _swarm(facts: Facts, c: int, limits: tuple[float, float], order: np.ndarray) -> dict[str, Any]:
    name, values = style.shorten(facts.classes[c], 60), facts.values[:, :, c]
    figure = beeswarm(values, facts.cells, facts.names, facts.classes[c], limits=limits, order=order)
    means = 100 * np.abs(values).mean(0)
    first = words.listing([f"{style.shorten(facts.names[j], 40)} {means[j]:.1f}" for j in order[:3]])
    alt = (
        f"Beeswarm: contributions of {words.count(len(facts.names), 'column')} to the probability of {name} in "
        f"{words.count(len(values), 'row')}. Mean movement in percentage points: {first}."
    )
    return {"heading": f"What moved the probability of {name}", "picture": page.picture(figure, alt)}


def moved(facts: Facts) -> dict[str, Any]:
    """Tabulate the mean movement of every column, with its direction where there are two classes."""
    two = len(facts.classes) == 2
    rows = [
        {
            "name": facts.names[j],
            "means": [float(np.abs(facts.values[:, j, c]).mean()) for c in facts.targets],
            "trend": words.trend(facts.values[:, j, 1], facts.cells[:, j]) if two else "",
        }
        for j in ranking(np.abs(facts.values).mean(2))
    ]
    return {"classes": [facts.classes[c] for c in facts.targets], "rows": rows, "trends": two}


def cases(facts: Facts) -> list[dict[str, Any]]:
    """Draw the waterfalls of the chosen rows."""
    return [_case(facts, i) for i in facts.rows]


def _case(facts: Facts, i: int) -> dict[str, Any]:
    c, row = facts.target(i), _row(facts, i)
    values, base, name = facts.values[i, :, c], float(facts.base[i, c]), style.shorten(facts.classes[c], 40)
    figure = waterfall(values, base, facts.cells[i], facts.names, facts.classes[c])
    told = [_told(facts, i, j, value) for j, value in _largest(values)]
    reasons = f"Largest steps: {words.listing(told)}." if told else "No cell of this row is known."
    ends = f"The probability of {name} goes from {style.percent(base)} to {style.percent(facts.p[i, c])}."
    outcome = "" if facts.y is None else f" The outcome was {style.shorten(facts.classes[int(facts.y[i])], 40)}."
    return {
        "heading": f"{row[0].upper()}{row[1:]}: {style.percent(facts.p[i, c])} probability of {name}",
        "picture": page.picture(figure, f"Waterfall of {row}. {ends} {reasons}"),
        "caption": ends + outcome,
    }


def _row(facts: Facts, i: int) -> str:
    """Name a row in a sentence: a bare number is a row's, another name speaks for itself."""
    name = style.shorten(facts.row_names[i])
    return f"row {name}" if not name or name.isdigit() else name


def _told(facts: Facts, i: int, j: int, value: float) -> str:
    return f"{style.shorten(facts.names[j], 40)} = {style.cell(facts.cells[i, j])} ({style.points(value)})"


def _largest(values: np.ndarray, top: int = 3) -> list[tuple[int, float]]:
    """Return the (column, contribution) of the largest contributions that are not zero."""
    return [
        (j, float(values[j]))
        for s in steps(values, 0.0, top)[:top]
        if len(s.columns) == 1 and values[j := s.columns[0]]
    ]


def influences(facts: Facts) -> list[dict[str, Any]]:
    """Draw the training rows that pushed the chosen rows most, and tabulate their cells."""
    if facts.change is None:
        return []
    return [_pushes(facts, i, facts.change[r, :, facts.target(i)]) for r, i in enumerate(facts.rows)]


def _pushes(facts: Facts, i: int, change: np.ndarray) -> dict[str, Any]:
    c, names = facts.target(i), row_labels(facts.train)
    outcomes = [facts.classes[int(y)] for y in facts.train_labels]
    columns = [j for j, _ in _largest(facts.values[i, :, c])]
    labels = [f"{style.shorten(n, 11)}: {style.shorten(o, 13)}" for n, o in zip(names, outcomes, strict=True)]
    shown = strongest(-change)
    rows = [
        {
            "name": names[j],
            "outcome": outcomes[j],
            "cells": [style.cell(facts.train.iloc[j, column], 99) for column in columns],
            "push": float(-change[j]),
        }
        for j in shown
    ]
    name, row = style.shorten(facts.classes[c], 40), _row(facts, i)
    told = words.listing([f"{labels[j]} ({style.points(-change[j])})" for j in shown[:2]])
    alt = f"Bars: training rows that pushed {row} towards or away from {name}, in percentage points. First: {told}."
    return {
        "picture": page.picture(influence(change, labels, facts.classes[c]), alt),
        "name": facts.row_names[i],
        "columns": [facts.names[j] for j in columns],
        "cells": [style.cell(facts.cells[i, j], 99) for j in columns],
        "rows": rows,
        "negligible": next((limit for limit in ("0.01", "0.1") if 100 * np.abs(change).max() < float(limit)), None),
    }


def trust(facts: Facts) -> dict[str, Any] | None:
    """Draw the reliability curve: of the second class of two, of the most probable class of more."""
    if facts.judged is None:
        return None
    p, y = facts.judged
    if len(facts.classes) == 2:
        predicted, event, what = p[:, 1], y == 1, facts.classes[1]
    else:
        predicted, event, what = p.max(1), y == p.argmax(1), "the most probable class"
    found = reliability_bins(predicted, event)
    bins = [
        dict(zip(("predicted", "frequency", "low", "high", "rows"), row, strict=True))
        for row in zip(*found[:5], strict=True)
    ]
    fullest = bins[int(found.rows.argmax())]
    alt = (
        f"Reliability curve over {words.count(len(bins), 'bin')}. In the fullest, {fullest['rows']} rows, "
        f"{style.percent(fullest['predicted'])} was predicted and {style.percent(fullest['frequency'])} came true."
    )
    return {"picture": page.picture(reliability(predicted, event, what), alt), "bins": bins, "what": what}


def listed(facts: Facts) -> list[dict[str, Any]]:
    """Name the first rows one by one, with the cells that moved each prediction most."""
    return [_listed_row(facts, i) for i in range(min(len(facts.p), _LISTED))]


def _listed_row(facts: Facts, i: int) -> dict[str, Any]:
    best = int(facts.p[i].argmax())
    return {
        "name": facts.row_names[i],
        "prediction": facts.classes[best],
        "probability": float(facts.p[i, best]),
        "outcome": None if facts.y is None else facts.classes[int(facts.y[i])],
        "reasons": [
            (facts.names[j], style.cell(facts.cells[i, j], 99), value)
            for j, value in _largest(facts.values[i, :, best])
        ],
    }
