"""Influence: which training rows pushed one prediction up, and which pushed it down.

The push of a training row is the prediction with all training rows minus the prediction with this row deleted (its
weight set to zero, the others unchanged).

    push[j] = p(w) - p(w with w_j = 0) = -change_when_deleted[j]

Reference: Cook & Weisberg 1982, "Residuals and Influence in Regression", case deletion, ch. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from .. import checks
from . import style
from .unit import Unit, of_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = 0.3  # inches a training row


def influence(change: Float[np.ndarray, " n_train"], labels: Sequence[str], target: str | Unit, top: int = 4) -> Figure:
    """Draw the training rows that raise the probability of class `target` most, and the rows that lower it most.

    If a number is predicted, `target` is its unit, a `mapsto.figures.unit.Amount`. For each training row, `change`
    holds the change of the prediction if this row is deleted, as `influence` of the estimator returns it. `labels`
    holds the names of the training rows. `top` is the largest number of rows to draw of each kind.

    Raises:
        MapstoError: if there is no training row.
    """
    checks.expect(len(change) > 0, "change", "no training rows", "at least one", "fit on some rows first")
    return pushes(-np.asarray(change, dtype=float), labels, target, top)


def pushes(push: Float[np.ndarray, " n_train"], labels: Sequence[str], target: str | Unit, top: int = 4) -> Figure:
    """Draw the strongest pushes of training rows on the prediction, as `influence` does."""
    order = strongest(push, top)
    figure = style.canvas(0.95 + _LINE * len(order))
    axes = style.rows(style.quiet(figure.subplots()), [style.label(labels[j], 26) for j in order])
    bars, unit = push[order], of_target(target)
    axes.barh(range(len(order)), unit.factor * bars, height=0.6, color=[style.direction(p) for p in bars], zorder=3)
    axes.axvline(0, color=style.MUTED, linewidth=1.2, zorder=4)
    reach = max(unit.factor * np.abs(bars).max(), unit.step)
    axes.set_xlim(-1.35 * reach if bars.min() < 0 else -0.12 * reach, 1.35 * reach)
    for height, length in enumerate(bars):
        _number(axes, height, length, unit)
    axes.set_xlabel(unit.axis_of_changes("push on"), fontsize=9.5, color=style.INK)
    return figure


def strongest(push: Float[np.ndarray, " n_train"], top: int = 4) -> list[int]:
    """Return the rows that push up most (largest first), then those that push down (largest last).

    >>> strongest(np.array([0.01, -0.2, 0.3, 0.0, -0.1]), top=1)
    [2, 1]
    """
    order = np.argsort(-push, kind="stable")
    up = [int(j) for j in order[:top] if push[j] > 0]
    down = [int(j) for j in order[-top:] if push[j] < 0]
    return [*up, *down] or [int(j) for j in order[:top]]


def _number(axes: Axes, height: int, push: float, unit: Unit) -> None:
    up = push >= 0
    axes.annotate(
        unit.small(push),
        (unit.factor * push, height),
        xytext=(4 if up else -4, 0),
        textcoords="offset points",
        ha="left" if up else "right",
        va="center",
        fontsize=9.5,
        color=style.INK,
    )
