"""Cross-validation of the training rows: each fold is predicted by models that learned from the others."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from ...tables.splits import stratified
from ..words import count
from .folds import affordable, folds
from .question import Question

_ROWS = 1250  # of more training rows, a sample is cross-validated: four fifths are the 1,000 that the mapping reads

TREES = 100
"""The trees of the random forest in each fold."""

Predictions = dict[str, np.ndarray]
Predict = Callable[[Int[np.ndarray, " a"], Int[np.ndarray, " b"]], Predictions]


class Crossed(NamedTuple):
    """The predictions of a cross-validation.

    Attributes:
        how: the rows as the end of a sentence.
        test: the positions of the predicted rows among the training rows of the question.
        predictions: what was predicted for each of them.
        folds: the number of the model that predicted each row.
        groups: the number of each row's group; if None, all rows are independent.
    """

    how: str
    test: Int[np.ndarray, " m"]
    predictions: Predictions
    folds: Int[np.ndarray, " m"]
    groups: Int[np.ndarray, " m"] | None


def crossed(
    question: Question,
    strata: Int[np.ndarray, " n"],
    columns: int,
    predict: Predict,
    rows: int = _ROWS,
    name: str = "row",
) -> Crossed | None:
    """Return the predictions of the training rows by cross-validation, or None if no row can be predicted.

    Rows that belong to one group are in one fold. Rows of a stratum that has no other group always teach.

    Args:
        question: the table.
        strata: a number for each training row, the same for similar outcomes.
        columns: the number of columns that are read, which decides how many folds are affordable.
        predict: a function of the positions of rows that teach and of rows that are predicted; it returns arrays by
            name, one entry for each predicted row.
        rows: of more training rows, a sample of this number is cross-validated.
        name: what a row is called.
    """
    groups, kept = numbered(question.groups), np.arange(len(strata))
    if len(strata) > rows:
        kept = np.sort(stratified(strata, rows, question.seed))
        strata, groups = strata[kept], None if groups is None else numbered(groups[kept])
    every = folds(strata, groups, question.seed)
    used = affordable(every, columns)
    if not used:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is remarkable in a part of the rows was said of all
        parts = [predict(kept[fold.train], kept[fold.test]) for fold in used]
    test = np.concatenate([fold.test for fold in used])
    return Crossed(
        _how(question, kept[test], len(used), len(every), name),
        kept[test],
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        np.repeat(np.arange(len(used)), [len(fold.test) for fold in used]),
        None if groups is None else groups[test],
    )


def _how(question: Question, test: Int[np.ndarray, " m"], used: int, every: int, name: str) -> str:
    labels = question.labels
    whole = f"by {every}-fold cross-validation of the {count(len(labels), f'labelled {name}')}"
    if len(test) == len(labels):
        return whole
    part = "" if used == every else f" in {used} of the {every} folds"
    others = np.delete(labels, test)
    alone = question.amount is None and all((labels == label).sum() == 1 for label in others)
    why = f" (the only {name} of a class always teaches)" if alone else ""
    return f"{whole}, {len(test):,} of which were predicted{part}{why}"


def numbered(groups: Shaped[np.ndarray, " n"] | None) -> Int[np.ndarray, " n"] | None:
    """Number groups from 0; a missing group is a group of its own."""
    import pandas as pd

    if groups is None:
        return None
    numbers = pd.factorize(np.asarray(groups, object))[0]
    alone = numbers < 0
    numbers[alone] = numbers.max() + 1 + np.arange(alone.sum())
    return numbers
