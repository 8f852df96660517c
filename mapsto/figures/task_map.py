"""The map of tasks: each task a point, near those of which a learner makes the same, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MapstoError
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..measures.evaluation.similarity import TaskMap


def task_map(found: TaskMap, of: Sequence[float] | None = None, name: str = "") -> Figure:
    """Draw the tasks of a map; `of` holds a number of each task, called `name` and told by colour.

    Raises:
        MapstoError: as many numbers as there are tasks are expected.
    """
    points = np.asarray(found.points, float)
    if of is not None and len(of) != len(points):
        raise MapstoError(f"of: got {len(of)} number(s), expected {len(points)}, one for each task.")
    figure = style.canvas(4.2)
    axes = style.quiet(figure.subplots())
    colour: dict[str, Any] = {"color": style.LOWER} if of is None else {"c": np.asarray(of, float), "cmap": "cividis"}
    drawn = axes.scatter(points[:, 0], points[:, 1], s=22, alpha=0.85, linewidth=0, **colour)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"first of two axes, which show {100 * found.kept:.0f} % of the differences", fontsize=9.5)
    axes.set_ylabel("second axis", fontsize=9.5)
    if of is not None:
        bar = figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.03)
        bar.set_label(style.label(name, 30), fontsize=9.5)
        bar.outline.set_visible(False)
    return figure
