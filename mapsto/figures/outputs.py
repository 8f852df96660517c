"""The outputs of a model at one step of a film: a curve, a decision surface, or its answers to the query rows.

The scales are those of the whole film.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from . import style
from .colours import around_zero, of_class, pale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from torch import Tensor

    from ..seeing.film import Film

_ROWS = 24  # query rows that are drawn one by one


def outputs(axes: Axes, film: Film, i: int, classes: Sequence[object] = ()) -> ScalarMappable | None:
    """Draw the outputs of the model at step `i`: a curve, a decision surface, or its answers to the query rows.

    Returns the colour map if colours stand for numbers, else None.
    """
    regression = film.query.y.is_floating_point()
    if film.grid is not None and film.grid.shape[1] == 1:
        _curves(framed(axes), film, i, classes)
    elif film.grid is not None:
        framed(axes, grid=False).set_xlabel("first feature", fontsize=9.5, color=style.INK)
        axes.set_ylabel("second feature", fontsize=9.5, color=style.INK)
        if regression:
            return _heights(axes, film, i)
        _regions(axes, film, i, classes)
    elif regression:
        _answers(framed(axes), film, i)
    else:
        _margins(style.quiet(axes), film, i)
    return None


def _curves(axes: Axes, film: Film, i: int, classes: Sequence[object]) -> None:
    """Draw the outputs over one feature."""
    x, curves = array(film.grid)[:, 0], array(film.surface)  # [g], [s, g, k]
    regression = film.query.y.is_floating_point()
    for k in range(curves.shape[2]):
        colour = style.HIGHER if curves.shape[2] == 1 else of_class(k)[0]
        name = "the model" if curves.shape[2] == 1 else f"score of {_class(classes, k)}"
        axes.plot(x, curves[i, :, k], color=colour, linewidth=1.8, label=name)
    if regression:
        for rows, mark, name in ((film.query, "s", "query set"), (film.support, "o", "support set")):
            there = array(rows.w) > 0
            face = style.LOWER if mark == "o" else "none"
            axes.plot(
                array(rows.x)[there, 0], array(rows.y)[there, 0], mark, color=style.LOWER, markerfacecolor=face,
                markersize=5, label=name,
            )  # fmt: skip
    targets = [array(rows.y).ravel() for rows in (film.support, film.query)] if regression else []
    low, high = _range(np.concatenate([curves[[0, -1]].ravel(), *targets]))
    axes.set_ylim(low, high)
    axes.set_xlabel("input", fontsize=9.5, color=style.INK)
    axes.set_ylabel("output", fontsize=9.5, color=style.INK)


def _heights(axes: Axes, film: Film, i: int) -> ScalarMappable:
    """Draw the first output over two features, and in the same colours the targets of the rows."""
    surface, rows = array(film.surface)[..., 0], (film.query, film.support)
    reach = max(float(np.abs(v).max()) for v in (surface, *(array(part.y)[:, 0] for part in rows))) or 1.0
    look: dict[str, Any] = {"cmap": around_zero(), "vmin": -reach, "vmax": reach}
    heights = axes.imshow(_square(surface[i]).T, **look, **_place(film))
    for part, size, mark, name in zip(rows, (16, 42), "so", ("query set", "support set"), strict=True):
        there = array(part.w) > 0
        x, y = array(part.x)[there], array(part.y)[there, 0]
        axes.scatter(x[:, 0], x[:, 1], c=y, s=size, marker=mark, edgecolor=style.INK, linewidth=0.8, label=name, **look)
    return heights


def _regions(axes: Axes, film: Film, i: int, classes: Sequence[object]) -> None:
    """Draw which class scores highest over two features; support rows are large and dark-edged, query rows small."""
    surface = array(film.surface)
    colours = np.array([pale(of_class(c)[0]) for c in range(surface.shape[2])])
    axes.imshow(colours[_square(surface[i].argmax(-1)).T], **_place(film))
    for rows, size, edge in ((film.query, 3.5, "none"), (film.support, 7, style.INK)):
        x, y, there = array(rows.x), array(rows.y), array(rows.w) > 0
        for c in np.unique(y[there]):
            colour, mark = of_class(int(c))
            name = None if edge == "none" else _class(classes, int(c))
            mine = there & (y == c)
            axes.plot(*x[mine].T, mark, color=colour, markeredgecolor=edge, markersize=size, label=name)
    axes.plot([], [], "o", color=style.NEUTRAL, markersize=3.5, label="small: query rows, which judge")


def _square(values: Shaped[np.ndarray, " g"]) -> Shaped[np.ndarray, "a a"]:
    side = round(len(values) ** 0.5)
    return values.reshape(side, side)


def _place(film: Film) -> dict[str, Any]:
    (left, bottom), (right, top) = array(film.grid).min(0), array(film.grid).max(0)
    return {"origin": "lower", "extent": (left, right, bottom, top), "aspect": "auto"}


def _answers(axes: Axes, film: Film, i: int) -> None:
    """Draw the first output against the first target of each query row."""
    target, answers = array(film.query.y)[:, 0], array(film.predictions)[..., 0]
    low, high = _range(np.concatenate([target, answers[0], answers[-1]]))
    axes.plot([low, high], [low, high], "--", color=style.NEUTRAL, linewidth=1.2, label="right")
    axes.plot(target, answers[i], "o", color=style.LOWER, markersize=5, label="query rows")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_xlabel("target", fontsize=9.5, color=style.INK)
    axes.set_ylabel("output", fontsize=9.5, color=style.INK)


def _margins(axes: Axes, film: Film, i: int) -> None:
    """Draw by how much the true class of each query row leads, or lags behind, the best other one."""
    p, y = array(film.predictions), array(film.query.y)
    margins = np.stack([_margin(frame, y) for frame in p])  # [s, m]
    order = np.argsort(-margins[-1], kind="stable")
    if len(order) > _ROWS:
        order = order[np.linspace(0, len(order) - 1, _ROWS).round().astype(int)]
    at, reach = margins[i][order], max(np.abs(margins).max(), 1e-12)
    for mine, colour, name in ((at >= 0, style.HIGHER, "right"), (at < 0, style.LOWER, "wrong")):
        axes.barh(np.flatnonzero(mine), at[mine], color=colour, height=0.7, label=name)
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_yticks([])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(-1.05 * reach, 1.05 * reach)
    axes.set_ylabel("query rows", fontsize=9.5, color=style.INK)
    axes.set_xlabel("lead of the true class", fontsize=9.5, color=style.INK)


def _margin(scores: Float[np.ndarray, "m k"], y: np.ndarray) -> Float[np.ndarray, " m"]:
    own = scores[np.arange(len(y)), y]
    others = np.where(np.arange(scores.shape[1]) == y[:, None], -np.inf, scores).max(1)
    return own - others


def _class(classes: Sequence[object], c: int) -> str:
    return style.label(classes[c], 18) if classes else f"class {c}"


def _range(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.5
    return float(low - margin), float(high + margin)


def framed(axes: Axes, grid: bool = True) -> Axes:
    """Replace the frame by a light grid in both directions, or by nothing."""
    style.quiet(axes).grid(axis="y", color=style.GRID, linewidth=0.8)
    axes.tick_params(labelsize=8.5)
    if not grid:
        axes.grid(visible=False)
    return axes


def array(tensor: Tensor | None) -> np.ndarray:
    """Return the numbers of a part of the film that is not None."""
    assert tensor is not None
    return tensor.detach().cpu().numpy()
