"""What an adapted model says of queries, beside what is true: bars of probabilities, a curve, points on a diagonal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Shaped

from . import style
from .overlaid import image
from .said import framed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .task_facts import TaskFacts

_CLASSES = 5  # bars a query


def answers(facts: TaskFacts) -> Figure:
    """Draw what the model says of each query, and what is true."""
    if facts.classes is not None:
        return _probabilities(facts)
    return _diagonal(facts) if facts.curve is None else _curve(facts)


def _probabilities(facts: TaskFacts) -> Figure:
    k = min(facts.outputs.shape[1], _CLASSES)
    figure = style.canvas((0.22 * k + 0.55) * len(facts.x) + 0.2)
    ratios = [1, 2.2] if facts.images else [1]
    grid = figure.subplots(len(facts.x), len(ratios), squeeze=False, width_ratios=ratios)
    for i, axes in enumerate(grid):
        if facts.images:
            image(axes[0], facts.x[i], f"query {i}")
        _bars(axes[-1], facts, i, k)
    grid[-1, -1].set_xlabel("probability, in per cent", fontsize=9.5, color=style.INK)
    return figure


def _bars(axes: Axes, facts: TaskFacts, i: int, k: int) -> None:
    p, y, classes = facts.outputs[i], int(facts.y[i]), facts.classes or []
    shown = likely(p, y, k)
    names = [f"{style.label(classes[c], 16)}{' (true)' if c == y else ''}" for c in shown]
    style.rows(style.quiet(axes), names)
    best = int(p.argmax())
    colours = [style.NEUTRAL if c != best else style.HIGHER if c == y else style.LOWER for c in shown]
    axes.barh(range(len(shown)), 100 * p[shown], color=colours, height=0.66)
    for height, c in enumerate(shown):
        axes.annotate(f"{100 * p[c]:.0f}", (100 * p[c], height), (3, 0), textcoords="offset points", va="center",
                      fontsize=8.5, color=style.INK)  # fmt: skip
    axes.set_xlim(0, 112)
    axes.set_xticks([0, 50, 100])
    axes.tick_params(labelsize=8.5)
    verdict = "right" if best == y else "wrong"
    axes.set_title(f"{'' if facts.images else f'query {i}: '}{verdict}", fontsize=9, color=style.INK, loc="left")


def likely(p: Float[np.ndarray, " k"], y: int, most: int) -> list[int]:
    """Return the most probable classes in the order of their numbers, the true one among them.

    >>> likely(np.array([0.1, 0.5, 0.0, 0.4]), y=2, most=2)
    [1, 2]
    """
    order = [int(c) for c in np.argsort(-p, kind="stable")]
    first = order[:most]
    return sorted(first if y in first else [*first[:-1], y])


def _curve(facts: TaskFacts) -> Figure:
    """Draw the output over the one input, what was taught, and the queries with what is true of them."""
    assert facts.curve is not None
    grid, outputs = facts.curve
    figure = style.canvas(3.4)
    axes = framed(figure.subplots())
    axes.plot(grid[:, 0], outputs.mean(1), color=style.HIGHER, linewidth=1.8, label="the adapted model")
    axes.plot(facts.support_x[:, 0], _mean(facts.support_y), "o", color=style.LOWER, markersize=5.5, label="taught")
    truth = _mean(facts.y)
    axes.plot(facts.x[:, 0], truth, "s", color=style.INK, markerfacecolor="none", markersize=6, label="queries, true")
    axes.vlines(facts.x[:, 0], truth, facts.scores, color=style.INK, linewidth=1, linestyle=":")
    _number(axes, np.stack([facts.x[:, 0], truth], 1))
    axes.set_xlabel("input", fontsize=9.5, color=style.INK)
    axes.set_ylabel("output", fontsize=9.5, color=style.INK)
    figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=3, columnspacing=1.2, handletextpad=0.5)
    return figure


def _diagonal(facts: TaskFacts) -> Figure:
    """Draw outputs against what is true; on the line the two are the same."""
    figure = style.canvas(3.2)
    axes, truth = framed(figure.subplots()), _mean(facts.y)
    both = np.concatenate([truth, facts.scores])
    margin = 0.1 * (both.max() - both.min()) or 0.5
    ends = [both.min() - margin, both.max() + margin]
    axes.plot(ends, ends, "--", color=style.NEUTRAL, linewidth=1.2, label="right")
    axes.plot(truth, facts.scores, "o", color=style.LOWER, markersize=6, label="queries")
    _number(axes, np.stack([truth, facts.scores], 1))
    axes.set_xlabel("true", fontsize=9.5, color=style.INK)
    axes.set_ylabel("the adapted model says", fontsize=9.5, color=style.INK)
    figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=2)
    return figure


def _number(axes: Axes, points: Float[np.ndarray, "m 2"]) -> None:
    """Write the numbers of the queries beside their points, those of points that lie together as one list."""
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


def _mean(y: Shaped[np.ndarray, "m ..."]) -> Float[np.ndarray, " m"]:
    return y.reshape(len(y), -1).mean(1)
