"""The reasons for the answer to one query, by several methods: an image overlaid, or a bar for each of its columns.

Each method has its own scale, from minus to plus its largest value, because methods differ in units; zero is neutral
everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from . import numbers, style
from .overlaid import image, overlay, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACROSS, _BARS = 3, 12  # panels side by side, columns of a row that are drawn one by one


def reasons(
    point: Float[np.ndarray, ...], values: Mapping[str, Float[np.ndarray, ...]], names: Sequence[str]
) -> Figure:
    """Draw the values of each method for the entries of `point`: an image `[c, h, w]`, or the cells of a row `[d]`."""
    if point.ndim == 3:
        return _overlaid(point, values)
    cells = [f"{name} = {numbers.cell(value)}" for name, value in zip(names, point.tolist(), strict=True)]
    order, labels = largest(values, cells)
    panels = {name: np.append(v[order], v.sum() - v[order].sum()) for name, v in values.items()}
    return bars({name: v[: len(labels)] for name, v in panels.items()}, labels)


def one_input(values: Mapping[str, Float[np.ndarray, "m 1"]], names: Sequence[str]) -> Figure:
    """Draw the value of each method for the one input of each query, a bar for each query."""
    return bars({name: v[:, 0] for name, v in values.items()}, names)


def largest(values: Mapping[str, Float[np.ndarray, " d"]], names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the entries that are largest on average over the methods, and labels of them and the sum of the rest."""
    sizes = [np.abs(v) / (np.abs(v).max() or 1.0) for v in values.values()]
    order = np.argsort(-np.mean(sizes, 0), kind="stable")
    if len(names) <= _BARS:
        return [int(j) for j in order], [names[j] for j in order]
    kept = [int(j) for j in order[: _BARS - 1]]
    return kept, [*(names[j] for j in kept), f"{len(names) - len(kept)} others, summed"]


def bars(values: Mapping[str, Float[np.ndarray, " b"]], labels: Sequence[str]) -> Figure:
    """Draw a panel of signed bars for each method, rows shared; two or three panels side by side."""
    across = 2 if len(values) == 4 else _ACROSS
    lines = -(-len(values) // across)
    figure = style.canvas(lines * (0.27 * len(labels) + 0.75))
    grid = figure.subplots(lines, min(across, len(values)), squeeze=False)
    for i, (axes, (name, v)) in enumerate(zip(grid.flat, values.items(), strict=False)):
        style.rows(style.quiet(axes), [style.label(text, 22) if i % across == 0 else "" for text in labels])
        axes.barh(range(len(v)), v, color=[style.direction(float(value)) for value in v], height=0.62)
        axes.axvline(0, color=style.INK, linewidth=0.8)
        _reach(axes, float(np.abs(v).max()) or 1.0)
        axes.set_title(style.label(name, 22), fontsize=8.5, color=style.INK)
    for axes in grid.flat[len(values) :]:
        axes.remove()
    return figure


def _reach(axes: Axes, most: float) -> None:
    """Make both sides of zero equally wide, and write the largest value alone: more would not fit."""
    axes.set_xlim(-1.08 * most, 1.08 * most)
    axes.set_xticks([-most, 0, most], ["", "0", f"{most:.2g}"])
    axes.tick_params(labelsize=8.5)


def _overlaid(point: Float[np.ndarray, "c h w"], values: Mapping[str, Float[np.ndarray, "c h w"]]) -> Figure:
    lines = -(-(len(values) + 1) // 2)
    figure = style.canvas(1.95 * lines + 0.1)
    grid = figure.subplots(lines, 2, squeeze=False)
    image(grid.flat[0], point, "the query")
    for axes, (name, v) in zip(grid.flat[1:], values.items(), strict=False):
        image(axes, point, style.label(name, 24))
        heat = overlay(axes, v, float(np.abs(v.sum(0)).max()))
    for axes in grid.flat[len(values) + 1 :]:
        axes.remove()
    scale(figure, heat, list(grid.flat[: len(values) + 1]))
    return figure
