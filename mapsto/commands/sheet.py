"""A table that a spreadsheet opens without running, cutting or refusing a cell, in one of three formats.

A spreadsheet runs a text that begins with one of = + - @ as a formula, whoever wrote it; here an apostrophe stands
before such a text, and before such a part of it behind a semicolon, a comma or a tab, where a spreadsheet with another
separator would begin a cell. A number, such as -5, stays a number.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import checks
from ..errors import MapstoError
from ..files import atomically

ROWS, COLUMNS, LETTERS = 1_048_576, 16_384, 32_767  # of a sheet, and of a cell
_EXACT = 10**15  # a spreadsheet keeps 15 digits of a number
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r]")
_INNER = re.compile(r"([;,\t]\s*\"?)(?=[=+\-@＝＋－＠])(?![+-]?\s*[\d.,]+(e[+-]?\d+)?\s*%?\s*([;,\t\"\])}]|$))")
_HARMLESS = re.compile(r"\s*([+-]+|[+-]?(\d+([.,]\d+)*[.,]?|[.,]\d+)(e[+-]?\d+)?\s?%?)\s*", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")
_SIGN = "\N{REPLACEMENT CHARACTER}"
_SENTENCES = {
    "formula": "{} text(s) begin with =, +, -, @ or a tab, which a spreadsheet would run as a formula; an apostrophe "
    "stands before them.",
    "long": f"{{}} text(s) are longer than the {LETTERS:,} characters that a cell of a sheet holds; they are cut.",
    "control": f"{{}} text(s) hold control characters; {_SIGN} stands for each.",
}


class Sheet(NamedTuple):
    """The names of the columns, the columns, and sentences about cells that were changed."""

    names: list[str]
    columns: list[list[Any]]
    notes: list[str]


def sheet(columns: Mapping[str, Sequence[Any]], form: str) -> Sheet:
    """Return columns whose cells are None, a number, or a harmless text.

    Raises:
        MapstoError: if `form` is "xlsx" and a sheet cannot hold so many rows or columns.
    """
    changes: Counter[str] = Counter()
    names = [_cell(name, changes) for name in columns]
    cells = [[_cell(value, changes) for value in column] for column in columns.values()]
    rows = len(cells[0])
    limit = f"{ROWS - 1:,} rows and {COLUMNS:,} columns, the most that a sheet can hold"
    too_large = rows >= ROWS or len(names) > COLUMNS
    got = f"xlsx for {rows:,} rows and {len(names):,} columns"
    checks.expect(not (too_large and form == "xlsx"), "--out-format", got, f"at most {limit}", "pass --out-format csv")
    notes = [f"predictions: {_SENTENCES[kind].format(changes[kind])}" for kind in _SENTENCES if changes[kind]]
    return Sheet(names, cells, [*notes, *[f"predictions: a spreadsheet shows at most {limit}."] * too_large])


def refuse_without_package(form: str) -> None:
    """Raise MapstoError if the package that writes the format is not installed, before any work is done."""
    if form == "xlsx":
        _xlsxwriter()


def write_sheet(table: Sheet, path: Path, form: str) -> None:
    """Write `path` whole or not at all."""
    atomically(path, lambda temporary: (_write_book if form == "xlsx" else _write_text)(table, temporary, form))


def _cell(value: Any, changes: Counter[str]) -> Any:
    """Return None, a number, or a harmless text; count what was changed."""
    from ..figures.numbers import is_missing, is_number

    if is_missing(value):
        return None
    if is_number(value):
        number = value.item() if isinstance(value, np.number) else value
        return int(number) if abs(number) < _EXACT and number == int(number) else number
    text = _CONTROL.sub(_SIGN, re.sub(r"\r\n?", "\n", str(value)))
    changes["control"] += _CONTROL.search(str(value)) is not None
    if _FORMULA.match(str(value)) and not _HARMLESS.fullmatch(text):
        changes["formula"] += 1
        text = f"'{text}"
    elif _INNER.search(text):
        changes["formula"] += 1
    text = _INNER.sub(r"\1'", text)
    if len(text) > LETTERS:
        changes["long"] += 1
        text = text[: LETTERS - 1] + "…"
    return text


def _write_text(table: Sheet, path: Path, form: str) -> None:
    """Write the table as text.

    A spreadsheet knows by a byte order mark that letters outside ASCII are UTF-8; a file without them has no mark.
    """
    separator, decimal = (";", ",") if form == "csv;" else (",", ".")
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator, lineterminator="\n")
    writer.writerow(table.names)
    for row in zip(*table.columns, strict=True):
        writer.writerow([str(cell).replace(".", decimal) if isinstance(cell, float) else cell for cell in row])
    text = buffer.getvalue()
    path.write_bytes(text.encode("utf-8" if form == "csv" and text.isascii() else "utf-8-sig"))


def _write_book(table: Sheet, path: Path, form: str) -> None:
    """Write the table as one sheet: a text as a text, never as a formula or a link; the header stays in sight."""
    book = _xlsxwriter().Workbook(str(path))
    page = book.add_worksheet("predictions")
    page.freeze_panes(1, 1)
    for j, (name, column) in enumerate(zip(table.names, table.columns, strict=True)):
        for i, cell in enumerate([name, *column]):
            if isinstance(cell, str) or (isinstance(cell, int) and abs(cell) >= _EXACT):
                page.write_string(i, j, str(cell))
            elif cell is not None:
                page.write_number(i, j, cell)
    book.close()


def _xlsxwriter() -> Any:
    try:
        import xlsxwriter
    except ImportError as error:
        remedy = "run `pip install XlsxWriter`, or pass --out-format csv"
        raise MapstoError(f"--out-format: xlsx needs XlsxWriter, which is not installed; {remedy}.") from error
    return xlsxwriter
