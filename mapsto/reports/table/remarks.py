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


def about_rows(question: Question, estimator: TableEstimator, names: Sequence[str]) -> list[str]:
    """Return sentences about the rows of a question, as the estimator reads them; `names` are those of `test_rows`."""
    columns, groups = estimator.columns_.columns, question.groups
    train, rows, test = (_numbers(estimator, t) for t in (question.train, question.rows, question.test_rows))
    notes = known_rows(columns, train, test, names)
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
