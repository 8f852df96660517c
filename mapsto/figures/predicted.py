"""Predicted against true numbers: each row is a dot, and the line through it is the interval of the prediction.

    x = prediction, from low to high;   y = true outcome;   on the diagonal, the prediction was right

An interval that holds reaches the diagonal at the height of its outcome; a row outside its interval is orange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from .. import checks
from . import style
from .unit import Amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 400  # rows that are drawn: more would hide each other

Numbers = Float[np.ndarray, " n"]


def predicted(true: Numbers, predictions: Numbers, low: Numbers, high: Numbers, unit: Amount) -> tuple[Figure, int]:
    """Draw predictions with their intervals from `low` to `high` against the true outcomes.

    Return the picture and the number of rows in it: of more than 400, a random sample is drawn.

    Raises:
        MapstoError: if there is no row.
    """
    checks.expect(len(true) > 0, "true", "no rows", "at least one row whose outcome is known")
    rows = np.sort(np.random.default_rng(0).permutation(len(true))[:_MOST])
    y, x, left, right = (part[rows] for part in (true, predictions, low, high))
    figure = style.canvas(4.9)
    axes = style.quiet(figure.subplots())
    axes.grid(axis="y", color=style.GRID, linewidth=0.8)
    outside = (y < left) | (y > right)
    _rows(axes, x, y, left, right, outside)
    _frame(axes, np.concatenate([x, y]), np.concatenate([left, right]))
    axes.set_xlabel(f"predicted {unit.axis()}", fontsize=9.5, color=style.INK)
    axes.set_ylabel(f"true {unit.axis()}", fontsize=9.5, color=style.INK)
    figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=1, handletextpad=0.5)
    return figure, len(rows)


def _rows(axes: Axes, x: Numbers, y: Numbers, left: Numbers, right: Numbers, outside: Bool[np.ndarray, " n"]) -> None:
    looks = ((~outside, style.LOWER, "inside the 90 % interval"), (outside, style.HIGHER, "outside it"))
    for rows, colour, name in looks:
        if not rows.any():
            continue
        axes.hlines(y[rows], left[rows], right[rows], color=colour, linewidth=0.9, alpha=0.35, zorder=2)
        label = f"{rows.sum():,} {name}"
        axes.scatter(x[rows], y[rows], s=18, color=colour, linewidths=0, zorder=3, label=label)


def _frame(axes: Axes, points: Numbers, intervals: Numbers) -> None:
    """Show all points, and the intervals as far as they do not dwarf the points."""
    span = np.ptp(points) or abs(points[0]) or 1.0
    low = max(intervals.min(), points.min() - span)
    high = min(intervals.max(), points.max() + span)
    axes.plot(
        [low, high], [low, high], linestyle=(0, (4, 3)), color=style.NEUTRAL, linewidth=1.3, label="exactly right"
    )
    margin = 0.03 * (high - low)
    axes.set_xlim(min(low, points.min()) - margin, max(high, points.max()) + margin)
    axes.set_ylim(points.min() - 0.06 * span, points.max() + 0.06 * span)
