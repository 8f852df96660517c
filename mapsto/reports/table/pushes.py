"""The training rows behind a few predictions, within a bounded time.

    push[i, j] = prediction of row i − prediction of row i without training row j

Deleting a row costs a reading of all others. For numbers and two classes, the pushes of all rows are therefore first
estimated, and the largest ones are then measured. If this takes too long, only the nearest rows are deleted, and the
other rows have push 0. A note says so.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from ...estimators import deletions

if TYPE_CHECKING:
    import pandas as pd

    from ...estimators.table import TableEstimator

_EXACT = 8  # the largest estimates, of each row, that are measured; more than a page shows
_READ = 2**20  # cells in all: pushes are estimated for up to 500 rows of 30 columns and two classes


def pushes(
    estimator: "TableEstimator", train: "pd.DataFrame", rows: "pd.DataFrame"
) -> tuple[Float[np.ndarray, "r n_train k"], list[str]]:
    """Return the push of each training row on the predictions of `rows`, and notes; `k` is 1 for a number.

    This is `−estimator.influence(rows)`, the one place at which the sign is turned.
    """
    places = _places(estimator, train)
    n, k, d = len(train), estimator.mapping_.ways, len(estimator.used_)
    most = int(2 * _READ / (n * (d + 1) * (1 + n / 256)))
    cost = deletions.cost(len(rows), len(rows), _EXACT)
    if k <= 2 and cost < n and cost <= most:  # estimates for more than two classes are rough
        how = f"the {_EXACT} with the largest estimated influence on each row of this page were deleted, one at a time"
        notes = [f"influence: of {n} training rows, {how}."]
        return -np.atleast_3d(estimator.influence(rows, places, _EXACT)), notes
    if n <= most:
        return -np.atleast_3d(estimator.influence(rows, places)), []
    near = np.unique(_nearest(estimator, train, rows)[:, : max(1, most // len(rows))])
    push = np.zeros((len(rows), n, k))
    push[:, near] = -np.atleast_3d(estimator.influence(rows, among=places[near]))
    deleted = f"the {len(near)} nearest to the rows on this page were deleted, one at a time"
    return push, [f"influence: of {n} training rows, {deleted}."]


def _places(estimator: "TableEstimator", train: "pd.DataFrame") -> Int[np.ndarray, " n_train"]:
    """Return the position of each row of `train` among the rows of `fit`: `train` has all of them, or those read."""
    return np.arange(estimator.n_rows_) if len(train) == estimator.n_rows_ else np.unique(estimator.rows_)


def _nearest(estimator: "TableEstimator", train: "pd.DataFrame", rows: "pd.DataFrame") -> Int[np.ndarray, "r n"]:
    """Order the training rows by their distance, in standard deviations, over the cells that both rows have."""
    x, new = (estimator.columns_.transform(frame)[:, estimator.used_] for frame in (train, rows))
    apart = (new[:, None] - x) / np.nanstd(x, 0)  # [r, n_train, d]
    both = ~np.isnan(apart)
    return np.argsort((np.where(both, apart, 0) ** 2).sum(-1) / np.maximum(both.sum(-1), 1), axis=1, kind="stable")
