"""The question of a fitted estimator and rows from Python: checked, and written as a `Question`."""

import warnings
from typing import Any

import numpy as np
import pandas as pd

from ... import checks
from ...estimators import TableClassifier, TableRegressor
from ...estimators.table import TableEstimator
from ...tables.amounts import Amounts, unit_of_name
from ...tables.arrays import frame_of
from ...tables.column import Column
from ...tables.target import Classes, Numbers, Target
from .base import ordered
from .question import Question, of_rows
from .training import training_rows


def question(clf: TableEstimator, X: Any, y: Any, train: tuple[Any, Any] | None, seed: int) -> Question:
    """Return the question that explains all rows of `X` and measures the quality on those whose outcome is known.

    Raises:
        MapstoError: if `clf` is not a fitted estimator, `y` and `X` differ in length, or `train` is not its own.
    """
    fitting = isinstance(clf, TableClassifier | TableRegressor)
    checks.expect(fitting, "clf", f"a {type(clf).__name__}", "a fitted TableClassifier or TableRegressor")
    checks.expect("state_" in vars(clf), "clf", "one that is not fitted", "a fitted estimator", "call fit first")
    rows, kind = _frame(X), _kind(clf, y, train)
    outcomes = _outcomes(y, len(rows))
    train_rows, labels = training_rows(clf) if train is None else _train(clf, kind, *train)
    everyone = np.arange(len(rows))
    return of_rows(kind, train_rows, labels, rows, outcomes, everyone, np.flatnonzero(outcomes.notna()), seed)


def _kind(clf: TableEstimator, y: Any, train: tuple[Any, Any] | None) -> Target:
    """Return how the outcomes of an estimator are read; a Series of outcomes names them."""
    if isinstance(clf, TableClassifier):
        return Classes()
    names = [getattr(part, "name", None) for part in (y, None if train is None else train[1])]
    column = Column(next((str(name) for name in names if name is not None), "outcome"), "number")
    column.unit = unit_of_name(column.name)[1]
    return Numbers(Amounts(column))


def _frame(X: Any) -> pd.DataFrame:
    X = frame_of(X)
    if isinstance(X, pd.DataFrame):
        return X
    dimensions = np.ndim(X)
    checks.expect(dimensions == 2, "X", f"{dimensions} dimensions", "rows by columns", "pass a table [n, d]")
    return pd.DataFrame(np.asarray(X)).infer_objects()


def _outcomes(y: Any, count: int) -> pd.Series:
    if y is None:
        return pd.Series([None] * count, dtype=object)
    got = len(y) if np.ndim(y) == 1 else f"shape {np.shape(y)}"
    checks.expect(got == count, "y", got, f"{count}, one for each row of X, None if it is unknown")
    return pd.Series(np.asarray(y, object))


def _train(clf: TableEstimator, kind: Target, X: Any, y: Any) -> tuple[pd.DataFrame, np.ndarray]:
    rows, labels = _frame(X), np.asarray(y)
    got = f"{len(rows)} rows and {len(labels)} labels"
    expected = f"the {clf.n_rows_} of fit, in their order and with their labels"
    checks.expect(len(rows) == len(labels) == clf.n_rows_, "train", got, expected)
    fitted = clf.support_outcomes()
    known, _ = kind.known(pd.Series(labels.astype(object)), fitted, np.empty(0, int))
    own = [label for label in known[clf.rows_].tolist() if label is not None]
    same = len(own) == len(fitted) and _same(np.array(own, fitted.dtype), fitted)
    checks.expect(same and _are_those_of_fit(clf, rows), "train", "other rows or labels", expected)
    return rows, np.array(
        [label if fit is None else fit for fit, label in zip(known, labels, strict=True)], fitted.dtype
    )


def _same(own: np.ndarray, fitted: np.ndarray) -> bool:
    """Return whether labels are those of `fit`; numbers are kept in single precision."""
    if fitted.dtype.kind != "f":
        return bool((own == fitted).all())
    return bool(np.allclose(own, fitted, rtol=1e-5, atol=1e-5 * float(np.ptp(fitted))))


def _are_those_of_fit(clf: TableEstimator, rows: pd.DataFrame) -> bool:
    names = [column.name for column in clf.columns_.columns]
    if not set(names) <= set(map(str, rows.columns)):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that fit did not see: such rows are others
        cells = clf.columns_.transform(ordered(rows, names).iloc[clf.rows_])[:, clf.used_]
    stored = clf.support_.x[:, : len(clf.used_)].numpy()
    return np.allclose(clf.scale_(cells), stored, atol=1e-5, equal_nan=True)
