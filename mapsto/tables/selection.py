"""Which rows and columns of a table to learn from: what weights say, and what is left out of a table too large."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from ..errors import MapstoError


class Weighed(NamedTuple):
    """The rows to learn from, by position (a row that counts twice comes twice), and what each weighs."""

    rows: Int[np.ndarray, " m"]
    weight: Float[np.ndarray, " m"]


def weigh(sample_weight: ArrayLike | None, rows: int, most: int) -> Weighed:
    """Read the weights of `rows` rows: whole numbers count rows (unless more than `most` come out), others do not.

    A row of weight 0 is left out.

    Raises:
        MapstoError: weights of another length, missing, infinite, negative, or all 0.

    >>> weigh([2.0, 0.0, 1.0], 3, most=10).rows
    array([0, 0, 2])
    >>> weigh([0.5, 0.0, 1.5], 3, most=10)
    Weighed(rows=array([0, 2]), weight=array([0.5, 1.5]))
    """
    if sample_weight is None:
        return Weighed(np.arange(rows), np.ones(rows))
    weight = np.asarray(sample_weight, float)
    if weight.ndim == 0:
        weight = np.full(rows, float(weight))
    if weight.shape != (rows,):
        raise MapstoError(f"sample_weight: got shape {weight.shape}, expected one weight for each of {rows} rows.")
    if not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
        raise MapstoError(
            "sample_weight: got a missing, infinite or negative weight, or only zeros; expected numbers "
            "from 0, with one above 0."
        )
    kept = np.flatnonzero(weight)
    if (weight == weight.round()).all() and weight.sum() <= most:
        counted = np.repeat(kept, weight[kept].astype(int))
        return Weighed(counted, np.ones(len(counted)))
    return Weighed(kept, weight[kept])


def strongest(x: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], most: int) -> Int[np.ndarray, " m"]:
    """Return the positions, in order, of the `most` columns whose ranks the classes explain best.

    The measure is the correlation ratio η², the share of a column's rank variance that lies between the classes
    (Fisher 1925); missing cells count as the mean rank.

    >>> x = np.array([[0.0, 5.0], [1.0, 2.0], [2.0, 2.5], [3.0, 4.0]])
    >>> strongest(x, np.array([0, 0, 1, 1]), 1)
    array([0])
    """
    ranks = pd.DataFrame(x).rank(pct=True)
    ranks = (ranks - ranks.mean()).fillna(0.0)
    between = ranks.groupby(labels).transform("mean").var()
    explained = (between / ranks.var().replace(0.0, 1.0)).to_numpy()
    return np.sort(np.argsort(-explained, kind="stable")[:most])
