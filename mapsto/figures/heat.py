"""Images under the contributions of their patches: orange raised the probability, blue lowered it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from .. import checks
from ..explainers.groups import bands
from . import style
from .colours import around_zero

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def heat(
    images: Float[np.ndarray, "n c h w"],
    values: Float[np.ndarray, "n p"],
    titles: Sequence[str],
    across: int = 3,
) -> Figure:
    """Draw images, each under the contributions of the patches of a square grid, all on one scale.

    Args:
        images: the images `[n, c, h, w]`, with 1 or 3 channels and values from 0 to 1. NaN is drawn grey.
        values: the contribution of each patch to a probability, `[n, p]` for a grid of p = g² patches, numbered row by
            row. NaN is not drawn; a row of NaN leaves its image as it is.
        titles: the title of each image; lines are separated by a line break.
        across: the number of images side by side.

    Raises:
        MapstoError: if there is no image, the shapes do not fit together, or p is not a square number.

    >>> heat(np.zeros((2, 1, 28, 28)), np.zeros((2, 16)), ["first", "second"]).axes[0].get_title()
    'first'
    """
    _check(images, values, titles)
    lines = -(-len(images) // across)
    rows = max(title.count("\n") for title in titles) + 1
    figure = style.canvas((4.2 / across + 0.14 * rows + 0.08) * lines + 0.1)
    panels = list(figure.subplots(lines, across, squeeze=False).flat)
    reach = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    layers = [_panel(*parts, reach) for parts in zip(panels, images, values, titles, strict=False)]
    for axes in panels[len(images) :]:
        axes.remove()
    if np.isfinite(values).any():
        _scale(figure, layers[-1], panels[: len(images)], reach)
    return figure


def _check(images: np.ndarray, values: np.ndarray, titles: Sequence[str]) -> None:
    checks.shape(("n", "c", "h", "w"), images=images)
    checks.expect(len(images) > 0, "images", "none", "at least one")
    checks.shape((len(images), "p"), "one row for each image", values=values)
    p = values.shape[1]
    checks.expect(math.isqrt(p) ** 2 == p, "values", f"{p} patches", "a square number, such as 16")
    checks.expect(len(titles) == len(images), "titles", len(titles), f"{len(images)}, one for each image")


def _panel(axes: Axes, image: np.ndarray, values: np.ndarray, title: str, reach: float) -> Any:
    """Draw one image under its contributions, and return the layer of contributions."""
    from matplotlib import colormaps

    if len(image) == 3:
        axes.imshow(np.moveaxis(np.nan_to_num(image, nan=0.76), 0, -1))
    else:
        axes.imshow(image[0], cmap=colormaps["gray"].with_extremes(bad="#c3c9ce"), vmin=0, vmax=1)
    grid = math.isqrt(len(values))
    y, x = (np.append(0, np.bincount(bands(length, grid)).cumsum()) - 0.5 for length in image.shape[1:])
    layer = axes.pcolormesh(
        x, y, np.ma.masked_invalid(values.reshape(grid, grid)), vmin=-reach, vmax=reach, alpha=0.6, edgecolors="none",
        cmap=around_zero("white").with_extremes(bad="none"), linewidth=0, rasterized=True,
    )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(style.NEUTRAL)
    axes.set_title("\n".join(style.label(line, 26) for line in title.split("\n")), fontsize=8.5, color=style.INK)
    return layer


def _scale(figure: Figure, layer: Any, panels: list[Axes], reach: float) -> None:
    bar = figure.colorbar(layer, ax=panels, fraction=0.05, pad=0.03, ticks=[-reach, 0, reach])
    bar.ax.set_yticklabels([f"−{100 * reach:.0f}", "0", f"+{100 * reach:.0f}"], fontsize=8.5)
    bar.set_label("percentage points", fontsize=8.5, color=style.INK)
    bar.outline.set_visible(False)
