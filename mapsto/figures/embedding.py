"""A layer's features before and after adaptation, on one plane and to one scale, with numbers that judge the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from . import style
from .colours import of_class

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..seeing.embedding import Embedding


def embedding(result: Embedding, classes: Sequence[object] = ()) -> Figure:
    """Draw the rows before adaptation beside the same rows after it; a colour and a mark for each class."""
    y = result.y.cpu().numpy()
    figure = style.canvas(3.6)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, points, when, trust, pure in zip(
        (left, right),
        (result.before, result.after),
        ("before", "after"),
        result.trustworthiness,
        result.purity,
        strict=True,
    ):
        _scatter(axes, points.cpu().numpy(), y, classes)
        axes.set_title(f"{when}\npurity {100 * pure:.0f} %\ntrustworthiness {trust:.2f}", fontsize=9.5, loc="left")
    left.set_xlabel(f"purity by chance: {100 * result.chance:.0f} %", fontsize=9, color=style.MUTED, loc="left")
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", fontsize=9, frameon=False, ncols=3, columnspacing=1.2)
    return figure


def _scatter(axes: Axes, points: np.ndarray, y: np.ndarray, classes: Sequence[object]) -> None:
    for c in np.unique(y):
        colour, mark = of_class(int(c))
        name = style.label(classes[int(c)], 18) if classes else f"class {c}"
        axes.plot(*points[y == c].T, mark, color=colour, markersize=4.5, alpha=0.85, markeredgewidth=0, label=name)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.08)
    axes.spines[:].set_color(style.GRID)
