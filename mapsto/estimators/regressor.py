"""Regression on the rows of a small table, with intervals and reasons, without training."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import check_consistent_length, column_or_1d
from torch import Tensor

from .. import checks, weights
from ..episodes import State
from ..errors import MapstoError
from ..learners.in_context import LEVELS
from ..tables.selection import weigh
from .table import MAX_ROWS, TableEstimator

_STRATA = 10  # groups of similar outcomes: a sample of rows keeps their shares


class TableRegressor(RegressorMixin, TableEstimator):
    """Predicts and explains a number for each row of a small table.

    Up to 1,000 training rows and 100 columns are read. From a larger table a random sample of the rows is read, and the
    columns most related to the outcome (`notes_` says so). Numbers, dates, texts and categories may be mixed, and cells
    may be missing (NaN). A missing cell is an absent column; that it is missing carries no information.

    Args:
        members: the number of readings of the training table that are averaged, every second one with the sign of the
            outcome flipped.

    `fit` sets `n_features_in_`, `feature_names_in_` (for a DataFrame) and `notes_`; and the adapted `mapping_`, its
    `support_` and the resulting `state_`. `explain` gives values [n, d] and base values [n] in units of the outcome;
    the base is the mean outcome of the training rows that were read.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = TableRegressor().fit(X[:60], y[:60])
    >>> reasons = reg.explain(X[60:62])
    >>> bool(np.allclose(reasons.predictions, reg.predict(X[60:62])))
    True
    >>> bool(np.isclose(reasons.base_values[0], y[:60].mean()))
    True
    """

    mean_: float
    spread_: float

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Adapt to the rows `X` [n, d] with the outcomes `y` [n]: one forward pass, no training.

        Whole-numbered `sample_weight` [n] counts rows, other weights are relative; 0 deletes a row.

        Raises:
            MapstoError: if an outcome is missing or no number, a cell is infinite, two columns share a name, or a
                weight is negative or missing.
        """
        self._refuse_members()
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
        """Return the expected outcome of each row; a NaN cell is an absent column, so this is v(S) of any coalition S.

        Raises:
            MapstoError: if the columns differ from those of `fit`, or a cell is infinite.
        """
        return self._predictions(X)

    def predict_quantiles(
        self, X: Any, quantiles: float | Sequence[float] | np.ndarray = (0.05, 0.5, 0.95)
    ) -> Float[np.ndarray, "n q"]:
        """Return quantiles of each row's outcome, from 0.01 to 0.99.

        Raises:
            MapstoError: if a quantile is outside that range, or as `predict` raises.
        """
        levels = np.atleast_1d(np.asarray(quantiles, float))
        inside = bool(((levels >= LEVELS[0]) & (levels <= LEVELS[-1])).all())
        checks.expect(inside, "quantiles", levels.tolist(), f"numbers from {LEVELS[0]} to {LEVELS[-1]}")
        x = self._tensor(self._numbers(self._known(X)))
        read = torch.cat(self._each(lambda rows: self.mapping_.learner.quantiles(self.state_, rows), x))
        quantile_values = self._unit(read.double()).numpy()
        interpolated = [np.interp(levels, LEVELS, row) for row in quantile_values]
        return np.array(interpolated).reshape(len(quantile_values), len(levels))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Float[np.ndarray, "n 2"]:
        """Return the lower and upper end of an interval that contains each row's outcome with probability `coverage`.

        Raises:
            MapstoError: if `coverage` is not above 0 and at most 0.98, or as `predict` raises.
        """
        inside = 0 < coverage <= LEVELS[-1] - LEVELS[0]
        checks.expect(inside, "coverage", coverage, "a share above 0 and at most 0.98")
        return self.predict_quantiles(X, [(1 - coverage) / 2, (1 + coverage) / 2])

    def influence(self, X: Any, among: ArrayLike | None = None) -> Float[np.ndarray, "n n_train"]:
        """Return the change of each prediction when a training row is deleted; see `TableEstimator.influence`.

        A negative change means that the row had raised the prediction.
        """
        return super().influence(X, among)

    def _mapping(self) -> Any:
        return weights.load(ways=1, members=int(self.members), loss="mse")

    def _answer(self, state: State, x: Tensor) -> Float[Tensor, " n"]:
        return self._unit(self.mapping_.predict(state, x)[:, 0].double())

    def _reasons(self, values: Tensor, base: Tensor) -> tuple[Tensor, Tensor, list[Any]]:
        return values[..., 0] * self.spread_, self._unit(base[:, 0]), []

    def _unit(self, standard: Tensor) -> Tensor:
        """Convert numbers from standard deviations to the unit of the outcome."""
        return self.mean_ + self.spread_ * standard


def _outcomes(y: Any, rows: int) -> Float[np.ndarray, " n"]:
    """Return the outcomes as numbers."""
    y = column_or_1d(y, warn=True)
    check_consistent_length(y, np.empty(rows))
    remedy = "pass a count of days or hours since a fixed day"
    checks.expect(y.dtype.kind not in "mM", "y", y.dtype, "numbers", remedy)
    try:
        numbers = np.asarray(y, float)
    except (TypeError, ValueError) as error:
        raise MapstoError(f"y: got outcomes that are no numbers ({error}); use TableClassifier for classes.") from error
    lacking = int(np.isnan(numbers).sum())
    remedy = "leave these rows out"
    checks.expect(lacking == 0, "y", f"NaN in {lacking} of {rows} rows", "a number in each", remedy)
    checks.expect(bool(np.isfinite(numbers).all()), "y", "an infinite outcome (infinity)", "finite numbers", remedy)
    return numbers
