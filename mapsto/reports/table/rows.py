"""The question of a fitted classifier and rows from Python: checked, and written as a `Question`."""

import warnings
from typing import Any

import numpy as np
import pandas as pd

from ... import checks
from ...estimators import TableClassifier
from ...tables.arrays import frame_of
from ...tables.cells import as_text
from ...tables.words import fold
from .answer import ordered
from .question import Question, of_rows
from .training import training_rows


def question(clf: TableClassifier, X: Any, y: Any, train: tuple[Any, Any] | None, seed: int) -> Question:
    """Return the question that explains all rows of `X` and measures the quality on those whose outcome is known.

    Raises:
        MapstoError: if `clf` is not a fitted classifier, `y` and `X` differ in length, or `train` is not its own.
    """
    name = type(clf).__name__
    checks.expect(isinstance(clf, TableClassifier), "clf", f"a {name}", "a fitted TableClassifier")
    checks.expect("state_" in vars(clf), "clf", "one that is not fitted", "a fitted classifier", "call fit first")
    rows = _frame(X)
    outcomes = _outcomes(y, len(rows))
    train_rows, labels = training_rows(clf) if train is None else _train(clf, *train)
    everyone = np.arange(len(rows))
    return of_rows(train_rows, labels, rows, outcomes, everyone, np.flatnonzero(outcomes.notna()), seed)


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


def _train(clf: TableClassifier, X: Any, y: Any) -> tuple[pd.DataFrame, np.ndarray]:
    rows, labels = _frame(X), np.asarray(y)
    got = f"{len(rows)} rows and {len(labels)} labels"
    expected = f"the {clf.n_rows_} of fit, in their order and with their labels"
    checks.expect(len(rows) == len(labels) == clf.n_rows_, "train", got, expected)
    checks.expect(_are_those_of_fit(clf, rows, labels), "train", "other rows or labels", expected)
    known = {_key(label): label for label in clf.classes_.tolist()}
    return rows, np.array([known.get(_key(label), label) for label in labels], clf.classes_.dtype)


def _key(label: Any) -> str:
    """Write a label without differences of case and blanks."""
    return fold(as_text(label))


def _are_those_of_fit(clf: TableClassifier, rows: pd.DataFrame, labels: np.ndarray) -> bool:
    names = [column.name for column in clf.columns_.columns]
    if not set(names) <= set(map(str, rows.columns)):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that fit did not see: such rows are others
        cells = clf.columns_.transform(ordered(rows, names).iloc[clf.rows_])[:, clf.used_]
    stored = clf.support_.x[:, : len(clf.used_)].numpy()
    fitted = [_key(label) for label in clf.classes_[clf.support_.y.numpy()]]
    return np.allclose(clf.scale_(cells), stored, atol=1e-5, equal_nan=True) and fitted == [
        _key(label) for label in labels[clf.rows_]
    ]
