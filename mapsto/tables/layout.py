"""The table inside a grid of cells: titles, comments, units, sums, footers and empty rows around it are left out.

Everything that is left out is said with its line.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import MapstoError
from . import dates, spelling, words
from .columns import refuse_duplicates
from .grid import Grid, Row
from .naming import named, whole
from .remarks import listing
from .sums import without_sums

_UNIT_WORDS = [
    r"%|‰|°[cf]|[cf]|€|\$|usd|eur|n|score|points|yes/no|0/1|[gt]/l|k?pa|mmhg|bpm|/min|1/min",
    r"years?|yrs?|y|months?|days?|hours?|h|min|s|ms|jahre?|tage?|j\.?|ans|mois|jours?",
    r"[nμµmkd]?[glm](?:/[\w³²]+)?|[mµμnp]?mol(?:/\w+)?|[ckmµμnd]?m[²2³3]?|kg/m[²2]|(?:cells|i?u|mi?u)/\w+",
    r"[mµμnpk]?g/\w+|x?10[\^e]?\d+/\w+|ml/min(?:/1[.,]73\s?m[²2])?",
]
_UNITS = re.compile(rf"[(\[]?\s*(?:{'|'.join(_UNIT_WORDS)})\s*[)\]]?", re.IGNORECASE)
_RULE = re.compile(r":?[-=_]{2,}:?")
_SEARCHED = 30  # lines in which the header is searched


@dataclass
class Layout:
    """The parts of a table: names of columns, rows, sentences about everything that was left out, and units of columns.

    The units are those of a row of units below the names.
    """

    names: list[str]
    rows: list[Row]
    notes: list[str]
    units: dict[str, str]


def layout_of(path: Path, grid: Grid) -> Layout:
    """Find the table in a grid.

    Raises:
        MapstoError: if there is no row below the header, rows differ in length, or columns share a name.
    """
    width = _width(grid.rows)
    rows, notes = _without_comments(grid.rows, width)
    filled = [row for row in rows if row.filled]
    if not filled:
        raise _no_rows(path)
    header, body = _header(filled, width, grid.separator, notes)
    body, names = _row_names(path, header, body, grid.separator)
    empty = [row.line for row in rows if not row.filled and len(row.cells) > 1 and row.line > header.line]
    if empty:
        notes.append(f"{_lines(empty)} empty; left out.")
    body = _cut(path, body, max((i for i, name in enumerate(names, 1) if name), default=0), len(names), notes)
    body, units = _without_units(_without_import_ids(body, notes), names, notes)
    body = _without_repeated_header(body, names, notes)
    body, lines = without_sums(body)
    if lines:
        notes.append(
            f"{_lines([line for line, _ in lines])} no row of the table but a summary ({lines[0][1]!r}); left out."
        )
    refuse_duplicates([name for name in names if name])
    layout = Layout(*named(names, body, [*grid.notes, *notes]), units)
    if not layout.rows or not layout.names:
        raise _no_rows(path)
    cells = [name for j, name in enumerate(layout.names) if _is_cell(name, [row.cells[j] for row in layout.rows])]
    if cells:
        layout.notes.append(f"line {header.line} is read as column names, although it holds numbers: {listing(cells)}.")
    return layout


def _is_cell(name: str, column: Sequence[Any]) -> bool:
    """Return whether the name of a column of numbers is a number itself, but no year."""
    return _is_number(name) and not re.fullmatch(r"(19|20)\d\d", name) and _mostly_numbers(column)


def _no_rows(path: Path) -> MapstoError:
    return MapstoError(f"file: {path} has no rows below its column names, expected one row a line.")


def _lines(numbers: Sequence[int]) -> str:
    """Write line numbers with their verb: line 3 is, lines 3, 4 are."""
    shown = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    return f"line {shown} is" if len(numbers) == 1 else f"lines {shown} are"


def _width(rows: Sequence[Row]) -> int:
    """Return the commonest number of cells of a row that is not empty; the larger of two equally common ones."""
    widths = [len(row.cells) for row in rows if row.filled]
    return max(set(widths), key=lambda width: (widths.count(width), width), default=0)


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _without_comments(rows: Sequence[Row], width: int) -> tuple[list[Row], list[str]]:
    """Leave out lines that begin with #, but keep a header whose names a # precedes."""
    comments = [row for row in rows if row.filled and _text(row.cells[0]).startswith("#")]
    if not comments or len(comments) > len(rows) / 2:
        return list(rows), []
    first = next((row for row in rows if row.filled and row not in comments), None)
    last = next((row for row in reversed(comments) if first is not None and row.line < first.line), None)
    notes = []
    if last is not None and width > 1 and len(last.filled) == width and first and any(map(_is_value, first.filled)):
        comments.remove(last)
        last.cells[0] = _text(last.cells[0]).lstrip("# ") or None
        notes.append(f"line {last.line} is read as column names, without its #.")
    inside = [row for row in comments if first is not None and row.line > first.line and len(row.filled) > 1]
    kept = [row for row in comments if row not in inside]
    if kept:
        notes.insert(0, f"{_lines([row.line for row in kept])} a comment (#); left out.")
    return [row for row in rows if row not in kept], notes


