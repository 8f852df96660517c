"""Images under the contributions of their patches: orange raised the probability, blue lowered it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from .. import checks
from ..explainers.groups import bands
from . import style
from .colours import around_zero

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OPAQUE = 0.75  # the opacity of the patch with the largest contribution


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
    lines, titles = -(-len(images) // across), [_lines(title, 66 // across) for title in titles]
    height = 0.85 * style.WIDTH / across * images.shape[2] / images.shape[3]
    figure = style.canvas((height + 0.14 * (max(title.count("\n") for title in titles) + 1) + 0.1) * lines + 0.1)
    panels = list(figure.subplots(lines, across, squeeze=False).flat)
    reach = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    for axes, image, v, title in zip(panels, images, values, titles, strict=False):
        _panel(axes, image, v, title, reach)
    for axes in panels[len(images) :]:
        axes.remove()
    if np.isfinite(values).any():
        _scale(figure, panels[: len(images)], reach)
    return figure


def _check(images: np.ndarray, values: np.ndarray, titles: Sequence[str]) -> None:
    checks.shape(("n", "c", "h", "w"), images=images)
    checks.expect(len(images) > 0, "images", "none", "at least one")
    checks.shape((len(images), "p"), "one row for each image", values=values)
    p = values.shape[1]
    checks.expect(math.isqrt(p) ** 2 == p, "values", f"{p} patches", "a square number, such as 16")
    checks.expect(len(titles) == len(images), "titles", len(titles), f"{len(images)}, one for each image")


def _lines(title: str, limit: int) -> str:
    return "\n".join(style.label(line, limit) for line in title.split("\n"))


def _panel(axes: Axes, image: np.ndarray, values: np.ndarray, title: str, reach: float) -> None:
    """Draw one image under its contributions."""
    from matplotlib import colormaps

    if len(image) == 3:
        axes.imshow(np.moveaxis(np.nan_to_num(image, nan=0.76), 0, -1))
    else:
        axes.imshow(image[0], cmap=colormaps["gray"].with_extremes(bad="#c3c9ce"), vmin=0, vmax=1)
    if np.isfinite(values).any():
        _patches(axes, image, values / reach)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(style.NEUTRAL)
    axes.set_title(title, fontsize=8.5, color=style.INK)


def _patches(axes: Axes, image: np.ndarray, values: np.ndarray) -> None:
    """Draw patches, the more opaque the larger their values from −1 to 1, and the lines between them."""
    from matplotlib.colors import to_rgba

    grid = math.isqrt(len(values))
    y, x = (np.append(0, np.bincount(bands(length, grid)).cumsum()) - 0.5 for length in image.shape[1:])
    colours = [to_rgba(style.direction(v), _OPAQUE * abs(v)) for v in np.nan_to_num(values).tolist()]
    axes.pcolormesh(x, y, np.reshape(colours, (grid, grid, 4)))
    axes.hlines(y[1:-1], x[0], x[-1], color=style.NEUTRAL, linewidth=0.3)
    axes.vlines(x[1:-1], y[0], y[-1], color=style.NEUTRAL, linewidth=0.3)


def _scale(figure: Figure, panels: list[Axes], reach: float) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    layer = ScalarMappable(Normalize(-reach, reach), around_zero("white"))
    bar = figure.colorbar(layer, ax=panels, fraction=0.05, pad=0.03, ticks=[-reach, 0, reach], alpha=_OPAQUE)
    bar.ax.set_yticklabels([f"−{100 * reach:.0f}", "0", f"+{100 * reach:.0f}"], fontsize=8.5)
    bar.set_label("percentage points", fontsize=8.5, color=style.INK)
    bar.outline.set_visible(False)
