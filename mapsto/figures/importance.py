"""The importance of columns over tasks: a bar for each mean |attribution|, with its 95 % interval.

The colour is that of the mean attribution: orange raised the score on average and blue lowered it. It is grey if the
interval of the mean attribution contains 0, or is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from .. import checks
from . import style
from .interactions import of_matrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..explainers.across_tasks.global_explanation import GlobalImportance

_BARS = 12  # that are drawn


def importance(result: GlobalImportance, names: Sequence[object] | None = None) -> Figure:
    """Draw the importance of the columns, the largest first; of pairs of columns, the matrix of their importance."""
    count = len(result.importance)
    names = [f"column {j}" for j in range(count)] if names is None else names
    checks.expect(len(names) == count > 0, "names", f"{len(names)} names", f"{count}, one for each of some columns")
    if result.importance.ndim > 1:
        return of_matrix(torch.from_numpy(result.importance), names)
    order = np.argsort(-result.importance, kind="stable")[:_BARS]
    short = style.distinct(names)
    figure = style.canvas(1.0 + 0.3 * len(order))
    axes = style.rows(style.quiet(figure.subplots()), [style.label(short[j]) for j in order])
    sizes, reach = result.importance[order], result.interval[order]
    certain = np.abs(result.direction) > result.direction_interval  # False if the interval is NaN
    colours = [style.direction(float(result.direction[j])) if certain[j] else style.NEUTRAL for j in order]
    axes.barh(range(len(order)), sizes, height=0.62, color=colours, zorder=3)
    if np.isfinite(reach).all():
        axes.errorbar(
            sizes, range(len(order)), xerr=reach, fmt="none", color=style.INK, linewidth=1, capsize=2.5, zorder=4
        )
    axes.set_xlim(0, 1.05 * float((sizes + np.nan_to_num(reach)).max()) or 1.0)
    axes.set_xlabel("mean |attribution| over tasks", fontsize=9.5, color=style.INK)
    lines = "lines: 95 % intervals" if np.isfinite(reach).all() else ""
    rest = f"the {_BARS} of {count} columns with the largest means" if count > _BARS else ""
    return style.caption(figure, "orange raises, blue lowers the score on average; grey: not certain", lines, rest)
