"""Splits of a table's rows: those to learn from, those to explain, and those to measure quality with.

Rows without an outcome are the ones to predict. If every row has one, a seeded stratified sample is learned from: class
`c` has `rows · n_c / n` rows of it, rounded towards the classes furthest from their share. Rows of one group, such as
those of one patient, stay together.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from .. import checks

Positions = Int[np.ndarray, " _rows"]
Names = Shaped[np.ndarray, " _all"]


@dataclass(frozen=True)
class Split:
    """Positions of the rows to learn from, to explain, and to measure quality with (outcome known, but not learned)."""

    train: Positions
    explain: Positions
    test: Positions


def split(y: pd.Series, rows: int | None, limit: int, seed: int, groups: Names | None = None) -> Split:
    """Return the rows to learn from, to explain, and to measure quality with.

    If `rows` is None and some rows lack an outcome, all rows with an outcome are learned from. If `rows` is None and
    every row has an outcome, two thirds of them (at most `limit`) are learned from, so that quality can be measured on
    the others. Otherwise a stratified sample of `rows` is learned from. No group has rows to learn from and rows to
    measure quality with, so that the sample is only about as large as asked.

    Raises:
        MapstoError: if fewer than two rows have an outcome, `rows` is not between 2 and their number, all rows are of
            one group, or no row is left to explain.
    """
    unknown, present = np.flatnonzero(y.isna()), int(y.notna().sum())
    if rows is None and not len(unknown):
        rows = min(max(2 * present // 3, 2), limit)
    train = training_rows(y, rows, limit, seed, groups)
    test = np.setdiff1d(np.flatnonzero(y.notna()), train)
    explain = unknown if len(unknown) else test
    got = f"{len(train)}, which are all rows with an outcome"
    checks.expect(len(explain) > 0, "train_rows", got, "a row left to explain", "pass a smaller number")
    return Split(train, explain, test)


def training_rows(y: pd.Series, rows: int | None, limit: int, seed: int, groups: Names | None = None) -> Positions:
    """Return the positions of all rows with an outcome, or of a stratified sample of `rows` (at most `limit`) of them.

    A sample of `groups` holds whole groups, so it may be some rows larger or smaller, but never above `limit`.

    Raises:
        MapstoError: if fewer than two rows have an outcome, `rows` is not between 2 and their number, or all rows are
            of one group.
    """
    present = np.flatnonzero(y.notna())
    got = f"{len(present)} row(s) with an outcome in {str(y.name)!r}"
    checks.expect(len(present) > 1, "target", got, "two or more", "fill it in for the rows to learn from")
    if rows is None and len(present) <= limit:
        return present
    rows = limit if rows is None else rows
    most = min(len(present), limit)
    expected = f"2 to {most} ({len(present)} rows have an outcome, and the mapping reads at most {limit})"
    checks.expect(2 <= rows <= most, "train_rows", rows, expected)
    outcome = y.iloc[present].astype(str).to_numpy()
    if groups is not None:
        return present[np.sort(whole_groups(outcome, groups[present], rows, limit, seed))]
    return present[np.sort(stratified(outcome, rows, seed))]


def stratified(y: Shaped[np.ndarray, " n"], rows: int, seed: int) -> Positions:
    """Return the positions of `rows` sampled rows of `y`, each class in proportion and, if possible, at least once.

    >>> y = np.array(["ill", "well", "well", "well", "well", "well"])
    >>> sorted(y[stratified(y, 3, seed=0)].tolist())
    ['ill', 'well', 'well']
    """
    generator = np.random.default_rng(seed)
    codes, counts = _coded(y)
    share = counts * rows / len(y)
    quota, least = np.maximum(np.floor(share).astype(int), 1), int(rows >= len(counts))
    while quota.sum() != rows:  # a class too much or too little at a time, the one furthest from its share
        step = 1 if quota.sum() < rows else -1
        gap = step * (share - quota)
        quota[np.argmax(np.where((quota > least) | (step > 0), gap, -np.inf))] += step
    chosen = [generator.permutation(np.flatnonzero(codes == c))[:q] for c, q in enumerate(quota)]
    return np.concatenate(chosen)


def tenths(y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return for each number the number of its stratum, NaN if it is missing: tenths, each of five numbers at least.

    >>> tenths(np.array([5.0, 1.0, np.nan, 9.0, 2.0, 8.0, 3.0, 4.0, 7.0, 6.0, 0.0])).tolist()
    [1.0, 0.0, nan, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]
    """
    there = ~np.isnan(y)
    count = int(np.clip(there.sum() // 5, 1, 10))
    edges = np.quantile(y[there], np.arange(1, count) / count) if count > 1 else np.empty(0)
    return np.where(there, np.searchsorted(np.unique(edges), y, "right").astype(float), np.nan)


def whole_groups(
    y: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"], rows: int, limit: int, seed: int
) -> Positions:
    """Return the positions of about `rows` sampled rows of `y`, each class in proportion, in whole groups.

    In random order, a group is taken, or given back, if the classes then come nearer to their shares, measured by
    χ² = Σ_c (share_c − taken_c)² / share_c. At least one group is left out.

    Raises:
        MapstoError: if all rows are of one group, or no group fits into `limit` rows.

    >>> groups = np.array(["ann", "ann", "bob", "bob", "cem", "cem"])
    >>> taken = whole_groups(np.array(["ill", "well"] * 3), groups, 4, 100, seed=0)
    >>> len(taken), len(set(groups[taken]))
    (4, 2)
    """
    (group, sizes), (codes, counts) = _coded(groups), _coded(y)
    checks.expect(len(sizes) > 1, "group", "one group only", "two or more", "name a column with several values")
    members = np.zeros((len(sizes), len(counts)))
    np.add.at(members, (group, codes), 1)
    share, taken, chosen = counts * rows / len(y), np.zeros(len(counts)), np.zeros(len(sizes), bool)
    order = np.random.default_rng(seed).permutation(len(sizes))
    for g in [*order, *order, *order]:  # taken in the first round, exchanged in the others
        other = taken - members[g] if chosen[g] else taken + members[g]
        nearer = (np.square(share - other) / share).sum() < (np.square(share - taken) / share).sum()
        if nearer and other.sum() <= limit and (chosen[g] or chosen.sum() < len(sizes) - 1):
            taken, chosen[g] = other, not chosen[g]
    expected = f"groups of at most {limit} rows"
    checks.expect(bool(chosen.any()), "group", f"groups of {sizes.min()} rows or more", expected, "name a finer column")
    return np.flatnonzero(chosen[group])


def _coded(names: Shaped[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " _names"]]:
    """Number names in the order of their first rows, so that other names draw the same rows; count their rows."""
    codes, _ = pd.factorize(names, use_na_sentinel=False)
    return codes, np.bincount(codes)
