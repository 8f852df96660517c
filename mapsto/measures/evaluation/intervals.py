"""95 % intervals of a share and of a mean that hold for few rows, and for rows that come in groups.

    share   Beta(x, n − x + 1) quantile 0.025  to  Beta(x + 1, n − x) quantile 0.975,        x events in n rows
    mean    m − s·g⁻¹(t/√n)  to  m − s·g⁻¹(−t/√n),     g(T) = T + k·T²/3 + k²·T³/27 + k/(6n),   k the skewness

The first is exact (Clopper & Pearson 1934). The second corrects Student's t for skewness (Hall 1992, "On the Removal of
Skewness by Transformation"), because losses are skewed: confident mistakes are rare and expensive. Rows of one group,
such as visits of one patient, repeat each other. A share then counts fewer rows (Korn & Graubard 1998), and a mean is
taken over groups. Nothing here is random, and nothing knows of classes.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from ...estimate import student

Groups = Int[np.ndarray, " n"] | None


class Interval(NamedTuple):
    """A measured value and the ends of its 95 % interval, which are infinite if too little is known."""

    value: float
    low: float
    high: float


def share(events: Bool[np.ndarray, " n"], groups: Groups = None) -> Interval | None:
    """Return the fraction of rows with an event and its exact 95 % interval; None if there are no rows.

    Args:
        events: whether the event happened in each row.
        groups: the number of each row's group, from 0. If None, all rows are independent.

    >>> [round(end, 3) for end in share(np.array([True] * 12))]
    [1.0, 0.735, 1.0]
    """
    if not len(events):
        return None
    p = float(events.mean())
    low, high = ends_of_share(np.array([p]), np.array([len(events) * independent(events - p, groups)]))
    return Interval(p, low.item(), high.item())


def ends_of_share(
    p: Float[np.ndarray, " m"], rows: Shaped[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Return the ends of the exact 95 % interval of each fraction `p` of so many independent `rows`.

    >>> [ends.round(3).tolist() for ends in ends_of_share(np.array([0.5, 1.0]), np.array([4, 12]))]
    [[0.068, 0.735], [0.932, 1.0]]
    """
    from scipy.special import betaincinv

    hits = p * rows
    low = np.where(p > 0, betaincinv(hits, rows - hits + 1, 0.025), 0.0)
    return low, np.where(p < 1, betaincinv(hits + 1, rows - hits, 0.975), 1.0)


def mean(values: Float[np.ndarray, " n"], groups: Groups = None) -> Interval:
    """Return the mean of the values of at least one row and its 95 % interval, corrected for skewness.

    Args:
        values: one number for each row, such as its loss, or the difference of two losses.
        groups: the number of each row's group, from 0. If None, all rows are independent.

    >>> [round(end, 2) for end in mean(np.array([0.1, 0.2, 0.1, 0.2, 0.1, 0.9]))]
    [0.27, 0.03, 1.54]
    """
    m = float(values.mean())
    if groups is not None:  # each group counts by the sum of its deviations
        sums = np.bincount(groups, values - m)[np.unique(groups)]
        values = m + sums * len(sums) / len(values)
    n = len(values)
    if n < 2:
        return Interval(m, -np.inf, np.inf)
    s = float(values.std(ddof=1))
    if s <= 1e-12 * abs(m):  # equal up to rounding
        return Interval(m, m, m)
    skewness = float(((values - m) ** 3).mean()) / s**3
    reach = student(n) / np.sqrt(n)
    return Interval(m, m - s * _unskewed(reach, skewness, n), m - s * _unskewed(-reach, skewness, n))


def independent(deviations: Float[np.ndarray, " n"], groups: Groups) -> float:
    """Return the fraction of the rows that count as independent, at most 1.

    It is the variance that the rows would give if they were independent, divided by the variance over groups. If the
    rows do not vary, each group counts as one row.
    """
    if groups is None:
        return 1.0
    sums, n = np.bincount(groups, deviations)[np.unique(groups)], len(deviations)
    alone, together = float((deviations**2).sum()), float((sums**2).sum())
    if together <= 1e-12 * n or len(sums) < 2:
        return len(sums) / n
    return min(1.0, alone / together * (student(n) / student(len(sums))) ** 2)


def _unskewed(x: float, skewness: float, n: int) -> float:
    if abs(skewness) < 1e-6:
        return x
    return 3 * (float(np.cbrt(1 + skewness * (x - skewness / (6 * n)))) - 1) / skewness
