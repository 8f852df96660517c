"""A table that may be larger than memory: which rows teach, and the answer about some of its rows at a time.

Rows teach and are explained as in `question.of_table`, or as in `of_two_tables` if another table teaches. From a table
with more than 20,000 outcomes, the training rows are chosen among a random sample of so many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool

from ...estimators import MAX_ROWS
from ...tables import cells
from ...tables.target import Target, decided
from .base import TableAnswer
from .build import Build, Parts
from .class_build import ClassBuild
from .number_build import NumberBuild
from .question import Choices, Question, of_table, of_two_tables

if TYPE_CHECKING:
    from ...estimators.table import TableEstimator

SAMPLE = 20_000
_FEW = 8


class Survey(NamedTuple):
    """What one pass over a table finds.

    Attributes:
        parts: the number of parts in which the table was read.
        rows: the number of rows.
        outcomes: the number of rows whose outcome is not empty.
        labelled: these rows, or a random sample of `SAMPLE` of them, in the order of the table.
        blank: the first rows whose outcome is empty.
    """

    parts: int
    rows: int
    outcomes: int
    labelled: pd.DataFrame
    blank: pd.DataFrame


def survey(parts: Iterable[pd.DataFrame], target: str, seed: int) -> Survey:
    """Read a table part by part; the index of the parts has a different number for each row."""
    generator = np.random.default_rng(seed)
    labelled, blank, keys, count, rows, outcomes = pd.DataFrame(), pd.DataFrame(), np.empty(0), 0, 0, 0
    for count, part in enumerate(parts, 1):  # noqa: B007 — the last count is the result
        there = _filled(part, target)
        rows, outcomes = rows + len(part), outcomes + int(there.sum())
        if len(blank) < _FEW:
            blank = pd.concat([blank, part[~there][: _FEW - len(blank)]])
        keys = np.append(keys, generator.random(int(there.sum())))
        kept = np.sort(np.argsort(keys, kind="stable")[:SAMPLE])
        labelled, keys = pd.concat([labelled, part[there]]).iloc[kept], keys[kept]
        labelled.attrs = part.attrs
    return Survey(count, rows, outcomes, labelled, blank)


def _filled(part: pd.DataFrame, target: str) -> Bool[np.ndarray, " n"]:
    if target not in part.columns:
        return np.zeros(len(part), bool)
    return np.array([cell is not None for cell in cells.cells(part[target])], bool)


@dataclass(frozen=True, eq=False)
class LongTable:
    """Answers about the rows of a long table.

    Attributes:
        question: the question whose training rows teach.
        train: the training rows as they were given.
        every: whether each row has an outcome, so that all but the training rows are explained.
        taught: whether the training rows are rows of the table itself.
        target: the name of the outcome's column.
        names: the names of the table and of the training table.
        kind: how the outcome is read.
        estimator: the fitted estimator.
    """

    question: Question
    train: pd.DataFrame
    every: bool
    taught: bool
    target: str
    names: tuple[str, str]
    kind: Target
    estimator: TableEstimator

    @property
    def notes(self) -> list[str]:
        """Sentences about the training rows."""
        return list(dict.fromkeys([*self.question.notes, *self.estimator.notes_]))

    def asked(self, part: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a part of the table that are to be explained."""
        if self.every:
            return part[~part.index.isin(self.train.index)] if self.taught else part
        if self.target not in part.columns:
            return part
        return part[self.kind.read(part, self.names[0]).y.isna().to_numpy()]

    def answer(self, rows: pd.DataFrame) -> TableAnswer:
        """Return the predictions and reasons for some rows that `asked` returned, without measures of quality."""
        x, question = rows.drop(columns=self.target, errors="ignore"), self.question
        x.attrs = rows.attrs
        rest = (self.target, None, MAX_ROWS, question.seed, self.names, question.choices)
        question = of_two_tables(x, self.train, *rest)
        reasons = self.estimator.explain(question.rows)
        outputs = reasons.predictions.reshape(len(reasons), -1)
        push = np.zeros((0, len(question.labels), outputs.shape[1]))
        parts = Parts(question, reasons, outputs, [], push, outputs[:0], {}, [], None, self.estimator)
        return _build(question).record(parts)


def long_table(
    found: Survey,
    train: pd.DataFrame | None,
    target: str,
    train_rows: int | None,
    seed: int,
    names: tuple[str, str],
    choices: Choices,
) -> LongTable:
    """Fit an estimator to the training rows: those of the surveyed table that have an outcome, or those of `train`.

    Raises:
        MapstoError: in any case in which `of_table` or `of_two_tables` raises it, or there is nothing to learn.
    """
    every, rest = not len(found.blank), (target, train_rows, MAX_ROWS, seed)
    notes = []
    if train is None:
        table = pd.concat([found.labelled, found.blank])
        table.attrs = found.labelled.attrs
        question, names = of_table(table, *rest, names[0], choices), (names[0], names[0])
        if found.outcomes > SAMPLE:
            some = f"of {found.outcomes:,} rows with an outcome, training rows are chosen among {SAMPLE:,}"
            notes = [f"{some} drawn at random (seed {seed})."]
    else:
        table = train
        question = of_two_tables(found.labelled[:_FEW] if every else found.blank, train, *rest, names, choices)
    assert question.train_places is not None
    taught = table.iloc[question.train_places]
    taught.attrs = table.attrs
    settled = replace(choices, outcome="classes" if question.amount is None else "numbers")
    question = replace(question, choices=settled, notes=[*notes, *question.notes])
    kind = decided(taught, target, names[1], choices.missing, settled.outcome)
    fitted = _build(question).fitted(question)
    return LongTable(question, taught, every, train is None, target, names, kind, fitted)


def _build(question: Question) -> Build:
    return ClassBuild() if question.amount is None else NumberBuild()
