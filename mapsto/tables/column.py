"""How one column of a table is read: its kind, and everything that is needed to read later cells in the same way."""

import datetime
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from . import cells, dates, spelling, words
from .cells import Cell

Kind = Literal["number", "date", "category", "ordered", "absent"]
KINDS = ("number", "date", "category", "ordered", "absent")
_FIRST, _LAST = -719162 * 1440, 2932897 * 1440 - 1  # minutes from 1970 to the years 1 and 9999
_NEAR = 20 * 365  # days
_BOOLEANS = {"true": "1", "false": "0", "1": "true", "0": "false"}


@dataclass
class Column:
    """How one column is read.

    Attributes:
        name: the name of the column.
        kind: "number", "date", "category" (levels without an order), "ordered" (levels with an order) or "absent" (left
            out, because it carries no information).
        codes: the number of each level of a "category" or "ordered" column.
        unit: the unit of the numbers, empty if there is none.
        missing: words that stand for a missing cell, folded by `words.fold`.
        style: the spelling of the cells: "plain", "time", "weeks" or "span" of numbers; "plain" or "compact" of dates.
        decimal: the decimal mark of numbers.
        spellings: the unit's spellings, folded.
        day_first: whether 05/06/2021 is the fifth of June.
        low: the least number seen at `fit`, by which a cell such as <5 is placed.
        high: the largest number seen at `fit`, by which a cell such as >5 is placed.
        shift: an integer that is subtracted from numbers beyond 2⁵³, which floats cannot tell apart.
        empty: the number of missing cells at `fit`.
        notes: sentences about the decisions.
    """

    name: str
    kind: Kind
    codes: dict[str, int] = field(default_factory=dict)
    unit: str = ""
    missing: list[str] = field(default_factory=list)
    style: str = "plain"
    decimal: str = "."
    spellings: list[str] = field(default_factory=lambda: [""])
    day_first: bool = True
    low: float = math.nan
    high: float = math.nan
    shift: int = 0
    empty: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def levels(self) -> list[str]:
        """The levels of a "category" or "ordered" column, in the order of their numbers."""
        return sorted(self.codes, key=self.codes.__getitem__)

    def read(self, values: pd.Series) -> tuple[Float[np.ndarray, " n"], list[str]]:
        """Return the column's numbers, and the different cells that could not be read (they become NaN)."""
        if self.kind == "absent":
            return np.full(len(values), np.nan), []
        stored = cells.kind_of(values)
        if stored == "number" and self.kind == "number" and self.style == "plain" and not self.shift:
            return self._without_sentinels(cells.floats(values)), []
        if stored == "date" and self.kind == "date":
            return cells.moments(values), []
        if stored == "span" and self.kind == "number" and self.style == "span":
            return cells.spans(values), []
        return self.numbers(cells.cells(values))

    def numbers(self, column: Iterable[Cell]) -> tuple[Float[np.ndarray, " n"], list[str]]:
        """Return plain cells as numbers, and the different cells that could not be read."""
        read = self._reader()
        memory: dict[Cell, float] = {None: math.nan}
        unread: dict[str, None] = {}
        numbers = []
        for cell in column:
            if cell not in memory:
                memory[cell] = read(cell)
                if math.isnan(memory[cell]) and not self.is_missing(cell):
                    unread[cells.as_text(cell)] = None
            numbers.append(memory[cell])
        return np.array(numbers, float), list(unread)

    def unread(self, values: pd.Series) -> Bool[np.ndarray, " n"]:
        """Return which cells are there but cannot be read, such as a level that `fit` did not see."""
        numbers, texts = self.read(values)
        if not texts:
            return np.zeros(len(values), bool)
        return np.isnan(numbers) & np.array([not self.is_missing(cell) for cell in cells.cells(values)])

    def is_missing(self, cell: Cell) -> bool:
        """Return whether a cell stands for a missing value in this column."""
        if cell is None or (self.missing and self._is_said(cells.as_text(cell))):
            return True
        return self.kind in ("number", "date") and isinstance(cell, str) and words.is_missing(cell)

    def _is_said(self, text: str) -> bool:
        number = _as_number(text)
        return words.fold(text) in self.missing or (number is not None and number in map(_as_number, self.missing))

    def write(self, number: float) -> Any:
        """Return the cell that is read as `number`; a missing one is None, or NaN among numbers."""
        if self.kind == "number":
            return number + self.shift if self.shift else number
        if math.isnan(number):
            return None
        return _date(number) if self.kind == "date" else self.levels[round(number)]

    def _reader(self) -> Any:
        if self.kind == "number":
            return self._number
        return self._days if self.kind == "date" else self._rank()

    def _number(self, cell: Cell) -> float:
        if self.is_missing(cell):
            return math.nan
        if not isinstance(cell, str):
            return float(cell - self.shift) if cell is not None else math.nan
        if cell in ("True", "False"):
            return float(cell == "True") if {self.low, self.high} <= {0.0, 1.0} else math.nan
        if self.style != "plain":
            return _timed(cell, self.style)
        part = spelling.parts(cell)
        if part is None or not (spelling.belongs(part.unit, self.spellings) or part.unit == self.unit):
            return math.nan
        if self.shift:
            whole = spelling.exact(part, self.decimal)
            return spelling.value(part, self.decimal) - self.shift if whole is None else float(whole - self.shift)
        number = spelling.value(part, self.decimal)
        return self._beyond(number, part.bound) if part.bound and math.isfinite(number) else number

    def _beyond(self, number: float, bound: int) -> float:
        """Place a bound such as <5 below every number that was seen, and >5 above.

        If numbers below 5 were seen, <5 may be any of them: it is half-way from the least of them to 5, or to the
        largest number if that is less. So is >5.
        """
        low, high = (number if math.isnan(end) else end for end in (self.low, self.high))
        step = (high - low) / 20 or abs(high) / 20 or 1.0
        if bound > 0:
            return (max(number, low) + high) / 2 if high > number else number + step
        if low < number:
            return (low + min(number, high)) / 2
        return number / 2 if number > 0 else number - step

    def _days(self, cell: Cell) -> float:
        if cell is None or self.is_missing(cell):
            return math.nan
        text = cells.as_text(cell)
        day = dates.compact_days(text) if self.style == "compact" else math.nan
        if isinstance(cell, str) and math.isnan(day):
            day = dates.days(cell, self.day_first)
        return self._serial(text) if math.isnan(day) else day

    def _serial(self, text: str) -> float:
        """Read a number in place of a date, as spreadsheets write it, if the date lies near the others."""
        day = dates.serial_days(text)
        return day if self.low - _NEAR <= day <= self.high + _NEAR else math.nan

    def _rank(self) -> Any:
        by_fold, by_number = _unique(self.codes, words.fold), _unique(self.codes, _as_number)

        def rank(cell: Cell) -> float:
            text = cells.as_text(cell)
            if text in self.codes:
                return float(self.codes[text])
            if self.is_missing(cell):
                return math.nan
            folded = words.fold(text)
            for key in (folded, _BOOLEANS.get(folded, folded)):
                if key in by_fold:
                    return float(by_fold[key])
            return float(by_number.get(_as_number(text), math.nan))

        return rank

    def _without_sentinels(self, numbers: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        sentinels = [float(word) for word in self.missing if _as_number(word) is not None]
        return np.where(np.isin(numbers, sentinels), np.nan, numbers) if sentinels else numbers


def _timed(cell: str, style: str) -> float:
    if style in ("time", "weeks"):
        return dates.hours(cell) if style == "time" else dates.weeks(cell)
    span, number = dates.seconds(cell), _as_number(cell[:-2]) if cell.endswith(" s") else None
    return number if math.isnan(span) and number is not None else span


def _unique(codes: dict[str, int], key: Any) -> dict[Any, int]:
    """Return the code of each key that belongs to one level only."""
    keys = [key(level) for level in codes]
    count = Counter(keys)
    return {k: codes[level] for k, level in zip(keys, codes, strict=True) if k is not None and count[k] == 1}


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _date(days: float) -> str:
    """Write days since 1970 as a date, with the time if it is not midnight.

    >>> _date(19723.0), _date(19723.5), _date(2932896.0)
    ('2024-01-01', '2024-01-01 12:00:00', '9999-12-31')
    """
    minutes = min(max(round(days * 1440), _FIRST), _LAST)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(minutes=minutes)
    return str(moment.date()) if moment.time() == datetime.time() else str(moment)
