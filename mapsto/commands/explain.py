"""`mapsto explain`: predict and explain the rows of a person's own table, or a test task of a run.

Rows without an outcome are explained. If every row has one, a seeded stratified sample is used for training, and the
others are explained, so that the quality can be measured on them.
"""

import argparse
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MapstoError
from .options import Parser, as_options, refuse, suggest, write_json

if TYPE_CHECKING:
    from ..reports.table import Question
    from ..reports.table.question import Choices
    from ..tables.tablefile import TableFile

KINDS = ("numbers", "classes")
_FORMATS = ("csv", "csv;", "xlsx")
_LANGUAGES = ("en", "zh")
_KINDS = ("number", "date", "category", "ordered", "absent")
_OF_LOGS = ("item", "skill", "time", "ask")
_ARGUMENTS = {
    **{"target": "--target", "train_rows": "--train-rows", "table": "file", "sheet": "--sheet", "types": "--type"},
    **{name: f"--{name}" for name in ("order", "drop", "id", "group", "positive", "outcome")},
    "max_memory": "--max-memory",
}
_OF_TABLES = (
    "target",
    "text",
    "pupil",
    *_OF_LOGS,
    "train_rows",
    "train",
    "missing",
    "type",
    "order",
    "drop",
    "id",
    "group",
    "positive",
    "outcome",
    "sheet",
    "out_format",
    "no_quality",
    "language",
    "max_memory",
)


def parser() -> argparse.ArgumentParser:
    """Return the options of `mapsto explain`."""
    options = Parser(
        "explain",
        "Predict and explain the rows of a table whose outcome is empty (if there are none, the rows held out for "
        "testing), or a test task of a run folder.",
        "mapsto explain patients.csv --target outcome",
    )
    add = options.add_argument
    tables = "a table (.csv, .tsv, .xlsx, .ods, .parquet, .feather, .sav, .dta), or the folder of a run"
    add("path", type=Path, metavar="TABLE_OR_RUN", help=tables)
    add(
        "--target",
        metavar="COLUMN",
        help="the column that holds the outcome; an empty cell is to be predicted (of a log: 1 right, 0 wrong)",
    )
    add("--text", metavar="COLUMN", help="read this column as texts, and explain predictions by words or sentences")
    add("--pupil", metavar="COLUMN", help="read the table as a log of answers; this column names the pupil")
    add("--item", metavar="COLUMN", help="of a log: the column that names the item (default: item, if there is one)")
    add("--skill", metavar="COLUMN", help="of a log: the column that names the skill (default: skill)")
    add("--time", metavar="COLUMN", help="of a log: the column that holds the time (default: time)")
    add("--ask", action="append", metavar="PUPIL", help="of a log: explain this pupil (repeatable)")
    add("--train-rows", type=int, metavar="N", help="train on a stratified sample of N rows (at most 1,000)")
    add("--train", type=Path, metavar="TABLE", help="train on another table; the first needs no outcomes then")
    add(
        "--missing", action="append", metavar="WORD", help="a word for a missing cell: 999, or COLUMN=WORD (repeatable)"
    )
    add(
        "--type", action="append", metavar="COLUMN=KIND", help=f"how to read a column: {', '.join(_KINDS)} (repeatable)"
    )
    add("--order", action="append", metavar="COLUMN=A<B", help="the levels of a column from low to high (repeatable)")
    add("--drop", action="append", metavar="COLUMN", help="leave a column out (repeatable)")
    add("--id", metavar="COLUMN", help="the column that names the rows; it is not used for predicting")
    add("--group", metavar="COLUMN", help="rows that are equal here (one patient) stay together when quality is tested")
    one = "the class that the report is about (default: of two the one called yes, 1, ... or the rarer, else all)"
    add("--positive", metavar="CLASS", help=one)
    add("--outcome", choices=KINDS, help="predict the target as numbers or as classes (default: its cells decide)")
    add("--sheet", metavar="NAME", help="the sheet of a spreadsheet (default: the first with a header)")
    add("--max-memory", type=float, metavar="GB", help="stay below this (default: a quarter of the machine's memory)")
    add("--episode", type=int, metavar="N", help="of a run: which test task (default: 0)")
    add("--method", metavar="A,B", help="of a run: explain by these methods, and say how far to trust each")
    add("--allow-imports", action="store_true", help="of a run: make classes outside mapsto too: it runs their code")
    add("--no-quality", action="store_true", default=None, help="of a table: skip all checks of quality; much faster")
    where = "the folder of the report and the predictions (default: NAME-explained here, or the run), or a .parquet or "
    rows = ".csv file: the table may then be longer than memory, and the same command goes on after an interruption"
    add("--language", choices=_LANGUAGES, help="the language of the page of a table, texts or a log (default: en)")
    add("--out", type=Path, metavar="FOLDER_OR_FILE", help=where + rows)
    form = "of the predictions; 'csv;' has semicolons and decimal commas (default: as the table has them)"
    add("--out-format", choices=_FORMATS, help=form)
    return options


