"""The waterfall: how one prediction was reached, from the base value to the prediction for this row.

The first mark is the base value (the prediction with every column absent); each bar starts at the end of the last one
and adds the contribution of one column; the last mark is the prediction. One bar sums the small contributions.

    start_0 = base,   end_i = start_i + values[i],   start_{i+1} = end_i,   end_last = prediction

A line across the end of a bar is the interval of its contribution. A bar whose interval contains 0 is hollow, because
it is not certain which way the column moved the prediction.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from .. import checks
from ..explanation import Explanation
from ..explanation.html import plural
from . import numbers, style
from .explained import Target, explained, legend
from .unit import Unit, of_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = 0.42  # inches a step: room for a name and, below it, the cell
_MARKS = 25  # letters of all marks below the axis


class Step(NamedTuple):
    """One bar, in the unit of the prediction: the columns that it stands for, its start and its end."""

    columns: tuple[int, ...]
    start: float
    end: float


@functools.singledispatch
def waterfall(
    values: Float[np.ndarray, " d"] | Explanation,
    base: float,
    row: Sequence[object] | np.ndarray,
    names: Sequence[str],
    target: str | Unit,
    top: int = 7,
    reach: Float[np.ndarray, " d"] | None = None,
    noun: str = "column",
) -> Figure:
    """Draw how the cells of one row raise and lower its prediction, from the base value to the prediction.

    `waterfall(e, row=0, target=None, top=7)` draws row number `row` of an `Explanation`. `target` is the name of a
    class; if it is None, the second of two classes is drawn, and of more classes the one that is predicted for the row.
    If a number is predicted, `target` is its name, or its unit: a `mapsto.figures.unit.Amount`. If `e.errors` are
    known, 90 % intervals are drawn, and bars whose interval contains 0 are hollow.

    The parts of a row can be given as arrays too. Then `target` is the name of a class, or a unit. `values` holds the
    contribution of each cell to the prediction, and `names` the names of the columns. `base` is what is predicted if
    all cells are hidden. The largest contributions, at most `top` of them, have a bar each; one more bar shows the sum
    of the other contributions. `reach` holds half the width of the interval of each contribution; if it is None, no
    intervals are drawn. `noun` says what has a contribution, such as "patch".

    Raises:
        MapstoError: if `e` has no such row or target.
    """
    assert not isinstance(values, Explanation)  # its form is registered below
    bars, unit = steps(values, base, top), of_target(target)
    figure = style.canvas(1.0 + _LINE * (len(bars) + 2))
    axes = style.quiet(figure.subplots())
    labels = [f"no {noun} known", *(step_name(bar, names, row, noun) for bar in bars), "prediction"]
    style.rows(axes, labels)
    axes.get_yticklabels()[-1].set_fontweight("bold")
    ends = [base, *(bar.end for bar in bars)]
    reaches = [0.0 if reach is None else reach_of(bar, reach) for bar in bars]
    outer = [end + side * half for end, half in zip(ends, [0.0, *reaches], strict=True) for side in (-1, 1)]
    texts = [unit.within(bar.end - bar.start, half) for bar, half in zip(bars, reaches, strict=True)]
    texts += [unit.amount(ends[0]), unit.amount(ends[-1])]
    room(axes, unit.factor * np.array(outer), max(map(len, texts)), unit.step, unit.range)
    for height, (bar, half) in enumerate(zip(bars, reaches, strict=True), start=1):
        step_bar(axes, bar, height, unit, half)
        joint = [unit.factor * bar.end] * 2
        axes.plot(joint, [height - 0.28, height + 1], color=style.NEUTRAL, linewidth=0.8, zorder=2)
    _mark(axes, 0, ends[0], unit, bold=False)
    _mark(axes, len(bars) + 1, ends[-1], unit, bold=True)
    axes.set_xlabel(unit.axis(), fontsize=9.5, color=style.INK)
    return figure


@waterfall.register(Explanation)
def _(e: Explanation, row: int = 0, target: Target = None, top: int = 7) -> Figure:
    rows = f"the number of a row, from 0 to {len(e) - 1}" if len(e) else "an explanation with rows"
    checks.expect(isinstance(row, int | np.integer) and 0 <= row < len(e), "row", repr(row), rows)
    one = e[int(row)]
    part = explained(one, target)
    reach = None if part.reach is None else part.reach[0]
    parts = part.values[0], float(part.bases[0]), one.data[0], one.feature_names
    figure = waterfall(*parts, part.unit, top, reach, one.noun)
    figure.axes[0].set_xlabel("\n".join(filter(None, (part.unit.axis(), part.note))))
    return style.caption(figure, *legend(one, part))


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


def reach_of(bar: Step, reach: Float[np.ndarray, " d"]) -> float:
    """Return half the width of the interval of one column; 0 for a sum, whose interval is not known."""
    return float(reach[bar.columns[0]]) if len(bar.columns) == 1 else 0.0


def step_name(bar: Step, names: Sequence[str], row: Sequence[object] | np.ndarray | None, noun: str = "column") -> str:
    """Name the columns that a bar stands for, in two lines with the cell of `row`, in one if there is no row."""
    if len(bar.columns) == 1:
        (column,) = bar.columns
        name = style.label(style.distinct(names)[column])
        return name if row is None else f"{name}\n= {style.label(numbers.cell(row[column], 20))}"
    if row is None:
        return f"{len(bar.columns)} others, summed"
    return f"{'all' if len(bar.columns) == len(names) else 'the other'} {len(bar.columns)} {plural(noun)},\nsummed"


def room(
    axes: Axes,
    ends: Float[np.ndarray, " s"],
    letters: int,
    step: float,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> None:
    """Leave room for numbers of so many letters beside the bars; show at least twenty steps, two percentage points."""
    span = max(ends.max() - ends.min(), 20 * step)
    low, high = limits
    centre = (ends.max() + ends.min()) / 2
    half = span / 2 / (1 - 2 * min(0.04 + 0.026 * letters, 0.42))
    axes.set_xlim(centre - half, centre + half)
    ticks = [tick for tick in axes.get_xticks() if low - 1e-9 <= tick <= high + 1e-9]  # else -10 % may be marked
    ticks = [tick for tick in ticks if abs(tick - centre) <= half]
    crowded = sum(len(f"{tick:g}") for tick in ticks) > _MARKS
    axes.set_xticks(ticks[::2] if crowded else ticks)
    axes.set_xlim(centre - half, centre + half)


def step_bar(axes: Axes, bar: Step, height: int, unit: Unit, reach: float) -> None:
    """Draw a bar with its number, and the interval of its contribution at its end."""
    change = bar.end - bar.start
    up, colour, certain = change >= 0, style.direction(change), reach < abs(change)
    left, length, end, half = (unit.factor * part for part in (bar.start, change, bar.end, reach))
    face = colour if certain else "none"
    axes.barh(height, length, left=left, height=0.56, color=face, edgecolor=colour, linewidth=1, zorder=3)
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
