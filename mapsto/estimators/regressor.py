"""A scikit-learn regressor for small tables that predicts, with intervals, and explains without training."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .. import checks, weights
from ..episodes import State
from ..errors import MapstoError
from ..learners.in_context import LEVELS
from ..tables.selection import weigh
from .table import MAX_ROWS, TableEstimator

_STRATA = 10  # groups of similar outcomes, whose shares a sample of the rows keeps


class TableRegressor(RegressorMixin, TableEstimator):
    """Predict and explain a number for each row of a small table.

    The pretrained model reads up to 1,000 training rows and 100 columns. From a larger table, it reads the columns most
    related to the outcome and a random sample of the rows. Columns may hold numbers, dates, texts or categories. Cells
    may be missing (NaN). A missing cell is treated as if the row had no such column, so the fact that it is missing
    carries no information. `notes_` lists remarks on the training table, such as columns that are not
    read, that look like an identifier, or that tell the outcome alone.

    Args:
        members: the number of predictions to average. In every other prediction, the model reads the outcomes with
            their signs reversed.
        missing: words that stand for a missing cell: "999" in every column, "crp=999" in the column crp only. An empty
            cell and words such as NA, ? or unknown in a column of numbers are always missing.
        types: the kind of a column ("number", "date", "category", "ordered" or "absent"), by its name. Kinds are
            decided from the cells if None; `columns_` says how.
        order: the levels of an ordered column from low to high, by its name.
        max_memory: the memory in gigabytes that `fit`, `predict` and `explain` may take, beside the table itself; the
            work takes longer if this is little. If None, a quarter of the memory of the machine or of its container.

    `fit` sets `n_features_in_`, `feature_names_in_` (if `X` is a DataFrame), `notes_`, `columns_` (how each column is
    read), `mapping_` (the pretrained model), `support_` (the training rows that the model reads) and `state_` (the
    state of the model after adapting to these rows). `explain` returns values [n, d] and base values [n] in the unit of
    the outcome. The base value is the mean outcome of the rows `support_`, weighted by `sample_weight`.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = TableRegressor().fit(X[:60], y[:60])
    >>> reasons = reg.explain(X[60:62])
    >>> bool(np.allclose(reasons.predictions, reg.predict(X[60:62])))
    True
    >>> bool(np.isclose(reasons.base_values[0], y[:60].mean()))
    True
    """

    _numbers_of_fit = ("mean_", "spread_")

    mean_: float
    spread_: float

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Adapt the model to the rows `X` [n, d] with the outcomes `y` [n], by one forward pass without training.

        If the weights `sample_weight` [n] are whole numbers with a sum of at most 1,000, they are repeat counts: a row
        of weight 3 counts as three identical rows. Otherwise, only the ratios of the weights matter. A row of weight 0
        is left out. If `sample_weight` is None, all rows have equal weights.

        Raises:
            MapstoError: if an outcome is missing or not a number, a cell is infinite, two columns have the same name, a
                weight is negative, infinite or missing, or all weights are 0.
        """
        checks.count(members=self.members)
        frame = self._frame(X, y, reset=True)
        weighed = weigh(sample_weight, len(frame), MAX_ROWS)
        y = _outcomes(y, len(frame))[weighed.rows]
        size = np.abs(y).max() or 1.0
        unit = y / size  # squares and differences stay finite
        self.mean_, self.spread_ = float(unit.mean() * size), float(unit.std() * size)
        standard = (unit - unit.mean()) / (unit.std() or 1.0)
        strata = pd.qcut(unit, min(_STRATA, len(y)), labels=False, duplicates="drop")
        target = torch.as_tensor(standard[:, None], dtype=torch.float32)
        return self._teach(frame, weighed, target, np.nan_to_num(strata).astype(int), [])

    def predict(self, X: Any) -> Float[np.ndarray, " n"]:
        """Return the expected outcome of each row; a missing (NaN) cell is treated as an absent column.

        Raises:
            MapstoError: if the columns differ from those of `fit`, or a cell is infinite.
        """
        return self._predictions(X)

    def predict_quantiles(
        self, X: Any, quantiles: float | Sequence[float] | np.ndarray = (0.05, 0.5, 0.95)
    ) -> Float[np.ndarray, "n q"]:
        """Return quantiles of the predicted distribution of each row's outcome, as an array [n, number of quantiles].

        `quantiles` are the levels of the quantiles, between 0.01 and 0.99.

        Raises:
            MapstoError: if a level is below 0.01 or above 0.99, or in any case in which `predict` raises it.
        """
        levels = np.atleast_1d(np.asarray(quantiles, float))
        inside = ((levels >= LEVELS[0]) & (levels <= LEVELS[-1])).all()
        checks.expect(inside, "quantiles", levels.tolist(), f"numbers from {LEVELS[0]} to {LEVELS[-1]}")
        check_is_fitted(self)
        standard = self._asked(X, partial(self.mapping_.learner.quantiles, self.state_), len(LEVELS))
        rows = self._unit(standard.double()).numpy()
        return np.array([np.interp(levels, LEVELS, row) for row in rows]).reshape(len(rows), len(levels))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Float[np.ndarray, "n 2"]:
        """Return the lower and upper bounds [n, 2] of intervals that contain the outcomes with probability `coverage`.

        The bounds are the quantiles (1 − coverage)/2 and (1 + coverage)/2 of the predicted distribution.

        Raises:
            MapstoError: if `coverage` is not in (0, 0.98], or in any case in which `predict` raises it.
        """
        inside = 0 < coverage <= LEVELS[-1] - LEVELS[0]
        checks.expect(inside, "coverage", coverage, "a number above 0 and at most 0.98")
        return self.predict_quantiles(X, [(1 - coverage) / 2, (1 + coverage) / 2])

    def outputs(self, X: Any) -> Float[np.ndarray, "n 1"]:
        """Return `predict(X)` as one column."""
        return self.predict(X)[:, None]

    def support_outcomes(self) -> Float[np.ndarray, " n"]:
        """Return the outcomes of the rows `support_`, rounded to the digits that single precision keeps."""
        outcomes = self._unit(self.support_.y[:, 0].double()).numpy()
        error = 2.0**-21 * (abs(self.mean_) * 2.0**-20 + self.spread_)
        return np.round(outcomes, -math.ceil(math.log10(error))) if error > 0 else outcomes

    def influence(
        self, X: Any, among: ArrayLike | None = None, exact: int | None = None
    ) -> Float[np.ndarray, "n n_train"]:
        """Return the change of each prediction if a training row is deleted, `[n, number of training rows]`.

        The change is the prediction without the training row minus the prediction with the row, so it is negative if
        the row raised the prediction. `among` (row positions or a boolean mask) selects the training rows; if None,
        all are used. If `exact` is a number, only so many of the largest estimates are made exact. See also
        `TableEstimator.influence`.
        """
        return super().influence(X, among, exact)

    def _mapping(self) -> Any:
        return weights.load(ways=1, members=int(self.members), loss="mse")

    def _answer(self, state: State, x: Tensor) -> Float[Tensor, " n"]:
        return self._unit(self.mapping_.predict(state, x)[:, 0].double())

    def _reasons(self, values: Tensor, base: Tensor, errors: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Any]]:
        values, errors = (part[..., 0] * self.spread_ for part in (values, errors))
        return values, self._unit(base[:, 0]), errors, []

    def _unit(self, standard: Tensor) -> Tensor:
        """Convert standard deviations to the unit of the outcome."""
        return self.mean_ + self.spread_ * standard


def _outcomes(y: Any, rows: int) -> Float[np.ndarray, " n"]:
    """Return the outcomes as numbers."""
    y = column_or_1d(y, warn=True)
    check_consistent_length(y, np.empty(rows))
    if y.dtype.kind in "mM":
        raise MapstoError(f"y: got {y.dtype}, expected numbers; pass a count of days or hours since a fixed day.")
    try:
        numbers = np.asarray(y, float)
    except (TypeError, ValueError) as error:
        raise MapstoError(f"y: got outcomes that are not numbers ({error}); use TableClassifier.") from error
    missing, remedy = int(np.isnan(numbers).sum()), "leave these rows out"
    checks.expect(not missing, "y", f"NaN in {missing} of {rows} rows", "a number in each", remedy)
    checks.expect(bool(np.isfinite(numbers).all()), "y", "an infinite outcome (infinity)", "finite numbers", remedy)
    return numbers
