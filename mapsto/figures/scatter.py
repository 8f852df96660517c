"""One column of an explanation: the contribution of each of its cells against the cell.

Numbers stand at their value, words of a category in groups, and missing cells apart. Dots may be coloured by another
column; where cells of one value have different contributions, the other column can show why.

Reference: Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees",
Fig. 5, "SHAP dependence plots".
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from .. import checks
from ..explanation import Explanation
from . import numbers, style
from .beeswarm import PALE, high_and_low, ranks, stack
from .colours import of_class
from .explained import Target, explained
from .outputs import framed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GROUPS = 6  # categories that are named
_OPAQUE = 0.8
_FAR = 100  # times the width of the middle half of the numbers; beyond it, dots stand at the edge
_LETTERS = 40  # of all labels below an axis


def scatter(e: Explanation, column: Any, target: Target = None, colour: Any = None) -> Figure:
    """Draw the contribution of each cell of a column against the cell.

    Args:
        e: the explanation. Contributions whose 90 % interval contains 0 are pale if `e.errors` are known.
        column: the name of the column, or its place, counted from 0. Words of a category are drawn in groups, the most
            frequent first. Missing cells stand apart, and so do numbers that are very far from all others.
        target: the name of a class, or of a predicted number, or the `mapsto.figures.unit.Amount` of the number. If
            None, the second of two classes is drawn; of more classes, the one with the largest total importance.
        colour: the name or the place of another column, by which dots are coloured: numbers from low (blue) to high
            (orange) by rank, categories in one colour each, missing cells grey.

    Raises:
        MapstoError: if `e` has no rows, or no such target or column.
    """
    j = checks.place(list(e.feature_names), column=column)
    other = None if colour is None else checks.place(list(e.feature_names), colour=colour)
    part, names = explained(e, target), style.distinct(e.feature_names)
    cells = _cells(e)
    y = part.unit.factor * part.values[:, j]
    figure = style.canvas(3.7)
    axes = framed(figure.subplots())
    axes.axhline(0, color=style.MUTED, linewidth=1.2, zorder=1)
    colours = np.tile(_rgba(style.MUTED), (len(e), 1))
    if other is not None:
        colours = _coloured(figure, axes, cells[:, other], names[other])
    if part.uncertain is not None and part.uncertain[:, j].any():
        colours[part.uncertain[:, j], 3] = PALE
        axes.scatter([], [], color=[(*_rgba(style.MUTED)[:3], PALE)], label="sign not certain")
    write = numbers.days if (e.kinds or [""] * (j + 1))[j] == "date" else numbers.ticks
    place = _words if numbers.as_floats(cells[:, j]) is None else functools.partial(_numbers, write=write)
    size = float(np.clip(3000 / len(e), 7, 26))
    if np.ptp(y) < part.unit.step:
        axes.set_ylim(y.min() - 10 * part.unit.step, y.max() + 10 * part.unit.step)
    axes.scatter(place(axes, cells[:, j], y), y, s=size, c=colours, linewidths=0, zorder=3, rasterized=len(e) > 150)
    axes.set_xlabel(style.label(names[j]), fontsize=9.5, color=style.INK)
    axes.set_ylabel(part.axis_of_changes("contribution to"), fontsize=9.5, color=style.INK)
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=3, handletextpad=0.2)
    return figure


def _cells(e: Explanation) -> Shaped[np.ndarray, "n d"]:
    """Return the cells by which dots are placed and coloured: numbers, and words, also of categories with an order."""
    cells = e.shades
    ordered = [j for j, kind in enumerate(e.kinds or ()) if kind == "ordered"]
    cells[:, ordered] = e.data[:, ordered]
    return cells


def _numbers(
    axes: Axes, cells: np.ndarray, y: Float[np.ndarray, " n"], write: Callable[[np.ndarray], list[str]]
) -> Float[np.ndarray, " n"]:
    """Return the places of a column of numbers, missing and far ones beside all others, and mark the axis."""
    x = np.array(numbers.as_floats(cells))
    if np.isnan(x).all():
        return _grouped(axes, np.zeros(len(x), int), ["missing"], y)
    low, high = _range(x)
    span = (high - low) or max(1.0, 1e-3 * abs(low))
    left, right = low - 0.05 * span, high + 0.05 * span
    ticks, labels = _ticks(low, high, write)
    for mine, name, side in ((x < low, "smaller", -1), (np.isnan(x), "missing", -1), (x > high, "larger", 1)):
        if mine.any():
            edge = left if side < 0 else right
            axes.axvline(edge + 0.02 * side * span, color=style.NEUTRAL, linewidth=0.8)
            strip = edge + 0.11 * side * span
            x[mine] = strip + 0.15 * span * stack(y[mine], _bin(y))
            ticks, labels = ([strip, *ticks], [name, *labels]) if side < 0 else ([*ticks, strip], [*labels, name])
            left, right = min(left, strip - 0.09 * span), max(right, strip + 0.09 * span)
    axes.set_xlim(left, right)
    axes.set_xticks(ticks, labels)
    return x


def _range(x: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Return the least and the largest finite number that is not far from the middle half of them.

    If the middle half is one value, such as 0, the others are measured by their median distance from it.
    """
    finite = x[np.isfinite(x)]
    if not len(finite):
        return 0.0, 0.0
    first, third = np.quantile(finite, [0.25, 0.75])
    others = finite[finite != first]
    spread = third - first or (np.median(np.abs(others - first)) if len(others) else 0.0)
    reach = _FAR * spread
    near = finite[(finite >= first - reach) & (finite <= third + reach)]
    return float(near.min()), float(near.max())


