"""The cells of a column as plain values: None for a missing cell, a float or a large integer, or a text.

A DataFrame, whatever library stores it, gives the same cells as a text file that holds the same table.
"""

import datetime
import math
from collections.abc import Callable
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

Cell = float | int | str | None
LARGEST = 2**53  # a float holds every integer up to here
DIGITS = 300  # integers with more digits are floats: a difference of two could be beyond the largest float
_DAY = np.timedelta64(1, "D") / np.timedelta64(1, "us")


def kind_of(values: pd.Series) -> Literal["number", "date", "span", "cells"]:
    """Return how a column is stored: as numbers, dates, spans of time, or anything else."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(dtype):
        return "cells"
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "date"
    if pd.api.types.is_timedelta64_dtype(dtype):
        return "span"
    plain = pd.api.types.is_integer_dtype(dtype) or pd.api.types.is_float_dtype(dtype)
    return "number" if plain and not _too_large(values) else "cells"


def floats(values: pd.Series) -> Float[np.ndarray, " n"]:
    """Return a column that is stored as numbers."""
    return values.to_numpy(float, na_value=np.nan)


def moments(values: pd.Series) -> Float[np.ndarray, " n"]:
    """Return a column that is stored as dates in days since 1970-01-01."""
    days = pd.to_datetime(values, utc=True).dt.tz_localize(None).to_numpy("datetime64[us]")
    return np.where(np.isnat(days), np.nan, days.astype(np.int64) / _DAY)


def spans(values: pd.Series) -> Float[np.ndarray, " n"]:
    """Return a column that is stored as spans of time in seconds."""
    return values.dt.total_seconds().to_numpy(float)


def cells(values: pd.Series) -> list[Cell]:
    """Return the cells of a column.

    >>> cells(pd.Series([" a", "", None, True, 2, 2.5, pd.Timestamp("2021-05-05"), pd.Timedelta("1h")], dtype=object))
    ['a', None, None, 'True', 2.0, 2.5, '2021-05-05 00:00:00', '3600 s']
    """
    return [_number(value) if type(value) is float else plain(value) for value in values.astype(object)]


def plain(value: Any) -> Cell:
    """Return one cell as a plain value."""
    if isinstance(value, str):
        return value.strip() or None
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    for kind, convert in _CONVERSIONS:
        if isinstance(value, kind):
            return convert(value)
    return str(value).strip() or None


def as_text(cell: Any) -> str:
    """Write a plain cell: 4.0 as 4, because one missing cell turns a column of integers into floats."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _number(value: float) -> float | None:
    return value if value == value else None


def _whole(value: Any) -> Cell:
    return int(value) if LARGEST < abs(int(value)) < 10**DIGITS else _float(value)


def _real(value: Any) -> Cell:
    return _number(_float(value))


def _float(value: Any) -> float:
    """Return a number as a float; infinity if it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _span(value: datetime.timedelta | np.timedelta64) -> str:
    return f"{pd.Timedelta(value).total_seconds():.15g} s"


_CONVERSIONS: list[tuple[Any, Callable[[Any], Cell]]] = [
    (Integral, _whole),
    ((Real, Decimal), _real),
    (pd.Period, lambda value: str(value.start_time)),
    (pd.Timestamp, str),
    (datetime.datetime, str),
    (np.datetime64, lambda value: str(pd.Timestamp(value))),
    ((datetime.timedelta, np.timedelta64), _span),
    (bytes, lambda value: value.decode("utf-8", "replace").strip() or None),
]


def _too_large(values: pd.Series) -> bool:
    """Return whether a column holds integers that floats cannot tell apart."""
    if not pd.api.types.is_integer_dtype(values.dtype) or not values.notna().any():
        return False
    return max(abs(int(values.max())), abs(int(values.min()))) > LARGEST