def _is_number(cell: Any) -> bool:
    return not isinstance(cell, str) or spelling.parts(cell) is not None


def _is_value(cell: Any) -> bool:
    return _is_number(cell) or dates.days(_text(cell)) == dates.days(_text(cell))


def _header(rows: list[Row], width: int, separator: str | None, notes: list[str]) -> tuple[Row, list[Row]]:
    """Return the row of column names and the rows below; rows above it with few cells are titles."""
    first = rows[0]
    for place, row in enumerate(rows[:_SEARCHED]):
        if separator in (";", ",", "|") and (_is_title(rows[place:]) if width == 2 else _is_short(rows[place:], width)):
            continue
        if _is_one_title(row):
            continue
        if 2 * len(row.filled) >= width and (place == 0 or not all(map(_is_value, row.filled))):
            place += _is_heading(rows[place:], width)
            titles = [above.line for above in rows[:place]]
            if titles:
                notes.append(f"{_lines(titles)} above the column names; left out.")
            return rows[place], rows[place + 1 :]
    return first, rows[1:]


def _is_title(rows: Sequence[Row]) -> bool:
    """Return whether the first row is a phrase without a separator, above a table of two columns with numbers."""
    first, *others = rows
    below = [row for row in others if len(row.cells) > 1][1:]
    alone = len(first.cells) == 1 and " " in _text(first.cells[0])
    return alone and any(_is_value(cell) for row in below for cell in row.filled)


def _is_short(rows: Sequence[Row], width: int) -> bool:
    """Return whether the first row has too few cells, and full rows of names and then of numbers follow soon."""
    pairs = pairwise(rows[1:6])
    return len(rows[0].cells) < width and any(
        len(names.filled) == width and not any(map(_is_value, names.filled)) and any(map(_is_value, below.filled))
        for names, below in pairs
    )


def _is_one_title(row: Row) -> bool:
    """Return whether one text stands in three cells or more, all that are filled: names would differ."""
    return len(row.filled) > 2 and len(set(map(_text, row.filled))) == 1 and not _is_value(row.filled[0])


def _is_heading(rows: Sequence[Row], width: int) -> bool:
    """Return whether the first row groups the columns that the second one names, above numbers or their units."""
    if len(rows) < 3:
        return False
    first, second, third, *below = rows
    incomplete = len(first.filled) < width or len(set(map(_text, first.filled))) < len(first.filled)
    names = len(second.filled) == width == len(set(map(_text, second.filled))) and not any(
        map(_is_value, second.filled)
    )
    if not (incomplete and names) or any(_UNITS.fullmatch(_text(cell)) for cell in second.filled):
        return False
    return any(map(_is_value, third.filled)) or _are_units(third, below)


def _are_units(row: Row, below: Sequence[Row]) -> bool:
    """Return whether a row has a unit above a column of numbers."""
    places = [j for j, cell in enumerate(row.cells) if _UNITS.fullmatch(_text(cell))]
    return any(_mostly_numbers([other.cells[j] for other in below if j < len(other.cells)]) for j in places)


def _row_names(path: Path, header: Row, body: list[Row], separator: str | None) -> tuple[list[Row], list[str]]:
    """Return rows and column names; R writes no name for a first column of row names."""
    names = [" ".join(_text(whole(name)).split()) for name in header.cells]
    widths = {len(row.cells) for row in body}
    if separator in ("\t", " ") and widths == {len(names) + 1} and all(names):
        names = ["", *names]
    return body, names


