"""Plausible values of a column, and distances between them in units of the median absolute deviation.

A number stays within the observed range, an integer stays whole, a category is one that was observed.
"""

import numpy as np
from jaxtyping import Float, Int

from .background import Background


class Columns:
    """The plausible values of each column of the background, and the distances between values."""

    def __init__(self, background: Background):
        self.observed = [background.observed(j) for j in range(len(background.names))]
        self.ordered = np.array([kind != "category" for kind in background.kinds])
        self.whole = np.array([kind == "integer" for kind in background.kinds])
        self.low, self.high = (np.array([end(v) if len(v) else 0.0 for v in self.observed]) for end in (np.min, np.max))
        present = [column[~np.isnan(column)] for column in background.values.T]
        self.spread = np.array([_spread(v, bool(o)) for v, o in zip(present, self.ordered, strict=True)])

    def steps(self, rows: Float[np.ndarray, "m d"], row: Float[np.ndarray, " d"]) -> Float[np.ndarray, "m d"]:
        """Return the distance of each cell from the row's: over the spread of its column; 1 for another category."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.ordered, np.where(rows == row, 0.0, np.abs(rows - row) / self.spread), rows != row)

    def plausible(self, columns: Int[np.ndarray, " m"], values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Return the values, one for each given column, moved to the nearest plausible ones."""
        values = np.where(self.whole[columns], np.round(values), values)
        return values.clip(self.low[columns], self.high[columns])

    def values(self, column: int, at: float, count: int) -> Float[np.ndarray, " v"]:
        """Return the observed categories, or `count` quantiles including the extremes, and values near `at`."""
        seen = self.observed[column]
        if not self.ordered[column]:
            return seen
        spaced = np.quantile(seen, np.linspace(0, 1, count), method="nearest")
        near = at + self.spread[column] * np.array([-1.0, -0.25, 0.25, 1.0])
        return np.unique(self.plausible(np.full(count + 4, column), np.concatenate([spaced, near])))


def _spread(values: Float[np.ndarray, " n"], ordered: bool) -> float:
    """Return the median absolute deviation; the mean one if half of the values are equal; 0 if nothing varies."""
    if not len(values) or (values == values[0]).all():
        return 0.0
    if not ordered:
        return 1.0
    apart = np.abs(values - np.median(values))
    return float(np.median(apart) or apart.mean())
