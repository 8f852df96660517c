"""The columns of a table as numbers, with a memory of how they are read, so that later rows are read in the same way.

Numbers stay numbers, dates become days, texts and categories become their rank among the values seen at `fit`. NaN
means missing; a value that `fit` did not see has no rank, so it becomes NaN too, with a warning.
"""

import re
import warnings
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import checks
from ..errors import MapstoError

_DATE = r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?"  # ISO 8601, as databases and pandas write it
_FEW = 10  # texts that never repeat are taken for names only if there are this many of them
_STRAY = 0.1  # numbers with at most this share of texts between them ("unknown", "<0.5") are still numbers
_BOUND = r"\s*[<>≤≥]=?\s*\d.*"  # beyond an instrument's range: no number to read, but no name either
_DAY = np.timedelta64(1, "D") / np.timedelta64(1, "us")


@dataclass
class Column:
    """How one column is read: `kind` is "number", "date", "category" or "absent" (it carries no information)."""

    name: str
    kind: str
    codes: dict[str, int] = field(default_factory=dict)

    def read(self, values: pd.Series) -> tuple[Float[np.ndarray, " n"], list[str]]:
        """Return the column's numbers, and the values that could not be read (they become NaN)."""
        if self.kind == "absent":
            return np.full(len(values), np.nan), []
        numbers = {"number": _numbers, "date": _days, "category": self._ranks}[self.kind](values)
        unread = values[values.notna().to_numpy() & np.isnan(numbers)]
        return numbers, list(dict.fromkeys(as_texts(unread)))

    def _ranks(self, values: pd.Series) -> np.ndarray:
        return as_texts(values).map(self.codes).where(values.notna()).to_numpy(float)


class Columns:
    """Remembers how to read the columns of a table.

    >>> table = pd.DataFrame({"age": [61, 48, None], "ward": ["north", "south", "north"]})
    >>> Columns().fit(table).transform(table)
    array([[61.,  0.],
           [48.,  1.],
           [nan,  0.]])
    """

    def fit(self, frame: pd.DataFrame) -> Self:
        """Learn how to read each column of `frame`; `notes` lists the columns that carry no information, and why.

        Raises:
            MapstoError: if two columns share a name, or a cell is infinite.
        """
        refuse_duplicates([str(name) for name in frame.columns])
        self.columns = [_learn(str(name), frame.iloc[:, j]) for j, name in enumerate(frame.columns)]
        numbers, _ = self._read(frame)
        self.informative = np.array([len(np.unique(c[~np.isnan(c)])) > 1 for c in numbers.T], bool)
        parts = zip(self.columns, numbers.T, self.informative.tolist(), frame.isna().all().tolist(), strict=True)
        self.notes = [note for part in parts for note in _notes(*part)]
        return self

    def transform(self, frame: pd.DataFrame) -> Float[np.ndarray, "n d"]:
        """Return the table as numbers, NaN for a missing cell and, with a warning, for a value that `fit` did not see.

        Raises:
            MapstoError: if a cell is infinite.
        """
        numbers, unread = self._read(frame)
        for column, texts in zip(self.columns, unread, strict=True):
            if texts:
                warnings.warn(_unread(column, texts), UserWarning, stacklevel=3)
        return numbers

    def _read(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[list[str]]]:
        read = [column.read(frame.iloc[:, j]) for j, column in enumerate(self.columns)]
        numbers = np.stack([r[0] for r in read], 1) if read else np.empty((len(frame), 0))
        _refuse_infinite(self.columns, numbers, frame.index)
        return numbers, [r[1] for r in read]


def refuse_duplicates(names: list[str]) -> None:
    """Raise MapstoError, naming the columns, if two columns share a name."""
    twice = sorted({name for name in names if names.count(name) > 1})
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


