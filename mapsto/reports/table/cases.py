"""The parts of the page that tell of single rows: their predictions step by step, the training rows, and the list."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from ...figures import numbers, style
from ...figures.influence import pushes, strongest
from ...figures.unit import Unit
from ...figures.waterfall import steps, waterfall
from .. import page
from ..words import listing
from .base import TableAnswer, ordered, row_names

_LISTED = 300  # rows named one by one: beyond it the page grows slow and nobody reads it


def cases(answer: TableAnswer) -> list[dict[str, Any]]:
    """Draw the waterfalls of the chosen rows."""
    return [_case(answer, i) for i in answer.cases]


def _case(answer: TableAnswer, i: int) -> dict[str, Any]:
    c, row = answer.target(i), _row(answer, i)
    unit, values, base = answer.unit(c), answer.values[i, :, c], float(answer.bases[i, c])
    used, reach = answer.used, answer.reach[i, :, c]
    names = [answer.columns[j] for j in used]
    figure = waterfall(values[used], base, answer.cells[i, used], names, unit, reach=reach[used])
    largest = [_contribution(answer, i, j, answer.change(i, j, c)) for j, _ in strongest_cells(values)]
    reasons = f"Largest steps: {listing(largest)}." if largest else "No cell of this row is known."
    what = unit.outcome()
    ends = f"{what[:1].upper()}{what[1:]} goes from {unit.amount(base)} to {unit.amount(answer.outputs[i, c])}."
    true = answer.outcomes[i]
    outcome = "" if true is None else f" The outcome was {style.shorten(true, 40)}."
    trust = answer.reasons.trust
    some = trust is not None and values.any()
    expected = f" Expected agreement of the bars with exact ones: R² = {trust[i]:.2f}." if some else ""  # type: ignore[index]
    return {
        "heading": f"{row[:1].upper()}{row[1:]}{_place(answer, i)}: {answer.heading(i)}",
        "picture": page.picture(figure, f"Waterfall of {row}. {ends} {reasons}"),
        "caption": ends + outcome + expected,
    }


def _row(answer: TableAnswer, i: int) -> str:
    """Name a row in a sentence: a bare number is a row's, another name speaks for itself."""
    name = style.shorten(answer.row_names[i])
    return f"row {name}" if not name or name.isdigit() else name


def _place(answer: TableAnswer, i: int) -> str:
    return f" ({answer.place(i)})" if answer.place(i) else ""


def _contribution(answer: TableAnswer, i: int, j: int, change: str) -> str:
    cell = numbers.cell(answer.cells[i, j])
    return f"{style.shorten(answer.columns[j], 40)} = {cell} ({change})"


def strongest_cells(values: Float[np.ndarray, " d"], top: int = 3) -> list[tuple[int, float]]:
    """Return the (column, contribution) of the largest contributions that are not zero."""
    return [
        (j, float(values[j]))
        for s in steps(values, 0.0, top)[:top]
        if len(s.columns) == 1 and values[j := s.columns[0]]
    ]


def influences(answer: TableAnswer) -> list[dict[str, Any]]:
    """Draw the training rows that pushed the chosen rows most, and tabulate their cells."""
    return [_influence(answer, i, answer.pushes[r, :, answer.target(i)]) for r, i in enumerate(answer.cases)]


def _influence(answer: TableAnswer, i: int, push: Float[np.ndarray, " n_train"]) -> dict[str, Any]:
    c, names = answer.target(i), row_names(answer.question.train)
    outcomes, unit = answer.training_outcomes, answer.unit(c)
    columns = [j for j, _ in strongest_cells(answer.values[i, :, c])]
    labels = [f"{style.shorten(n, 11)}: {style.shorten(o, 13)}" for n, o in zip(names, outcomes, strict=True)]
    train = ordered(answer.question.train, answer.columns)
    order = strongest(push)
    rows = [
        {
            "name": names[j],
            "line": line(answer.training_place(j)),
            "outcome": outcomes[j],
            "cells": [numbers.cell(train.iloc[j, column], 99) for column in columns],
            "push": unit.change(push[j]),
            "up": float(push[j]),
        }
        for j in order
    ]
    row, first = _row(answer, i), listing([f"{labels[j]} ({unit.change(push[j])})" for j in order[:2]])
    what = f"raised or lowered {unit.outcome()}, in {unit.measure}"
    alt = f"Bars: training rows that pushed {row}: how much they {what}. First: {first}."
    return {
        "picture": page.picture(pushes(push, labels, unit), alt),
        "name": answer.row_names[i],
        "line": line(answer.place(i)),
        "columns": [answer.columns[j] for j in columns],
        "cells": [numbers.cell(answer.cells[i, j], 99) for j in columns],
        "rows": rows,
        "negligible": _negligible(unit, float(np.abs(push).max())),
    }


def _negligible(unit: Unit, largest: float) -> str | None:
    """Write the limit below which all pushes lie, if they are too small to matter."""
    limits = (unit.step / 10, unit.step)
    return next((f"{limit:g} {unit.measure}" for limit in limits if unit.factor * largest < limit), None)


def line(place: str) -> str:
    """Return the number in a place such as "line 89 of the file"."""
    return "".join(filter(str.isdigit, place))


def listed(answer: TableAnswer) -> list[dict[str, Any]]:
    """Name the first rows one by one, with the cells that moved each prediction most."""
    return [_listed_row(answer, i) for i in range(min(len(answer.outputs), _LISTED))]


def _listed_row(answer: TableAnswer, i: int) -> dict[str, Any]:
    best, verdict = answer.predicted(i), answer.verdict(i)
    return {
        "name": answer.row_names[i],
        "line": line(answer.place(i)),
        "prediction": verdict.prediction,
        "detail": verdict.detail,
        "missed": verdict.missed,
        "outcome": answer.outcomes[i],
        "reasons": [
            (answer.columns[j], numbers.cell(answer.cells[i, j], 99), value, answer.change(i, j, best))
            for j, value in strongest_cells(answer.values[i, :, best])
        ],
    }
