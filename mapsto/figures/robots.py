"""A robot's experience in pictures: its paths before and after each update, its returns, and what moved its action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ..estimate import Estimate
from . import style
from .colours import around_zero
from .outputs import framed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Paths = Sequence[Float[np.ndarray, "_ 2"]]  # one rollout each, of its own length
_ACROSS = 2
_GREY = "#d5d9dc"  # of a rollout that pushed nothing


def film(
    blocks: Sequence[Paths],
    goal: Float[np.ndarray, " 2"] | None,
    titles: Sequence[str],
    pushes: Float[np.ndarray, "b r"] | None = None,
) -> Figure:
    """Draw the rollouts of each block in the plane, on one scale; a square marks the start, a star the goal.

    If there are `pushes`, one number for each rollout, they decide its colour: orange above 0, blue below.
    """
    lines = -(-len(blocks) // _ACROSS)
    figure = style.canvas(0.25 + 2.25 * lines)
    panels = list(figure.subplots(lines, _ACROSS, squeeze=False, sharex=True, sharey=True).flat)
    reach = 1.0 if pushes is None else float(np.abs(pushes).max()) or 1.0
    for i, (axes, paths, title) in enumerate(zip(panels, blocks, titles, strict=False)):
        shades = [style.LOWER] * len(paths) if pushes is None else around_zero(_GREY)(0.5 + pushes[i] / reach / 2)
        _panel(framed(axes), paths, goal, list(shades))
        axes.set_title(title, fontsize=9, color=style.INK, loc="left")
    middle, half = _square(blocks, goal)
    panels[0].set_xlim(middle[0] - half, middle[0] + half)  # shared by all
    panels[0].set_ylim(middle[1] - half, middle[1] + half)
    for axes in panels[len(blocks) :]:
        axes.remove()
    return figure


def _square(blocks: Sequence[Paths], goal: Float[np.ndarray, " 2"] | None) -> tuple[np.ndarray, float]:
    """Return the middle of the smallest square with all paths and the goal, and half its side with a margin."""
    ends = [] if goal is None else [goal[None]]
    places = np.concatenate([path for paths in blocks for path in paths] + ends)
    low, high = places.min(0), places.max(0)
    return (low + high) / 2, 0.55 * float((high - low).max()) or 1.0


def _panel(axes: Axes, paths: Paths, goal: np.ndarray | None, colours: Sequence[object]) -> None:
    for path, colour in zip(paths, colours, strict=True):
        axes.plot(*path.T, color=colour, linewidth=0.9, alpha=0.8)
        axes.plot(*path[-1], "o", color=colour, markersize=2.5)
    axes.plot(*paths[0][0], "s", color=style.INK, markersize=5, zorder=4)
    if goal is not None:
        axes.plot(*goal, "*", color=style.HIGHER, markersize=11, markeredgecolor=style.INK, zorder=5)
    axes.set_aspect("equal", adjustable="box")


def returns(means: Sequence[Estimate], task: Sequence[float]) -> Figure:
    """Draw the mean return over many tasks after each update, with its 95 % interval, and that of one task."""
    figure = style.canvas(2.6)
    axes = framed(figure.subplots())
    updates = range(len(means))
    intervals = np.nan_to_num([value.interval for value in means])
    axes.errorbar(
        updates, [value.mean for value in means], intervals, fmt="o-", color=style.LOWER, capsize=3, label="all tasks"
    )
    axes.plot(updates, task, "s--", color=style.HIGHER, markersize=4, linewidth=1.2, label="this task")
    axes.set_xticks(list(updates))
    axes.set_xlabel("updates", fontsize=9.5, color=style.INK)
    axes.set_ylabel("return", fontsize=9.5, color=style.INK)
    axes.legend(fontsize=9, frameon=False)
    return figure


def saliency(values: Float[np.ndarray, "a h o"], names: Sequence[str]) -> Figure:
    """Draw a strip for each component of the action: which entry of the observation moved it at each step."""
    a, _, o = values.shape
    figure = style.canvas(0.9 + a * (0.35 + 0.22 * min(o, 12)))
    panels = list(figure.subplots(a, 1, squeeze=False, sharex=True).flat)
    most = np.abs(values).sum((0, 1)).argsort(kind="stable")[::-1][:12]
    reach = float(np.abs(values).max()) or 1.0
    for j, axes in enumerate(panels):
        image = axes.imshow(
            values[j][:, most].T, aspect="auto", cmap=around_zero(), vmin=-reach, vmax=reach, interpolation="nearest"
        )
        axes.set_yticks(range(len(most)), labels=[style.label(names[e], 16) for e in most], fontsize=9)
        axes.set_title(f"action {j}", fontsize=9, color=style.INK, loc="left")
    panels[-1].set_xlabel("step", fontsize=9.5, color=style.INK)
    panels[-1].locator_params("x", integer=True)
    figure.colorbar(image, ax=panels, fraction=0.05, pad=0.02).set_label("change of the action", fontsize=9.5)
    return figure
