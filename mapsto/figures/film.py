"""The adaptation film in pictures: the answers, the losses, the parameters and the reasons at one inner step.

Every picture of a film has the scales of the whole film, so that only the model moves from frame to frame, not an axis.
The strip shows the answers at up to six steps side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from . import numbers, style
from .outputs import array, framed, outputs
from .signed import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    from ..seeing.film import Film


def chosen(frames: int, most: int) -> list[int]:
    """Choose at most `most` frames, evenly spread, with the first and the last.

    >>> chosen(11, 6), chosen(3, 6)
    ([0, 2, 4, 6, 8, 10], [0, 1, 2])
    """
    return sorted({round(i) for i in np.linspace(0, frames - 1, min(frames, most))})


def film_strip(film: Film, most: int = 6, classes: Sequence[object] = ()) -> Figure:
    """Draw the answers of the model at up to `most` steps, the first and the last among them."""
    steps = chosen(len(film.path), most)
    rows = (len(steps) + 1) // 2
    figure = style.canvas(0.5 + 2.1 * rows)
    panels = list(figure.subplots(rows, 2, squeeze=False, sharex=True, sharey=True).flat)
    for axes, i in zip(panels, steps, strict=False):
        scale = outputs(axes, film, i, classes)
        axes.set_title(
            f"step {i}, query loss {numbers.significant(float(film.query_loss[i]), 3)}",
            fontsize=9,
            color=style.INK,
            loc="left",
        )
        axes.label_outer()
    for axes in panels[len(steps) :]:  # at most one, below another: that one gets the labels
        if len(steps) > 1:
            panels[len(steps) - 2].tick_params(labelbottom=True)
            panels[len(steps) - 2].set_xlabel(panels[len(steps) - 1].get_xlabel(), fontsize=9.5, color=style.INK)
        axes.remove()
    _scaled(figure, scale)
    _legend(figure)
    return figure


def film_outputs(film: Film, i: int, classes: Sequence[object] = ()) -> Figure:
    """Draw the answers of the model at step `i`."""
    figure = style.canvas(3.4)
    _scaled(figure, outputs(figure.subplots(), film, i, classes))
    _legend(figure)
    return figure


def film_losses(film: Film, i: int) -> Figure:
    """Draw the losses over the steps, with step `i` marked."""
    figure = style.canvas(2.9)
    axes = framed(figure.subplots())
    for loss, colour, line, name in (
        (film.support_loss, style.LOWER, "-", "support set"),
        (film.query_loss, style.HIGHER, "--", "query set"),
    ):
        y = array(loss)
        axes.plot(y, line, color=colour, linewidth=1.6, label=name)
        axes.plot([i], y[i : i + 1], "o", color=colour, markersize=7)
    axes.axvline(i, color=style.NEUTRAL, linewidth=1)
    _logarithmic(axes, np.concatenate([array(film.support_loss), array(film.query_loss)]))
    _steps(axes, len(film.path))
    axes.set_ylabel("loss", fontsize=9.5, color=style.INK)
    _legend(figure)
    return figure


def film_path(film: Film, i: int) -> Figure:
    """Draw the path of the parameters in the plane that shows most of its variance, with step `i` marked."""
    figure = style.canvas(2.9)
    axes = framed(figure.subplots())
    points = array(film.path)
    axes.plot(*points.T, "-o", color=style.NEUTRAL, markersize=4, linewidth=1.2)
    axes.plot(*points[0], "s", color=style.LOWER, markersize=7, label="start")
    axes.plot(*points[i], "o", color=style.HIGHER, markersize=9, label="this step")
    axes.margins(0.12)
    axes.set_xlabel(f"first of two axes, with {100 * film.kept:.0f} % of the way's variance", fontsize=9.5)
    axes.set_ylabel("second axis", fontsize=9.5)
    _legend(figure)
    return figure


def film_layers(film: Film, i: int) -> Figure:
    """Draw the gradient norm of each layer at step `i`, and the mean rate of the step along it."""
    norms, rates = array(film.gradient_norm), array(film.rates)
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
    """Draw the attribution of the explained row at step `i`; raises MapstoError if the film has none.

    If the film holds probabilities, the unit is percentage points, as in the other pictures of a report.
    """
    there = film.attribution is not None
    checks.expect(there, "film", "one without attributions", "one made with an explainer")
    p = array(film.predictions)
    shares = p.shape[-1] > 1 and p.min() >= 0 and np.allclose(p.sum(-1), 1, atol=1e-4)
    scale, label = (100, "percentage points") if shares else (1, "in units of the score")
    values = scale * array(film.attribution)
    return signed(values[i], float(np.abs(values).max()), label, names)


def _steps(axes: Axes, frames: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(-0.3, max(frames - 0.7, 0.3))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("inner step", fontsize=9.5, color=style.INK)


def _logarithmic(axes: Axes, y: np.ndarray, axis: str = "y") -> None:
    """Make an axis logarithmic if positive values span more than two orders of magnitude, for all frames alike."""
    y = y[np.isfinite(y)]
    if len(y) and y.min() > 0 and y.max() > 100 * y.min():
        (axes.set_yscale if axis == "y" else axes.set_xscale)("log")
        (axes.set_ylim if axis == "y" else axes.set_xlim)(y.min() / 2, y.max() * 2)


def _scaled(figure: Figure, of: ScalarMappable | None) -> None:
    if of is not None:
        figure.colorbar(of, ax=figure.axes, fraction=0.05, pad=0.02).set_label("output, target", fontsize=9.5)


def _legend(figure: Figure) -> None:
    """Add one legend above all panels, with each name once."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(name, handle)
    if entries:
        figure.legend(
            list(entries.values()), list(entries), loc="outside upper left", fontsize=9, frameon=False,
            ncols=min(len(entries), 3), columnspacing=1.2, handletextpad=0.5,
        )  # fmt: skip
