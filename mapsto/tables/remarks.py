"""Sentences that say how a column was read."""

from collections import Counter
from typing import Any

from . import cells, spelling, words
from .column import Column

_SENTINELS = {-1.0, -9.0, -99.0, -999.0, -9999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0, 888.0, 8888.0, 777.0, 7777.0,
              -888.0, -8888.0, -777.0, 99.9, 999.9, 9999.9, 99.99, 999.99, -99.9, -999.9, 98.0, 998.0, 9998.0, 88.0,
              -88.0}  # fmt: skip


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
    """Return a sentence if a value such as 999 or -9 lies far outside all others."""
    if len(values) < 4:
        return []
    notes = []
    ordered = sorted(values)
    for _ in range(3):
        for value, rest in ((ordered[-1], ordered[:-1]), (ordered[0], ordered[1:])):
            if value in _SENTINELS and len(rest) > 2 and _far(value, rest):
                word = cells.as_text(value)
                notes.append(
                    f"column {name!r}: {word!r} ({values[value]} cell{'s' * (values[value] > 1)}) lies far outside the "
                    f"other numbers ({cells.as_text(rest[0])} to {cells.as_text(rest[-1])}); if it means missing, pass "
                    f"missing=[{word!r}] (--missing {word})."
                )
                ordered = rest
                break
        else:
            return notes
    return notes


def _far(value: float, rest: list[float]) -> bool:
    width = rest[-1] - rest[0]
    if value < 0:
        return rest[0] >= 0
    return value - rest[-1] > max(width, 0.5 * abs(rest[-1]))


def _of_numbers(name: str, column: Column, counts: Counter[Any]) -> list[str]:
    notes = []
    parts = {cell: spelling.parts(cell) for cell in counts if isinstance(cell, str) and column.style == "plain"}
    bounds = Counter({cell: counts[cell] for cell, part in parts.items() if part and part.bound})
    if bounds:
        notes.append(f"{name} {counted(bounds)} read as below (<) or above (>) every number in the column.")
    negative = Counter({cell: counts[cell] for cell, part in parts.items() if part and cell.startswith("(")})
    if negative:
        notes.append(f"{name} {counted(negative, 1)} in brackets, read as negative.")
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
        return [f"{name} cells without a sign, such as {bare[0]!r}, are read as percent too."]
    return []


def unread_sentence(column: Column, unread: list[str]) -> str:
    """Return a sentence about cells that could not be read."""
    other = "never seen in the training rows"
    problem = {"category": other, "ordered": other, "date": "not a date", "number": "not a number"}[column.kind]
    if column.kind == "number" and column.unit and column.style == "plain":
        problem = f"not a number in {column.unit}" if any(map(spelling.parts, unread)) else problem
    return f"column {column.name!r}: {listing(unread)} {problem}; read as missing."


def _flag(unit: str, column: Column) -> bool:
    return bool(unit) and unit.casefold() != column.unit.replace("µ", "μ").casefold() and spelling.is_flag(unit)


def _doubtful(cell: str) -> bool:
    return words.fold(cell) in words.WORDS
