"""Interactions as a triangle: single players on the diagonal, pairs below it; orange raised the score, blue lowered it.

The cell of a pair is what both do together beyond what each does alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from torch import Tensor

from .. import checks
from . import numbers, style
from .colours import around_zero

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..explainers.interaction_indices import InteractionValues

_PLAYERS, _WRITTEN = 16, 8  # that are drawn; up to so many, each number is written


def of_index(result: InteractionValues, names: Sequence[object] | None = None) -> Figure:
    """Draw the values of single players and pairs; larger sets are left out."""
    values = result.values.detach().cpu().double().numpy()
    checks.expect(values.ndim == 1, "result", f"values of shape {values.shape}", "[m], of one point and score")
    players = 1 + max(max(chosen) for chosen in result.sets)
    pairs = np.zeros((players, players))
    for chosen, value in zip(result.sets, values, strict=True):
        if len(chosen) <= 2:
            pairs[max(chosen), min(chosen)] = value
    return _triangle(pairs, names)


def of_matrix(result: Float[Tensor, "p p"], names: Sequence[object] | None = None) -> Figure:
    """Draw a symmetric matrix in which both entries of a pair hold half of its value."""
    checks.expect(result.ndim == 2 and len(result) == result.shape[1], "result", f"shape {tuple(result.shape)}",
                  "the matrix [players, players] of one score")  # fmt: skip
    matrix = result.detach().cpu().double().numpy()
    return _triangle(np.tril(matrix + matrix.T * (1 - np.eye(len(matrix)))), names)


def _triangle(pairs: Float[np.ndarray, "p p"], names: Sequence[object] | None) -> Figure:
    """Draw the lower triangle of `pairs`, of the players with the largest values if there are many."""
    p = len(pairs)
    names = [f"player {j}" for j in range(p)] if names is None else names
    checks.expect(len(names) == p, "names", f"{len(names)} names", f"{p}, one for each player")
    sizes = np.abs(pairs).sum(0) + np.abs(pairs).sum(1)
    kept = np.sort(np.argsort(-sizes, kind="stable")[:_PLAYERS])
    shown = np.where(np.tri(len(kept), dtype=bool), pairs[np.ix_(kept, kept)], np.nan)
    reach = float(np.nanmax(np.abs(shown))) or 1.0
    figure = style.canvas(min(3.9, 1.6 + 0.5 * len(kept)))
    axes = figure.subplots()
    image = axes.imshow(
        np.ma.masked_invalid(shown), cmap=around_zero().with_extremes(bad="white"), vmin=-reach, vmax=reach
    )
    short = style.distinct(names, 16)
    _frame(axes, [style.label(short[j], 16) for j in kept])
    if len(kept) <= _WRITTEN:
        _write(axes, shown, reach)
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03)
    bar.set_label("diagonal: single players; below: pairs", fontsize=9, color=style.INK)
    bar.outline.set_visible(False)
    more = f"the {_PLAYERS} of {p} players with the largest values" if p > _PLAYERS else ""
    return style.caption(figure, more)


def _frame(axes: Axes, names: list[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0, labelsize=9, colors=style.INK)
    axes.spines[:].set_visible(False)


def _write(axes: Axes, shown: Float[np.ndarray, "p p"], reach: float) -> None:
    for (i, j), value in np.ndenumerate(np.where(np.abs(shown) > 1e-4 * reach, shown, 0.0)):
        if j <= i:
            ink = style.LIGHT if value < -0.8 * reach else style.DARK
            text = numbers.significant(value, 2, signed=bool(value > 0))
            axes.text(j, i, text, ha="center", va="center", fontsize=9, color=ink)
