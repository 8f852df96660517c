"""The bars of an explanation: how much each column moved the predictions on average, or one prediction up or down.

    length = factor * mean_i |Σ_{j in bar} values[i, j]|        of many rows
    length = factor * Σ_{j in bar} values[0, j]                 of one row, with the 90 % interval of the contribution

A bar stands for one column; one more stands for all columns beyond the largest few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..explanation import Explanation
from . import style
from .explained import Explained, Target, explained, legend
from .waterfall import Step, reach_of, room, step_bar, step_name, steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def bar(e: Explanation, target: Target = None, top: int = 10) -> Figure:
    """Draw the mean absolute contribution of each column as a bar; if `e` has one row, its signed contributions.

    Args:
        e: the explanation; `e[3]` is that of one row. Of one row, a line at the end of each bar is the 90 % interval of
            the contribution if `e.errors` are known, and a bar whose interval contains 0 is hollow. Means of many rows
            have no intervals: errors do not cancel in absolute values.
        target: the name of a class, or of a predicted number, or the `mapsto.figures.unit.Amount` of the number. If
            None, the second of two classes is drawn; of more classes, the one that is predicted for one row, or the
            one with the largest total importance in many rows.
        top: the number of columns that have a bar each. One more bar shows the others: how much their sum moved the
            predictions.

    Raises:
        MapstoError: if `e` has no rows, or no such target.
    """
    part = explained(e, target)
    return _signed(e, part, top) if len(e) == 1 else _means(e, part, top)


def _signed(e: Explanation, part: Explained, top: int) -> Figure:
    shown, unit = steps(part.values[0], 0.0, top), part.unit
    figure, axes = _canvas([step_name(step, e.feature_names, e.data[0], e.noun) for step in shown], 0.42)
    reaches = [0.0 if part.reach is None else reach_of(step, part.reach[0]) for step in shown]
    changes = [step.end - step.start for step in shown]
    for height, (step, change, reach) in enumerate(zip(shown, changes, reaches, strict=True)):
        step_bar(axes, Step(step.columns, 0.0, change), height, unit, reach)
    texts = [unit.within(change, reach) for change, reach in zip(changes, reaches, strict=True)]
    ends = [change + side * reach for change, reach in zip(changes, reaches, strict=True) for side in (-1, 1)]
    room(axes, unit.factor * np.array([0.0, *ends]), max(map(len, texts)), unit.step)
    axes.set_xlabel(part.axis_of_changes("contribution to"), fontsize=9.5, color=style.INK)
    return style.caption(figure, *legend(e, part))


def _means(e: Explanation, part: Explained, top: int) -> Figure:
    shown, unit = steps(np.abs(part.values).mean(0), 0.0, top), part.unit
    figure, axes = _canvas([step_name(step, e.feature_names, None, e.noun) for step in shown], 0.3)
    means = [float(np.abs(part.values[:, step.columns].sum(1)).mean()) for step in shown]
    for height, mean in enumerate(means):
        axes.barh(height, unit.factor * mean, height=0.62, color=style.MUTED, zorder=3)
        axes.annotate(unit.size(mean), (unit.factor * mean, height), (4, 0), textcoords="offset points", va="center",
                      fontsize=9.5, color=style.INK)  # fmt: skip
    axes.set_xlim(0, 1.2 * max(unit.step, *(unit.factor * mean for mean in means)))
    axes.set_xlabel(part.axis_of_changes("mean |contribution| to"), fontsize=9.5, color=style.INK)
    return figure


def _canvas(labels: list[str], line: float) -> tuple[Figure, Axes]:
    figure = style.canvas(0.95 + line * len(labels))
    axes = style.rows(style.quiet(figure.subplots()), labels)
    axes.axvline(0, color=style.MUTED, linewidth=1.2, zorder=4)
    return figure, axes
