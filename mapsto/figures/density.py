"""Many rows on one line of a beeswarm: a bar wherever rows lie, in place of a dot for each.

    height of a bar = 0.8 · √(rows in its bin / rows in the fullest bin of the line)

So a bin with a hundredth of the rows is still seen. A bar has the mean colour of its rows, and is the paler the more of
their contributions have no certain sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

if TYPE_CHECKING:
    from matplotlib.collections import PolyCollection

_BINS = 150
_TALLEST = 0.4  # half of the height of the fullest bin


class Bars(NamedTuple):
    """The bins that hold rows.

    Attributes:
        x: the middle of each bin.
        rows: the number of rows in it.
        reach: half of its height.
        shade: the mean shade of its rows.
        pale: the share of its rows that are pale.
        width: the width of a bin.
    """

    x: Float[np.ndarray, " b"]
    rows: Int[np.ndarray, " b"]
    reach: Float[np.ndarray, " b"]
    shade: Float[np.ndarray, " b"]
    pale: Float[np.ndarray, " b"]
    width: float


def bars(
    x: Float[np.ndarray, " n"],
    limits: tuple[float, float],
    shade: Float[np.ndarray, " n"],
    pale: Bool[np.ndarray, " n"],
    fullest: int | None = None,
) -> Bars:
    """Count the rows in bins of equal width; `fullest` is the number of rows of the tallest bar, that of `x` if None.

    >>> found = bars(np.array([0.0, 0.0, 0.0, 0.0, 1.0]), (-1.0, 2.0), np.full(5, 0.5), np.zeros(5, bool))
    >>> found.rows.tolist(), found.reach.tolist()
    ([4, 1], [0.4, 0.2])
    """
    low, high = limits
    width = (high - low) / _BINS
    bins = np.clip(((x - low) / width).astype(int), 0, _BINS - 1)
    rows = np.bincount(bins, minlength=_BINS)
    there = np.flatnonzero(rows)
    counts = rows[there]
    mean_shade, share = (np.bincount(bins, part, _BINS)[there] / counts for part in (shade, pale.astype(float)))
    reach = _TALLEST * np.sqrt(counts / (fullest or counts.max()))
    return Bars(low + (there + 0.5) * width, counts, reach, mean_shade, share, width)


def drawn(found: Bars, height: float) -> PolyCollection:
    """Return the bars around the line at `height`, as an image so that the size of a page has a bound."""
    from matplotlib.collections import PolyCollection

    left, right = found.x - found.width / 2, found.x + found.width / 2
    bottom, top = height - found.reach, height + found.reach
    corners = np.stack([np.stack(pair, 1) for pair in ((left, bottom), (left, top), (right, top), (right, bottom))], 1)
    return PolyCollection(list(corners), zorder=3, rasterized=True)
