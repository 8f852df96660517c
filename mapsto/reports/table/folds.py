"""Cross-validation: which rows are held out together, while the others teach.

Rows are dealt to folds one group at a time, the largest first, each to the fold that has the fewest rows of its strata.
So groups (the visits of one patient) stay together, and every fold has its share of every class. Rows come from at
least two folds of each class: a class whose rows are all in one fold would be unknown to the model that predicts them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

LEAST, MOST = 3, 5
_CELLS = 20_000  # training cells that all folds together may have: about two seconds on one core


class Fold(NamedTuple):
    """Positions of the rows that teach and of the rows that are predicted."""

    train: Int[np.ndarray, " a"]
    test: Int[np.ndarray, " b"]


def folds(strata: Int[np.ndarray, " n"], groups: Int[np.ndarray, " n"] | None = None, seed: int = 0) -> list[Fold]:
    """Return five folds, or as many as the rarest stratum has groups (those with a single group are not counted).

    There are three folds at least: with two, half of the rows would not teach. Every stratum has a row in each training
    part; rows of a stratum with a single group always teach. The list is empty if no row can be predicted.

    Args:
        strata: a number for each row, the same for rows with similar outcomes, such as the index of its class.
        groups: the number of each row's group, from 0; a group is never divided. If None, each row is alone.
        seed: the random seed of the order of the groups.

    >>> [fold.test.tolist() for fold in folds(np.array([0, 0, 0, 0, 0, 0, 1, 1, 1]))]
    [[0, 4, 6], [3, 5, 7], [1, 2, 8]]
    """
    groups = np.arange(len(strata)) if groups is None else groups
    table = np.zeros((groups.max() + 1, strata.max() + 1))  # rows of each group in each stratum
    np.add.at(table, (groups, strata), 1)
    several = (table > 0).sum(0) >= 2
    if not several.any():
        return []
    count = int(np.clip((table > 0).sum(0)[several].min(), LEAST, MOST))
    place = _dealt(table, count, seed)[groups]
    parts = [_teachable(place == fold, strata, groups) for fold in range(place.max() + 1)]
    return [Fold(np.flatnonzero(~test), np.flatnonzero(test)) for test in parts if test.any()]


def affordable(parts: list[Fold], columns: int) -> list[Fold]:
    """Return the first folds that take about two seconds together, at least one; small tables keep all of them."""
    cells = max((len(fold.train) for fold in parts), default=1) * max(columns, 1)
    return parts[: max(1, _CELLS // cells)]


def _dealt(table: np.ndarray, count: int, seed: int) -> Int[np.ndarray, " g"]:
    """Return the fold of each group: the one with the fewest rows of the group's strata, each as a share of it."""
    order = np.random.default_rng(seed).permutation(len(table))
    order = order[np.argsort(-table[order].sum(1), kind="stable")]
    rarity = 1 / np.maximum(table.sum(0), 1)
    place, loads = np.zeros(len(table), int), np.zeros((count, table.shape[1]))
    for g in order:
        crowded = loads @ (table[g] * rarity) + 1e-6 * loads.sum(1)
        place[g] = crowded.argmin()
        loads[place[g]] += table[g]
    return place


def _teachable(test: np.ndarray, strata: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the rows of a fold without the groups that have the only rows of a stratum."""
    unknown = ~np.isin(strata, strata[~test])
    return test & ~np.isin(groups, groups[test & unknown])