def listing(names: list[str], most: int = 5) -> str:
    """Write a list of names for a sentence: 'a', 'b' and 3 more."""
    shown = ", ".join(repr(str(name)) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _learn(name: str, values: pd.Series) -> Column:
    present = values.dropna()
    if not len(present):
        return Column(name, "absent")
    if isinstance(values.dtype, pd.CategoricalDtype):
        seen = set(as_texts(present))  # the order is the person's own; a category that no row has cannot be learned
        return Column(
            name, "category", {c: i for i, c in enumerate(t for t in as_texts(values.dtype.categories) if t in seen)}
        )
    if pd.api.types.is_datetime64_any_dtype(values) or as_texts(present).str.fullmatch(_DATE).all():
        return Column(name, "date")
    if pd.api.types.is_numeric_dtype(values) or _mostly_numbers(present):
        return Column(name, "number")
    texts = sorted(set(as_texts(present)))
    if len(texts) == len(present) >= _FEW:
        return Column(name, "absent")
    return Column(name, "category", {text: i for i, text in enumerate(texts)})


def _mostly_numbers(values: pd.Series) -> bool:
    stray = np.isnan(_numbers(values))
    bound = as_texts(values).str.fullmatch(_BOUND).to_numpy(bool)
    return bool(stray.mean() <= 0.5 and (stray & ~bound).mean() <= _STRAY)


def as_texts(values: pd.Series | pd.Index) -> pd.Series:
    """Return each value as text (4.0 as "4", because one missing cell turns a column of integers into floats)."""
    values = pd.Series(values)
    return pd.Series([_text(value) for value in values], values.index, dtype=object)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _numbers(values: pd.Series) -> np.ndarray:
    if pd.api.types.is_datetime64_any_dtype(values):
        return np.full(len(values), np.nan)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if pd.api.types.is_timedelta64_dtype(values):
        return values.dt.total_seconds().to_numpy(float)
    if not pd.api.types.is_numeric_dtype(values):  # 1,000 and 5 % are numbers too
        plain = values.astype(object).map(lambda v: _plain(v) if isinstance(v, str) else v)
        return pd.to_numeric(plain, errors="coerce").to_numpy(float, na_value=np.nan)
    return pd.to_numeric(values, errors="coerce").to_numpy(float, na_value=np.nan)


def _plain(text: str) -> str:
    text = re.sub(r"\s*%\s*$", "", text)
    return text.replace(",", "") if re.fullmatch(r"\s*[+-]?\d{1,3}(,\d{3})+(\.\d*)?\s*", text) else text


def _days(values: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(values):
        return np.full(len(values), np.nan)  # a number is no date: pandas would read it as nanoseconds
    times = pd.to_datetime(values, errors="coerce", utc=True, format=None if values.dtype.kind == "M" else "ISO8601")
    days = times.dt.tz_localize(None).to_numpy("datetime64[us]")
    return np.where(np.isnat(days), np.nan, days.astype(np.int64) / _DAY)


def _refuse_infinite(columns: list[Column], numbers: np.ndarray, names: pd.Index) -> None:
    rows, places = np.nonzero(np.isinf(numbers))
    name, row = (columns[places[0]].name, names[rows[0]]) if len(rows) else ("", "")
    remedy = "put a number there or leave the cell empty"
    checks.expect(not len(rows), f"column {name!r}", f"an infinite value (row {row})", "finite numbers", remedy)


def _notes(column: Column, numbers: np.ndarray, informative: bool, empty: bool) -> list[str]:
    if column.kind == "absent" and not empty:
        return [f"column {column.name!r}: no text in it repeats (a name or an identifier?), so it is left out."]
    if np.isnan(numbers).all():
        return [f"column {column.name!r}: every training cell is empty, so it is left out."]
    return [] if informative else [f"column {column.name!r}: the same value in every training row, so it is left out."]


def _unread(column: Column, unread: list[str]) -> str:
    problem = {"category": "never seen in the training rows", "date": "not a date", "number": "not a number"}
    return f"column {column.name!r}: {listing(unread)} {problem[column.kind]}; read as missing."
