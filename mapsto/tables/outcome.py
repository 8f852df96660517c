"""The outcome column of a table: which rows have an outcome, which classes there are, and which one is positive."""

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from .. import checks
from . import cells, spelling, words
from .cells import Cell
from .evidence import Reading
from .remarks import counted, listing

_RARE = 0.1  # a third class with at most this share of the rows may be a word for a missing outcome
_CODES = {"9", "99", "999", "-9", "-1", "-99", "8", "88"}


class Outcome(NamedTuple):
    """The outcomes of a table's rows (None if there is none), and sentences about how they were read."""

    y: pd.Series
    notes: list[str]


def outcomes(table: pd.DataFrame, target: str, name: str) -> pd.Series:
    """Return the outcomes of `read_outcome`, without its notes."""
    return read_outcome(table, target, name).y


def read_outcome(table: pd.DataFrame, target: str, name: str, missing: Sequence[str] = ()) -> Outcome:
    """Return the outcome column of the table `name`: whole numbers as integers, booleans and texts as texts.

    Spellings of one word (Yes, yes, "YES ") are one class. An empty cell, a sign such as ?, and NA, nan or n/a among
    others are no outcome; a word such as unknown is a class, and a note says so.

    Raises:
        MapstoError: if there is no such column.
    """
    check_column(table, target, name)
    y = table[target]
    own = Reading(missing).words_of(target, [str(column) for column in table.columns])
    column = [None if _none(cell, own) else cell for cell in cells.cells(y)]
    return _numbers(y, column, own) or _classes(y, column)


def check_column(table: pd.DataFrame, target: str, name: str) -> None:
    """Raise MapstoError if the table `name` has no column `target`."""
    there = listing([str(column) for column in table.columns], 20)
    got = f"{target!r}, which is no column of {name}"
    checks.expect(target in table.columns, "target", got, f"one of {there}")


def merged(texts: Sequence[str]) -> dict[str, str]:
    """Return the spelling by which each text is known: one of those that differ in case and blanks.

    It is written in capitals, small letters or with a capital as most texts are, and else as the commonest is.

    >>> merged(["yes", "Yes ", "yes", "no"])
    {'yes': 'yes', 'Yes ': 'yes', 'no': 'no'}
    """
    count = Counter(texts)
    styles: Counter[str] = Counter()
    for text, n in count.items():
        styles[_style(text)] += n
    best: dict[str, str] = {}
    for text in sorted(count, key=lambda text: (-styles[_style(text)], -count[text], text)):
        best.setdefault(words.fold(text), text.strip())
    return {text: best[words.fold(text)] for text in count}


def merged_notes(spelling_of: Mapping[str, str], name: str) -> list[str]:
    """Return a sentence about each class that `merged` gives several spellings.

    >>> merged_notes({"yes": "yes", "Yes": "yes", "no": "no"}, "y")
    ["y: 'Yes', 'yes' are read as one class, 'yes'."]
    """
    groups: dict[str, list[str]] = {}
    for text, best in spelling_of.items():
        groups.setdefault(best, []).append(text)
    return [
        f"{name}: {listing(sorted(group), 6)} are read as one class, {best!r}."
        for best, group in groups.items()
        if len(group) > 1
    ]


def _style(text: str) -> str:
    text = text.strip()
    return "small" if text.islower() else "capitals" if text.isupper() else "title" if text.istitle() else "mixed"


def positive(classes: Sequence[Any], counts: Sequence[int], chosen: str | None = None) -> int:
    """Return the place of the class that a report of two classes is about.

    It is `chosen`; or else the class that is called yes, 1, true, ja, dead, case or the like; or else the rarer one;
    or else the last one.

    Raises:
        MapstoError: if there is no class `chosen`.

    >>> positive(["ja", "nein"], [5, 5]), positive(["a", "b"], [2, 9]), positive(["a", "b"], [4, 4])
    (0, 0, 1)
    """
    names = [words.fold(cells.as_text(cells.plain(name)) if name is not None else "") for name in classes]
    if chosen is not None:
        remedy = next((str(c) for c, name in zip(classes, names, strict=True) if name == words.fold(chosen)), None)
        place = [str(name) for name in classes].index(str(remedy)) if remedy is not None else None
        checks.expect(place is not None, "positive", repr(chosen), f"one of {listing([str(c) for c in classes])}")
        return int(place or 0)
    named = [place for place, name in enumerate(names) if name in words.POSITIVE]
    if len(named) == 1:
        return named[0]
    return min(range(len(classes)), key=lambda place: (counts[place], -place))


