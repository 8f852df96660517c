"""The area under the ROC curve, its 95 % interval, and the difference of two areas on the same rows.

    AUC = mean over the classes of P(a row of the class has a higher probability of it than a row of another class)
    |AUC − A| ≤ z·√(A(1 − A)·(1 + N·((1 − A)/(2 − A) + A/(1 + A)))/mn),     N = (m + n)/2 − 1

The second line says which areas A are in the interval of `m` rows of a class and `n` others. It is a score interval
(Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann–Whitney statistic", part 2, method
5), so a perfect ranking of few rows has an interval too. Two areas on the same rows are compared by both intervals and
their correlation (Zou 2008, "On the estimation of additive interaction by use of the four-by-two table and beyond");
the correlation is that of DeLong, DeLong & Clarke-Pearson 1988.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real, Shaped

from .intervals import Groups, Interval, independent

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
_AREAS = np.linspace(0, 1, 4001)


class Ranking(NamedTuple):
    """How well probabilities rank rows: the AUC, and what its interval needs.

    The variance of the AUC at a true area A is `A(1 − A)·(single + shared·((1 − A)/(2 − A) + A/(1 + A)))`.
    """

    auc: float
    deviations: Float[np.ndarray, " n"]  # how much each row moves the AUC
    single: float  # part of the variance from single pairs of rows
    shared: float  # part of the variance from pairs that share a row
    y: Int[np.ndarray, " n"]  # the class of each row


def ranking(
    p: Float[np.ndarray, "n k"], y: Int[np.ndarray, " n"], strata: Shaped[np.ndarray, " n"] | None = None
) -> Ranking | None:
    """Return how well probabilities rank rows, or None if no class has both rows of its own and other rows.

    Args:
        p: the predicted probabilities of `k` classes.
        y: the true classes, as indices.
        strata: only rows of the same stratum are compared, for example rows that one model predicted. If None, all
            rows are compared with each other.
    """
    strata = np.zeros(len(y), int) if strata is None else strata
    parts = [part for c in range(p.shape[1]) if (part := _of_class(p[:, c], y == c, strata)) is not None]
    if not parts:
        return None
    auc, deviations, single, shared, _ = (np.mean(values, 0) for values in zip(*parts, strict=True))
    apart = np.mean([(part.deviations**2).sum() for part in parts])
    together = float((deviations**2).sum() / apart) if apart > 0 else 1.0  # below 1: classes err independently
    return Ranking(float(auc), deviations, together * float(single), together * float(shared), y)


def interval(ranks: Ranking, groups: Groups = None) -> Interval:
    """Return an AUC with its 95 % interval.

    >>> ranks = ranking(np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]]), np.array([0, 0, 1]))
    >>> [round(end, 2) for end in interval(ranks)]
    [1.0, 0.28, 1.0]
    """
    if ranks.auc == 0.5 and not ranks.deviations.any():  # all rows are tied, so that no row could move it
        return Interval(0.5, 0.5, 0.5)
    a = _AREAS
    variance = a * (1 - a) * (ranks.single + ranks.shared * ((1 - a) / (2 - a) + a / (1 + a)))
    fewer = independent(ranks.deviations * len(ranks.y), groups, ranks.y)
    inside = a[(ranks.auc - a) ** 2 <= _Z**2 * variance / fewer]
    return Interval(ranks.auc, *(float(end) for end in (min(ranks.auc, *inside), max(ranks.auc, *inside))))


def difference(first: Ranking, second: Ranking, groups: Groups = None) -> Interval:
    """Return the AUC of the first minus the AUC of the second on the same rows, with its 95 % interval."""
    a, b = interval(first, groups), interval(second, groups)
    r = _correlation(first.deviations, second.deviations, groups)
    low = _reach(a.value - a.low, b.high - b.value, r)
    high = _reach(a.high - a.value, b.value - b.low, r)
    d = a.value - b.value
    return Interval(d, d - low, d + high)


def _reach(one: float, other: float, r: float) -> float:
    return float(np.sqrt(max(0.0, one**2 - 2 * r * one * other + other**2)))


def _correlation(one: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"], groups: Groups) -> float:
    if groups is not None:
        one, other = np.bincount(groups, one), np.bincount(groups, other)
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float(one @ other) / size if size > 0 else 0.0


def _of_class(x: Float[np.ndarray, " n"], inside: np.ndarray, strata: np.ndarray) -> Ranking | None:
    """Return how well `x` ranks the rows `inside` above the others, compared within each stratum."""
    wins, pairs, shared = np.zeros(len(x)), np.zeros(len(x)), 0.0  # of each row: pairs won, and all its pairs
    for s in np.unique(strata):
        ours, others = np.flatnonzero((strata == s) & inside), np.flatnonzero((strata == s) & ~inside)
        m, n = len(ours), len(others)
        wins[ours], wins[others] = _below(x[ours], x[others]), m - _below(x[others], x[ours])
        pairs[ours], pairs[others] = n, m
        shared += m * n * ((m + n) / 2 - 1)
    count = pairs[inside].sum()
    if not count:
        return None
    auc = wins[inside].sum() / count
    return Ranking(auc, (wins - auc * pairs) / count, 1 / count, shared / count**2, inside.astype(int))


def _below(x: Real[np.ndarray, " m"], others: Real[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    """Count for each of `x` the numbers of `others` that are smaller; an equal one counts half."""
    others = np.sort(others)
    return (np.searchsorted(others, x, "left") + np.searchsorted(others, x, "right")) / 2
