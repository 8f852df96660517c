"""The effect of teaching examples on the score of one query, as a whole and entry by entry.

Orange raised the score, blue lowered it; zero is neutral.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from . import style
from .colours import around_zero
from .overlaid import image, overlay, scale
from .reasons import bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACROSS = 3  # images side by side
_WRITTEN = 0.05  # a smaller effect is written as 0.0, so its frame is grey


def teaching_images(
    query: Float[np.ndarray, "c h w"],
    title: str,
    images: Float[np.ndarray, "n c h w"],
    titles: Sequence[str],
    effects: Float[np.ndarray, " n"],
    pixels: Float[np.ndarray, "n c h w"] | None = None,
) -> Figure:
    """Draw the query, then teaching images framed by the sign of their effect, with the effect of their pixels."""
    lines = -(-(len(images) + 1) // _ACROSS)
    figure = style.canvas(1.62 * lines + 0.1)
    panels = list(figure.subplots(lines, _ACROSS, squeeze=False).flat)
    image(panels[0], query, title, style.INK)
    reach = 0.0 if pixels is None else float(np.abs(pixels.sum(1)).max())
    for j, axes in enumerate(panels[1 : len(images) + 1]):
        effect = float(effects[j]) if abs(effects[j]) >= _WRITTEN else 0.0
        image(axes, images[j], titles[j], style.direction(effect))
        heat = None if pixels is None else overlay(axes, pixels[j], reach)
    for axes in panels[len(images) + 1 :]:
        axes.remove()
    if pixels is not None:
        scale(figure, heat, panels[: len(images) + 1])
    return figure


def teaching_rows(
    effects: Float[np.ndarray, " n"], labels: Sequence[str], inputs: Float[np.ndarray, " n"] | None = None
) -> Figure:
    """Draw a bar for the effect of each teaching row, and another for the effect of its one input if there is one."""
    panels = {"its presence": effects} | ({} if inputs is None else {"its input": inputs})
    return bars(panels, labels)


def teaching_cells(cells: Float[np.ndarray, "n d"], labels: Sequence[str], columns: Sequence[str], unit: str) -> Figure:
    """Draw the effect of each cell of the teaching rows, rows by columns; a missing cell (NaN) is grey."""
    figure = style.canvas(0.27 * len(labels) + 1.5)
    axes, reach = figure.subplots(), float(np.nanmax(np.abs(cells), initial=0.0)) or 1.0
    heat = axes.imshow(cells, cmap=around_zero(), vmin=-reach, vmax=reach, aspect="auto")
    axes.set_xticks(range(len(columns)), [style.label(name, 14) for name in columns], rotation=60, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(length=0, labelsize=8.5, colors=style.INK)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(heat, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(unit, fontsize=9)
    bar.ax.tick_params(labelsize=8.5)
    return figure
