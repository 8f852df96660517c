"""The columns of a table as numbers, with a memory of how they are read, so that later rows are read in the same way.

Numbers stay numbers, dates become days, levels of an ordered column become their place, and those of a category a code.
NaN means missing; a value that `fit` did not see has no code, so it becomes NaN too, with a warning.
"""

import itertools
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import checks
from ..errors import MapstoError
from . import cells, deciding, percents, words
from .column import Column
from .evidence import Habits, Reading, count
from .remarks import listing, other_mark, unread_sentence

__all__ = ["Column", "Columns", "as_texts", "listing", "refuse_duplicates", "reorder"]


_UNIT_OF_NAME = re.compile(r"\w.*[(\[]([^()\[\]]*[^\W\d][^()\[\]]*|[%‰])[)\]]\s*$")  # CRP (mg/l)


class UnreadCells(UserWarning):
    """The warning about cells of a later table that cannot be read."""


class Columns:
    """Remembers how to read the columns of a table; printed, it lists the decisions.

    Args:
        missing: words that stand for a missing cell: "999" in every column, "crp=999" in the column crp only.
        types: the kind of a column ("number", "date", "category", "ordered" or "absent"), by its name.
        order: the levels of an ordered column in their order, by its name.

    >>> table = pd.DataFrame({"age": ["61 y", "48 y", ""], "ward": ["north", "south", "north"]})
    >>> columns = Columns().fit(table)
    >>> columns.transform(table)
    array([[61.,  0.],
           [48.,  1.],
           [nan,  0.]])
    >>> print(columns)
    column  kind      unit  values        missing
    age     number    y     48 to 61      1
    ward    category        north, south  0
    """

    def __init__(
        self,
        missing: Sequence[str] = (),
        types: Mapping[str, str] | None = None,
        order: Mapping[str, Sequence[str]] | None = None,
    ):
        self.reading = Reading(missing, types or {}, order or {})

    def fit(self, frame: pd.DataFrame) -> Self:
        """Decide how to read each column of `frame`; `notes` lists the decisions and the columns left out.

        Raises:
            MapstoError: if two columns share a name, a cell is infinite, or an argument names no column.
        """
        names = [str(name) for name in frame.columns]
        refuse_duplicates(names)
        self.reading.check(names)
        self.columns = self._decided(frame, names)
        numbers, _ = self._read(frame)
        self.informative = np.array([len(np.unique(c[~np.isnan(c)])) > 1 for c in numbers.T], bool)
        parts = zip(self.columns, numbers.T, self.informative.tolist(), strict=True)
        self.notes = [note for part in parts for note in _notes(*part)]
        for column, values in zip(self.columns, numbers.T, strict=True):
            if np.isnan(column.low) and column.kind in ("number", "date") and not np.isnan(values).all():
                column.low, column.high = float(np.nanmin(values)), float(np.nanmax(values))
        return self

    def transform(self, frame: pd.DataFrame) -> Float[np.ndarray, "n d"]:
        """Return the table as numbers, NaN for a missing cell and, with a warning, for a value that `fit` did not see.

        Raises:
            MapstoError: if a cell is infinite.
        """
        numbers, sentences = self.read(frame)
        for sentence in sentences:
            warnings.warn(sentence, UnreadCells, stacklevel=3)
        return numbers

    def read(self, frame: pd.DataFrame) -> tuple[Float[np.ndarray, "n d"], list[str]]:
        """Return the numbers of `transform`, and its warnings as sentences.

        Raises:
            MapstoError: if a cell is infinite.
        """
        numbers, unread = self._read(frame)
        return numbers, [*self._unread(unread), *self._doubtful(frame)]

    def unread(self, *frames: pd.DataFrame) -> list[str]:
        """Return a sentence for each column that has cells which cannot be read, about all `frames` together."""
        parts = [self._read(frame)[1] for frame in frames if len(frame)]
        different = [list(dict.fromkeys(itertools.chain(*texts))) for texts in zip(*parts, strict=True)]
        doubtful = itertools.chain(*map(self._doubtful, frames))
        return list(dict.fromkeys([*self._unread(different), *doubtful]))

    def _unread(self, unread: list[list[str]]) -> list[str]:
        return [unread_sentence(column, texts) for column, texts in zip(self.columns, unread, strict=False) if texts]

    def _doubtful(self, frame: pd.DataFrame) -> list[str]:
        columns = [(column, frame.iloc[:, j]) for j, column in enumerate(self.columns) if column.kind == "number"]
        doubts = [other_mark(column, v) for column, v in columns if cells.kind_of(v) == "cells"]
        doubts += [percents.doubt(column, v) for column, v in columns]
        return [doubt for doubt in doubts if doubt]

    def state(self) -> list[dict[str, Any]]:
        """Return everything that was decided, in a form that JSON can hold."""
        return [{key: _plain(value) for key, value in asdict(column).items()} for column in self.columns]

    @classmethod
    def restored(cls, state: list[dict[str, Any]], informative: np.ndarray) -> Self:
        """Return the columns whose `state` was kept."""
        self = cls()
        self.columns = [_column(part) for part in state]
        self.informative = informative
        self.notes = [note for column in self.columns for note in column.notes]
        return self

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        if not hasattr(self, "columns"):
            return "Columns()"
        rows = [("column", "kind", "unit", "values", "missing"), *map(described, self.columns)]
        widths = [max(len(row[j]) for row in rows) for j in range(5)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def _decided(self, frame: pd.DataFrame, names: list[str]) -> list[Column]:
        series = [frame.iloc[:, j] for j in range(len(names))]
        counts = [count(v) if cells.kind_of(v) == "cells" else Counter() for v in series]
        habits = deciding.habits(counts, frame.attrs.get("decimal"))
        own = [self.reading.words_of(name, names) for name in names]
        parts = list(zip(names, series, counts, own, strict=True))
        first = [deciding.decide(*part, self.reading, habits) for part in parts]
        lost = frozenset(word for column, count in zip(first, counts, strict=True) for word in _missing(column, count))
        habits = Habits(habits.decimal, habits.day_first, lost)
        decided = [
            deciding.decide(*part, self.reading, habits) if column.kind == "category" and lost else column
            for column, part in zip(first, parts, strict=True)
        ]
        units = frame.attrs.get("units", {})  # those of a row below the names
        for column in decided:
            unit = _UNIT_OF_NAME.search(column.name)
            if column.kind == "number" and not column.unit:
                column.unit = unit[1] if unit else units.get(column.name, "")
        return decided

    def _read(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[list[str]]]:
        read = [column.read(frame.iloc[:, j]) for j, column in enumerate(self.columns)]
        numbers = np.stack([r[0] for r in read], 1) if read else np.empty((len(frame), 0))
        _refuse_infinite(self.columns, numbers, frame.index)
        return numbers, [r[1] for r in read]


def refuse_duplicates(names: list[str]) -> None:
    """Raise MapstoError, naming the columns, if two columns share a name."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    remedy = "rename or drop one of each"
    checks.expect(not twice, "columns", f"{listing(twice)} more than once", "different names", remedy)


def reorder(X: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the columns `names` of `X`, in that order.

    Raises:
        MapstoError: if a column is missing, unknown, or there twice.
    """
    given = [str(name) for name in X.columns]
    refuse_duplicates(given)
    lacking = [name for name in names if name not in given]
    extra = [name for name in given if name not in names]
    if lacking or extra:
        parts = [f"lacks {listing(lacking)}"] * bool(lacking) + [f"has {listing(extra)}, unknown to fit"] * bool(extra)
        raise MapstoError(
            f"X: {' and '.join(parts)}, expected the {len(names)} columns of fit; rename, add or drop columns."
        )
    return X.set_axis(given, axis=1)[names]


def as_texts(values: pd.Series | pd.Index) -> pd.Series:
    """Return each value as text (4.0 as "4", because one missing cell turns a column of integers into floats)."""
    values = pd.Series(values)
    return pd.Series([cells.as_text(value) for value in values], values.index, dtype=object)


def _missing(column: Column, counts: Counter[cells.Cell]) -> list[str]:
    """Return the words that stand for a missing number or date in a column."""
    if column.kind not in ("number", "date"):
        return []
    return [words.fold(cell) for cell in counts if isinstance(cell, str) and column.is_missing(cell)]


def _refuse_infinite(columns: list[Column], numbers: np.ndarray, names: pd.Index) -> None:
    rows, places = np.nonzero(np.isinf(numbers))
    name, row = (columns[places[0]].name, names[rows[0]]) if len(rows) else ("", "")
    remedy = "put a number there or leave the cell empty"
    checks.expect(not len(rows), f"column {name!r}", f"an infinite value (row {row})", "finite numbers", remedy)


def _notes(column: Column, numbers: np.ndarray, informative: bool) -> list[str]:
    if column.kind == "absent" and column.notes:
        return column.notes
    if np.isnan(numbers).all():
        return [*column.notes, f"column {column.name!r}: every training cell is empty, so it is left out."]
    left_out = f"column {column.name!r}: the same value in every training row, so it is left out."
    return [*column.notes] if informative else [*column.notes, left_out]


def described(column: Column) -> tuple[str, str, str, str, str]:
    """Return the name, the kind, the unit, the range or the levels, and the number of missing cells of a column."""
    values = ""
    if column.kind == "number" and not np.isnan(column.low):
        values = f"{column.write(column.low):g} to {column.write(column.high):g}"
    elif column.kind == "date" and not np.isnan(column.low):
        values = f"{column.write(column.low)} to {column.write(column.high)}"
    elif column.codes:
        some = column.levels[:6]
        values = (" < " if column.kind == "ordered" else ", ").join(some) + ", ..." * (len(column.codes) > 6)
    return column.name, column.kind, column.unit, values, str(column.empty)


def _column(state: dict[str, Any]) -> Column:
    values: dict[str, Any] = {key: np.nan if value is None else value for key, value in state.items()}
    return Column(**values)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value
