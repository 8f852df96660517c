"""The reliability curve: of the rows that were given 70 %, did about 70 out of 100 turn out so?

Rows are put in equal bins of predicted probability; each bin's mean prediction is set against the share of rows for
which the event happened, with its exact 95 % interval (Clopper & Pearson 1934): a bin of five rows proves little.

Reference: DeGroot & Fienberg 1983, "The comparison and evaluation of forecasters".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .. import checks
from ..measures.evaluation.intervals import Groups, share
from . import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Bins(NamedTuple):
    """The non-empty bins: mean prediction, share of events with its interval, and number of rows."""

    predicted: Float[np.ndarray, " b"]
    frequency: Float[np.ndarray, " b"]
    low: Float[np.ndarray, " b"]
    high: Float[np.ndarray, " b"]
    rows: Int[np.ndarray, " b"]
    place: Int[np.ndarray, " b"]  # which of all bins, from 0
    bins: int  # how many there are, the empty ones too


def reliability_bins(
    predicted: Float[np.ndarray, " n"], event: Bool[np.ndarray, " n"], bins: int = 10, groups: Groups = None
) -> Bins:
    """Sort rows into `bins` equal bins of predicted probability; a bin holds its upper edge.

    `groups` is the number of each row's group, from 0, such as the patient whose visit it is. If it is None, all rows
    are independent.

    >>> b = reliability_bins(np.array([0.1, 0.9, 0.9, 0.8]), np.array([False, True, True, False]), bins=2)
    >>> b.rows.tolist(), b.frequency.round(3).tolist(), b.predicted.round(3).tolist()
    ([1, 3], [0.0, 0.667], [0.1, 0.867])
    """
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, predicted, "left") - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    used = np.flatnonzero(count)
    n = count[used]
    mean = np.bincount(index, predicted, bins)[used] / n
    parts = [share(event[rows], None if groups is None else groups[rows]) for b in used if (rows := index == b).any()]
    frequency, low, high = np.array(parts, float).T
    return Bins(mean, frequency, low, high, n, used, bins)


def reliability(
    predicted: Float[np.ndarray, " n"],
    event: Bool[np.ndarray, " n"],
    what: str,
    bins: int = 10,
    groups: Groups = None,
) -> Figure:
    """Draw the reliability curve: the observed frequency of an event against its predicted probability.

    `predicted` holds the predicted probability of the event for each row. `event` is True for the rows for which the
    event came true, and `what` is the name of the event. Rows are sorted by predicted probability into bins of equal
    width. `bins` is the number of bins; each bin is one point of the curve. A second panel shows the number of rows in
    each bin. `groups` is the number of each row's group, from 0; if it is None, all rows are independent.

    Raises:
        MapstoError: if there is no row.
    """
    checks.expect(len(predicted) > 0, "predicted", "no rows", "at least one row whose outcome is known")
    parts = reliability_bins(np.asarray(predicted, float), np.asarray(event, bool), bins, groups)
    figure = style.canvas(5.2)
    top, bottom = figure.subplots(2, 1, height_ratios=[4, 1], sharex=True)
    _curve(style.quiet(top), parts)
    _counts(style.quiet(bottom), parts)
    figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=2, columnspacing=1.2, handletextpad=0.5)
    bottom.set_xlabel(f"predicted probability of {style.label(what, 24)},\nin per cent", fontsize=9.5, color=style.INK)
    return figure


def _curve(axes: Axes, parts: Bins) -> None:
    axes.grid(axis="y", color=style.GRID, linewidth=0.8)
    axes.plot([0, 100], [0, 100], linestyle=(0, (4, 3)), color=style.NEUTRAL, linewidth=1.3, label="perfectly reliable")
    x, y = 100 * parts.predicted, 100 * parts.frequency
    spread = 100 * np.stack([parts.frequency - parts.low, parts.high - parts.frequency])
    axes.plot(x, y, color=style.LOWER, linewidth=1.2, alpha=0.5)
    axes.errorbar(
        x, y, yerr=np.maximum(spread, 0), fmt="o", markersize=6, color=style.LOWER, elinewidth=1.5, capsize=3,
        label="observed, with 95 % interval",
    )  # fmt: skip
    axes.set_xlim(-3, 103)
    axes.set_ylim(-3, 103)
    axes.set_ylabel("how often it came true, in per cent", fontsize=9.5, color=style.INK)


def _counts(axes: Axes, parts: Bins) -> None:
    width = 100 / parts.bins
    centre = width * (parts.place + 0.5)
    axes.bar(centre, parts.rows, width=0.86 * width, color=style.NEUTRAL, zorder=3)
    for x, count in zip(centre, parts.rows, strict=True):
        axes.annotate(f"{count:,}", (x, count), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=9)
    axes.set_ylim(0, 1.35 * parts.rows.max())
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_ylabel("rows", fontsize=9.5, color=style.INK)
