"""The learning curve: one quantity a run logged, against the step, with its running median.

If ten or more positive values span more than two orders of magnitude, the axis is logarithmic. Steps at which the
quantity was not finite are marked, because a curve that leaves them out looks healthier than the run was.

    smooth[i] = median(y[i - h .. i + h]),   h = n // 40
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from .. import checks
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curve(steps: Sequence[int | float], y: Sequence[int | float], name: str) -> Figure:
    """Draw `y` at `steps`; raises MapstoError if there are no values."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    checks.expect(len(y) > 0, name, "no values", "at least one logged step")
    at, values = np.asarray(steps, float), np.asarray(y, float)
    finite = np.isfinite(values)
    figure = style.canvas(2.9)
    axes = style.quiet(figure.subplots())
    axes.grid(axis="y", color=style.GRID, linewidth=0.8)
    long = finite.sum() >= 40
    look = {"alpha": 0.3, "linewidth": 0.9} if long else {"linewidth": 1.5, "marker": "o", "markersize": 3.5}
    axes.plot(at[finite], values[finite], color=style.LOWER, **look)
    if long:
        axes.plot(at[finite], smooth(values[finite]), color=style.LOWER, linewidth=1.8, label="running median")
    if finite.sum() >= 10 and values[finite].min() > 0 and values[finite].max() > 100 * values[finite].min():
        axes.set_yscale("log")
    for step in at[~finite]:
        axes.axvline(step, color=style.HIGHER, linewidth=1.2, linestyle=":")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("step", fontsize=9.5, color=style.INK)
    axes.set_ylabel(style.label(name, 30), fontsize=9.5, color=style.INK)
    return figure


def smooth(y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the running median of `y`, over a window of a twentieth of its length that shrinks at the ends."""
    half = len(y) // 40
    return np.array([np.median(y[max(0, i - half) : i + half + 1]) for i in range(len(y))])
