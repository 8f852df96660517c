"""A table in a file, read as text with care: a file that is no table is refused in one sentence with the remedy.

Cells stay as they are written, None for an empty one; `Columns.fit` decides the kind of each column.
"""

import io
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import MapstoError
from . import decoding, formats
from .columns import refuse_duplicates
from .grid import grid_of
from .layout import Layout, layout_of
from .outcome import outcomes

__all__ = ["TableFile", "outcomes", "read", "read_table"]

_BOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how a spreadsheet begins; a text may be called .xls too


class TableFile(NamedTuple):
    """A table in a file: its cells, sentences about guesses and parts left out, and the place of each row.

    Attributes:
        table: the cells, one row for each row of the table.
        notes: sentences about guesses and about parts that were left out.
        lines: for each row of `table`, the number of the line on which it begins: in a text file, counted from 1 with
            every line break, also those inside quoted cells; in a spreadsheet, the number beside the row; in any other
            file, the number of the row.
        where: how such a number is written in a sentence; empty if it is the number of the row in `table`.
    """

    table: pd.DataFrame
    notes: list[str]
    lines: list[int]
    where: str = "line {} of the file"

    def place(self, i: int) -> str:
        """Say where row `i` (from 0) stands in the file, such as "line 89 of the file"; "" if its number says it."""
        return self.where.format(self.lines[i])


def read_table(path: str | Path, sheet: str | None = None) -> pd.DataFrame:
    """Return the table of `read`, without its notes."""
    return read(path, sheet).table


def read(path: str | Path, sheet: str | None = None) -> TableFile:
    """Read the table in the file `path`.

    The file is a text (.csv, .tsv, .txt, also gzipped), a spreadsheet (.xlsx, .xls, .ods; the sheet `sheet` or the
    first with a header), or a file of Parquet, Feather, SPSS (.sav) or Stata (.dta). Titles, comments, a row of units,
    sums, footers and empty rows are left out, and the notes say so with their lines.

    Raises:
        MapstoError: if the file is missing, empty, binary or ragged, has no rows, two of its columns share a name, or
            the package that reads it is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    content = decoding.content_of(path)
    if suffix in formats.FRAMES:
        return _of_frame(path, *formats.frame(path))
    if _is_workbook(content) or (suffix in formats.SHEETS and content.startswith(_BOOKS)):
        return _of_layout(layout_of(path, formats.sheet(path, sheet)))._replace(where="row {} of the sheet")
    if sheet is not None:
        raise MapstoError(f"sheet: got {sheet!r}, but {path} is no spreadsheet; leave it out.")
    if content.lstrip()[:14].lower().startswith((b"<html", b"<!doctype html", b"<table")):
        raise MapstoError(f"file: {path} is a web page, expected a table; open it in a spreadsheet and save it as CSV.")
    if re.match(rb"\s*(\[\s*)?\{\s*\"", content):
        raise MapstoError(f"file: {path} is JSON, expected a table; save it as CSV, such as by pandas.read_json.")
    if content.startswith(b"%PDF-"):
        raise MapstoError(f"file: {path} is a PDF, expected a table; export the table as CSV.")
    return of_text(path, content)[0]


def of_text(path: Path, content: bytes) -> tuple[TableFile, str]:
    """Return the table in the bytes of a text file, and the sign that separates its cells.

    Raises:
        MapstoError: if it is no table.
    """
    text, notes = decoding.decode(path, content)
    grid = grid_of(path, text)
    result = _of_layout(layout_of(path, grid))
    if grid.separator == ";":  # where semicolons separate, commas are often decimal
        result.table.attrs["decimal"] = ","
    return result._replace(notes=[*notes, *result.notes]), grid.separator or ","


def _of_layout(layout: Layout) -> TableFile:
    cells = np.empty((len(layout.rows), len(layout.names)), object)
    for i, row in enumerate(layout.rows):
        cells[i] = row.cells
    table = pd.DataFrame(cells, columns=layout.names)
    table.attrs["units"] = layout.units
    return TableFile(table, layout.notes, [row.line for row in layout.rows])


def _of_frame(path: Path, table: pd.DataFrame, notes: list[str]) -> TableFile:
    names = [str(name).strip() for name in table.columns]
    refuse_duplicates(names)
    table = table.set_axis(names, axis=1)
    if not isinstance(table.index, pd.RangeIndex):
        index = [str(name) for name in table.index.names if name is not None and str(name) not in names]
        table = table.reset_index() if index else table.reset_index(drop=True)
    empty = table.isna().all(axis=1).to_numpy()
    if empty.any():
        notes = [*notes, f"{empty.sum()} empty row(s) are left out, the first is row {empty.argmax() + 1}."]
    lines = [int(i) + 1 for i in np.flatnonzero(~empty)]
    table = table[~empty].reset_index(drop=True)
    if not len(table) or not len(table.columns):
        raise MapstoError(f"file: {path} has no rows below its column names, expected one row a line.")
    return TableFile(table, notes, lines, "row {} of the file" if empty.any() else "")


def _is_workbook(content: bytes) -> bool:
    """Return whether a file is a spreadsheet, whatever its name."""
    if not content.startswith(b"PK\x03\x04"):
        return False
    try:
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False
    return "xl/workbook.xml" in names or "content.xml" in names
