"""`mapsto explain TABLE --out FILE`: predictions and reasons of a table of any length, as one Parquet or CSV file.

The table is read some rows at a time, so memory has a bound. Finished rows are kept in files beside `FILE`; after an
interruption, the same command goes on from there. There is no page, and the quality is not measured.
"""

import argparse
import codecs
import csv
import dataclasses
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .. import __version__, weights
from ..errors import MapstoError
from ..reports.table.long import LongTable, long_table, survey
from ..tables import formats
from ..tables.long_file import PARQUET, parts
from ..tables.tablefile import read
from .folder import refuse_input
from .options import as_options, refuse, suggest, write_json
from .part_files import PartFiles
from .predictions import columns
from .sheet import sheet, write_sheet

if TYPE_CHECKING:
    from ..reports.table.question import Choices

FILES = (*PARQUET, ".csv")
_ROWS = 4096  # of a part


def explain_rows(args: argparse.Namespace, choices: "Choices", options: dict[str, str]) -> int:
    """Explain a table into the file `args.out`; `options` names the option of each argument in errors."""
    refuse(args, ("sheet", "out_format", "language"), "is for a folder of results, but --out names a file")
    refuse_input(args.out, args.path, args.train)
    if args.out.suffix.lower() in PARQUET:
        formats.package("pyarrow.parquet", "pyarrow", args.out)
    kept = PartFiles(args.out, _plan(args, choices))
    with as_options(**options):
        found = survey(parts(args.path, _ROWS), args.target, args.seed)
        train = None if args.train is None else read(args.train).table
        if train is None:
            suggest("--target", args.target, found.blank.columns)
        names = (str(args.path), str(args.train))
        table = long_table(found, train, args.target, args.train_rows, args.seed, names, choices)
    kept.begin()
    notes = dict.fromkeys(table.notes)
    try:
        for note in _explained(args, table, kept, found.rows):
            notes[note] = None
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"interrupted; the same command goes on from {kept.folder}.") from stop
    kept.join(found.parts, _join_parquet if args.out.suffix.lower() in PARQUET else _join_csv)
    _tell(args, found.rows, len(table.train), list(notes))
    return 0


def _plan(args: argparse.Namespace, choices: "Choices") -> dict[str, Any]:
    """Return everything on which the numbers depend."""
    said = dataclasses.asdict(choices)
    del said["max_memory"]
    given = {"target": args.target, "train_rows": args.train_rows, "seed": args.seed, **said}
    return {
        "table": _stamp(args.path), "train": args.train and _stamp(args.train), **given, "rows": _ROWS,
        "mapsto": __version__, "weights": weights.fingerprint(),
    }  # fmt: skip


def _stamp(path: Path) -> list[Any]:
    if not path.is_file():
        raise MapstoError(f"file: {path} does not exist; check the path.")
    about = path.stat()
    return [str(path.absolute()), about.st_size, about.st_mtime_ns]


def _explained(args: argparse.Namespace, table: LongTable, kept: PartFiles, total: int) -> Iterator[str]:
    """Explain each part that is not there yet, and yield warnings, the first about each column."""
    said: set[str] = set()
    types = _types(args.path) if args.out.suffix.lower() in PARQUET else {}
    with _bar(args.json) as bar:
        line, done = bar.add_task("rows", total=total, note=""), 0
        for number, part in enumerate(parts(args.path, _ROWS)):
            if number not in kept:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", UserWarning)
                    _explain(table, part, number, kept, types)
                done += len(part)
                sentences = [str(warning.message) for warning in caught]
                yield from (text for text in sentences if text.partition(": ")[0] not in said)
                said |= {text.partition(": ")[0] for text in sentences}
            bar.update(line, advance=len(part))
            if (elapsed := bar.tasks[0].elapsed) and done:
                bar.update(line, note=f"{done / elapsed:,.0f} rows/s")


def _bar(quiet: bool) -> Progress:
    console = Console(stderr=True)
    counts = TextColumn("{task.completed:,.0f}/{task.total:,.0f} rows, {task.fields[note]}")
    columns = (BarColumn(), counts, TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=quiet or not console.is_terminal)


def _explain(table: LongTable, part: pd.DataFrame, number: int, kept: PartFiles, types: dict[str, Any]) -> None:
    rows = table.asked(part)
    given: dict[str, Any] = {str(name): rows[name] for name in rows.columns}
    found: dict[str, Any] = columns(table.answer(rows), given) if len(rows) else {}
    if kept.out.suffix.lower() in PARQUET:
        kept.add(number, lambda file: _write_parquet(found, types, file))
    elif found:
        kept.add(number, lambda file: write_sheet(sheet(found, "csv"), file, "csv"))
    else:
        kept.add(number, lambda file: file.write_text(""))


def _types(path: Path) -> dict[str, Any]:
    """Return the types in which a Parquet file gives back the columns of the table `path`; texts of a CSV file."""
    pyarrow = formats.package("pyarrow", "pyarrow", path)
    if path.suffix.lower() not in PARQUET:
        return dict.fromkeys(next(parts(path, 1)).columns, pyarrow.string())
    schema = formats.package("pyarrow.parquet", "pyarrow", path).read_schema(path)
    return {field.name.strip(): field.type for field in schema}


def _write_parquet(found: dict[str, Any], types: dict[str, Any], file: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    given = {name: types.get(str(cells.name)) for name, cells in found.items() if isinstance(cells, pd.Series)}
    arrays = {name: pa.array(cells, given.get(name)) for name, cells in found.items()}
    parquet.write_table(pa.table(arrays), file)


def _join_parquet(paths: list[Path], file: Path) -> None:
    from pyarrow import parquet

    schema = next((s for path in paths if len(s := parquet.read_schema(path))), parquet.read_schema(paths[0]))
    with parquet.ParquetWriter(file, schema) as writer:
        for path in paths:
            if len(parquet.read_schema(path)):
                writer.write_table(parquet.read_table(path).cast(schema))


def _join_csv(paths: list[Path], file: Path) -> None:
    """Write one file of all, with the names once, and a byte order mark if a part has one."""
    encoding = "utf-8-sig" if any(map(_is_marked, paths)) else "utf-8"
    with file.open("w", encoding=encoding, newline="") as whole:
        names = ""
        for path in paths:
            text = path.read_bytes().decode("utf-8-sig")
            names = names or _names(text)
            whole.write(text if whole.tell() == 0 else text[len(names) :])


def _is_marked(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == codecs.BOM_UTF8


def _names(text: str) -> str:
    """Return the first row of a CSV file as it is written."""
    buffer = io.StringIO(newline="")
    for row in csv.reader(io.StringIO(text, newline="")):
        csv.writer(buffer, lineterminator="\n").writerow(row)
        break
    return buffer.getvalue()


def _tell(args: argparse.Namespace, rows: int, taught: int, notes: list[str]) -> None:
    if args.json:
        write_json({"rows": rows, "training_rows": taught, "predictions": str(args.out), "notes": notes})
        return
    console = Console(highlight=False, soft_wrap=True)
    for note in notes:
        console.print(f"note: {escape(note)}")
    told = f"{taught:,} of {rows:,} rows taught; the others to be explained are in it. Nothing was checked"
    console.print(f"wrote {escape(str(args.out))}: {told}.")
