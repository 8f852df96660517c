"""The evidence for the quality of predictions: rows whose outcome is known, predicted by models that had not seen them.

They are the rows with an outcome that were not used for training. If there are none, the training rows are
cross-validated: the mapping, its rivals and the base rates learn from the same folds and predict the same rows. This
takes about three seconds at most for tables of up to 300 rows and ten columns. Of a larger table, some of the folds are
predicted, at least one. The random forest has 100 trees there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, Shaped

from ..words import count
from .crossing import TREES, Crossed, Predictions, crossed, numbered
from .question import Question
from .rivals import rival_probabilities

if TYPE_CHECKING:
    import pandas as pd

    from ...estimators import TableClassifier

Names = Shaped[np.ndarray, " a"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Rows whose outcome is known, with the probabilities that models gave them without having seen them.

    Attributes:
        measured: "held-out rows" or "cross-validation".
        how: the same as the end of a sentence, with the number of rows.
        y: the true class of each row, as an index.
        p: the probabilities of the mapping.
        base: the base rates: the frequency of each class in the training rows.
        rivals: the probabilities of each rival.
        folds: the number of the model that predicted each row; only rows of one model are ranked among each other.
        groups: the number of each row's group; if None, all rows are independent.
    """

    measured: str
    how: str
    y: Int[np.ndarray, " m"]
    p: Float[np.ndarray, "m k"]
    base: Float[np.ndarray, "m k"]
    rivals: dict[str, Float[np.ndarray, "m k"]] = field(default_factory=dict)
    folds: Int[np.ndarray, " m"] | None = None
    groups: Int[np.ndarray, " m"] | None = None


def held_out(classifier: TableClassifier, question: Question, p: Float[np.ndarray, "m k"]) -> Evidence:
    """Return the evidence of the rows `question.test_rows`, of which there is at least one; `p` are predictions."""
    y, labels = (_indices(classifier, names) for names in (question.truth, question.labels))
    rivals = rival_probabilities(classifier, question.train, question.labels, question.test_rows, question.seed)
    base = base_rates(labels, len(y), len(classifier.classes_))
    how = f"on {count(len(y), 'row')} not used for training"
    return Evidence("held-out rows", how, y, p, base, rivals, groups=numbered(question.test_groups))


def cross_validated(classifier: TableClassifier, question: Question, rivals: bool = True) -> Evidence | None:
    """Return the evidence of the training rows by cross-validation, or None if no row can be predicted.

    Rows that belong to one group are in one fold. Each fold is read by a new classifier with the settings of
    `classifier`. Rows of a class that no other row has always teach, so they are not predicted.
    """
    labels, seed = _indices(classifier, question.labels), question.seed if rivals else None

    def predict(train: Int[np.ndarray, " a"], test: Int[np.ndarray, " b"]) -> Predictions:
        base = base_rates(labels[train], len(test), len(classifier.classes_))
        rows, names = question.train, question.labels
        own, others = _predicted(classifier, rows.iloc[train], names[train], rows.iloc[test], seed)
        return {"p": own, "base": base, **others}

    found = crossed(question, labels, len(classifier.used_), predict)
    if found is None:
        return None
    return of_folds(found, labels)


def of_folds(found: Crossed, labels: Int[np.ndarray, " n"]) -> Evidence:
    """Return the evidence of a cross-validation that predicted `p`, `base` and those of the rivals."""
    rivals = dict(found.predictions)
    p, base = rivals.pop("p"), rivals.pop("base")
    return Evidence("cross-validation", found.how, labels[found.test], p, base, rivals, found.folds, found.groups)


Probabilities = Float[np.ndarray, "m k"]


def _predicted(
    classifier: TableClassifier, train: pd.DataFrame, labels: Names, test: pd.DataFrame, seed: int | None
) -> tuple[Probabilities, dict[str, Probabilities]]:
    """Return the probabilities of a fold by a new classifier, and by the rivals unless `seed` is None."""
    from sklearn.base import clone

    fitted = clone(classifier).fit(train, labels)
    others = {} if seed is None else rival_probabilities(fitted, train, labels, test, seed, TREES)
    return fitted.predict_proba(test), others


def _indices(classifier: TableClassifier, labels: Shaped[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    index = {name: c for c, name in enumerate(classifier.classes_.tolist())}
    return np.array([index[label] for label in labels.tolist()], int)


def base_rates(labels: Int[np.ndarray, " n"], rows: int, classes: int) -> Float[np.ndarray, "m k"]:
    """Return the frequency of each class among the labels of the rows that taught, for each of `rows` rows."""
    return np.tile(np.bincount(labels, minlength=classes) / len(labels), (rows, 1))
