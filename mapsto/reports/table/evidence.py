"""The evidence for the quality of predictions: rows whose outcome is known, predicted by models that had not seen them.

They are the rows with an outcome that were not used for training. If there are none, the training rows are
cross-validated: the mapping, its rivals and the base rates learn from the same folds and predict the same rows. This
takes about three seconds at most for tables of up to 300 rows and ten columns. Of a larger table, some of the folds are
predicted, at least one. The random forest has 100 trees there.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, Shaped

from ...tables.splits import stratified
from ..words import count
from .folds import Fold, affordable, folds
from .question import Question
from .rivals import rival_probabilities

if TYPE_CHECKING:
    import pandas as pd

    from ...estimators import TableClassifier

FEW = 30
"""Fewer held-out rows say little, so the training rows are cross-validated beside them."""

_ROWS = 1250  # of more training rows, a sample is cross-validated: four fifths are the 1,000 that the mapping reads
_TREES = 100


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
    base = np.tile(_frequencies(labels, len(classifier.classes_)), (len(y), 1))
    how = f"on {count(len(y), 'row')} not used for training"
    return Evidence("held-out rows", how, y, p, base, rivals)


def cross_validated(classifier: TableClassifier, question: Question, rivals: bool = True) -> Evidence | None:
    """Return the evidence of the training rows by cross-validation, or None if no row can be predicted.

    Rows that belong to one group are in one fold. Each fold is read by a new classifier with the settings of
    `classifier`. Rows of a class that no other row has always teach, so they are not predicted.
    """
    labels, groups = _indices(classifier, question.labels), _numbered(question.groups)
    kept = np.arange(len(labels))
    if len(labels) > _ROWS:
        kept = np.sort(stratified(labels, _ROWS, question.seed))
        labels, groups = labels[kept], None if groups is None else _numbered(groups[kept])
    rows, names = question.train.iloc[kept], question.labels[kept]
    every = folds(labels, groups, question.seed)
    used = affordable(every, len(classifier.used_))
    if not used:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is remarkable in a part of the rows was said of all
        seed = question.seed if rivals else None
        answers = [_predicted(classifier, rows, names, fold, seed) for fold in used]
    test = np.concatenate([fold.test for fold in used])
    base = [np.tile(_frequencies(labels[f.train], len(classifier.classes_)), (len(f.test), 1)) for f in used]
    return Evidence(
        "cross-validation",
        _how(len(test), len(question.labels), len(used), len(every)),
        labels[test],
        np.concatenate([own for own, _ in answers]),
        np.concatenate(base),
        {name: np.concatenate([others[name] for _, others in answers]) for name in answers[0][1]},
        np.repeat(np.arange(len(used)), [len(fold.test) for fold in used]),
        None if groups is None else groups[test],
    )


Probabilities = Float[np.ndarray, "m k"]


def _predicted(
    classifier: TableClassifier, rows: pd.DataFrame, labels: Shaped[np.ndarray, " n"], fold: Fold, seed: int | None
) -> tuple[Probabilities, dict[str, Probabilities]]:
    """Return the probabilities of a fold by a new classifier, and by the rivals unless `seed` is None."""
    from sklearn.base import clone

    train, test = rows.iloc[fold.train], rows.iloc[fold.test]
    fitted = clone(classifier).fit(train, labels[fold.train])
    others = {} if seed is None else rival_probabilities(fitted, train, labels[fold.train], test, seed, _TREES)
    return fitted.predict_proba(test), others


def _how(predicted: int, rows: int, used: int, every: int) -> str:
    whole = f"by {every}-fold cross-validation of the {count(rows, 'labelled row')}"
    if predicted == rows:
        return whole
    part = "" if used == every else f" in {used} of the {every} folds"
    return f"{whole}, {predicted:,} of which were predicted{part}"


def _indices(classifier: TableClassifier, labels: Shaped[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    index = {name: c for c, name in enumerate(classifier.classes_.tolist())}
    return np.array([index[label] for label in labels.tolist()], int)


def _frequencies(labels: Int[np.ndarray, " n"], classes: int) -> Float[np.ndarray, " k"]:
    return np.bincount(labels, minlength=classes) / len(labels)


def _numbered(groups: Shaped[np.ndarray, " n"] | None) -> Int[np.ndarray, " n"] | None:
    """Number groups from 0; a missing group is a group of its own."""
    import pandas as pd

    if groups is None:
        return None
    numbers = pd.factorize(np.asarray(groups, object))[0]
    alone = numbers < 0
    numbers[alone] = numbers.max() + 1 + np.arange(alone.sum())
    return numbers
