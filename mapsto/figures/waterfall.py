"""The waterfall: how one prediction was reached, from the base value to the prediction for this row.

The first mark is the base value (the prediction with every column absent); each bar starts at the end of the last one
and adds the contribution of one column; the last mark is the prediction. One bar sums the small contributions.

    start_0 = base,   end_i = start_i + values[i],   start_{i+1} = end_i,   end_last = prediction

A line across the end of a bar is the interval of its contribution. A bar whose interval contains 0 is hollow, because
it is not certain which way the column moved the prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from . import numbers, style
from .unit import Unit, of_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = 0.42  # inches a step: room for a name and, below it, the cell


class Step(NamedTuple):
    """One bar, in the unit of the prediction: the columns that it stands for, its start and its end."""

    columns: tuple[int, ...]
    start: float
    end: float


def waterfall(
    values: Float[np.ndarray, " d"],
    base: float,
    row: Sequence[object] | np.ndarray,
    names: Sequence[str],
    target: str | Unit,
    top: int = 7,
    reach: Float[np.ndarray, " d"] | None = None,
) -> Figure:
    """Draw how the cells of `row` raise and lower the probability of class `target`, from `base` to the prediction.

    If a number is predicted, `target` is its unit, a `mapsto.figures.unit.Amount`. `values` holds the contribution of
    each cell to the prediction. `names` holds the names of the columns. `base` is what is predicted if all cells are
    hidden. The largest contributions, at most `top` of them, have a
    bar each; one more bar shows the sum of the other contributions. `reach` holds half the width of the interval of
    each contribution; if it is None, no intervals are drawn.
    """
    bars, unit = steps(values, base, top), of_target(target)
    figure = style.canvas(1.0 + _LINE * (len(bars) + 2))
    axes = style.quiet(figure.subplots())
    short = style.distinct(names)
    labels = ["no column known", *(_name(bar, short, row) for bar in bars), "prediction"]
    style.rows(axes, labels)
    axes.get_yticklabels()[-1].set_fontweight("bold")
    ends = [base, *(bar.end for bar in bars)]
    reaches = [0.0 if reach is None or len(bar.columns) > 1 else float(reach[bar.columns[0]]) for bar in bars]
    outer = [end + side * half for end, half in zip(ends, [0.0, *reaches], strict=True) for side in (-1, 1)]
    texts = [unit.within(bar.end - bar.start, half) for bar, half in zip(bars, reaches, strict=True)]
    _room(axes, unit.factor * np.array(outer), max(map(len, texts), default=0), unit)
    for height, (bar, half) in enumerate(zip(bars, reaches, strict=True), start=1):
        _bar(axes, bar, height, unit, half)
    _mark(axes, 0, ends[0], unit, bold=False)
    _mark(axes, len(bars) + 1, ends[-1], unit, bold=True)
    axes.set_xlabel(unit.axis(), fontsize=9.5, color=style.INK)
    return figure


def steps(values: Float[np.ndarray, " d"], base: float, top: int = 7) -> list[Step]:
    """Chain the contributions from `base` on: the `top` largest first, then all others in one step.

    >>> [(s.columns, round(s.end, 2)) for s in steps(np.array([0.1, -0.3, 0.05, 0.02]), 0.5, top=2)]
    [((1,), 0.2), ((0,), 0.3), ((2, 3), 0.37)]
    """
    order = [int(j) for j in np.argsort(-np.abs(values), kind="stable") if values[j] != 0]
    top = len(order) if len(order) == top + 1 else top  # a rest of one column deserves its own name
    groups = [(j,) for j in order[:top]]
    rest = tuple(sorted({*range(len(values))} - {*order[:top]}))
    groups += [rest] if rest else []
    ends = base + np.cumsum([sum(float(values[j]) for j in group) for group in groups])
    starts = [base, *ends[:-1].tolist()]
    return [Step(group, start, float(end)) for group, start, end in zip(groups, starts, ends, strict=True)]


def _name(bar: Step, names: Sequence[str], row: Sequence[object] | np.ndarray) -> str:
    if len(bar.columns) == 1:
        (column,) = bar.columns
        return f"{style.label(names[column])}\n= {style.label(numbers.cell(row[column], 20))}"
    return f"{'all' if len(bar.columns) == len(row) else 'the other'} {len(bar.columns)} columns,\nsummed"


def _room(axes: Axes, ends: Float[np.ndarray, " s"], letters: int, unit: Unit) -> None:
    """Leave room for numbers of so many letters beside the bars; show at least twenty steps, two percentage points."""
    span = max(ends.max() - ends.min(), 20 * unit.step)
    low, high = unit.range
    centre = (ends.max() + ends.min()) / 2
    half = span / 2 / (1 - 2 * min(0.03 + 0.023 * letters, 0.4))
    axes.set_xlim(centre - half, centre + half)
    axes.set_xticks(
        [tick for tick in axes.get_xticks() if low - 1e-9 <= tick <= high + 1e-9]
    )  # else -10 % may be marked
    axes.set_xlim(centre - half, centre + half)


def _bar(axes: Axes, bar: Step, height: int, unit: Unit, reach: float) -> None:
    change = bar.end - bar.start
    up, colour, certain = change >= 0, style.direction(change), reach < abs(change)
    left, length, end, half = (unit.factor * part for part in (bar.start, change, bar.end, reach))
    face = colour if certain else "none"
    axes.barh(height, length, left=left, height=0.56, color=face, edgecolor=colour, linewidth=1, zorder=3)
    axes.plot([end] * 2, [height - 0.28, height + 1], color=style.NEUTRAL, linewidth=0.8, zorder=2)
    if half >= unit.step / 2:
        axes.errorbar(end, height, xerr=half, color=style.INK, linewidth=1, capsize=2.5, zorder=4)
    outer = max(left, end + half) if up else min(left, end - half)
    axes.annotate(
        unit.within(change, reach),
        (outer, height),
        xytext=(4 if up else -4, 0),
        textcoords="offset points",
        ha="left" if up else "right",
        va="center",
        fontsize=9.5,
        color=style.INK,
    )


def _mark(axes: Axes, height: int, prediction: float, unit: Unit, bold: bool) -> None:
    at = unit.factor * prediction
    axes.plot([at], [height], marker="D", markersize=6.5, color=style.INK, zorder=4)
    if height == 0:
        axes.plot([at, at], [0, 1], color=style.NEUTRAL, linewidth=0.8, zorder=2)
    axes.annotate(
        style.label(unit.amount(prediction), 32),
        (at, height),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=10,
        fontweight="bold" if bold else "normal",
        color=style.INK,
    )
