"""Columns that decide the outcome alone, because they were perhaps written down only when it was known.

For two classes the measure is the area under the ROC curve (AUC) of the column: of its numbers, of the share of a class
among the other rows with the same value (so that a value of one row says nothing), and of whether its cell is missing.
For more classes it is the smallest AUC over the pairs of classes; for numbers as the outcome, Spearman's correlation.

A strong measurement may reach an AUC of 0.98 honestly. So the error 1 − AUC, plus 1/(m + 1) for the m rows of the rarer
class, must be far below the errors of most other columns. This keeps chance out, too: noise separates two classes of
ten rows perfectly in one column of 90,000.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.stats import rankdata

from .column import Column

_AUC, _CORRELATION = 0.98, 0.99
_LEAST = 6  # rows of a class, or pairs of numbers
_BELOW = 0.3  # the error of the column, as a share of the error of other columns
_USUAL = 0.25  # the error of other columns if there are none
_LEVELS = 12  # a number with at most so many different values may also be a code


class Leak(NamedTuple):
    """A column that decides alone: its AUC or correlation, and whether its missing cells decide."""

    strength: float
    missing: bool = False
    measure: str = "AUC"


def deciding(
    columns: Sequence[Column], numbers: Float[np.ndarray, "n d"], outcome: Shaped[np.ndarray, " n"]
) -> dict[int, Leak]:
    """Return the columns that decide the outcome alone, by their place.

    `outcome` holds class indices (whole numbers), or floating-point numbers if the outcome is a number.
    """
    if outcome.dtype.kind == "f":
        return _of_numbers(columns, numbers, outcome)
    counts = np.bincount(outcome)
    classes = np.flatnonzero(counts >= _LEAST)
    pairs = list(combinations(classes[np.argsort(-counts[classes], kind="stable")].tolist(), 2))
    if not pairs:
        return {}
    aucs = [_least_auc(column, values, outcome, pairs) for column, values in zip(columns, numbers.T, strict=True)]
    usual = [1 - auc.strength for auc in aucs if auc.strength < _AUC]
    error = float(np.quantile(usual, 0.25)) if usual else _USUAL
    worst = 1 / (counts[classes].min() + 1)
    return {j: auc for j, auc in enumerate(aucs) if auc.strength >= _AUC and 1 - auc.strength + worst <= _BELOW * error}


def _least_auc(
    column: Column, values: Float[np.ndarray, " n"], y: Int[np.ndarray, " n"], pairs: list[tuple[int, int]]
) -> Leak:
    """Return the smallest AUC over the pairs of classes; a pair is looked at only while the others are decided."""
    least = Leak(1.0, True)
    for a, b in pairs:
        rows = (y == a) | (y == b)
        least = min(least, _auc_of_pair(column, values[rows], y[rows] == b))
        if least.strength < _AUC and len(pairs) > 1:
            break
    return least


def _auc_of_pair(column: Column, values: Float[np.ndarray, " n"], y: Bool[np.ndarray, " n"]) -> Leak:
    missing = np.isnan(values)
    by_missing = max(area := _auc(missing, y), 1 - area)
    scores = []
    if column.kind != "category":
        both = [_auc(np.where(missing, end, values), y) for end in (-np.inf, np.inf)]
        scores += [max(area, 1 - area) for area in both]
    if column.kind == "category" or len(np.unique(values[~missing])) <= _LEVELS:
        _, level = np.unique(values, return_inverse=True)
        share = np.bincount(level, y)[level] - y + y.mean()
        scores.append(_auc(share / np.bincount(level)[level], y))
    known = ~missing
    if missing.any() and min(y[known].sum(), (~y[known]).sum()) >= max(_LEAST, 0.5 * min(y.sum(), (~y).sum())):
        scores.append(_auc_of_pair(column, values[known], y[known]).strength)
    return Leak(max(by_missing, *scores), by_missing >= _AUC)


def _auc(score: Shaped[np.ndarray, " n"], y: Bool[np.ndarray, " n"]) -> float:
    m = int(y.sum())
    return float((rankdata(score)[y].sum() - m * (m + 1) / 2) / (m * (len(y) - m)))


def _of_numbers(
    columns: Sequence[Column], numbers: Float[np.ndarray, "n d"], outcome: Float[np.ndarray, " n"]
) -> dict[int, Leak]:
    leaks = {}
    for j, (column, values) in enumerate(zip(columns, numbers.T, strict=True)):
        known = ~np.isnan(values)
        if known.sum() < max(2 * _LEAST, 0.5 * len(values)):
            continue
        x, y = values[known], outcome[known]
        if column.kind == "category":
            x = _mean_of_level(x, y)
        strength = abs(_correlation(rankdata(x), rankdata(y)))
        if strength >= _CORRELATION:
            leaks[j] = Leak(strength, measure="rank correlation")
    return leaks


def _mean_of_level(level: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the mean outcome of the other rows with the same level; that of all rows if there are none."""
    _, level = np.unique(level, return_inverse=True)
    others = np.bincount(level)[level] - 1
    total = np.bincount(level, y)[level] - y
    return np.where(others > 0, total / np.maximum(others, 1), y.mean())


def _correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
