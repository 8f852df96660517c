"""Which columns of a wide table to learn from, when not all of them can be read."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int


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