def _ticks(low: float, high: float, write: Callable[[np.ndarray], list[str]]) -> tuple[list[float], list[str]]:
    """Return at most five round numbers from low to high, fewer if their labels are long, and the labels."""
    from matplotlib.ticker import MaxNLocator

    if low == high:
        return [low], write(np.array([low]))
    margin = 0.05 * (high - low)
    for count in (5, 4, 3, 2):
        ticks = np.asarray(MaxNLocator(count).tick_values(low, high))
        ticks = ticks[(ticks >= low - margin) & (ticks <= high + margin)]
        labels = write(ticks)
        if sum(map(len, labels)) <= _LETTERS:
            break
    return list(ticks), labels


def _words(axes: Axes, cells: np.ndarray, y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the places of a column of words, missing ones right of all others."""
    return _grouped(axes, *groups(cells), y)


def _grouped(
    axes: Axes, group: Int[np.ndarray, " n"], names: list[str], y: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Return the places of dots around the middles of their groups, side by side, and name the groups."""
    turned = max(map(style.width, names)) * len(names) > 36
    axes.set_xticks(range(len(names)), names, rotation=30 if turned else 0, ha="right" if turned else "center")
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(axis="x", visible=False)
    x = group.astype(float)
    for g in range(len(names)):
        x[group == g] += stack(y[group == g], _bin(y), step=0.05)
    return x


def _bin(y: Float[np.ndarray, " n"]) -> float:
    """Return the height within which dots would hide one another."""
    return float(np.ptp(y)) / 50 or 1.0


def groups(cells: np.ndarray, most: int = _GROUPS) -> tuple[Int[np.ndarray, " n"], list[str]]:
    """Return the group of each cell and the groups' names: the `most` frequent words, the others, the missing cells.

    >>> groups(np.array(["b", None, "a", "b", "c"], object), most=1)
    (array([0, 2, 1, 0, 1]), ['b', '2 others', 'missing'])
    """
    words = [None if numbers.is_missing(cell) else str(cell) for cell in cells]
    frequent = [word for word, _ in Counter(word for word in words if word is not None).most_common()]
    named = frequent if len(frequent) <= most + 1 else frequent[:most]
    rest = len(frequent) - len(named)
    names = [*map(style.label, style.distinct(named, 14)), *[f"{rest} others"] * (rest > 0)]
    place = {word: min(g, len(names) - 1) for g, word in enumerate(frequent)} | {None: len(names)}
    return np.array([place[word] for word in words]), [*names, *[numbers.missing_name(named)] * (None in words)]


def _coloured(figure: Figure, axes: Axes, cells: np.ndarray, name: str) -> Float[np.ndarray, "n 4"]:
    """Return the colours of dots by the cells of another column, and explain them beside the picture."""
    floats = numbers.as_floats(cells)
    if floats is not None and np.isfinite(floats).any():
        colours = style.low_to_high()(ranks(floats), alpha=_OPAQUE)
        colours[~np.isfinite(floats)] = _rgba(style.NEUTRAL)
        high_and_low(figure, axes, location="right", shrink=1.0).set_label(style.label(name), fontsize=9)
        return colours
    group, names = groups(cells)
    missing = {g for g, cell in zip(group, cells, strict=True) if numbers.is_missing(cell)}
    shown = [_rgba(style.NEUTRAL if g in missing else of_class(g)[0]) for g in range(len(names))]
    for text, look in zip(names, shown, strict=True):
        axes.scatter([], [], color=[look], label=text)
    return np.array(shown)[group]


def _rgba(colour: str) -> tuple[float, float, float, float]:
    from matplotlib.colors import to_rgba

    return to_rgba(colour, _OPAQUE)
