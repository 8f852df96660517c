"""Insertion and deletion: the outcome as the most important parts are shown, or hidden, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import numbers, style
from .outputs import array, framed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..measures.faithfulness.perturbation_curves import Curves

_FEW = 20  # rows whose curves are drawn too


def perturbed(result: Curves) -> Figure:
    """Draw the mean insertion and deletion curves with their areas, and those of single rows if they are few."""
    figure = style.canvas(3.2)
    axes = framed(figure.subplots())
    x = 100 * array(result.share_of_players)
    parts = (
        ("insertion", result.insertion, result.insertion_area, style.HIGHER),
        ("deletion", result.deletion, result.deletion_area, style.LOWER),
    )
    for name, curves, area, colour in parts:
        rows, mean = array(curves), float(array(area).mean())
        if 1 < len(rows) <= _FEW:
            axes.plot(x, rows.T, color=colour, linewidth=0.6, alpha=0.4)
        axes.plot(x, rows.mean(0), color=colour, linewidth=2.2, label=f"{name}, area {numbers.significant(mean, 3)}")
    axes.fill_between(x, *(np.mean(array(curves), 0) for _, curves, *_ in parts), color=style.GRID, alpha=0.6)
    axes.set_xlabel("share of parts, the most important first, in per cent", fontsize=9.5, color=style.INK)
    axes.set_ylabel("outcome" if len(array(result.insertion)) == 1 else "outcome, mean of rows", fontsize=9.5)
    figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=2)
    return figure
