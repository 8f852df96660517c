"""95 % intervals of a share and of a mean that hold for few rows, and for rows that come in groups.

    share   Beta(x, n − x + 1) quantile 0.025  to  Beta(x + 1, n − x) quantile 0.975,        x events in n rows
    mean    m − s·g⁻¹(t/√n)  to  m − s·g⁻¹(−t/√n),     g(T) = T + k·T²/3 + k²·T³/27 + k/(6n),   k the skewness

The first is exact (Clopper & Pearson 1934). The second corrects Student's t for skewness (Hall 1992, "On the Removal of
Skewness by Transformation"), because losses are skewed: confident mistakes are rare and expensive. Rows of one group,
such as visits of one patient, repeat each other. So the variance is that of leaving out one group at a time (the
jackknife; MacKinnon, Nielsen & Webb 2023, "Fast and reliable jackknife and bootstrap methods for cluster-robust
inference"), and a share counts fewer rows (Korn & Graubard 1998). Groups of unequal sizes say less than equal ones:
Student's t takes them as (Σ size)² / Σ size² groups (Kish 1965). Nothing here is random, and nothing knows of classes.
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
    m, count = float(values.mean()), float(len(values))
    if groups is not None:
        values, count = m + left_out(values - m, groups), _equal(groups)
    n = len(values)
    if n < 2:
        return Interval(m, -np.inf, np.inf)
    s = float(values.std(ddof=1))
    if s <= 1e-12 * abs(m):  # equal up to rounding
        return Interval(m, m, m)
    skewness = float(((values - m) ** 3).mean()) / s**3
    reach = student(count) / np.sqrt(n)
    return Interval(m, m - s * _unskewed(reach, skewness, n), m - s * _unskewed(-reach, skewness, n))


def independent(
    deviations: Float[np.ndarray, " n"], groups: Groups, strata: Int[np.ndarray, " n"] | None = None
) -> float:
    """Return the fraction of the rows that count as independent, at most 1.

    It is the variance that the mean of the rows would have if they were independent, divided by its variance over
    groups. If the rows do not vary, or a stratum has a single group, each group counts as one row.

    Args:
        deviations: how far each row deviates from the mean, of all rows or of its stratum.
        groups: the number of each row's group, from 0. If None, all rows are independent.
        strata: the number of each row's stratum, such as its class. If None, there is one stratum.
    """
    if groups is None:
        return 1.0
    n, count = len(deviations), _equal(groups)
    together = 0.0
    if (_shares(groups, strata) < 1).all():
        moves = left_out(deviations, groups, strata)
        together = float((moves**2).sum()) / (len(moves) * (len(moves) - 1))
    if together <= 1e-12 / n:
        return count / n
    alone = float((deviations**2).sum()) / (n * (n - 1))
    return min(1.0, alone / together * (student(n) / student(count)) ** 2)


def left_out(
    deviations: Float[np.ndarray, " n"], groups: Int[np.ndarray, " n"], strata: Int[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, " g"]:
    """Return how far the mean of the rows moves when each group is left out, times 1 − the number of groups.

    So the variance of the mean is the variance of these numbers over the number of groups. `strata` is that of
    `independent`; every stratum loses its own mean. A group that has all rows of a stratum does not move it.

    >>> left_out(np.array([-1.0, -1.0, 2.0]), np.array([0, 0, 1]))  # without group 0, the mean is 2; without 1, −1
    array([-2.,  1.])
    """
    _, place = np.unique(groups, return_inverse=True)
    rest = 1 - _shares(groups, strata)
    sums = np.bincount(place, np.where(rest > 0, deviations / np.where(rest > 0, rest, 1), 0))
    return sums * (len(sums) - 1) / len(deviations)


def _shares(groups: Int[np.ndarray, " n"], strata: Int[np.ndarray, " n"] | None) -> Float[np.ndarray, " n"]:
    """Return for each row which share of its stratum its group has."""
    strata = np.zeros(len(groups), int) if strata is None else strata
    rows = np.zeros((groups.max() + 1, strata.max() + 1))
    np.add.at(rows, (groups, strata), 1)
    return rows[groups, strata] / rows.sum(0)[strata]


def _equal(groups: Int[np.ndarray, " n"]) -> float:
    """Return how many groups of equal sizes say as much as these; at least two if there are two."""
    sizes = np.bincount(groups)
    return max(float(sizes.sum() ** 2 / (sizes**2).sum()), min(2.0, float((sizes > 0).sum())))


def _unskewed(x: float, skewness: float, n: int) -> float:
    if abs(skewness) < 1e-6:
        return x
    return 3 * (float(np.cbrt(1 + skewness * (x - skewness / (6 * n)))) - 1) / skewness
