"""The similarity of representations as a matrix: each layer at each step beside each other, zero neutral."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import style
from .colours import around_zero

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..seeing.similarity import Similarity

_WRITTEN = 7  # up to so many representations, each number is written


def similarity(result: Similarity) -> Figure:
    """Draw the matrix of similarities; within a layer, steps go from left to right and from top to bottom."""
    matrix = result.matrix.detach().cpu().numpy()
    figure = style.canvas(3.9)
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap=around_zero(), vmin=-1, vmax=1)
    _layers(axes, result)
    if len(matrix) <= _WRITTEN:
        for (i, j), value in np.ndenumerate(matrix):
            ink = style.LIGHT if value < -0.8 else style.DARK  # dark ink is easier to read on any orange
            axes.text(j, i, "–" if np.isnan(value) else f"{value:.2f}", ha="center", va="center", fontsize=9, color=ink)
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03)
    bar.set_label(f"{result.measure}: 1 alike, 0 unrelated", fontsize=9.5)
    bar.outline.set_visible(False)
    return figure


def _layers(axes: Axes, result: Similarity) -> None:
    """Name each layer at the middle of its steps, and part it from the next by a line."""
    middles = [result.steps * (place + 0.5) - 0.5 for place in range(len(result.layers))]
    names = [style.label(layer, 14) for layer in result.layers]
    axes.set_xticks(middles, names, rotation=90 if max(map(len, names)) * len(names) > 40 else 0)
    axes.set_yticks(middles, names)
    axes.tick_params(length=0, labelsize=9, colors=style.INK)
    axes.spines[:].set_visible(False)
    for middle in middles[1:]:
        axes.axhline(middle - result.steps / 2, color="white", linewidth=1.5)
        axes.axvline(middle - result.steps / 2, color="white", linewidth=1.5)
    inside = f"; in each, steps 0 to {result.steps - 1}" if result.steps > 1 else ""
    axes.set_xlabel(f"layer{inside}", fontsize=9.5, color=style.INK)
