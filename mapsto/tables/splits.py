"""Which rows of a person's table teach, which are explained, and which judge.

Rows without an outcome are the ones to predict; where every row has one, a seeded stratified sample teaches, in which
class `c` has `rows · n_c / n` rows, rounded towards the classes furthest from their share.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from ..errors import MapstoError

Positions = Int[np.ndarray, " _rows"]


@dataclass(frozen=True)
class Split:
    """Which rows teach, which are explained, and which (with a known outcome, not used to teach) judge the quality."""

    teach: Positions
    explain: Positions
    judge: Positions


def split(y: pd.Series, rows: int | None, limit: int, seed: int) -> Split:
    """Choose which rows teach: all with an outcome where some lack one; else, or with `rows`, a stratified sample.

    Without `rows`, a table in which every row has an outcome teaches with two thirds of them (at most `limit`), so that
    the quality on the others can be measured.

    Raises:
        MapstoError: fewer than two rows have an outcome, or `rows` is not between 2 and the rows there are.
    """
    unknown, known = np.flatnonzero(y.isna()), int(y.notna().sum())
    if rows is None and not len(unknown):
        rows = min(max(2 * known // 3, 2), limit)
    teach = teachers(y, rows, limit, seed)
    judge = np.setdiff1d(np.flatnonzero(y.notna()), teach)
    explain = unknown if len(unknown) else judge
    if not len(explain):
        raise MapstoError("--train-rows: every row would teach and none is left to explain; pass a smaller number.")
    return Split(teach, explain, judge)


def teachers(y: pd.Series, rows: int | None, limit: int, seed: int) -> Positions:
    """Return the positions of all rows with an outcome, or of a stratified sample of `rows` (at most `limit`) of them.

    Raises:
        MapstoError: as `split`.
    """
    known = np.flatnonzero(y.notna())
    if len(known) < 2:
        got = "one row has" if len(known) else "no row has"
        raise MapstoError(f"--target: {got} an outcome in {str(y.name)!r}; fill it in for the rows that are to teach.")
    if rows is None and len(known) <= limit:
        return known
    rows = limit if rows is None else rows
    if not 2 <= rows <= min(len(known), limit):
        raise MapstoError(
            f"--train-rows: got {rows}, expected 2 to {min(len(known), limit)} ({len(known)} rows have an outcome, "
            f"and the mapping reads at most {limit})."
        )
    return known[np.sort(stratified(y.iloc[known].astype(str).to_numpy(), rows, seed))]


def stratified(y: Shaped[np.ndarray, " n"], rows: int, seed: int) -> Positions:
    """Draw `rows` positions of `y`, each class in proportion, and once at least where `rows` allows.

    >>> y = np.array(["ill", "well", "well", "well", "well", "well"])
    >>> sorted(y[stratified(y, 3, seed=0)].tolist())
    ['ill', 'well', 'well']
    """
    generator = np.random.default_rng(seed)
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    share = counts * rows / len(y)
    quota = np.maximum(np.floor(share).astype(int), 1)
    while quota.sum() != rows:  # a class too much or too little at a time, the one furthest from its share
        step = 1 if quota.sum() < rows else -1
        room = quota < counts if step > 0 else quota > (1 if rows >= len(counts) else 0)
        quota[np.argmax(np.where(room, step * (share - quota), -np.inf))] += step
    chosen = [generator.permutation(np.flatnonzero(codes == c))[:q] for c, q in enumerate(quota)]
    return np.concatenate(chosen)
