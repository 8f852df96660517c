"""Reasons side by side, a line for each query and a column for each method; orange raised the score, blue lowered it.

Attributions are drawn over an image, or as a bar for each column of a row; all rows of a method share one scale, from
minus to plus its largest value. Methods differ in units; zero is neutral everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from .. import checks
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
    """Draw images or rows of a table, each with the attributions of every method.

    `points` holds n images `[n, c, h, w]` or n rows `[n, d]`. `values` maps the name of each method to its
    attributions, in the shape of `points`. `titles` holds a title for each image or row. `names` holds the names of a
    table's columns; if None, the columns are numbered.

    Raises:
        MapstoError: if there is no row or no method, or an attribution differs in shape from `points`.
    """
    checks.expect(len(points) > 0 and len(values) > 0, "points, values", "none", "at least one row and one method")
    shapes = "images [n, c, h, w] or table rows [n, d]"
    checks.expect(points.ndim in (2, 4), "points", f"shape {points.shape}", shapes)
    for method, v in values.items():
        same = v.shape == points.shape
        checks.expect(same, "values", f"shape {v.shape} from {method}", f"{points.shape}, the shape of the rows")
    return (_images if points.ndim == 4 else _tables)(points, values, titles, names)


def _images(points: np.ndarray, values: dict[str, np.ndarray], titles: Sequence[str], names: object) -> Figure:
    figure = style.canvas(1.25 * len(points) + 0.5, 1.35 * (len(values) + 1) + 0.9)
    grid = figure.subplots(len(points), len(values) + 1, squeeze=False)
    for line, axes in enumerate(grid):
        image(axes[0], points[line], style.label(titles[line], 22))
        for panel, (method, v) in zip(axes[1:], values.items(), strict=True):
            image(panel, points[line], style.label(method, 22) if line == 0 else "")
            heat = overlay(panel, v[line], float(np.abs(v.sum(1)).max()))
    scale(figure, heat, grid.ravel().tolist())
    return figure


def _tables(
    points: np.ndarray, values: dict[str, np.ndarray], titles: Sequence[str], names: Sequence[str] | None
) -> Figure:
    width = points.shape[1]
    columns = style.distinct(names or [f"column {i}" for i in range(width)])
    figure = style.canvas(max(0.2 * width + 0.6, 1.1) * len(points) + 0.4, 1.7 * len(values) + 2.0)
    for line, axes in enumerate(figure.subplots(len(points), len(values), squeeze=False, sharex="col")):
        for i, (panel, (method, v)) in enumerate(zip(axes, values.items(), strict=True)):
            style.rows(style.quiet(panel), [style.label(name) for name in columns] if i == 0 else [""] * width)
            panel.barh(range(width), v[line], color=[style.direction(float(value)) for value in v[line]])
            panel.axvline(0, color=style.NEUTRAL, linewidth=0.8)
            panel.tick_params(labelsize=8)
            panel.locator_params(axis="x", nbins=3)
            panel.set_title(style.label(method, 22) if line == 0 else "", fontsize=8.5, color=style.INK)
        axes[0].set_ylabel(style.label(titles[line], 34).replace(": ", "\n"), fontsize=8.5, color=style.INK)
    unit = "orange raised the score, blue lowered it;\nin units of the score, a gradient's for each unit of the column"
    figure.supxlabel(unit, fontsize=8.5, color=style.INK)
    return figure
