"""Which training rows drove a few predictions, within a bounded time: all of a small table, the nearest of a large one.

Deleting a row costs a reading of all others, so all of them cost `n²`. What is not deleted counts as 0; that is said.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    import pandas as pd

    from ..estimators import TableClassifier

_READ = 2**19  # cells in all: up to 150 rows of ten columns and two classes are all deleted, of 512 the 15 nearest


def driven(
    fitted: "TableClassifier", train: "pd.DataFrame", rows: "pd.DataFrame"
) -> tuple[Float[np.ndarray, "r n_train k"], list[str]]:
    """Return the influence of the training rows on the predictions of `rows`, and what has to be said of it."""
    n, k, d = len(train), len(fitted.classes_), len(fitted.used_)
    most = int(2 * _READ / (n * k * (d + 1) * (1 + n / 256)))
    if n <= most:
        return fitted.influence(rows), []
    near = np.unique(_nearest(fitted, train, rows)[:, : max(1, most // len(rows))])
    influence = np.zeros((len(rows), n, k))
    influence[:, near] = fitted.influence(rows, among=near)
    return influence, [f"influence: of {n} training rows, the {len(near)} nearest to the rows told were each deleted."]


def _nearest(fitted: "TableClassifier", train: "pd.DataFrame", rows: "pd.DataFrame") -> np.ndarray:
    """Order the training rows by their distance, in standard deviations, over the cells that both rows have."""
    x, new = (fitted.columns_.transform(frame)[:, fitted.used_] for frame in (train, rows))
    apart = (new[:, None] - x) / np.nanstd(x, 0)  # [r, n_train, d]
    both = ~np.isnan(apart)
    return np.argsort((np.where(both, apart, 0) ** 2).sum(-1) / np.maximum(both.sum(-1), 1), axis=1, kind="stable")
