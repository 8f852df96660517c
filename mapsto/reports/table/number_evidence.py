"""The evidence for the quality of predicted numbers: rows whose outcome is known, predicted without having been seen.

They are chosen as for classes, see `evidence`; the guesses that need no model are the mean and the median of the
training rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from ...tables.splits import tenths
from ..words import count
from .crossing import TREES, Predictions, crossed, numbered
from .question import Question
from .rivals import rival_numbers

if TYPE_CHECKING:
    from ...estimators import TableRegressor

Guesses = dict[str, Float[np.ndarray, " m"]]


@dataclass(frozen=True, eq=False)
class NumberEvidence:
    """Rows whose outcome is known, with predictions of models that had not seen them.

    Attributes:
        measured: "held-out rows" or "cross-validation".
        how: the same as the end of a sentence, with the number of rows.
        y: the true outcomes.
        p: the predictions of the mapping.
        low: the lower ends of its 90 % intervals.
        high: the upper ends of its 90 % intervals.
        guesses: the mean and the median of the rows that taught.
        rivals: the predictions of each rival.
        groups: the number of each row's group; if None, all rows are independent.
    """

    measured: str
    how: str
    y: Float[np.ndarray, " m"]
    p: Float[np.ndarray, " m"]
    low: Float[np.ndarray, " m"]
    high: Float[np.ndarray, " m"]
    guesses: Guesses
    rivals: Guesses = field(default_factory=dict)
    groups: Int[np.ndarray, " m"] | None = None


def held_out(regressor: TableRegressor, question: Question, p: Float[np.ndarray, " m"]) -> NumberEvidence:
    """Return the evidence of the rows `question.test_rows`, of which there is at least one; `p` are predictions."""
    rows, labels = question.test_rows, question.labels
    rivals = rival_numbers(regressor, question.train, labels, rows, question.seed)
    how = f"on {count(len(p), 'row')} not used for training"
    low, high = regressor.predict_interval(rows).T
    guesses, groups = _guesses(labels, len(p)), numbered(question.test_groups)
    return NumberEvidence("held-out rows", how, question.truth, p, low, high, guesses, rivals, groups)


def cross_validated(regressor: TableRegressor, question: Question, rivals: bool = True) -> NumberEvidence | None:
    """Return the evidence of the training rows by cross-validation, or None if no row can be predicted.

    Each fold is read by a new regressor with the settings of `regressor`, and has its share of low and high outcomes.
    """
    from sklearn.base import clone

    labels = question.labels

    def predict(train: Int[np.ndarray, " a"], test: Int[np.ndarray, " b"]) -> Predictions:
        teach, rows = question.train.iloc[train], question.train.iloc[test]
        fitted = clone(regressor).fit(teach, labels[train])
        low, high = fitted.predict_interval(rows).T
        own = {"p": fitted.predict(rows), "low": low, "high": high, **_guesses(labels[train], len(test))}
        seed = question.seed
        return {**own, **(rival_numbers(fitted, teach, labels[train], rows, seed, TREES) if rivals else {})}

    found = crossed(question, tenths(labels).astype(int), len(regressor.used_), predict)
    if found is None:
        return None
    parts = dict(found.predictions)
    p, low, high = (parts.pop(name) for name in ("p", "low", "high"))
    guesses = {name: parts.pop(name) for name in ("mean", "median")}
    return NumberEvidence("cross-validation", found.how, labels[found.test], p, low, high, guesses, parts, found.groups)


def _guesses(labels: Float[np.ndarray, " n"], rows: int) -> Guesses:
    return {"mean": np.full(rows, labels.mean()), "median": np.full(rows, np.median(labels))}
