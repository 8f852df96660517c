"""A table in a text file, read with care: a file that is no table is refused in one sentence with the remedy.

Commas, semicolons and tabs separate columns; an empty cell, `?` and pandas' usual words (NA, NaN, null) mean missing.
"""

import csv
import gzip
import io
import re
import warnings
import zlib
from pathlib import Path

import pandas as pd

from .. import checks
from ..errors import MapstoError
from .columns import listing, refuse_duplicates

_SEPARATORS = ",;\t"
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}  # how spreadsheets begin a text file
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x1a"))


def read_table(path: str | Path) -> pd.DataFrame:
    """Read the table in the text file `path` (.csv, .tsv or .txt, also gzipped), with column names in the first line.

    Raises:
        MapstoError: if the file is missing, empty, binary or ragged, has no rows, or two of its columns share a name.
    """
    path = Path(path)
    text = _decode(path, _bytes(path))
    text = re.sub(r"^\s*\"?sep=.\"?\r?\n", "", text)  # a first line that some spreadsheets write
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=lambda s: len(next(csv.reader([header], delimiter=s))))
    names = [name.strip() for name in next(csv.reader([header], delimiter=separator))]
    refuse_duplicates([name for name in names if name])
    table = _parse(path, text, separator)
    _refuse_short(path, text, separator, max((i for i, name in enumerate(names, 1) if name), default=0))
    return _tidy(path, table)


def outcomes(table: pd.DataFrame, target: str, name: str) -> pd.Series:
    """Return the outcome column of the table `name`: whole numbers as integers, booleans and texts as texts.

    Raises:
        MapstoError: if there is no such column.
    """
    there = listing([str(column) for column in table.columns], 8)
    got = f"{target!r}, which is no column of {name}"
    checks.expect(target in table.columns, "target", got, f"one of {there}")
    y = table[target]
    if pd.api.types.is_bool_dtype(y) or not pd.api.types.is_numeric_dtype(y):
        return y.where(y.isna(), y.astype(str)).astype(object)
    return y.astype("Int64") if (y.dropna() % 1 == 0).all() else y


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise MapstoError(f"file: {path} is a folder, expected a table in a text file such as patients.csv.")
    if not path.exists():
        raise MapstoError(f"file: {path} does not exist; check the path.")
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MapstoError(f"file: {path} is a damaged gzip file ({error}); save or copy it again.") from error
    except OSError as error:
        raise MapstoError(f"file: {path} cannot be read ({error.strerror}); check its permissions.") from error
    if not content.strip():
        raise MapstoError(f"file: {path} is empty, expected a table with column names in its first line.")
    return content


def _decode(path: Path, content: bytes) -> str:
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    if encoding != "utf-16" and content[:65536].translate(None, _CONTROL) != content[:65536]:
        raise MapstoError(f"file: {path} is a binary file, expected a text table; export it as CSV (UTF-8) first.")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")  # the encoding of older spreadsheets


def _refuse_short(path: Path, text: str, separator: str, cells: int) -> None:
    """Refuse a line that was cut off, because its lost cells would pass for missing ones."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        short = next((line for line in reader if any(cell.strip() for cell in line) and len(line) < cells), None)
    except csv.Error as error:
        raise MapstoError(f"file: {path} is not a table ({error}); mend or export it again.") from error
    if short is not None:
        raise MapstoError(
            f"file: {path} is not a table with equally long rows (line {reader.line_num} has {len(short)} cells, "
            f"expected {cells}); mend or export it again."
        )


def _parse(path: Path, text: str, separator: str) -> pd.DataFrame:
    def parse(decimal: str) -> pd.DataFrame:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.StringIO(text),
                sep=separator,
                decimal=decimal,
                na_values=["?"],
                skipinitialspace=True,
                index_col=False,
                low_memory=False,
            )

    try:
        table = parse(".")
        comma = parse(",") if separator == ";" else table  # where semicolons separate, commas are often decimal
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).removeprefix("Error tokenizing data. C error: ").split()).rstrip(".")
        raise MapstoError(
            f"file: {path} is not a table with equally long rows ({reason}); mend or export it again."
        ) from error
    numeric = [t.select_dtypes("number").shape[1] for t in (table, comma)]
    return comma if numeric[1] > numeric[0] else table


def _tidy(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Strip the texts, and drop the nameless first column of row numbers that spreadsheets and pandas write."""
    table = table.rename(columns=lambda name: str(name).strip())
    for name in (name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])):
        table[name] = table[name].map(lambda v: (v.strip() or None) if isinstance(v, str) else v)
    if len(table.columns) and table.columns[0].startswith("Unnamed:"):
        table = table.iloc[:, 1:] if table.iloc[:, 0].is_unique else table
    if not len(table) or not len(table.columns):
        raise MapstoError(f"file: {path} has no rows below its column names, expected one row a line.")
    return table
