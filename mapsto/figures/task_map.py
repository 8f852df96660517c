"""The map of tasks: each task is a point, and tasks that a learner treats alike lie close together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..measures.evaluation.similarity import TaskMap


def task_map(result: TaskMap, of: Sequence[float] | None = None, name: str = "") -> Figure:
    """Draw the tasks of a map; `of` holds a number for each task, shown by colour and called `name`.

    Raises:
        MapstoError: `of` does not hold one number for each task.
    """
    points = np.asarray(result.points, float)
    count = len(points) if of is None else len(of)
    checks.expect(count == len(points), "of", f"{count} number(s)", f"{len(points)}, one for each task")
    figure = style.canvas(4.2)
    axes = style.quiet(figure.subplots())
    colour: dict[str, Any] = {"color": style.LOWER} if of is None else {"c": np.asarray(of, float), "cmap": "cividis"}
    dots = axes.scatter(points[:, 0], points[:, 1], s=22, alpha=0.85, linewidth=0, **colour)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"first of two axes, which show {100 * result.kept:.0f} % of the differences", fontsize=9.5)
    axes.set_ylabel("second axis", fontsize=9.5)
    if of is not None:
        bar = figure.colorbar(dots, ax=axes, fraction=0.04, pad=0.03)
        bar.set_label(style.label(name, 30), fontsize=9.5)
        bar.outline.set_visible(False)
    return figure