def main(args: argparse.Namespace) -> int:
    """Explain a table or, if a folder is given, a run."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads would crawl on a busy machine
    if args.path.is_dir():
        refuse(args, _OF_TABLES, f"is for tables, but {args.path} is a run's folder")
        from .explain_run import explain_run

        return explain_run(args)
    refuse(args, ("episode", "method"), f"is for the folder of a run, but {args.path} is none")
    if not args.path.exists():
        raise MapstoError(f"file: {args.path} does not exist, as a table or as a run's folder; check the path.")
    if args.pupil is not None:
        from .explain_pupils import explain_pupils

        return explain_pupils(args)
    refuse(args, _OF_LOGS, "is for a log of answers, but --pupil COLUMN is not given")
    if args.target is None:
        raise MapstoError("--target: got nothing, expected the name of the outcome's column; pass --target NAME.")
    if args.text is not None:
        from .explain_texts import explain_texts

        return explain_texts(args)
    return _explain_table(args)


def _explain_table(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from ..reports.table.answer import answer
    from ..reports.table.html import write
    from ..reports.table.reading import as_dicts, readings
    from .explain_rows import FILES, explain_rows
    from .outputs import deliver, outputs
    from .predictions import form_of, predictions
    from .terminal import show

    if args.out is not None and args.out.suffix.lower() in FILES:
        return explain_rows(args, _choices(args), _ARGUMENTS)
    to = outputs(args)
    with as_options(**_ARGUMENTS):
        result = answer(_question(args), quality=args.no_quality is None)
    to = to._replace(form=args.out_format or form_of(result))
    table = predictions(result, to.form)
    result = replace(result, notes=[*result.notes, *table.notes])
    page = functools.partial(write, language=args.language or "en")
    deliver(to, result, table, page, f"{args.path.name}: {args.target}")
    if args.json:
        write_json({**result.summary, **to.files(), "notes": result.notes, "columns": as_dicts(readings(result))})
    else:
        show(result, args.path.name, [to.page, to.predictions])
    return 0


def _question(args: argparse.Namespace) -> "Question":
    """Read the table to explain, and the training table if `--train` names one."""
    from dataclasses import replace

    from ..estimators import MAX_ROWS
    from ..reports.table.question import of_table, of_two_tables
    from ..reports.table.source import Source

    read, choices = _read(args.path, args.sheet), _choices(args)
    rest = (args.target, args.train_rows, MAX_ROWS, args.seed)
    if args.train is None:
        suggest("--target", args.target, read.table.columns)
        question, notes, train = of_table(read.table, *rest, str(args.path), choices), read.notes, read
    else:
        train = _read(args.train, args.sheet)
        names = (str(args.path), str(args.train))
        question = of_two_tables(read.table, train.table, *rest, names, choices)
        notes = [*(f"{names[1]}: {note}" for note in train.notes), *(f"{names[0]}: {note}" for note in read.notes)]
    return replace(question, notes=[*notes, *question.notes], source=Source(read, train, args.target))


def _choices(args: argparse.Namespace) -> "Choices":
    """Return what the options say about the columns."""
    from ..reports.table.question import Choices

    types = dict(_named("--type", text, "COLUMN=KIND") for text in args.type or ())
    steps = dict(_named("--order", text, "COLUMN=A<B") for text in args.order or ())
    order = {name: [step.strip() for step in text.split("<")] for name, text in steps.items()}
    said = (args.id, args.positive, args.group, args.outcome, args.max_memory)
    return Choices(args.missing or (), types, order, args.drop or (), *said)


def _named(option: str, text: str, form: str) -> tuple[str, str]:
    """Split `column=value`."""
    name, sign, value = text.partition("=")
    if not (sign and name.strip() and value.strip()):
        raise MapstoError(f"{option}: got {text!r}, expected {form}.")
    return name.strip(), value.strip()


def _read(path: Path, sheet: str | None) -> "TableFile":
    """Read a table and name its rows by their number from 1."""
    from ..tables.tablefile import read

    file = read(path, sheet)
    return file._replace(table=file.table.set_axis(range(1, len(file.table) + 1)))
