"""The beeswarm: on the line of each column every row is a dot, as far from zero as the column moved its prediction.

Of more than 1,000 rows, a line shows how many lie where (`density`), because dots would hide one another.

A contribution whose sign is not certain is pale.

A column of numbers is coloured from low (blue) to high (orange) by rank; a column of categories gets one line per
category; an empty cell is a hollow grey dot at zero. Columns beyond the largest few are summed, per row, on a last
line.

    x[i, j] = factor * values[i, j]        percentage points (factor 100), or the unit of a predicted number (factor 1)

Columns are ordered by mean_i |values[i, j]|.

Reference: Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees",
Fig. 4.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .. import checks
from ..explanation import Explanation
from ..explanation.html import plural
from . import density, numbers, style
from .explained import Target, explained
from .unit import Unit, of_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

MANY = 1000  # rows, beyond which a line shows their density
_LINE = 0.34  # inches
PALE = 0.3


class Line(NamedTuple):
    """One line of the picture: the contributions of some rows, and their colours."""

    text: str
    x: Float[np.ndarray, " n"]  # percentage points, or the unit of the number
    shade: Float[np.ndarray, " n"] | None = None  # rank of the cell in its column, 0 low to 1 high; None: no order
    missing: Bool[np.ndarray, " n"] | None = None  # whether the cell is empty
    pale: Bool[np.ndarray, " n"] | None = None  # whether the sign of the contribution is not certain


@functools.singledispatch
def beeswarm(
    values: Float[np.ndarray, "n d"] | Explanation,
    data: np.ndarray,
    names: Sequence[str],
    target: str | Unit,
    top: int = 10,
    limits: tuple[float, float] | None = None,
    order: Int[np.ndarray, " d"] | None = None,
    uncertain: Bool[np.ndarray, "n d"] | None = None,
    noun: str = "column",
) -> Figure:
    """Draw the contribution of each cell of a table to the predictions of its rows, one dot for each cell.

    `beeswarm(e, target=None, top=10)` draws an `Explanation`. `target` is the name of a class; if it is None, the
    second of two classes is drawn, and of more classes the one with the largest total importance. If a number is
    predicted, `target` is its name, or its unit: a `mapsto.figures.unit.Amount`. If `e.errors` are known, contributions
    whose 90 % interval contains 0 are pale.

    The parts can be given as arrays too. Then `target` is the name of a class, or a unit. `values` holds the
    contributions to the probability (0.07 = 7 percentage points) or to the number, and `names` the names of the
    columns. The columns with the largest mean absolute contributions, at most `top` of them, have a line each; one more
    line shows the sum of the other columns. Of more than 1,000 rows, the number of contributions of each size is drawn
    instead of dots, in the mean colour of the cells. To compare pictures of several classes, pass the same `order` of
    the columns and the same `limits` of the horizontal axis (in percentage points) for all of them. If `order` or
    `limits` is None, it is chosen from `values`. `uncertain` tells which contributions are drawn pale; if it is None,
    none is. `noun` says what has a contribution, such as "patch".

    Raises:
        MapstoError: if no row is given, or `e` has no such target.
    """
    assert not isinstance(values, Explanation)  # its form is registered below
    some = "at least one explained row"
    checks.expect(len(values) > 0, "values", "no rows", some, "explain some rows first")
    unit = of_target(target)
    drawing = lines(values, data, names, top, order, unit.factor, uncertain, noun)
    figure = style.canvas(1.55 + _LINE * len(drawing))
    axes = style.rows(style.quiet(figure.subplots()), [line.text for line in drawing])
    axes.set_xlim(*(limits or reach(np.concatenate([line.x for line in drawing]), 1.0)))
    axes.axvline(0, color=style.MUTED, linewidth=1.2, zorder=1)
    for height, line in enumerate(drawing):
        if len(values) > MANY:
            _bars(axes, line, height)
        else:
            _dots(axes, line, height, size=float(np.clip(2000 / len(values), 11, 26)))
    axes.set_xlabel(unit.axis_of_changes("contribution to"), fontsize=9.5, color=style.INK)
    _legend(figure, axes, drawing)
    return figure


@beeswarm.register(Explanation)
def _(e: Explanation, target: Target = None, top: int = 10) -> Figure:
    part = explained(e, target)
    look: dict[str, Any] = {"uncertain": part.uncertain, "noun": e.noun}
    figure = beeswarm(part.values, e.shades, e.feature_names, part.unit, top, **look)
    figure.axes[0].set_xlabel(part.axis_of_changes("contribution to"))
    return figure


def lines(
    values: Float[np.ndarray, "n d"],
    data: np.ndarray,
    names: Sequence[str],
    top: int = 10,
    order: Int[np.ndarray, " d"] | None = None,
    factor: float = 100.0,
    uncertain: Bool[np.ndarray, "n d"] | None = None,
    noun: str = "column",
) -> list[Line]:
    """Split `values` into the picture's lines; every row appears once per shown column, and once in the summed rest."""
    order = ranking(values) if order is None else order
    cells = np.asarray(data, dtype=object)
    top = len(order) if len(order) == top + 1 else top  # a rest of one column deserves its own name
    short = style.distinct(names)
    pale = np.zeros(values.shape, bool) if uncertain is None else uncertain
    parts = [line for j in order[:top] for line in _column(short[j], factor * values[:, j], cells[:, j], pale[:, j])]
    rest = order[top:]
    if len(rest):
        parts.append(Line(f"{len(rest)} other {plural(noun)}, summed", factor * values[:, rest].sum(1)))
    return parts


