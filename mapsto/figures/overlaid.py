"""An image in grey under the effect of its pixels: orange raised the score, blue lowered it; zero is neutral."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxtyping import Float

from . import style
from .colours import around_zero

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def image(axes: Axes, pixels: Float[np.ndarray, "c h w"], title: str, colour: str = style.GRID) -> None:
    """Draw an image in grey, dark where its numbers are large, under a title."""
    axes.imshow(pixels.mean(0), cmap="Greys")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(colour)
    axes.spines[:].set_linewidth(1.0 if colour == style.GRID else 2.2)
    axes.set_title(title, fontsize=8.5, color=style.INK)


def overlay(axes: Axes, values: Float[np.ndarray, "c h w"], reach: float) -> Any:
    """Draw signed values over an image, channels summed: orange raised the score, blue lowered it.

    The strongest colours stand for `reach`, which is written below the image: the bar of `scale` is for all images.
    """
    axes.set_xlabel(f"0 ± {reach:.2g}", fontsize=8, color=style.INK, labelpad=2)
    return axes.imshow(values.sum(0) / (reach or 1.0), cmap=around_zero("white"), vmin=-1, vmax=1, alpha=0.75)


def scale(figure: Figure, heat: Any, panels: list[Axes]) -> None:
    """Add a bar beside the panels that explains the colours of `heat`."""
    bar = figure.colorbar(heat, ax=panels, fraction=0.05, pad=0.03, ticks=[-1, 0, 1])
    bar.ax.set_yticklabels(["lowers", "no effect", "raises"], fontsize=8.5)
    bar.outline.set_visible(False)
