"""A text as rows of cells: which sign separates the columns, and the number of the line on which each row begins."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import MapstoError

_SEPARATORS = "\t;|,"  # in this order if several fit equally well
_NAMES = {"\t": "tabs", ";": "semicolons", "|": "vertical bars", ",": "commas", " ": "blanks"}
_SEP_LINE = re.compile(r"\ufeff?\s*\"?sep=(.)\"?\s*\r?\n")
_FORMULA = re.compile(r'="([^"]*)"')  # how a spreadsheet keeps the zeros of 007
_SAMPLE = 500  # rows from which the separator is chosen


class Row(NamedTuple):
    """A row of cells, and the number of the line on which it begins."""

    line: int
    cells: list[Any]

    @property
    def filled(self) -> list[Any]:
        """The cells that are not empty."""
        return [cell for cell in self.cells if cell is not None]


class Grid(NamedTuple):
    """The rows of a table, empty ones included, and the sign that separates its columns (None: a spreadsheet)."""

    rows: list[Row]
    separator: str | None
    notes: list[str]


def grid_of(path: Path, text: str) -> Grid:
    """Split a text into rows of cells; an empty cell is None.

    Raises:
        MapstoError: if quotation marks are not closed, or a cell is too long.
    """
    first = _SEP_LINE.match(text)  # a first line that some spreadsheets write
    skipped = 1 if first else 0
    text = text[first.end() :] if first else text
    separator = first[1] if first and first[1] in _SEPARATORS else _separator(text)
    rows = list(_rows(path, text, separator, skipped))
    notes = []
    if separator in "| ":
        notes.append(f"file: columns are separated by {_NAMES[separator]}.")
    return Grid(rows, separator, notes)


def _rows(path: Path, text: str, separator: str, skipped: int) -> Iterator[Row]:
    if separator == " ":
        text = "\n".join(line.strip() for line in re.split(r"\r\n?|\n", text))
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != "\t", strict=True
    )
    if _single_quotes(text, separator):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quotechar="'", strict=True)
    before = 0
    try:
        for cells in reader:
            yield Row(before + 1 + skipped, [_cell(cell) for cell in cells])
            before = reader.line_num
    except csv.Error as error:
        where = f"line {before + 1 + skipped}: {error}"
        raise MapstoError(f"file: {path} is not a table ({where}); mend or export it again.") from error


def _single_quotes(text: str, separator: str) -> bool:
    """Return whether cells are quoted by single quotation marks."""
    lines = [line.strip() for line in text.splitlines()[1:_SAMPLE] if line.strip()]
    quoted = [line for line in lines if line[0] == line[-1] == "'" and (f"'{separator}'" in line or len(line) > 2)]
    return '"' not in text and len(lines) > 1 and len(quoted) > 0.9 * len(lines)


def _cell(cell: str) -> str | None:
    cell = cell.strip().strip("\x1a\ufeff")
    formula = _FORMULA.fullmatch(cell)
    return (formula[1] if formula else cell) or None


def _separator(text: str) -> str:
    """Return the sign that divides the most rows into the same number of cells, at least two."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")][:_SAMPLE]
    sample = "\n".join(lines)
    scores = {sign: _even(sample, sign) for sign in _SEPARATORS}
    best = max(scores, key=scores.__getitem__)
    if scores[best] >= 0.5:
        return best
    blanks = _even("\n".join(line.strip() for line in lines), " ") if len(lines) > 1 else 0.0
    if blanks == 1.0 and max(scores.values()) == 0:
        return " "
    header = lines[0] if lines else ""
    counts = {sign: header.count(sign) for sign in _SEPARATORS}
    return max(counts, key=counts.__getitem__) if max(counts.values()) else ","


def _even(sample: str, sign: str) -> float:
    """Return the share of rows that have the commonest number of cells; 0 if that is a single cell."""
    try:
        reader = csv.reader(io.StringIO(sample, newline=""), delimiter=sign, skipinitialspace=sign != "\t")
        widths = Counter(len(row) for row in reader)
    except csv.Error:
        return 0.0
    if not widths:
        return 0.0
    if sign == " " and len(widths) == 2 and 1 in widths.values() and max(widths) - min(widths) == 1:
        return 1.0  # R leaves out the name of the column of row names
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
    return count / widths.total() if width > 1 else 0.0
