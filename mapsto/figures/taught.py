"""What the teaching examples did to the score of one query: what each gave it, and which of their entries did.

Orange raised the score, blue lowered it; zero is neutral. The examples that did most are drawn, the others are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from . import style
from .colours import around_zero
from .overlaid import image, overlay, scale
from .reasons import bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .task_facts import TaskFacts, Taught

IMAGES, _ACROSS, _ROWS, _COLUMNS = 15, 3, 12, 12


def taught_images(facts: TaskFacts, taught: Taught) -> Figure:
    """Draw the query, then the teaching images that did most to its score, with what their pixels gave it."""
    shown = by_class(facts, strongest(taught.examples, IMAGES))
    lines = -(-(len(shown) + 1) // _ACROSS)
    figure = style.canvas(1.62 * lines + 0.1)
    panels = list(figure.subplots(lines, _ACROSS, squeeze=False).flat)
    image(panels[0], facts.x[taught.query], f"query {taught.query}\n{facts.answer(taught.query)}", style.INK)
    reach = 0.0 if taught.cells is None else float(np.abs(taught.cells.sum(1)).max())
    for axes, j in zip(panels[1:], shown, strict=False):
        image(axes, facts.support_x[j], f"{j}: {name(facts, j)}\n{change(facts, taught.examples[j])}",
              style.direction(_seen(facts, taught.examples[j])))  # fmt: skip
        drawn = None if taught.cells is None else overlay(axes, taught.cells[j], reach)
    for axes in panels[len(shown) + 1 :]:
        axes.remove()
    if taught.cells is not None:
        scale(figure, drawn, panels[: len(shown) + 1])
    return figure


def taught_rows(facts: TaskFacts, taught: Taught) -> Figure:
    """Draw a bar for each of the teaching rows that did most, and where rows have several cells what each cell gave."""
    shown = strongest(taught.examples, _ROWS)
    whole = facts.scale * taught.examples[shown]
    labels = [f"row {j}: {name(facts, j)}" if facts.support_x.shape[1] > 1 else place(facts, j) for j in shown]
    if taught.cells is None or facts.support_x.shape[1] > 1:
        return bars({"its presence": whole}, labels)
    return bars({"its presence": whole, "its input": facts.scale * taught.cells[shown, 0]}, labels)


def taught_cells(facts: TaskFacts, taught: Taught) -> Figure:
    """Draw what each cell of the teaching rows that did most gave the score, rows by columns."""
    assert taught.cells is not None
    rows = strongest(taught.examples, _ROWS)
    columns = sorted(strongest(np.abs(taught.cells).sum(0), _COLUMNS))
    cells = np.where(np.isnan(facts.support_x), np.nan, facts.scale * taught.cells)[np.ix_(rows, columns)]
    figure = style.canvas(0.27 * len(rows) + 1.5)
    axes, reach = figure.subplots(), float(np.nanmax(np.abs(cells), initial=0.0)) or 1.0
    drawn = axes.imshow(cells, cmap=around_zero(), vmin=-reach, vmax=reach, aspect="auto")
    axes.set_xticks(range(len(columns)), [style.label(facts.columns[c], 14) for c in columns], rotation=60, ha="right")
    axes.set_yticks(range(len(rows)), [f"row {j}: {style.label(name(facts, j), 14)}" for j in rows])
    axes.tick_params(length=0, labelsize=8.5, colors=style.INK)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(facts.unit, fontsize=9)
    bar.ax.tick_params(labelsize=8.5)
    return figure


def strongest(values: Float[np.ndarray, " n"], most: int) -> list[int]:
    """Return the entries that are largest, up or down, at most so many.

    >>> strongest(np.array([0.1, -0.5, 0.3]), 2)
    [1, 2]
    """
    return [int(j) for j in np.argsort(-np.abs(values), kind="stable")[:most]]


def by_class(facts: TaskFacts, shown: list[int]) -> list[int]:
    """Order teaching examples by what is true of them."""
    return shown if facts.classes is None else sorted(shown, key=lambda j: int(facts.support_y[j]))


def name(facts: TaskFacts, j: int) -> str:
    """Say what was taught by example `j`: its class, or its target."""
    if facts.classes is not None:
        return style.label(facts.classes[int(facts.support_y[j])], 16)
    return format(float(np.mean(facts.support_y[j])), ".3g").replace("-", "−")


def place(facts: TaskFacts, j: int) -> str:
    """Say where a teaching example with one input lies, and what it taught there."""
    return f"{style.cell(float(facts.support_x[j, 0]))[:6]} ↦ {name(facts, j)}"


def change(facts: TaskFacts, value: float) -> str:
    """Write what an example gave the score, with its sign and unit."""
    if facts.classes is not None:
        return f"{style.points(value)} points"
    return format(value, "+.2g").replace("-", "−")


def _seen(facts: TaskFacts, value: float) -> float:
    """Return a change that is large enough to be written, else 0."""
    return value if abs(facts.scale * value) >= 0.05 else 0.0