def _cut(path: Path, rows: list[Row], least: int, width: int, notes: list[str]) -> list[Row]:
    """Leave out footers, and refuse a row that was cut off, whose lost cells would pass for missing ones."""
    numeric, phrases = _first_is_number(rows), _first_are_phrases(rows)
    footers = []
    while rows and _is_footer(rows[-1], least, numeric, phrases):
        footers.append(rows.pop().line)
    if footers:
        notes.append(f"{_lines(footers[::-1])} below the table; left out.")
    for row in rows:
        extra = [cell for cell in row.cells[width:] if cell is not None]
        if len(row.cells) < least or extra:
            raise MapstoError(
                f"file: {path} is not a table with equally long rows (line {row.line} has {len(row.cells)} cells, "
                f"expected {least}); mend or export it again."
            )
        row.cells[:] = [*row.cells[:width], *[None] * (width - len(row.cells))]
    return rows


def _first_is_number(rows: Sequence[Row]) -> bool:
    first = [row.cells[0] for row in rows if row.cells and row.cells[0] is not None]
    return len(first) > 2 and sum(map(_is_number, first)) > 0.7 * len(first)


def _first_are_phrases(rows: Sequence[Row]) -> bool:
    texts = [_text(row.cells[0]) for row in rows[:-1] if row.cells]
    return sum(not _is_value(text) and (" " in text or ":" in text) for text in texts) > 0.2 * len(texts)


def _is_footer(row: Row, least: int, numeric: bool, phrases: bool) -> bool:
    """Return whether a last row holds one text that is no cell of a patient."""
    text = _text(row.cells[0]) if row.cells else ""
    legend = text.endswith(":") and not any(map(_is_value, row.filled))
    if least < 2 or (len(row.filled) != 1 and not legend) or not isinstance(row.cells[0], str) or _is_value(text):
        return False
    if legend:
        return not phrases
    phrase = not phrases and any(sign in text for sign in " :=")  # such as n=12
    return phrase or len(row.cells) < least or (numeric and text.isalpha() and len(text) > 2)


def _without_import_ids(rows: list[Row], notes: list[str]) -> list[Row]:
    """Leave out the row of column identifiers that Qualtrics writes in the third line."""
    for place, row in enumerate(rows[:2]):
        if row.filled and all(_text(cell).startswith('{"ImportId"') for cell in row.filled):
            notes.append(f"line {row.line} holds identifiers of a survey's columns; left out.")
            return [*rows[:place], *rows[place + 1 :]]
    return rows


def _without_units(rows: list[Row], names: list[str], notes: list[str]) -> tuple[list[Row], dict[str, str]]:
    """Leave out a row of units below the column names; return the other rows, and the units of columns."""
    if len(rows) > 1 and rows[0].filled and all(_RULE.fullmatch(_text(cell)) for cell in rows[0].filled):
        notes.append(f"line {rows[0].line} is a rule below the column names; left out.")
        rows = rows[1:]
    if len(rows) < 3:
        return rows, {}
    first, rest = rows[0], rows[1:]
    if any(_is_value(cell) for cell in first.filled):
        return rows, {}
    numeric = [j for j in range(len(names)) if _mostly_numbers([row.cells[j] for row in rest])]
    texts = [_text(first.cells[j]) for j in numeric if first.cells[j] is not None]
    others = [_text(cell) for j, cell in enumerate(first.cells) if cell is not None and j not in numeric]
    labels = [text for text in texts if not words.is_missing(text)]
    units = {names[j]: text.strip("()[] ") for j in numeric if _UNITS.fullmatch(text := _text(first.cells[j]))}
    cells_below = {cell for row in rest for cell in row.cells}
    if (
        labels
        and (len(units) == len(labels) or len(labels) > 1)
        and not any(text in cells_below for text in others if text != "-")
    ):
        kind = "units" if units else "labels"
        notes.append(f"line {first.line} is a row of {kind} ({listing(labels, 4)}); left out.")
        return rest, units
    return rows, {}


def _mostly_numbers(cells: Sequence[Any]) -> bool:
    filled = [cell for cell in cells if cell is not None and not words.is_missing(_text(cell))]
    return bool(filled) and sum(map(_is_value, filled)) > 0.8 * len(filled)


def _without_repeated_header(rows: list[Row], names: list[str], notes: list[str]) -> list[Row]:
    """Leave out rows that repeat the column names, as joined exports have them."""
    repeated = [row.line for row in rows if len(row.filled) > 1 and [_text(cell) for cell in row.cells] == names]
    if repeated:
        notes.append(f"{_lines(repeated)} the column names again; left out.")
    return [row for row in rows if row.line not in set(repeated)]
