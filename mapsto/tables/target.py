"""The outcome that is predicted: classes or numbers, decided once from the column of the training table.

Texts and two different values are classes. So are up to ten different whole numbers if each is frequent, such as
grades: as many rows as there are different values, and three at least; one value, perhaps a word for a missing
outcome, may be rarer. Any other numbers are predicted as numbers. Dates are refused.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from .. import checks
from ..errors import MapstoError
from . import cells, deciding
from .amounts import Amounts, unit_of_name
from .evidence import Reading, count
from .outcome import Outcome, check_column, read_outcome
from .splits import tenths
from .words import fold

KINDS = ("numbers", "classes")
_MOST, _RARE = 10, 3
_LARGEST = 1e100  # of numbers whose squares are summed
_CODE = re.compile(r"0\d+")


class Target(ABC):
    """How the outcome of a table is read, and which of its rows are alike."""

    @abstractmethod
    def read(self, table: pd.DataFrame, name: str) -> Outcome:
        """Return the outcomes of the table `name`, None or NaN if there is none, and sentences about them.

        Raises:
            MapstoError: if the column is missing, or an outcome cannot be predicted.
        """

    @abstractmethod
    def strata(self, y: pd.Series) -> pd.Series:
        """Return a stratum for each outcome, the same for similar ones; missing outcomes stay missing."""

    @abstractmethod
    def labels(self, y: pd.Series) -> Shaped[np.ndarray, " n"]:
        """Return the outcomes of the training rows.

        Raises:
            MapstoError: if there is nothing to learn from them.
        """

    @abstractmethod
    def known(
        self, y: pd.Series, labels: Shaped[np.ndarray, " t"], tested: Int[np.ndarray, " m"]
    ) -> tuple[Shaped[np.ndarray, " n"], list[str]]:
        """Return each outcome as the model knows it, None if it is unknown, and sentences about unknown ones."""


@dataclass(frozen=True)
class Classes(Target):
    """An outcome of classes.

    Attributes:
        name: the name of the column.
        missing: words that stand for a missing outcome.
        notes: sentences about the choice of classes.
    """

    name: str = "y"
    missing: Sequence[str] = ()
    notes: Sequence[str] = ()

    def read(self, table: pd.DataFrame, name: str) -> Outcome:
        """Return the outcomes of the table."""
        y, notes = read_outcome(table, self.name, name, self.missing)
        return Outcome(y, [*self.notes, *notes])

    def strata(self, y: pd.Series) -> pd.Series:
        """Return the classes themselves."""
        return y

    def labels(self, y: pd.Series) -> Shaped[np.ndarray, " n"]:
        """Return the classes, whole numbers as integers."""
        different = y.unique()
        got = f"one class only ({different[0]!s}) in {self.name!r}"
        checks.expect(len(different) > 1, "target", got, "two or more", "add rows of another class")
        return y.to_numpy(int) if pd.api.types.is_integer_dtype(y) else y.to_numpy()

    def known(
        self, y: pd.Series, labels: Shaped[np.ndarray, " t"], tested: Int[np.ndarray, " m"]
    ) -> tuple[Shaped[np.ndarray, " n"], list[str]]:
        """Return each outcome as a label; one that no training row has cannot be predicted, so it is unknown."""
        classes = {fold(cells.as_text(label)): label for label in labels.tolist()}
        texts = ["" if pd.isna(outcome) else cells.as_text(outcome) for outcome in y]
        label_of = np.array([classes.get(fold(text)) for text in texts], object)
        new = [texts[i] for i in tested if label_of[i] is None]
        listed = ", ".join(sorted(set(new)))
        note = f"{len(new)} rows with an outcome that no training row has ({listed}) are not used for testing."
        return label_of, [note] if new else []


@dataclass(frozen=True)
class Numbers(Target):
    """An outcome of numbers.

    Attributes:
        amounts: how its cells are read.
        notes: sentences about the choice of numbers.
    """

    amounts: Amounts
    notes: Sequence[str] = ()

    def read(self, table: pd.DataFrame, name: str) -> Outcome:
        """Return the outcomes of the table.

        Raises:
            MapstoError: if the table lacks the column, or a number in it is too large for its square to be one.
        """
        check_column(table, self.amounts.name, name)
        y, notes = self.amounts.read(table[self.amounts.name])
        largest = float(y.abs().max())
        got, expected = f"{largest:g} in {self.amounts.name!r} of {name}", f"numbers below {_LARGEST:g}"
        checks.expect(not largest >= _LARGEST, "target", got, expected, "mend the cell")
        return Outcome(y, [*self.notes, *notes])

    def strata(self, y: pd.Series) -> pd.Series:
        """Return the tenth of the outcomes in which each of them lies."""
        return pd.Series(tenths(y.to_numpy(float)), y.index, name=y.name)

    def labels(self, y: pd.Series) -> Float[np.ndarray, " n"]:
        """Return the numbers."""
        numbers = y.to_numpy(float)
        number = cells.as_text(float(numbers[0]))
        got = f"the same outcome, {number}, in all {len(numbers)} training rows of {self.amounts.name!r}"
        checks.expect(bool(np.ptp(numbers) > 0), "target", got, "different numbers", "there is nothing to learn")
        return numbers

    def known(
        self, y: pd.Series, labels: Shaped[np.ndarray, " t"], tested: Int[np.ndarray, " m"]
    ) -> tuple[Shaped[np.ndarray, " n"], list[str]]:
        """Return each outcome as a number."""
        return np.array([None if np.isnan(number) else float(number) for number in y.to_numpy(float)], object), []


def decided(
    table: pd.DataFrame, target: str, name: str, missing: Sequence[str] = (), chosen: str | None = None
) -> Target:
    """Decide from the training table `name` whether its column `target` holds classes or numbers.

    `chosen` is the person's choice, "numbers" or "classes"; if it is None, the cells decide.

    Raises:
        MapstoError: if there is no such column, it holds dates, or `chosen` is "numbers" and most cells are none.
    """
    if chosen is not None:
        checks.one_of(KINDS, outcome=chosen)
    check_column(table, target, name)
    if chosen == "classes":
        return Classes(target, missing)
    amounts = _amounts(table, target, missing, chosen)
    if chosen == "numbers":
        amounts.refuse_texts(table[target])
        return Numbers(amounts)
    if amounts.column.kind == "date":
        raise MapstoError(
            f"target: got dates in {target!r}, expected classes or numbers; write the days from a fixed day to the "
            "date, or pass --outcome classes."
        )
    if amounts.column.kind != "number":
        return Classes(target, missing)
    return _of_numbers(amounts, table[target], missing)


def _amounts(table: pd.DataFrame, target: str, missing: Sequence[str], chosen: str | None) -> Amounts:
    names = [str(column) for column in table.columns]
    reading = Reading(missing, {target: "number"} if chosen else {})
    texts = [count(table[column]) for column in table.columns if cells.kind_of(table[column]) == "cells"]
    habits = deciding.habits(texts, table.attrs.get("decimal"))
    y, own = table[target], reading.words_of(target, names)
    counts = count(y) if cells.kind_of(y) == "cells" else count(y[:0])
    column = deciding.decide(target, y, counts, own, reading, habits)
    if column.kind == "number" and not unit_of_name(target)[1]:
        column.unit = column.unit or table.attrs.get("units", {}).get(target, "")
    return Amounts.of(column, y)


def _of_numbers(amounts: Amounts, y: pd.Series, missing: Sequence[str]) -> Target:
    numbers = amounts.numbers(y)
    values, rows = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
    name, many = repr(amounts.name), f"{len(values)} different numbers"
    whole = bool((values % 1 == 0).all()) if np.isfinite(values).all() else False
    rare = int((rows < max(_RARE, len(values))).sum())
    codes = any(isinstance(cell, str) and _CODE.fullmatch(cell) for cell in cells.cells(y))
    if len(values) <= 2 or codes or (whole and len(values) <= _MOST and rare <= 1):
        note = f"target {name}: {many}, predicted as classes; if they are amounts, pass --outcome numbers."
        plain = len(values) <= 2 and set(values) <= {0.0, 1.0, 2.0}
        return Classes(amounts.name, missing, [] if plain else [note])
    note = f"target {name}: {many}, predicted as numbers; if they stand for classes, pass --outcome classes."
    return Numbers(amounts, [note])
