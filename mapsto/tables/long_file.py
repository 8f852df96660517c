"""A table in a file that may be larger than memory, read some rows at a time: Parquet by its batches, CSV by its lines.

A CSV file has to be plain: column names in its first line, and below it nothing but rows. `tablefile.read` reads any
other file, whole.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from .. import checks
from ..errors import MapstoError
from . import formats, tablefile
from .columns import refuse_duplicates

PARQUET, TEXTS = (".parquet", ".pq"), (".csv", ".tsv", ".txt")
_HEAD = 2**18  # bytes at the start of a CSV file that tell how it is written


def parts(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """Yield the table at most `rows` rows at a time; the index counts the rows of the file from 1.

    A part may be shorter where a row group of a Parquet file ends.

    Raises:
        MapstoError: if the file is no Parquet or plain CSV file, is damaged, or has no rows.
    """
    suffix = path.suffix.lower()
    expected = f"one of {', '.join((*PARQUET, *TEXTS))}"
    checks.expect(suffix in (*PARQUET, *TEXTS), "file", path, expected, "save the table as Parquet")
    first = 0
    for part in _of_parquet(path, rows) if suffix in PARQUET else _of_text(path, rows):
        yield part.set_axis(np.arange(first + 1, first + len(part) + 1))
        first += len(part)
    checks.expect(first > 0, "file", f"{path}, which has no rows", "one row or more")


def _of_parquet(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    parquet = formats.package("pyarrow.parquet", "pyarrow", path)
    with formats.damaged(path, "Parquet"):
        file = parquet.ParquetFile(path)
    names = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]
    refuse_duplicates([name.strip() for name in names])
    batches = file.iter_batches(rows, columns=names)
    while True:
        with formats.damaged(path, "Parquet"):
            batch = next(batches, None)
        if batch is None:
            return
        part = batch.to_pandas(ignore_metadata=True, integer_object_nulls=True)  # whole numbers keep all digits
        yield part.set_axis([name.strip() for name in names], axis=1)


def _of_text(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    separator = _plain(path)
    form = {"sep": separator, "encoding": "utf-8-sig", "dtype": object, "keep_default_na": False, "na_values": [""]}
    try:
        with pd.read_csv(path, chunksize=rows, **form) as reader:  # type: ignore[call-overload]
            for part in reader:
                part = part.set_axis([name.strip() for name in part.columns], axis=1)
                if separator == ";":
                    part.attrs["decimal"] = ","
                yield part
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise MapstoError(f"file: {path} is not a table ({reason}); mend or export it again.") from error


def _plain(path: Path) -> str:
    """Return the sign that separates the cells of a plain CSV file.

    Raises:
        MapstoError: if the careful reader finds anything but names and rows at the start of the file.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if len(head) == _HEAD:
        head = head[: head.rfind(b"\n") + 1]
    careful, separator = tablefile.of_text(path, head)
    try:
        names = list(pd.read_csv(path, sep=separator, nrows=0, encoding="utf-8-sig").columns)
    except ValueError:
        names = []
    plain = [name.strip() for name in names] == list(careful.table.columns) and careful.lines[0] == 2
    got = f"{path}, which has more than column names above its rows, or is not UTF-8"
    checks.expect(plain, "file", got, "a plain CSV file", "save it as Parquet, or explain it without --out FILE")
    return separator
