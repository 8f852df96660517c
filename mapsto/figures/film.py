"""The adaptation film in pictures: what a model says, how well, where it stands and why, at one inner step.

Every picture of a film has the scales of the whole film, so that what moves from frame to frame is the model and not
an axis. The strip sets at most six frames of what the model says side by side.
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
    from matplotlib.figure import Figure
    from torch import Tensor

    from ..seeing.film import Film

_BARS = 12  # features or rows that are drawn one by one


def chosen(frames: int, most: int) -> list[int]:
    """Choose at most so many frames, evenly spread, with the first and the last.

    >>> chosen(11, 6), chosen(3, 6)
    ([0, 2, 4, 6, 8, 10], [0, 1, 2])
    """
    return sorted({round(i) for i in np.linspace(0, frames - 1, min(frames, most))})


def film_strip(film: Film, most: int = 6, classes: Sequence[object] = ()) -> Figure:
    """Draw what the model says at up to `most` steps, the first and the last among them."""
    steps = chosen(len(film.path), most)
    rows = (len(steps) + 1) // 2
    figure = style.canvas(0.5 + 2.1 * rows)
    panels = list(figure.subplots(rows, 2, squeeze=False, sharex=True, sharey=True).flat)
    for axes, i in zip(panels, steps, strict=False):
        scale = said(axes, film, i, classes)
        axes.set_title(f"step {i}, query loss {_short(film.query_loss[i])}", fontsize=9, color=style.INK, loc="left")
        axes.label_outer()
    for axes in panels[len(steps) :]:  # at most one, below another: that one gets the labels
        if len(steps) > 1:
            panels[len(steps) - 2].tick_params(labelbottom=True)
            panels[len(steps) - 2].set_xlabel(panels[len(steps) - 1].get_xlabel(), fontsize=9.5, color=style.INK)
        axes.remove()
    _scaled(figure, scale)
    _legend(figure)
    return figure


def film_said(film: Film, i: int, classes: Sequence[object] = ()) -> Figure:
    """Draw what the model says at step `i`."""
    figure = style.canvas(3.4)
    _scaled(figure, said(figure.subplots(), film, i, classes))
    _legend(figure)
    return figure


def film_losses(film: Film, i: int) -> Figure:
    """Draw the losses over the steps, with step `i` marked."""
    figure = style.canvas(2.9)
    axes = _framed(figure.subplots())
    for loss, colour, line, name in (
        (film.support_loss, style.LOWER, "-", "support (teaches)"),
        (film.query_loss, style.HIGHER, "--", "query (judges)"),
    ):
        y = _array(loss)
        axes.plot(y, line, color=colour, linewidth=1.6, label=name)
        axes.plot([i], y[i : i + 1], "o", color=colour, markersize=7)
    axes.axvline(i, color=style.NEUTRAL, linewidth=1)
    _logarithmic(axes, np.concatenate([_array(film.support_loss), _array(film.query_loss)]))
    _steps(axes, len(film.path))
    axes.set_ylabel("loss", fontsize=9.5, color=style.INK)
    _legend(figure)
    return figure


def film_path(film: Film, i: int) -> Figure:
    """Draw the way of the parameters in the plane that shows most of it, with step `i` marked."""
    figure = style.canvas(2.9)
    axes = _framed(figure.subplots())
    points = _array(film.path)
    axes.plot(*points.T, "-o", color=style.NEUTRAL, markersize=4, linewidth=1.2)
    axes.plot(*points[0], "s", color=style.LOWER, markersize=7, label="start")
    axes.plot(*points[i], "o", color=style.HIGHER, markersize=9, label="this step")
    axes.margins(0.12)
    axes.set_xlabel(f"first of two axes, with {100 * film.kept:.0f} % of the way's variance", fontsize=9.5)
    axes.set_ylabel("second axis", fontsize=9.5)
    _legend(figure)
    return figure


def film_layers(film: Film, i: int) -> Figure:
    """Draw the gradient norm of each layer at step `i`, and the mean rate by which it is followed."""
    norms, rates = _array(film.gradient_norm), _array(film.rates)
    figure = style.canvas(1.3 + 0.34 * len(film.layers))
    left, right = figure.subplots(1, 2, sharey=True)
    style.rows(style.quiet(left), [style.label(layer, 16) for layer in film.layers])
    left.barh(range(len(film.layers)), norms[i], color=style.LOWER, height=0.62)
    _logarithmic(left, norms[norms > 0], "x")
    if left.get_xscale() == "linear":
        left.set_xlim(0, 1.05 * max(norms.max(), 1e-12))
    left.set_xlabel("gradient norm", fontsize=9.5, color=style.INK)
    style.quiet(right).barh(range(len(film.layers)), rates[i], color=style.NEUTRAL, height=0.62)
    right.axvline(0, color=style.INK, linewidth=0.8)
    right.set_xlim(min(0, 1.05 * rates.min()), max(1.05 * rates.max(), 1e-12))
    right.set_xlabel("mean rate", fontsize=9.5, color=style.INK)
    for axes in (left, right):
        axes.tick_params(axis="x", labelsize=8.5)
    if right.get_xscale() == "linear":
        right.locator_params(axis="x", nbins=3)
    return figure


def film_reasons(film: Film, i: int, names: Sequence[object] = ()) -> Figure:
    """Draw the attribution of the explained row at step `i`; raises `ValueError` where the film has none."""
    if film.attribution is None:
        raise ValueError("film: got one without attributions, expected one made with an explainer.")
    return signed(_array(film.attribution)[i], float(np.abs(_array(film.attribution)).max()), "attribution", names)


def signed(values: Float[np.ndarray, ...], reach: float, what: str, names: Sequence[object] = ()) -> Figure:
    """Draw signed values around a neutral zero: the pixels of an image `[..., h, w]`, or a bar for each feature.

    Channels of an image are summed. Of more than twelve features the largest are drawn, and the others summed.
    """
    reach = reach or 1.0
    figure = style.canvas(3.4 if values.ndim > 1 else 1.1 + 0.3 * min(values.size, _BARS))
    if values.ndim > 1:
        axes = figure.subplots()
        image = values.reshape(-1, *values.shape[-2:]).sum(0)
        reach = max(reach, float(np.abs(image).max()))
        bar = figure.colorbar(axes.imshow(image, cmap=around_zero(), vmin=-reach, vmax=reach), ax=axes, fraction=0.05)
        bar.set_label(what, fontsize=9.5)
        axes.set_axis_off()
        return figure
    labels, bars = _largest(values.reshape(-1), names)
    axes = style.rows(style.quiet(figure.subplots()), labels)
    axes.barh(range(len(bars)), bars, color=[style.direction(float(v)) for v in bars], height=0.62)
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_xlim(-1.05 * max(reach, np.abs(bars).max()), 1.05 * max(reach, np.abs(bars).max()))
    axes.set_xlabel(what, fontsize=9.5, color=style.INK)
    return figure


def said(axes: Axes, film: Film, i: int, classes: Sequence[object] = ()) -> ScalarMappable | None:
    """Draw what the model says at step `i`: a curve, a decision surface, or its answers to the query rows.

    Where colours are numbers, what maps them is returned.
    """
    regression = film.query.y.is_floating_point()
    if film.grid is not None and film.grid.shape[1] == 1:
        _curves(_framed(axes), film, i, classes)
    elif film.grid is not None:
        _framed(axes, grid=False).set_xlabel("first feature", fontsize=9.5, color=style.INK)
        axes.set_ylabel("second feature", fontsize=9.5, color=style.INK)
        if regression:
            return _heights(axes, film, i)
        _regions(axes, film, i, classes)
    elif regression:
        _answers(_framed(axes), film, i)
    else:
        _margins(style.quiet(axes), film, i)
    return None


def _curves(axes: Axes, film: Film, i: int, classes: Sequence[object]) -> None:
    """Draw the outputs over one feature."""
    x, curves = _array(film.grid)[:, 0], _array(film.surface)  # [g], [s, g, k]
    regression = film.query.y.is_floating_point()
    for k in range(curves.shape[2]):
        colour = style.HIGHER if curves.shape[2] == 1 else of_class(k)[0]
        name = "the model" if curves.shape[2] == 1 else f"score of {_class(classes, k)}"
        axes.plot(x, curves[i, :, k], color=colour, linewidth=1.8, label=name)
    if regression:
        for rows, mark, name in ((film.query, "s", "query (judges)"), (film.support, "o", "support (teaches)")):
            taught = _array(rows.w) > 0
            face = style.LOWER if mark == "o" else "none"
            axes.plot(
                _array(rows.x)[taught, 0], _array(rows.y)[taught, 0], mark, color=style.LOWER, markerfacecolor=face,
                markersize=5, label=name,
            )  # fmt: skip
    known = [_array(rows.y).ravel() for rows in (film.support, film.query)] if regression else []
    low, high = _range(np.concatenate([curves[[0, -1]].ravel(), *known]))
    axes.set_ylim(low, high)
    axes.set_xlabel("input", fontsize=9.5, color=style.INK)
    axes.set_ylabel("output", fontsize=9.5, color=style.INK)


def _heights(axes: Axes, film: Film, i: int) -> ScalarMappable:
    """Draw the first output over two features, and in the same colours the targets of the rows."""
    surface, rows = _array(film.surface)[..., 0], (film.query, film.support)
    reach = max(float(np.abs(v).max()) for v in (surface, *(_array(part.y)[:, 0] for part in rows))) or 1.0
    look: dict[str, Any] = {"cmap": around_zero(), "vmin": -reach, "vmax": reach}
    drawn = axes.imshow(_square(surface[i]).T, **look, **_place(film))
    for part, size, mark, name in zip(rows, (16, 42), "so", ("query (judges)", "support (teaches)"), strict=True):
        there = _array(part.w) > 0
        x, y = _array(part.x)[there], _array(part.y)[there, 0]
        axes.scatter(x[:, 0], x[:, 1], c=y, s=size, marker=mark, edgecolor=style.INK, linewidth=0.8, label=name, **look)
    return drawn


def _regions(axes: Axes, film: Film, i: int, classes: Sequence[object]) -> None:
    """Draw which class scores highest over two features; support rows are large and dark-edged, query rows small."""
    surface = _array(film.surface)
    colours = np.array([pale(of_class(c)[0]) for c in range(surface.shape[2])])
    axes.imshow(colours[_square(surface[i].argmax(-1)).T], **_place(film))
    for rows, size, edge in ((film.query, 3.5, "none"), (film.support, 7, style.INK)):
        x, y, there = _array(rows.x), _array(rows.y), _array(rows.w) > 0
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
    (left, bottom), (right, top) = _array(film.grid).min(0), _array(film.grid).max(0)
    return {"origin": "lower", "extent": (left, right, bottom, top), "aspect": "auto"}


def _answers(axes: Axes, film: Film, i: int) -> None:
    """Draw the first output against the first target of each query row."""
    target, answers = _array(film.query.y)[:, 0], _array(film.predictions)[..., 0]
    low, high = _range(np.concatenate([target, answers[0], answers[-1]]))
    axes.plot([low, high], [low, high], "--", color=style.NEUTRAL, linewidth=1.2, label="right")
    axes.plot(target, answers[i], "o", color=style.LOWER, markersize=5, label="query rows")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_xlabel("target", fontsize=9.5, color=style.INK)
    axes.set_ylabel("output", fontsize=9.5, color=style.INK)


def _margins(axes: Axes, film: Film, i: int) -> None:
    """Draw by how much the true class of each query row leads, or lags behind, the best other one."""
    p, y = _array(film.predictions), _array(film.query.y)
    margins = np.stack([_margin(frame, y) for frame in p])  # [s, m]
    shown = np.argsort(-margins[-1], kind="stable")
    if len(shown) > 2 * _BARS:
        shown = shown[np.linspace(0, len(shown) - 1, 2 * _BARS).round().astype(int)]
    at, reach = margins[i][shown], max(np.abs(margins).max(), 1e-12)
    for mine, colour, name in ((at >= 0, style.HIGHER, "told right"), (at < 0, style.LOWER, "told wrong")):
        axes.barh(np.flatnonzero(mine), at[mine], color=colour, height=0.7, label=name)
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_yticks([])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(-1.05 * reach, 1.05 * reach)
    axes.set_ylabel("query rows", fontsize=9.5, color=style.INK)
    axes.set_xlabel("lead of the true class", fontsize=9.5, color=style.INK)


def _margin(scores: Float[np.ndarray, "m k"], y: np.ndarray) -> Float[np.ndarray, " m"]:
    own = scores[np.arange(len(y)), y]
    others = np.where(np.arange(scores.shape[1]) == y[:, None], -np.inf, scores).max(1)
    return own - others


def _largest(values: Float[np.ndarray, " d"], names: Sequence[object]) -> tuple[list[str], Float[np.ndarray, " b"]]:
    """Name each feature and its value; beyond twelve the smaller ones as one sum."""
    named = [style.label(name, 20) for name in names] or [f"feature {j + 1}" for j in range(len(values))]
    if len(values) <= _BARS:
        return named, values
    order = np.argsort(-np.abs(values), kind="stable")
    first, rest = np.sort(order[: _BARS - 1]), order[_BARS - 1 :]
    return [named[j] for j in first] + [f"{len(rest)} others, summed"], np.append(values[first], values[rest].sum())


def _class(classes: Sequence[object], c: int) -> str:
    return style.label(classes[c], 18) if classes else f"class {c}"


def _range(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.5
    return float(low - margin), float(high + margin)


def _framed(axes: Axes, grid: bool = True) -> Axes:
    style.quiet(axes).grid(axis="y", color=style.GRID, linewidth=0.8)
    axes.tick_params(labelsize=8.5)
    if not grid:
        axes.grid(visible=False)
    return axes


def _steps(axes: Axes, frames: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(-0.3, max(frames - 0.7, 0.3))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("inner step", fontsize=9.5, color=style.INK)


def _logarithmic(axes: Axes, y: np.ndarray, axis: str = "y") -> None:
    """Take logarithms where positive values span more than two orders of magnitude, for all frames alike."""
    y = y[np.isfinite(y)]
    if len(y) and y.min() > 0 and y.max() > 100 * y.min():
        (axes.set_yscale if axis == "y" else axes.set_xscale)("log")
        (axes.set_ylim if axis == "y" else axes.set_xlim)(y.min() / 2, y.max() * 2)


def _scaled(figure: Figure, of: ScalarMappable | None) -> None:
    if of is not None:
        figure.colorbar(of, ax=figure.axes, fraction=0.05, pad=0.02).set_label("output, target", fontsize=9.5)


def _legend(figure: Figure) -> None:
    """Set one legend above all panels, each name once."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    if found:
        figure.legend(
            list(found.values()), list(found), loc="outside upper left", fontsize=9, frameon=False,
            ncols=min(len(found), 3), columnspacing=1.2, handletextpad=0.5,
        )  # fmt: skip


def _short(value: Tensor) -> str:
    return format(float(value), ".3g").replace("-", "−")


def _array(tensor: Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.detach().cpu().numpy()
