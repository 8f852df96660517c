"""The section on teaching examples: the effect of each on the answer to one query, and of each of their entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ...figures import style
from ...figures.numbers import cell, points, significant
from ...figures.teaching import teaching_cells, teaching_images, teaching_rows
from .. import page
from ..words import listing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .answer import TaskAnswer, Teaching

_IMAGES, _ROWS, _COLUMNS = 15, 12, 12


def teaching(answer: TaskAnswer, parts: Teaching) -> dict[str, Any]:
    """Return the pictures and words of the section."""
    order = strongest(parts.examples, 2)
    first = [f"{_example(answer, j)} ({change(answer, parts.examples[j])})" for j in order]
    alt = f"Teaching examples that did most to query {parts.query}: {listing(first)}."
    heading, figure = ("Whole examples", draw_rows) if not answer.images else (_heading(answer), draw_images)
    pictures = [(heading, page.picture(figure(answer, parts), alt))]
    if parts.cells is not None and not answer.images and answer.support_x.shape[1] > 1:
        alt = f"Heatmap: what each cell of the teaching examples gave the score of query {parts.query}."
        pictures.append(("Their cells", page.picture(draw_cells(answer, parts), alt)))
    return {
        "query": parts.query,
        "answer": answer.answer(parts.query),
        "pictures": pictures,
        "most": f"The example that did most is {_example(answer, order[0])}: "
        f"{change(answer, parts.examples[order[0]])}.",
        "by_leaving_out": parts.by_leaving_out,
        "cells": parts.cells is not None,
    }


def draw_images(answer: TaskAnswer, parts: Teaching) -> Figure:
    """Draw the query and the teaching images that did most, class by class."""
    order = strongest(parts.examples, _IMAGES)
    if answer.classes is not None:
        order.sort(key=lambda j: int(answer.support_y[j]))
    titles = [f"{j}: {target(answer, j)}\n{change(answer, parts.examples[j])}" for j in order]
    title = f"query {parts.query}\n{answer.answer(parts.query)}"
    images, effects = answer.support_x[order], answer.scale * parts.examples[order]
    pixels = None if parts.cells is None else parts.cells[order]
    return teaching_images(answer.x[parts.query], title, images, titles, effects, pixels)


def draw_rows(answer: TaskAnswer, parts: Teaching) -> Figure:
    """Draw the effect of the teaching rows that did most, and of their input if they have one only."""
    order, single = strongest(parts.examples, _ROWS), answer.support_x.shape[1] == 1
    labels = [place(answer, j) if single else f"row {j}: {target(answer, j)}" for j in order]
    inputs = answer.scale * parts.cells[order, 0] if single and parts.cells is not None else None
    return teaching_rows(answer.scale * parts.examples[order], labels, inputs)


def draw_cells(answer: TaskAnswer, parts: Teaching) -> Figure:
    """Draw the effect of each cell of the teaching rows that did most, rows by columns."""
    assert parts.cells is not None
    rows = strongest(parts.examples, _ROWS)
    columns = sorted(strongest(np.abs(parts.cells).sum(0), _COLUMNS))
    cells = np.where(np.isnan(answer.support_x), np.nan, answer.scale * parts.cells)[np.ix_(rows, columns)]
    labels = [f"row {j}: {style.label(target(answer, j), 14)}" for j in rows]
    return teaching_cells(cells, labels, [answer.columns[c] for c in columns], answer.unit)


def strongest(values: Float[np.ndarray, " n"], most: int) -> list[int]:
    """Return at most `most` entries, those that are largest, up or down.

    >>> strongest(np.array([0.1, -0.5, 0.3]), 2)
    [1, 2]
    """
    return [int(j) for j in np.argsort(-np.abs(values), kind="stable")[:most]]


def target(answer: TaskAnswer, j: int) -> str:
    """Return the class of teaching example `j`, or its target."""
    if answer.classes is not None:
        return style.label(answer.classes[int(answer.support_y[j])], 16)
    return significant(np.mean(answer.support_y[j]), 3)


def place(answer: TaskAnswer, j: int) -> str:
    """Return the one input of teaching example `j`, and its target."""
    return f"{cell(float(answer.support_x[j, 0]))[:6]} ↦ {target(answer, j)}"


def change(answer: TaskAnswer, effect: float) -> str:
    """Write the effect of an example on the score, with its sign and unit."""
    return significant(effect, 2, signed=True) if answer.classes is None else f"{points(effect)} points"


def _heading(answer: TaskAnswer) -> str:
    some, every = min(_IMAGES, len(answer.support_x)), len(answer.support_x)
    return "The teaching examples" if some == every else f"The {some} of {every} teaching examples that did most"


def _example(answer: TaskAnswer, j: int) -> str:
    if answer.support_x[0].size == 1:
        return f"the one at {place(answer, j)}"
    return f"number {j}, {'of ' if answer.classes is not None else 'with target '}{target(answer, j)}"
