"""Decide how a column is read, once, from its different cells and how often each occurs.

The first that applies is taken: the person's choice, how the column is stored, dates, a well-known scale, times,
numbers, and else words.
"""

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from . import cells, spelling
from .column import Column
from .date_kind import date_column, day_first, stored_dates
from .evidence import Counts, Evidence, Habits, Reading, count, without
from .level_kind import categorical, category, known_scale, ordered, some_order, words_column
from .number_kind import numbers, stored_numbers, times
from .remarks import remark


def habits(columns: Iterable[Counts], hint: str | None = None) -> Habits:
    """Return the habits of a table; `hint` is the decimal mark that a file's separator suggests."""
    marks: Counter[str] = Counter()
    orders: Counter[bool] = Counter()
    for column in columns:
        texts = [cell for cell in column if isinstance(cell, str)]
        parts = [part for part in map(spelling.parts, texts) if part]
        mark = spelling.decimal_mark(parts) if 2 * len(parts) > len(texts) else None
        if mark and mark.sure:
            marks[mark.mark] += 1
        order = day_first(texts)
        if order is not None:
            orders[order] += 1
    decimal = max(marks, key=marks.__getitem__) if marks else hint
    return Habits(decimal, orders[True] >= orders[False] if orders else None)


def decide(
    name: str, values: pd.Series, counted: Counts, own: list[str], reading: Reading, table_habits: Habits
) -> Column:
    """Return how to read a column; `counted` are its cells, `own` the words that the person calls missing in it."""
    stored, kind = cells.kind_of(values), reading.types.get(name)
    if name not in reading.order:
        if stored == "date" and kind in (None, "date"):
            return stored_dates(Column(name, "date"), values)
        if stored == "span" and kind in (None, "number"):
            return stored_dates(Column(name, "number", style="span", unit="s"), values)
        if stored == "number" and kind in (None, "number"):
            return stored_numbers(name, values, own)
    counted = counted or count(values)
    evidence = Evidence(name, without(counted, own), own, kind, table_habits)
    if name in reading.order:
        column = ordered(name, [str(step) for step in reading.order[name]], own)
    else:
        column = _of_kind(evidence, values) or _of_cells(evidence)
    column.empty = len(values) - sum(n for cell, n in counted.items() if not column.is_missing(cell))
    column.notes += remark(column, counted)
    return column


def _of_kind(evidence: Evidence, values: pd.Series) -> Column | None:
    """Return how to read a column whose kind the person or pandas says, or that says nothing."""
    kind = evidence.kind
    if kind == "absent" or not evidence.counts or evidence.says_nothing:
        return Column(evidence.name, "absent", missing=evidence.own)
    if kind == "ordered" and not getattr(values.dtype, "ordered", False):
        return ordered(evidence.name, some_order(evidence), evidence.own)
    if isinstance(values.dtype, pd.CategoricalDtype) and kind in (None, "category", "ordered"):
        return categorical(evidence, values.dtype)
    return category(evidence) if kind == "category" else None


def _of_cells(evidence: Evidence) -> Column:
    kind = evidence.kind
    column = date_column(evidence) if kind in (None, "date") else None
    if column is None and kind is None:
        column = known_scale(evidence)
    if column is None and kind in (None, "number"):
        column = times(evidence) or numbers(evidence)
    if column is None and kind is not None:
        return Column(evidence.name, "absent", notes=[evidence.said(f"no cell is a {kind}, so it is left out.")])
    return column or words_column(evidence)
