"""The rows and columns of a table to learn from: rows by their weights, and a part of a table that is too large."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from .. import checks
from ..errors import MapstoError


class Weighed(NamedTuple):
    """The positions of the rows to learn from (a row with count 2 appears twice), and their weights."""

    rows: Int[np.ndarray, " m"]
    weight: Float[np.ndarray, " m"]


def weigh(sample_weight: ArrayLike | None, rows: int, most: int) -> Weighed:
    """Read the weights of `rows` rows: whole numbers count rows, unless they add up to more than `most`.

    A row of weight 0 is left out.

    Raises:
        MapstoError: if there is not one weight for each row, or weights are missing, infinite, negative, or all 0.

    >>> weigh([2.0, 0.0, 1.0], 3, most=10).rows
    array([0, 0, 2])
    >>> weigh([0.5, 0.0, 1.5], 3, most=10)
    Weighed(rows=array([0, 2]), weight=array([0.5, 1.5]))
    """
    if sample_weight is None:
        return Weighed(np.arange(rows), np.ones(rows))
    try:
        weight = np.asarray(sample_weight, float)
    except (ValueError, TypeError) as error:
        raise MapstoError(f"sample_weight: got {sample_weight!r:.60}, expected one number for each row.") from error
    if weight.ndim == 0:
        weight = np.full(rows, float(weight))
    checks.shape((rows,), "one weight for each row", sample_weight=weight)
    usable = bool(np.isfinite(weight).all() and (weight >= 0).all() and weight.any())
    got = "a missing, infinite or negative weight, or only zeros"
    checks.expect(usable, "sample_weight", got, "numbers from 0, at least one of them above 0")
    kept = np.flatnonzero(weight)
    if (weight == weight.round()).all() and weight.sum() <= most:
        counted = np.repeat(kept, weight[kept].astype(int))
        return Weighed(counted, np.ones(len(counted)))
    return Weighed(kept, weight[kept])


def strongest(x: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], most: int) -> Int[np.ndarray, " m"]:
    """Return the sorted positions of the `most` columns whose ranks the classes explain best.

    The measure is the correlation ratio η², the share of a column's rank variance that lies between the classes (Fisher
    1925); missing cells count as the mean rank.

    >>> x = np.array([[0.0, 5.0], [1.0, 2.0], [2.0, 2.5], [3.0, 4.0]])
    >>> strongest(x, np.array([0, 0, 1, 1]), 1)
    array([0])
    """
    ranks = pd.DataFrame(x).rank(pct=True)
    ranks = (ranks - ranks.mean()).fillna(0.0)
    between = ranks.groupby(labels).transform("mean").var()
    explained = (between / ranks.var().replace(0.0, 1.0)).to_numpy()
    return np.sort(np.argsort(-explained, kind="stable")[:most])


def varies(cells: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " d"]:
    """Return whether each column has two different cells, missing cells left out."""
    return np.array([len(np.unique(column[~np.isnan(column)])) > 1 for column in cells.T], dtype=bool)


def left_out(rows: int, kept_rows: int, constant: list[str], columns: int, kept_columns: int) -> list[str]:
    """Return sentences about the rows and columns that are not read."""
    notes = [
        f"column {name!r}: the same value in every training row that is read, so it is left out." for name in constant
    ]
    if kept_rows < rows:
        notes.append(
            f"X: {kept_rows} of {rows} training rows are read, a random sample in which like outcomes keep their share."
        )
    if kept_columns < columns:
        notes.append(f"X: {kept_columns} of {columns} columns are read, those that go most with the outcome.")
    return notes