def _none(cell: Cell, own: list[str]) -> bool:
    if cell is None:
        return True
    text = words.fold(cells.as_text(cell))
    if text in own:
        return True
    return isinstance(cell, str) and (text in words.SIGNS - {"-"} or text in words.WORDS - words.KEPT)


def _numbers(y: pd.Series, column: list[Cell], own: list[str]) -> Outcome | None:
    """Read an outcome that holds numbers only."""
    present = [cell for cell in column if cell is not None and cell != "-"]
    texts = [cell for cell in present if isinstance(cell, str)]
    parts = [spelling.parts(text) for text in texts]
    if any(part is None or part.bound or part.unit for part in parts) or not present:
        return None
    if any(text[:1] == "0" and text.isdecimal() and len(text) > 1 for text in texts):
        return None  # 01 and 02 are codes
    mark = spelling.decimal_mark([part for part in parts if part])
    hint = mark.mark if mark else "."
    read = {text: spelling.value(part, hint) for text, part in zip(texts, parts, strict=True) if part}
    numbers = [_number(cell, read) for cell in column]
    values = [number for number in numbers if not math.isnan(number)]
    if len(values) < len(present) or not all(map(math.isfinite, values)):
        return None
    series = pd.Series(numbers, y.index, dtype=float, name=y.name)
    whole = all(number % 1 == 0 and abs(number) < cells.LARGEST for number in values)
    notes = _lost(y, column) + (_rare(Counter(cells.as_text(v) for v in values), y.name) if whole else [])
    return Outcome(series.astype("Int64") if whole else series, notes)


def _number(cell: Cell, read: dict[str, float]) -> float:
    if isinstance(cell, str):
        return read.get(cell, math.nan)
    return math.nan if cell is None else float(cell)


def _classes(y: pd.Series, column: list[Cell]) -> Outcome:
    plus = any(isinstance(cell, str) and set(cell) == {"+"} for cell in column)
    texts = [None if cell is None or (cell == "-" and not plus) else cells.as_text(cell) for cell in column]
    spelling_of = merged([text for text in texts if text is not None])
    notes = merged_notes(spelling_of, f"target {y.name!r}")
    values = [None if text is None else spelling_of[text] for text in texts]
    notes += _lost(y, column) + _rare(Counter(value for value in values if value is not None), y.name)
    return Outcome(pd.Series(values, y.index, dtype=object, name=y.name), notes)


def _lost(y: pd.Series, column: list[Cell]) -> list[str]:
    """Say which words stand for a missing outcome."""
    pairs = zip(cells.cells(y), column, strict=True)
    lost: Counter[Any] = Counter(cell for cell, kept in pairs if kept is None and cell is not None)
    return [f"target {y.name!r}: {counted(lost)} read as no outcome."] if lost else []


def _rare(classes: Counter[str], name: Any) -> list[str]:
    """Say that a rare third class may be a word for a missing outcome."""
    if len(classes) < 3:
        return []
    few = _RARE * classes.total()
    doubtful = [c for c in classes if words.fold(c) in words.WORDS or (c in _CODES and classes[c] <= few)]
    if len(classes) - len(doubtful) < 2:
        return []
    return [
        f"target {name!r}: {c!r} ({classes[c]} rows) is read as a class of its own; if it means that the outcome is "
        f"unknown, pass --missing {shlex.quote(f'{name}={c}')}."
        for c in doubtful
    ]
