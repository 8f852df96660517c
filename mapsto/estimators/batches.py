"""Rows in batches: of a table, or of an iterable of tables such as the row groups of a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import checks
from ..explanation import Explanation
from ..tables.arrays import frame_of


def batches(rows: Any, size: int) -> Iterator[Any]:
    """Yield the rows of a table, or of each table of an iterable, at most `size` at a time."""
    for table in rows if _are_tables(rows) else [rows]:
        names = isinstance(table, list | tuple) and any(isinstance(row, str | Path) for row in table)
        found = "names of files" if names else f"a {type(table).__name__}"
        a_table = not (names or isinstance(table, str | Path))
        checks.expect(a_table, "rows", found, "a table, or an iterable of tables", "read files first")
        yield from slices(frame_of(table), size)


def slices(X: Any, size: int) -> Iterator[Any]:
    """Yield consecutive rows of what `frame_of` returns, at most `size` at a time; a few rows are yielded as they are.

    >>> [len(part) for part in slices(np.zeros((5, 2)), 2)]
    [2, 2, 1]
    """
    rows = length(X)
    if rows <= size:
        yield X
        return
    X = X if isinstance(X, pd.DataFrame | list | tuple) else np.asarray(X)
    for first in range(0, rows, size):
        part = slice(first, first + size)
        yield X.iloc[part] if isinstance(X, pd.DataFrame) else X[part]


def length(X: Any) -> int:
    """Return the number of rows of what `frame_of` returns; 0 if it is no table."""
    if isinstance(X, pd.DataFrame | list | tuple):
        return len(X)
    shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
    return shape[0] if len(shape) == 2 else 0


def joined(parts: list[Explanation]) -> Explanation:
    """Return the explanations of all parts as one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    columns = zip(*((p.values, p.base_values, p.data, p.codes, p.trust, p.errors) for p in parts), strict=True)
    values, base, data, codes, trust, errors = map(np.concatenate, columns)
    names = first.feature_names, first.class_names
    return Explanation(values, base, data, *names, codes, trust, errors, first.ratios, first.kinds)


def _are_tables(rows: Any) -> bool:
    """Whether `rows` is an iterator, or a list of tables, not of rows."""
    some = isinstance(rows, list | tuple) and len(rows) > 0 and not isinstance(rows[0], dict)
    return isinstance(rows, Iterator) or (some and np.ndim(rows[0]) == 2)
