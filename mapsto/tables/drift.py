"""Sentences about columns whose cells differ clearly between the training rows and the rows to explain.

Numbers and dates are compared by the two-sample test of Kolmogorov and Smirnov, shares of levels and of missing cells
by Fisher's exact test. A difference is told if its p value times the number of tests is below 0.001, and if it
is large.
"""

import shlex
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import fisher_exact, ks_2samp

from . import cells
from .column import Column
from .identifiers import looks_like

_CHANCE = 1e-3
_GAP = 0.25  # the least distance of two distribution functions, or of two shares
# decimal places; μmol/l of creatinine and glucose a mg/dl, pounds a kilogram, centimetres an inch
_FACTORS = (10.0, 100.0, 1000.0, 1e4, 1e6, 88.4, 1 / 0.0555, 2.2046, 2.54)


def drifts(
    columns: Sequence[Column],
    train: Float[np.ndarray, "n d"],
    rows: Float[np.ndarray, "m d"],
    unread: Bool[np.ndarray, "m d"],
) -> list[str]:
    """Return a sentence about each column whose cells differ clearly between `train` and `rows`.

    `unread` says which cells of `rows` are there but cannot be read, such as a new level; they are not missing.
    """
    notes = []
    for column, a, b, new in zip(columns, train.T, rows.T, unread.T, strict=True):
        if column.kind == "absent" or np.isnan(a).all() or looks_like(column, a):
            continue
        known = a[~np.isnan(a)], b[~np.isnan(b)]
        sentences = _of_missing(column, np.isnan(a), np.isnan(b) & ~new, len(columns))
        sentences += _of_unread(column, new)
        if min(map(len, known)):
            of_values = _of_levels if column.kind in ("category", "ordered") else _of_numbers
            sentences += of_values(column, *known, len(columns))
        notes += sentences
    return notes


def _of_missing(column: Column, a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " m"], tests: int) -> list[str]:
    if not _differ(a, b, tests):
        return []
    return [
        f"column {column.name!r}: missing in {a.mean():.0%} of the training rows and in {b.mean():.0%} of the rows to "
        "explain; if it is written differently there, pass missing=[...] or types={...} (--missing, --type)."
    ]


def _of_unread(column: Column, new: Bool[np.ndarray, " m"]) -> list[str]:
    if new.mean() < _GAP:
        return []
    what = "levels that no training row has" if column.codes else "cells that cannot be read"
    return [f"column {column.name!r}: {what} in {new.mean():.0%} of the rows to explain; {_remedy(column)}"]


def _of_levels(column: Column, a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"], tests: int) -> list[str]:
    levels = np.unique(np.concatenate([a, b]))
    apart = [level for level in levels if _differ(a == level, b == level, tests * len(levels))]
    if not apart:
        return []
    most = max(apart, key=lambda level: abs((a == level).mean() - (b == level).mean()))
    shares = f"in {(a == most).mean():.0%} of the training rows and in {(b == most).mean():.0%} of the rows to explain"
    return [f"column {column.name!r}: {cells.as_text(column.write(most))!r} {shares}; {_remedy(column)}"]


def _of_numbers(column: Column, a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"], tests: int) -> list[str]:
    test = ks_2samp(a, b)
    if test.pvalue * tests >= _CHANCE or test.statistic < _GAP:
        return []
    factor = _unit(a, b) if column.kind == "number" else None
    middle, of = (np.mean, "mean ") if column.kind == "number" else (np.median, "around ")
    seen = f"column {column.name!r}: {of}{_written(column, middle(a))} in the training rows, " + (
        f"{_written(column, middle(b))} in the rows to explain"
    )
    if factor is None:
        return [f"{seen}; {_remedy(column)}"]
    times = f"about {factor:.4g} times as large" if factor > 1 else f"about {1 / factor:.4g} times as small"
    return [f"{seen}, {times}: another unit? Then convert it in one of the tables."]


def _unit(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]) -> float | None:
    """Return by which factor between units `b` is larger than `a`, if that explains their difference."""
    if min(a.min(), b.min()) < 0 or not (np.median(a) and np.median(b)):
        return None
    factors = [f for factor in _FACTORS for f in (factor, 1 / factor)]
    gaps = {factor: float(ks_2samp(a * factor, b).statistic) for factor in factors}
    best = min(gaps, key=gaps.__getitem__)
    near = 0.67 < np.median(b) / np.median(a) / best < 1.5
    raw = ks_2samp(a, b).statistic
    return best if near and raw > 0.8 and ks_2samp(a * best, b).pvalue > _CHANCE else None


def _differ(a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " m"], tests: int) -> bool:
    if abs(a.mean() - b.mean()) < _GAP:
        return False
    counts = [[int(part.sum()), int((~part).sum())] for part in (a, b)]
    return bool(fisher_exact(counts)[1] * tests < _CHANCE)


def _written(column: Column, value: float) -> str:
    return f"{column.write(value):.4g}" if column.kind == "number" else str(column.write(value)).partition(" ")[0]


def _remedy(column: Column) -> str:
    return (
        "predictions for rows unlike the training rows are guesses; teach with rows like these, or leave the column "
        f"out by types={{{column.name!r}: 'absent'}} (--drop {shlex.quote(column.name)})."
    )
