"""How far methods can be trusted on a model: a dot for each method, beside random values and the size of the input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import numbers, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..estimate import Estimate
    from ..measures.faithfulness.trust import Trust

_BASELINES = (("random", "random values", "--"), ("magnitude", "size of the input", ":"))


def trusted(trust: Mapping[str, Mapping[str, Trust]], measure: str, unit: str) -> Figure:
    """Draw one measure of each method with its 95 % interval, and both baselines as lines through all rows."""
    figure = style.canvas(0.34 * len(trust) + 1.25)
    axes = style.rows(style.quiet(figure.subplots()), [style.label(name, 22) for name in trust])
    for height, measures in enumerate(trust.values()):
        _dot(axes, height, measures[measure].explainer)
    first = next(iter(trust.values()))[measure]
    for (field, label, line), colour in zip(_BASELINES, (style.MUTED, style.HIGHER), strict=True):
        if (baseline := getattr(first, field)) is not None:
            axes.axvline(baseline.mean, color=colour, linestyle=line, linewidth=1.6, label=label)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda x, _: numbers.significant(x, 2))
    axes.set_xlabel(unit, fontsize=9.5, color=style.INK)
    figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=2, columnspacing=1.2)
    return figure


def _dot(axes: Axes, height: int, value: Estimate) -> None:
    if not math.isnan(value.interval):
        ends = value.mean - value.interval, value.mean + value.interval
        axes.plot(ends, (height, height), color=style.LOWER, linewidth=1.6, solid_capstyle="round")
    axes.plot([value.mean], [height], "o", color=style.LOWER, markersize=8, zorder=3)
