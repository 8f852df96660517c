"""Columns of numbers, times of day and spans of time: their unit, their decimal mark and their range."""

import math
import re
import shlex
from collections import Counter

import numpy as np
import pandas as pd

from . import cells, dates, spelling
from .column import Column
from .evidence import Counts, Evidence
from .remarks import sentinels

_PADDED = re.compile(r"0\d+")
_SECONDS = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)? s")


def stored_numbers(name: str, values: pd.Series, own: list[str]) -> Column:
    """Return how to read a column that is stored as numbers."""
    column = Column(name, "number", missing=own)
    numbers, _ = column.read(values)
    finite = numbers[np.isfinite(numbers)]
    column.empty = int(np.isnan(numbers).sum())
    if not len(finite):
        column.kind = "number" if np.isinf(numbers).any() else "absent"
        return column
    column.low, column.high = float(finite.min()), float(finite.max())
    column.notes += sentinels(name, Counter(finite.tolist()))
    return column


def times(evidence: Evidence) -> Column | None:
    """Return how to read times of day (as hours) or spans of time (as seconds); None if the cells are neither."""
    spans = [text for text in evidence.texts if not math.isnan(dates.seconds(text)) or _SECONDS.fullmatch(text)]
    if evidence.most(spans) and any("day" in text or len(spans) == len(evidence.rest) for text in spans):
        return Column(evidence.name, "number", missing=evidence.own, style="span", unit="s")
    weeks = [text for text in evidence.texts if not math.isnan(dates.weeks(text))]
    if evidence.most(weeks):
        note = evidence.said(f"cells such as {weeks[0]!r} are read as weeks and days.")
        return Column(evidence.name, "number", missing=evidence.own, style="weeks", unit="weeks", notes=[note])
    clock = [text for text in evidence.texts if not math.isnan(dates.hours(text))]
    if not evidence.most(clock):
        return None
    note = evidence.said(f"times such as {clock[0]!r} are read as hours.")
    return Column(evidence.name, "number", missing=evidence.own, style="time", unit="h", notes=[note])


def numbers(evidence: Evidence) -> Column | None:
    """Return how to read a column of numbers; None if its cells are none."""
    parts = {text: part for text in evidence.texts if (part := spelling.parts(text))}
    stored = [cell for cell in evidence.rest if not isinstance(cell, str)]
    if not (parts or stored) or (evidence.kind is None and _are_codes(evidence, parts, stored)):
        return None
    unit = _unit(evidence, parts, stored)
    if unit is None:
        return None
    name, spellings = unit
    column = Column(evidence.name, "number", missing=evidence.own, unit=name, spellings=sorted(spellings))
    column.decimal, note = _decimal(evidence, parts)
    _set_range(column, parts, stored)
    values = _values(column, evidence.rest)
    if evidence.kind is None and not evidence.enough(values):
        return None
    column.notes += note
    padded = next((text for text, part in parts.items() if _PADDED.fullmatch(part.digits)), None)
    if padded and evidence.kind is None:
        option = shlex.quote(f"{evidence.name}=category")
        column.notes.append(evidence.said(f"{padded!r} is read as a number; if it is a code, pass --type {option}."))
    if not column.shift:
        measured = {cell: value for cell, value in values.items() if cell not in parts or not parts[cell].bound}
        column.notes += sentinels(evidence.name, _counted(evidence.rest, measured))
    return column


def _are_codes(evidence: Evidence, parts: dict[str, spelling.Parts], stored: list[float]) -> bool:
    """Return whether digits with leading zeros stand beside other words: 01, 02, A1 are codes."""
    padded = any(_PADDED.fullmatch(part.digits) for part in parts.values())
    return padded and len(parts) + len(stored) < len(evidence.rest)


def _unit(evidence: Evidence, parts: dict[str, spelling.Parts], stored: list[float]) -> tuple[str, set[str]] | None:
    units: Counter[str] = Counter()
    for text, part in parts.items():
        units[part.unit] += evidence.rest[text]
    bare = units.pop("", 0) + sum(evidence.rest[cell] for cell in stored)
    return spelling.common_unit(units, bare, 0.7 if evidence.kind is None else 0.0)


def _decimal(evidence: Evidence, parts: dict[str, spelling.Parts]) -> tuple[str, list[str]]:
    """Return the decimal mark, and a sentence if the column's own cells do not decide it."""
    mark, habit = spelling.decimal_mark(parts.values()), evidence.habits.decimal
    if mark is None:
        return habit or ".", []
    if mark.sure:
        return mark.mark, []
    chosen = mark.mark if mark.spread or habit is None else habit
    text = next(text for text, part in parts.items() if "." in part.digits or "," in part.digits)
    number = f"{spelling.value(parts[text], chosen):.15g}"
    other = f"{spelling.value(parts[text], ',' if chosen == '.' else '.'):.15g}"
    return chosen, [evidence.said(f"{text!r} is read as {number}; its cells alone could also mean {other}.")]


def _set_range(column: Column, parts: dict[str, spelling.Parts], stored: list[float]) -> None:
    """Set the range of the numbers that are no bounds, and the shift of integers that floats cannot tell apart."""
    measured = [part for part in parts.values() if not part.bound] or list(parts.values())
    whole = [spelling.exact(part, column.decimal) for part in measured]
    whole += [int(cell) if float(cell).is_integer() else None for cell in stored]
    exact = [number for number in whole if number is not None]
    if len(exact) == len(whole) and exact and max(map(abs, exact)) > cells.LARGEST:
        column.shift = min(exact)
        column.low, column.high = 0.0, float(max(exact) - min(exact))
        return
    values = [*(spelling.value(part, column.decimal) for part in measured), *map(float, stored)]
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        column.low, column.high = min(finite), max(finite)


def _values(column: Column, rest: Counts) -> dict[object, float]:
    """Return the numbers of the cells that can be read."""
    different = list(rest)
    values, _ = column.numbers(different)
    return {cell: value for cell, value in zip(different, values.tolist(), strict=True) if not math.isnan(value)}


def _counted(rest: Counts, values: dict[object, float]) -> Counter[float]:
    counted: Counter[float] = Counter()
    for cell, value in values.items():
        if math.isfinite(value):
            counted[value] += rest[cell]
    return counted
