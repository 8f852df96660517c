"""The parts of the page that tell of single rows: their predictions step by step, the training rows, and the list."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from ...figures import numbers, style
from ...figures.influence import pushes, strongest
from ...figures.waterfall import steps, waterfall
from .. import page
from ..words import listing
from .answer import Answer, ordered, row_names

_LISTED = 300  # rows named one by one: beyond it the page grows slow and nobody reads it


def cases(answer: Answer) -> list[dict[str, Any]]:
    """Draw the waterfalls of the chosen rows."""
    return [_case(answer, i) for i in answer.cases]


def _case(answer: Answer, i: int) -> dict[str, Any]:
    c, row = answer.target(i), _row(answer, i)
    name, p = style.shorten(answer.classes[c], 40), answer.probabilities[i, c]
    values, base = answer.reasons.values[i, :, c], float(answer.reasons.base_values[i, c])
    figure = waterfall(values, base, answer.cells[i], answer.columns, answer.classes[c])
    largest = [_contribution(answer, i, j, value) for j, value in strongest_cells(values)]
    reasons = f"Largest steps: {listing(largest)}." if largest else "No cell of this row is known."
    ends = f"The probability of {name} goes from {numbers.percent(base)} to {numbers.percent(p)}."
    true = answer.outcomes[i]
    outcome = "" if true is None else f" The outcome was {style.shorten(true, 40)}."
    return {
        "heading": f"{row[:1].upper()}{row[1:]}{_place(answer, i)}: {numbers.percent(p)} probability of {name}",
        "picture": page.picture(figure, f"Waterfall of {row}. {ends} {reasons}"),
        "caption": ends + outcome,
    }


def _row(answer: Answer, i: int) -> str:
    """Name a row in a sentence: a bare number is a row's, another name speaks for itself."""
    name = style.shorten(answer.row_names[i])
    return f"row {name}" if not name or name.isdigit() else name


def _place(answer: Answer, i: int) -> str:
    return f" ({answer.place(i)})" if answer.place(i) else ""


def _contribution(answer: Answer, i: int, j: int, value: float) -> str:
    cell = numbers.cell(answer.cells[i, j])
    return f"{style.shorten(answer.columns[j], 40)} = {cell} ({numbers.points(value)})"


def strongest_cells(values: Float[np.ndarray, " d"], top: int = 3) -> list[tuple[int, float]]:
    """Return the (column, contribution) of the largest contributions that are not zero."""
    return [
        (j, float(values[j]))
        for s in steps(values, 0.0, top)[:top]
        if len(s.columns) == 1 and values[j := s.columns[0]]
    ]


def influences(answer: Answer) -> list[dict[str, Any]]:
    """Draw the training rows that pushed the chosen rows most, and tabulate their cells."""
    return [_influence(answer, i, answer.push[r, :, answer.target(i)]) for r, i in enumerate(answer.cases)]


def _influence(answer: Answer, i: int, push: Float[np.ndarray, " n_train"]) -> dict[str, Any]:
    c, names = answer.target(i), row_names(answer.question.train)
    outcomes = [answer.classes[y] for y in answer.labels]
    columns = [j for j, _ in strongest_cells(answer.reasons.values[i, :, c])]
    labels = [f"{style.shorten(n, 11)}: {style.shorten(o, 13)}" for n, o in zip(names, outcomes, strict=True)]
    train = ordered(answer.question.train, answer.columns)
    order = strongest(push)
    rows = [
        {
            "name": names[j],
            "line": line(answer.training_place(j)),
            "outcome": outcomes[j],
            "cells": [numbers.cell(train.iloc[j, column], 99) for column in columns],
            "push": float(push[j]),
        }
        for j in order
    ]
    name, row = style.shorten(answer.classes[c], 40), _row(answer, i)
    first = listing([f"{labels[j]} ({numbers.points(push[j])})" for j in order[:2]])
    alt = f"Bars: training rows that pushed {row} towards or away from {name}, in percentage points. First: {first}."
    return {
        "picture": page.picture(pushes(push, labels, answer.classes[c]), alt),
        "name": answer.row_names[i],
        "line": line(answer.place(i)),
        "columns": [answer.columns[j] for j in columns],
        "cells": [numbers.cell(answer.cells[i, j], 99) for j in columns],
        "rows": rows,
        "negligible": next((limit for limit in ("0.01", "0.1") if 100 * np.abs(push).max() < float(limit)), None),
    }


def line(place: str) -> str:
    """Return the number in a place such as "line 89 of the file"."""
    return "".join(filter(str.isdigit, place))


def listed(answer: Answer) -> list[dict[str, Any]]:
    """Name the first rows one by one, with the cells that moved each prediction most."""
    return [_listed_row(answer, i) for i in range(min(len(answer.probabilities), _LISTED))]


def _listed_row(answer: Answer, i: int) -> dict[str, Any]:
    best = int(answer.probabilities[i].argmax())
    return {
        "name": answer.row_names[i],
        "line": line(answer.place(i)),
        "prediction": answer.classes[best],
        "probability": float(answer.probabilities[i, best]),
        "outcome": answer.outcomes[i],
        "reasons": [
            (answer.columns[j], numbers.cell(answer.cells[i, j], 99), value)
            for j, value in strongest_cells(answer.reasons.values[i, :, best])
        ],
    }
