"""Tables in files of other programs: spreadsheets, Parquet, Feather, SPSS and Stata.

The packages that read them are the extra `files`: `pip install mapsto[files]`.
"""

import datetime
import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import MapstoError
from . import words
from .grid import Grid, Row
from .remarks import listing

SHEETS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
_SPAN = re.compile(r"-?PT\d+H\d+M\d+(\.\d+)?S")  # how an .ods file stores a span of a day and more
_REFUSALS = {"refused", "no answer", "don't know", "dont know", "dk", "weiß nicht", "keine antwort", "verweigert"}
FRAMES = (".parquet", ".pq", ".feather", ".arrow", ".sav", ".zsav", ".por", ".dta")


def sheet(path: Path, name: str | None) -> Grid:
    """Return the cells of a spreadsheet: of the sheet `name`, or of the first that has two filled rows.

    Raises:
        MapstoError: if python-calamine is not installed, the file is damaged, or it has no such sheet.
    """
    calamine = package("python_calamine", "python-calamine", path)
    with damaged(path, "spreadsheet"):
        book = calamine.CalamineWorkbook.from_path(str(path))
        if name is not None and name not in book.sheet_names:
            raise MapstoError(f"sheet: got {name!r}, expected one of {listing(list(book.sheet_names))} in {path}.")
        names = [name] if name is not None else list(book.sheet_names)
        grids = {each: _grid(book.get_sheet_by_name(each).to_python(skip_empty_area=False)) for each in names}
    filled = [each for each, rows in grids.items() if sum(bool(row.filled) for row in rows) > 1]
    if not filled:
        raise MapstoError(f"file: {path} has no sheet with a header and a row below it.")
    best = next((each for each in filled if max(len(row.filled) for row in grids[each]) > 1), filled[0])
    others = [each for each in book.sheet_names if each != best]
    notes = (
        [f"file: the sheet {best!r} is read, not {listing(others)}; --sheet chooses."] if others and not name else []
    )
    return Grid(grids[best], None, notes)


def frame(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the table in a Parquet, Feather, SPSS or Stata file, and sentences about it.

    Raises:
        MapstoError: if the package that reads the file is not installed, or the file is damaged.
    """
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq", ".feather", ".arrow"):
        kind = "parquet" if suffix in (".parquet", ".pq") else "feather"
        package(f"pyarrow.{kind}", "pyarrow", path)
        with damaged(path, kind.capitalize()):
            return (pd.read_parquet(path) if kind == "parquet" else pd.read_feather(path)), []
    statistics = package("pyreadstat", "pyreadstat", path)
    read = {".dta": statistics.read_dta, ".por": statistics.read_por}.get(suffix, statistics.read_sav)
    with damaged(path, "Stata" if suffix == ".dta" else "SPSS"):
        table, about = read(str(path), **({"user_missing": False} if suffix != ".por" else {}))
        return _labelled(table, about)


def package(module: str, name: str, path: Path) -> Any:
    """Return an optional package; raise MapstoError with the way to install it if it is absent."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MapstoError(
            f"file: {path} needs {name}; run `pip install {name}`, or export the table as CSV."
        ) from error


@contextmanager
def damaged(path: Path, kind: str) -> Iterator[None]:
    """Turn any error of a package that reads files into one sentence."""
    try:
        yield
    except MapstoError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:120].rstrip(".")
        raise MapstoError(f"file: {path} is not a readable {kind} file ({reason}); save it again.") from error


def _grid(rows: list[list[Any]]) -> list[Row]:
    width = max((len(row) for row in rows), default=0)
    return [Row(i, [_cell(cell) for cell in row] + [None] * (width - len(row))) for i, row in enumerate(rows, 1)]


def _cell(cell: Any) -> Any:
    """Return a spreadsheet's cell: a float, a text, or None if it is empty."""
    if isinstance(cell, str):
        return _clock(pd.Timedelta(cell)) if _SPAN.fullmatch(cell) else cell.strip() or None
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, datetime.timedelta):
        return _clock(cell)
    if isinstance(cell, datetime.datetime | datetime.date | datetime.time):
        return re.sub(r" 00:00:00$", "", str(cell))
    return cell if cell is None else float(cell)


def _clock(span: datetime.timedelta) -> str:
    """Write a span of time as a sheet shows it: 30:05:07 for a day, six hours, five minutes and seven seconds."""
    minutes, seconds = divmod(round(abs(span.total_seconds()), 3), 60)
    sign = "-" * (span < datetime.timedelta())
    return f"{sign}{int(minutes) // 60}:{int(minutes) % 60:02}:{seconds:06.3f}".removesuffix(".000")


def _labelled(table: pd.DataFrame, about: Any) -> tuple[pd.DataFrame, list[str]]:
    """Replace the codes of a column by their labels if all of its codes have one, or if the label means missing."""
    notes, columns = [], {}
    for name in table.columns:
        values, labels = table[name], about.variable_value_labels.get(name) or {}
        lost = {code for code, label in labels.items() if _is_lost(words.fold(str(label)))}
        present = set(values.dropna())
        if labels and present - lost and present - lost <= set(labels) - lost:
            levels = [str(labels[code]) for code in sorted(set(labels) - lost, key=_sortable) if code in present]
            ordinal = about.variable_measure.get(name) == "ordinal" and len(set(levels)) == len(levels)
            texts = values.map({code: str(label) for code, label in labels.items() if code not in lost})
            texts = texts.astype(pd.CategoricalDtype(levels, ordered=True)) if ordinal else texts.astype(object)
            columns[name] = texts
            notes.append(f"column {name!r}: codes are read as their labels ({listing(levels, 4)}).")
        else:
            columns[name] = values.where(~values.isin(lost)) if lost & present else values
        if lost & present:
            said = listing([str(labels[code]) for code in lost & present])
            notes.append(f"column {name!r}: {said} read as missing.")
    return pd.DataFrame(columns, index=table.index), notes


def _is_lost(label: str) -> bool:
    """Return whether a label says that the answer is missing; "none" is an answer."""
    return (words.is_missing(label) and label not in ("none", "nil")) or label in _REFUSALS


def _sortable(code: Any) -> tuple[int, Any]:
    return (0, code) if isinstance(code, int | float) else (1, str(code))
