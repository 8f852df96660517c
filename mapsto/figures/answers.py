"""The answers of an adapted model to queries, beside the truth: bars of probabilities, a curve or points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from . import style
from .outputs import framed
from .overlaid import image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CLASSES = 5  # bars a query


def probabilities(
    outputs: Float[np.ndarray, "m k"],
    y: Int[np.ndarray, " m"],
    classes: Sequence[str],
    images: Float[np.ndarray, "m c h w"] | None = None,
) -> Figure:
    """Draw the most probable classes of each query as bars, the true one among them, beside its image if it has one.

    The most probable class is orange if it is the true one, else blue; the others are grey.
    """
    k = min(outputs.shape[1], _CLASSES)
    figure = style.canvas((0.22 * k + 0.55) * len(outputs) + 0.2)
    ratios = [1.0] if images is None else [1.0, 2.2]
    grid = figure.subplots(len(outputs), len(ratios), squeeze=False, width_ratios=ratios)
    for i, axes in enumerate(grid):
        if images is not None:
            image(axes[0], images[i], f"query {i}")
        _bars(axes[-1], outputs[i], int(y[i]), classes, k)
        verdict = "right" if outputs[i].argmax() == y[i] else "wrong"
        title = verdict if images is not None else f"query {i}: {verdict}"
        axes[-1].set_title(title, fontsize=9, color=style.INK, loc="left")
    grid[-1, -1].set_xlabel("probability, in per cent", fontsize=9.5, color=style.INK)
    return figure


def _bars(axes: Axes, p: Float[np.ndarray, " k"], y: int, classes: Sequence[str], most: int) -> None:
    order = likely(p, y, most)
    style.rows(style.quiet(axes), [f"{style.label(classes[c], 16)}{' (true)' if c == y else ''}" for c in order])
    best = int(p.argmax())
    colours = [style.NEUTRAL if c != best else style.HIGHER if c == y else style.LOWER for c in order]
    axes.barh(range(len(order)), 100 * p[order], color=colours, height=0.66)
    for height, c in enumerate(order):
        axes.annotate(f"{100 * p[c]:.0f}", (100 * p[c], height), (3, 0), textcoords="offset points", va="center",
                      fontsize=8.5, color=style.INK)  # fmt: skip
    axes.set_xlim(0, 112)
    axes.set_xticks([0, 50, 100])
    axes.tick_params(labelsize=8.5)


def likely(p: Float[np.ndarray, " k"], y: int, most: int) -> list[int]:
    """Return the most probable classes in the order of their numbers, the true one among them.

    >>> likely(np.array([0.1, 0.5, 0.0, 0.4]), y=2, most=2)
    [1, 2]
    """
    order = [int(c) for c in np.argsort(-p, kind="stable")]
    first = order[:most]
    return sorted(first if y in first else [*first[:-1], y])


def curve(
    model: Float[np.ndarray, "g 2"],
    support: Float[np.ndarray, "n 2"],
    queries: Float[np.ndarray, "m 2"],
    scores: Float[np.ndarray, " m"],
) -> Figure:
    """Draw the output over the one input, the teaching examples, and the queries at their true outputs.

    All points are (input, output); dotted lines join each query's true output and the model's, `scores`.
    """
    figure = style.canvas(3.4)
    axes = framed(figure.subplots())
    axes.plot(*model.T, color=style.HIGHER, linewidth=1.8, label="the adapted model")
    axes.plot(*support.T, "o", color=style.LOWER, markersize=5.5, label="taught")
    axes.plot(*queries.T, "s", color=style.INK, markerfacecolor="none", markersize=6, label="queries, true")
    axes.vlines(queries[:, 0], queries[:, 1], scores, color=style.INK, linewidth=1, linestyle=":")
    _number(axes, queries)
    axes.set_xlabel("input", fontsize=9.5, color=style.INK)
    axes.set_ylabel("output", fontsize=9.5, color=style.INK)
    figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=3, columnspacing=1.2, handletextpad=0.5)
    return figure


def diagonal(truth: Float[np.ndarray, " m"], scores: Float[np.ndarray, " m"]) -> Figure:
    """Draw the model's outputs over the true ones; a query on the line is answered right."""
    figure = style.canvas(3.2)
    axes = framed(figure.subplots())
    both = np.concatenate([truth, scores])
    margin = 0.1 * (both.max() - both.min()) or 0.5
    ends = [both.min() - margin, both.max() + margin]
    axes.plot(ends, ends, "--", color=style.NEUTRAL, linewidth=1.2, label="right")
    axes.plot(truth, scores, "o", color=style.LOWER, markersize=6, label="queries")
    _number(axes, np.stack([truth, scores], 1))
    axes.set_xlabel("true", fontsize=9.5, color=style.INK)
    axes.set_ylabel("the adapted model says", fontsize=9.5, color=style.INK)
    figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=2)
    return figure


def _number(axes: Axes, points: Float[np.ndarray, "m 2"]) -> None:
    """Write the numbers of the queries beside their points; points close together share one list."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for group in together(points / np.array([right - left, high - low])):
        axes.annotate(", ".join(map(str, group)), points[group[0]], (6, 4), textcoords="offset points", fontsize=9,
                      color=style.INK)  # fmt: skip


def together(points: Float[np.ndarray, "m 2"], apart: float = 0.07) -> list[list[int]]:
    """Group points that lie closer than `apart` to the first of a group.

    >>> together(np.array([[0.0, 0.0], [0.5, 0.5], [0.01, 0.0]]))
    [[0, 2], [1]]
    """
    groups: list[list[int]] = []
    for i, point in enumerate(points):
        near = (group for group in groups if np.abs(points[group[0]] - point).max() < apart)
        if (group := next(near, None)) is None:
            groups.append([i])
        else:
            group.append(i)
    return groups
