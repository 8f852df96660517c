"""Reasons side by side: a line a query, a column a method; orange raised the score, blue lowered it.

Images are drawn over by their attributions, each on a scale of its own, from minus to plus its largest value; tables as
a bar a column, all rows of a method on one scale. Methods differ in units; zero is neutral everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ..errors import MapstoError
from . import style
from .overlaid import image, overlay, scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def attributions(
    points: Float[np.ndarray, "n ..."],
    values: dict[str, Float[np.ndarray, "n ..."]],
    titles: Sequence[str],
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw `n` rows, images `[n, c, h, w]` or table rows `[n, d]`, and what each method gives their entries.

    `titles` tell what is explained of each row; `names` are those of a table's columns.

    Raises:
        MapstoError: no row or no method, values of another shape than the rows, or rows that are neither.
    """
    if not len(points) or not values:
        raise MapstoError("points, values: got none, expected at least one row and one method.")
    if points.ndim not in (2, 4):
        raise MapstoError(f"points: got shape {points.shape}, expected images [n, c, h, w] or table rows [n, d].")
    for method, one in values.items():
        if one.shape != points.shape:
            raise MapstoError(f"values: {method} has shape {one.shape}, expected {points.shape}, that of the rows.")
    return (_images if points.ndim == 4 else _tables)(points, values, titles, names)


def _images(points: np.ndarray, values: dict[str, np.ndarray], titles: Sequence[str], names: object) -> Figure:
    figure = style.canvas(1.25 * len(points) + 0.5, 1.35 * (len(values) + 1) + 0.9)
    grid = figure.subplots(len(points), len(values) + 1, squeeze=False)
    for line, axes in enumerate(grid):
        image(axes[0], points[line], style.label(titles[line], 22))
        for one, (method, given) in zip(axes[1:], values.items(), strict=True):
            image(one, points[line], style.label(method, 22) if line == 0 else "")
            drawn = overlay(one, given[line], float(np.abs(given[line].sum(0)).max()))
    scale(figure, drawn, grid.ravel().tolist())
    return figure


def _tables(
    points: np.ndarray, values: dict[str, np.ndarray], titles: Sequence[str], names: Sequence[str] | None
) -> Figure:
    width = points.shape[1]
    named = style.distinct(names or [f"column {i}" for i in range(width)])
    figure = style.canvas(max(0.2 * width + 0.6, 1.1) * len(points) + 0.4, 1.7 * len(values) + 2.0)
    for line, axes in enumerate(figure.subplots(len(points), len(values), squeeze=False, sharex="col")):
        for i, (one, (method, given)) in enumerate(zip(axes, values.items(), strict=True)):
            style.rows(style.quiet(one), [style.label(name) for name in named] if i == 0 else [""] * width)
            one.barh(range(width), given[line], color=[style.direction(float(value)) for value in given[line]])
            one.axvline(0, color=style.NEUTRAL, linewidth=0.8)
            one.tick_params(labelsize=8)
            one.locator_params(axis="x", nbins=3)
            one.set_title(style.label(method, 22) if line == 0 else "", fontsize=8.5, color=style.INK)
        axes[0].set_ylabel(style.label(titles[line], 34).replace(": ", "\n"), fontsize=8.5, color=style.INK)
    told = "orange raised the score, blue lowered it;\nin units of the score, a gradient's for each unit of the column"
    figure.supxlabel(told, fontsize=8.5, color=style.INK)
    return figure
