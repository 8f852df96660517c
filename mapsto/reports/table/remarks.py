"""Sentences about the rows of a question: repeated rows and persons, and cells unlike those of the training rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ...tables.columns import reorder
from ...tables.drift import drifts
from ...tables.repeats import known_rows, persons, repeated_rows, same_names

if TYPE_CHECKING:
    import pandas as pd

    from ...estimators.table import TableEstimator
    from .question import Question

_ROUNDING = 1e-6  # of numbers that were kept in single precision, in units of the largest


def about_rows(question: Question, estimator: TableEstimator, names: Sequence[str]) -> list[str]:
    """Return sentences about the rows of a question, as the estimator reads them; `names` are those of `test_rows`."""
    columns, groups = estimator.columns_.columns, question.groups
    train, rows, test = (_numbers(estimator, t) for t in (question.train, question.rows, question.test_rows))
    notes = known_rows(columns, _snapped(train, test), test, names)
    if groups is None:
        others = [_numbers(estimator, question.others)] if len(question.others) else []
        everyone = np.concatenate([train, rows, *others])
        notes += [*repeated_rows(columns, train), *_repeated_names(question), *persons(columns, everyone)]
    else:
        train = train[np.unique(groups, return_index=True)[1]]  # rows of one group are no independent evidence
    if groups is not None and question.has_outcome.all():
        return notes
    frame = reorder(question.rows, [column.name for column in columns])
    unread = np.stack([column.unread(frame[column.name]) for column in columns], 1)
    return [*notes, *drifts(columns, train, rows, unread)]


def _snapped(train: Float[np.ndarray, "n d"], test: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n d"]:
    """Return the training rows with the cells of test rows where they differ by less than single precision can tell.

    The training rows of a fitted estimator are read back from numbers in single precision.
    """
    snapped = train.copy()
    for column, others in zip(snapped.T, test.T, strict=True):
        known = np.unique(others[np.isfinite(others)])
        if len(known):
            above = np.searchsorted(known, column).clip(1, max(len(known) - 1, 1))
            pair = known[np.stack([above - 1, above]).clip(0, len(known) - 1)]
            nearest = np.where(np.abs(column - pair[0]) <= np.abs(column - pair[1]), *pair)
            near = np.abs(column - nearest) <= _ROUNDING * np.abs(known).max()
            column[near] = nearest[near]
    return snapped


def _repeated_names(question: Question) -> list[str]:
    if not question.choices.id:
        return []
    parts = (question.train, question.rows, question.others)
    return same_names(question.choices.id, [str(name) for part in parts for name in part.index])


def _numbers(estimator: TableEstimator, frame: pd.DataFrame) -> Float[np.ndarray, "n d"]:
    names = [column.name for column in estimator.columns_.columns]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the predictions have warned already
        return estimator.columns_.transform(reorder(frame, names))
