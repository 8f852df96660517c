"""The effects of one column on a score: a curve for each row or task and their mean, or accumulated local effects.

Short lines below a curve stand at tenths of the column's values: between two of them lie as many rows. Where they are
far apart, the model was asked about rows unlike any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from . import numbers, style
from .outputs import framed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..explainers.across_tasks.effects import LocalEffects, SingleRows
    from ..explainers.across_tasks.global_explanation import PartialDependence

_CURVES, _LETTERS = 100, 84  # curves that are drawn one by one; letters below an axis, if they are turned


def single_rows(result: SingleRows) -> Figure:
    """Draw the curve of each row, of at most 100 rows, and the mean of all."""
    levels = result.grid.dtype == object  # words, dates or categories
    axes = _canvas(result.column, result.outcome)
    order = np.arange(len(result.grid)) if levels else np.argsort(result.grid, kind="stable")
    x = order if levels else result.grid[order]
    _curves(axes, x, result.curves[:, order], "single rows")
    marker = "o" if levels or len(x) == 1 else ""
    axes.plot(x, result.mean[order], color=style.HIGHER, linewidth=2.4, marker=marker, label="mean of all rows")
    if levels:
        _name_levels(axes, numbers.levels(result.grid, 12))
    else:
        _tenths(axes, np.quantile(result.cells[np.isfinite(result.cells)], np.linspace(0, 1, 11)))
    return _named(axes)


def _name_levels(axes: Axes, names: list[str]) -> None:
    """Name the places 0, 1, … of words, dates or categories; of too many only some, spread evenly."""
    widest = max(map(style.width, names))
    shown = np.unique(np.linspace(0, len(names) - 1, min(len(names), _LETTERS // widest)).round().astype(int))
    turned = widest * len(shown) > 40
    labels = [names[place] for place in shown]
    axes.set_xticks(shown, labels, rotation=30 if turned else 0, ha="right" if turned else "center")


def over_tasks(result: PartialDependence, name: str = "value of the column") -> Figure:
    """Draw the curve of each task, of at most 100 tasks, and their mean with its 95 % interval."""
    axes = _canvas(name, "score")
    _curves(axes, result.grid, result.curves, "single tasks")
    axes.plot(result.grid, result.mean, color=style.HIGHER, linewidth=2.4, label="mean, 95 % interval")
    ends = result.mean - result.interval, result.mean + result.interval
    axes.fill_between(result.grid, *ends, color=style.HIGHER, alpha=0.3, linewidth=0)
    return _named(axes)


def local_effects(result: LocalEffects) -> Figure:
    """Draw the accumulated effects over the column, around their mean of 0."""
    axes = _canvas(result.column, f"effect, mean 0, on the\n{result.outcome}")
    axes.axhline(0, color=style.MUTED, linewidth=1.2)
    known = bool(np.isfinite(result.interval).all())
    name = "effect, 95 % interval" if known else "effect"
    axes.plot(result.edges, result.effects, color=style.HIGHER, linewidth=2.4, label=name)
    ends = result.effects - result.interval, result.effects + result.interval
    if known:
        axes.fill_between(result.edges, *ends, color=style.HIGHER, alpha=0.3, linewidth=0)
    _tenths(axes, result.tenths)
    return _named(axes)


def _canvas(column: str, outcome: str) -> Axes:
    axes = framed(style.canvas(3.2).subplots())
    axes.set_xlabel(style.label(column, 40), fontsize=9.5, color=style.INK)
    axes.set_ylabel("\n".join(style.label(line, 32) for line in outcome.split("\n")), fontsize=9.5, color=style.INK)
    return axes


def _curves(axes: Axes, x: np.ndarray, curves: Float[np.ndarray, "n g"], name: str) -> None:
    """Draw curves as thin lines: all, or some that are spread evenly over the order of their means."""
    order = np.argsort(curves.mean(1), kind="stable")
    if len(order) > _CURVES:
        order = order[np.linspace(0, len(order) - 1, _CURVES).round().astype(int)]
        name = f"{_CURVES} of {len(curves):,} {name}"
    lines: list[Any] = axes.plot(x, curves[order].T, color=style.NEUTRAL, linewidth=0.7, alpha=0.5)
    lines[0].set_label(name)


def _tenths(axes: Axes, at: Float[np.ndarray, " t"]) -> None:
    axes.plot(at, np.zeros(len(at)), "|", color=style.INK, markersize=9, transform=axes.get_xaxis_transform(),
              clip_on=False, label="tenths of the rows")  # fmt: skip


def _named(axes: Axes) -> Figure:
    figure: Any = axes.figure
    figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=2, columnspacing=1.2, handletextpad=0.5)
    return figure
