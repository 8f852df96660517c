"""Sentences that say how a column was read."""

import math
import re
import shlex
from collections import Counter
from typing import Any

import pandas as pd

from . import cells, percents, spelling, words
from .column import Column

_SENTINELS = {-1.0, -9.0, -99.0, -999.0, -9999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0, 888.0, 8888.0, 777.0, 7777.0,
              -888.0, -8888.0, -777.0, 99.9, 999.9, 9999.9, 99.99, 999.99, -99.9, -999.9, 98.0, 998.0, 9998.0, 88.0,
              -88.0}  # fmt: skip


_GROUPED = re.compile(r"\d[.,]\d{3}(?!\d)")
_WORDS = 20  # that a sentence about unread cells names

BEYOND = "read as below (<) or above (>) every number in the column."
AMONG = "read as the middle of those numbers of the column for which such a cell may stand."


def listing(names: list[str], most: int = 5) -> str:
    """Write a list of names for a sentence: 'a', 'b' and 3 more."""
    shown = ", ".join(repr(str(name)) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def counted(cell_counts: Counter[Any], most: int = 5) -> str:
    """Write cells with their frequency for a sentence: 'NA' (3 cells), '-' (1 cell)."""
    cells_of = [f"{cells.as_text(c)!r} ({n} cell{'s' * (n > 1)})" for c, n in cell_counts.most_common(most)]
    return ", ".join(cells_of) + (f" and {len(cell_counts) - most} more" if len(cell_counts) > most else "")


def remark(column: Column, counts: Counter[Any]) -> list[str]:
    """Return sentences about the cells of a column that are missing, bounds, or words that could be missing."""
    if column.kind == "absent":
        return []
    name = f"column {column.name!r}:"
    notes = []
    missing = Counter({cell: n for cell, n in counts.items() if column.is_missing(cell)})
    if missing:
        notes.append(f"{name} {counted(missing)} read as missing.")
    if column.kind == "number":
        notes += _of_numbers(name, column, counts)
    if column.kind == "category":
        kept = Counter({c: n for c, n in counts.items() if c not in missing and isinstance(c, str) and _doubtful(c)})
        if kept:
            notes.append(f"{name} {counted(kept)} read as a category; pass missing=[...] (--missing) if it is none.")
    return notes


def sentinels(name: str, values: Counter[float]) -> list[str]:
    """Return a sentence about each value such as 999 or -9 that lies far outside all others."""
    ordered = sorted(values)
    far = _beside_two(ordered)
    if not far:
        above = _outermost(ordered[::-1])
        far = [*above, *_outermost([value for value in ordered if value not in above])]
    rest = [value for value in ordered if value not in far]
    return [
        f"column {name!r}: {word!r} ({values[value]} cell{'s' * (values[value] > 1)}) lies far outside the other "
        f"numbers ({cells.as_text(rest[0])} to {cells.as_text(rest[-1])}); if it means missing, pass "
        f"missing=[{f'{name}={word}'!r}] (--missing {shlex.quote(f'{name}={word}')})."
        for value in far
        if (word := cells.as_text(value))
    ]


def _outermost(values: list[float]) -> list[float]:
    """Return the first values, such as 999 and 998, that lie far outside the values after them."""
    count = next((i for i, value in enumerate(values) if value not in _SENTINELS), len(values))
    for k in range(min(count, len(values) - 3), 0, -1):
        if _far(values[k - 1], sorted(values[k:])):
            return values[:k]
    return []


def _beside_two(values: list[float]) -> list[float]:
    """Return the codes, such as 9, beside the only other values 0 and 1, or 1 and 2; -1, 0, 1 may be a scale."""
    codes = [value for value in values if value in _SENTINELS - {-1.0} | {7.0, 8.0, 9.0}]
    return codes if [value for value in values if value not in codes] in ([0.0, 1.0], [1.0, 2.0]) else []


def _of_bounds(name: str, column: Column, bounds: Counter[Any]) -> list[str]:
    """Say where bounds are placed: beyond every number, or among those that lie beyond the bound too."""
    numbers, _ = column.numbers(list(bounds))
    among = Counter(
        {cell: bounds[cell] for cell, x in zip(bounds, numbers, strict=True) if column.low <= x <= column.high}
    )
    ways = ((bounds - among, BEYOND), (among, AMONG))
    return [f"{name} {counted(cells_of)} {where}" for cells_of, where in ways if cells_of]


def _far(value: float, rest: list[float]) -> bool:
    width = rest[-1] - rest[0]
    if value < 0:
        return rest[0] >= 0
    return value - rest[-1] > max(width, 0.5 * abs(rest[-1]))


def _of_numbers(name: str, column: Column, counts: Counter[Any]) -> list[str]:
    notes = []
    parts = {cell: spelling.parts(cell) for cell in counts if isinstance(cell, str) and column.style == "plain"}
    bounds = Counter({cell: counts[cell] for cell, part in parts.items() if part and part.bound})
    notes += _of_bounds(name, column, bounds)
    negative = Counter(
        {cell: counts[cell] for cell, part in parts.items() if part and (cell.startswith("(") or cell.endswith("-"))}
    )
    if negative:
        place = "in brackets" if any(cell.startswith("(") for cell in negative) else "with a minus sign at the end"
        notes.append(f"{name} {counted(negative, 1)} {place}, read as negative.")
    if column.unit == "%":
        notes += _of_percents(name, column, parts)
    flagged = {cell: counts[cell] for cell, part in parts.items() if part and _flag(part.unit, column)}
    if flagged:
        notes.append(f"{name} marks behind numbers, such as {counted(Counter(flagged), 1)}, are ignored.")
    _, unread = column.numbers(list(counts))
    if unread:
        notes.append(unread_sentence(column, unread))
    if column.shift:
        notes.append(f"{name} large whole numbers, read as their distance from {column.shift}.")
    return notes


def _of_percents(name: str, column: Column, parts: dict[str, spelling.Parts | None]) -> list[str]:
    """Say that fractions may stand between percents."""
    read = [(text, part, spelling.value(part, column.decimal)) for text, part in parts.items() if part]
    bare = [text for text, part, value in read if not part.unit and value <= 1]
    if bare and any(value > 1 for _, part, value in read if part.unit):
        return [percents.as_percent(column, bare[0])]
    return []


def unread_sentence(column: Column, unread: list[str]) -> str:
    """Return a sentence about cells that could not be read."""
    other = "never seen in the training rows"
    problem = {"category": other, "ordered": other, "date": "not a date", "number": "not a number"}[column.kind]
    if column.kind == "number" and column.unit and column.style == "plain":
        problem = f"not a number in {column.unit}" if any(map(spelling.parts, unread)) else problem
    if column.kind == "number" and any(_has_other_mark(column, text) for text in unread):
        problem = f"not a number with the decimal mark {column.decimal!r}"
    if column.kind == "number" and not column.unit and column.style == "plain" and all(map(spelling.unit_of, unread)):
        problem = f"{'has' if len(unread) == 1 else 'have'} a unit that no training row has"
    return f"column {column.name!r}: {listing(unread, _WORDS)} {problem}; read as missing."


def other_mark(column: Column, values: pd.Series) -> str:
    """Return a sentence about cells such as 1.234 that are large only because of the column's decimal mark, or ""."""
    if column.style != "plain" or column.shift:
        return ""
    texts = {text.strip() for text in values.dropna().unique() if isinstance(text, str) and _GROUPED.search(text)}
    other = "," if column.decimal == "." else "."
    both = {
        text: (column.numbers([text])[0][0], spelling.value(part, other))
        for text in sorted(texts)
        if (part := spelling.parts(text))
    }
    far = [text for text, (read, meant) in both.items() if abs(read) > column.high >= meant >= column.low]
    if not far:
        return ""
    read = cells.as_text(both[far[0]][0])
    rest = f"; so are {len(far) - 1} more cells" if len(far) > 1 else ""
    return (
        f"column {column.name!r}: {far[0]!r} is read as {read}, because the decimal mark of the training rows is "
        f"{column.decimal!r}; if it is a smaller number, write it with that mark{rest}."
    )


def _has_other_mark(column: Column, text: str) -> bool:
    """Return whether a cell is a number only with the decimal mark that the column does not have."""
    part = spelling.parts(text)
    if part is None or not spelling.belongs(part.unit, column.spellings):
        return False
    own, other = (spelling.value(part, mark) for mark in (column.decimal, "," if column.decimal == "." else "."))
    return math.isnan(own) and not math.isnan(other)


def _flag(unit: str, column: Column) -> bool:
    return bool(unit) and unit.casefold() != column.unit.replace("µ", "μ").casefold() and spelling.is_flag(unit)


def _doubtful(cell: str) -> bool:
    return words.fold(cell) in words.WORDS