def ranking(values: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " d"]:
    """Order the columns by mean absolute contribution, the largest first; ties keep the table's order."""
    return np.argsort(-np.abs(values).mean(0), kind="stable")


def reach(values: np.ndarray, factor: float = 100.0) -> tuple[float, float]:
    """Return the horizontal range: all of `values` times `factor`, zero, and a margin."""
    low, high = min(0.0, factor * values.min()), max(0.0, factor * values.max())
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def stack(
    x: Float[np.ndarray, " n"], width: float, step: float = 0.13, tallest: float = 0.4
) -> Float[np.ndarray, " n"]:
    """Move dots nearer to each other than `width` up and down in turn, at most `tallest` from their line."""
    place = np.zeros(len(x))
    bins = np.round(x / width).astype(int)
    for number in np.unique(bins):
        members = np.flatnonzero(bins == number)
        turn = np.arange(len(members))
        place[members] = (turn + 1) // 2 * np.where(turn % 2, 1, -1)  # 0, 1, -1, 2, -2, ...
    return place * min(step, tallest / max(1.0, np.abs(place).max(initial=0)))


def _column(name: str, x: Float[np.ndarray, " n"], cells: np.ndarray, pale: Bool[np.ndarray, " n"]) -> list[Line]:
    """Make the lines of one column: one for numbers, one per category otherwise."""
    missing = np.array([numbers.is_missing(value) for value in cells])
    floats = numbers.as_floats(cells)
    if floats is None:
        return _categories(style.label(name, 14), x, cells, missing, pale)
    return [Line(style.label(name), x, ranks(floats), missing, pale)]


def _categories(
    short: str, x: np.ndarray, cells: np.ndarray, missing: np.ndarray, pale: np.ndarray, most: int = 3
) -> list[Line]:
    """Give the `most` frequent categories a line each, the others one together, the empty cells the last."""
    keys = np.array([None if gone else str(value) for value, gone in zip(cells, missing, strict=True)], dtype=object)
    frequent = [key for key, _ in Counter(keys[~missing]).most_common()]
    named = frequent if len(frequent) <= most + 1 else frequent[:most]
    parts = [(style.label(text), keys == key) for text, key in zip(style.distinct(named, 13), named, strict=True)]
    rest = ~missing & ~np.isin(keys, named)
    parts += [(f"{len(frequent) - len(named)} others", rest), (numbers.missing_name(named), missing)]
    return [Line(f"{short}: {text}", x[mine], None, missing[mine], pale[mine]) for text, mine in parts if mine.any()]


def ranks(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the mean rank of each number among the column's numbers, scaled to [0, 1]; a constant column is 0.5."""
    ordered = np.sort(x[~np.isnan(x)])
    if len(ordered) == 0 or ordered[0] == ordered[-1]:
        return np.full(len(x), 0.5)
    middle = np.searchsorted(ordered, x, "left") + np.searchsorted(ordered, x, "right")
    low, high = np.sum(ordered == ordered[0]), 2 * len(ordered) - np.sum(ordered == ordered[-1])
    return (middle - low) / (high - low)


def _dots(axes: Axes, line: Line, height: int, size: float) -> None:
    """Draw the dots of one line, each with an area of `size` square points."""
    low, high = axes.get_xlim()
    heights = height + stack(line.x, width=(high - low) / 75)
    empty = np.zeros(len(line.x), dtype=bool) if line.missing is None else line.missing
    hollow = {"facecolors": "white", "edgecolors": style.NEUTRAL, "linewidths": 0.9}
    filled: dict[str, Any] = {"color": style.MUTED, "linewidths": 0}
    if line.shade is not None:
        filled = {"cmap": style.low_to_high(), "vmin": 0, "vmax": 1, "linewidths": 0}
    pale = np.zeros(len(line.x), dtype=bool) if line.pale is None else line.pale
    for mine, look in ((empty, hollow), (~empty & pale, {**filled, "alpha": PALE}), (~empty & ~pale, filled)):
        if mine.any():
            shade = {} if line.shade is None or look is hollow else {"c": line.shade[mine]}
            axes.scatter(line.x[mine], heights[mine], s=size, zorder=3, rasterized=len(line.x) > 150, **look, **shade)


def _bars(axes: Axes, line: Line, height: int) -> None:
    """Draw the density of one line: of its cells, and of its empty cells as outlines, both on one scale."""
    from matplotlib.colors import to_rgba

    n = len(line.x)
    shade = np.zeros(n) if line.shade is None else line.shade
    empty, pale = (np.zeros(n, bool) if part is None else part for part in (line.missing, line.pale))
    fullest = int(density.bars(line.x, axes.get_xlim(), np.zeros(n), pale).rows.max())
    for mine, hollow in ((~empty, False), (empty, True)):
        if not mine.any():
            continue
        found = density.bars(line.x[mine], axes.get_xlim(), shade[mine], pale[mine], fullest)
        shown = density.drawn(found, height)
        if hollow:
            shown.set(facecolor="none", edgecolor=style.NEUTRAL, linewidth=0.9)
        else:
            plain = np.tile(to_rgba(style.MUTED), (len(found.x), 1))
            colours = plain if line.shade is None else style.low_to_high()(found.shade)
            colours[:, 3] = 1 - (1 - PALE) * found.pale
            shown.set(facecolor=colours, linewidth=0)
        axes.add_collection(shown, autolim=False)


def _legend(figure: Figure, axes: Axes, drawing: Sequence[Line]) -> None:
    """Explain the colours: a bar from low to high, and marks for categories, sums and missing cells."""
    from matplotlib.lines import Line2D

    if any(line.shade is not None and (line.missing is None or not line.missing.all()) for line in drawing):
        high_and_low(figure, axes, location="bottom", shrink=0.62)
    marks = []
    if any(line.shade is None for line in drawing):
        marks.append(Line2D([], [], marker="o", ls="", ms=4, color=style.MUTED, label="category or sum"))
    if any(line.missing is not None and line.missing.any() for line in drawing):
        marks.append(Line2D([], [], marker="o", ls="", ms=4, mfc="white", mec=style.NEUTRAL, label="missing"))
    if any(line.pale is not None and line.pale.any() for line in drawing):
        marks.append(Line2D([], [], marker="o", ls="", ms=4, color=style.MUTED, alpha=PALE, label="sign not certain"))
    if marks:
        figure.legend(handles=marks, loc="outside lower center", ncols=3, fontsize=9, frameon=False)


def high_and_low(figure: Figure, axes: Axes, location: Literal["bottom", "right"], shrink: float) -> Colorbar:
    """Add the bar of colours from a low to a high value beside `axes`."""
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(
        ScalarMappable(cmap=style.low_to_high()), ax=axes, location=location, shrink=shrink, aspect=30
    )
    bar.set_ticks([0, 1], labels=["low value", "high value"])
    bar.ax.tick_params(length=0, labelsize=9, pad=2)
    bar.outline.set_visible(False)
    return bar
