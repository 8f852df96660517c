"""The files that `mapsto explain` writes about a table: checked before any work is done, written when all is known."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .. import checks
from .folder import make, mark, name_for, refuse_input, refuse_other, writable
from .sheet import Sheet, refuse_without_package, write_sheet

_ROWS = (".parquet", ".csv")
_FILES = (*_ROWS, ".pq", ".xlsx", ".ods", ".html", ".json", ".tsv", ".feather")


class Outputs(NamedTuple):
    """The page, the file of predictions and its format, and the mark of the table in the page."""

    page: Path
    predictions: Path
    form: str
    mark: str

    def files(self) -> dict[str, str]:
        """Return the paths of both files for a machine."""
        return {"report": str(self.page), "predictions": str(self.predictions)}


def outputs(args: argparse.Namespace) -> Outputs:
    """Return where the files go, without making anything yet.

    Raises:
        MapstoError: if nothing may be written there, the folder holds the report of another table, or the format needs
            a package that is not installed.
    """
    form = args.out_format or "csv"
    refuse_without_package(form)
    named_a_file = args.out is not None and args.out.suffix.lower() in _FILES and not args.out.is_dir()
    remedy = f"tables explained by cells go to one {' or '.join(_ROWS)} file too"
    checks.expect(not named_a_file, "--out", args.out, "a folder", remedy)
    folder = writable(args.out or name_for(args.path))
    if args.out is None:
        refuse_other(args.path, folder)
    predictions = folder / f"predictions.{form.rstrip(';')}"
    refuse_input(predictions, args.path, args.train)
    return Outputs(folder / "report.html", predictions, form, mark(args.path, folder))


def deliver(to: Outputs, answer: Any, table: Sheet, write: Callable[..., object], title: str) -> None:
    """Write the page by `write` and the predictions."""
    make(to.page.parent)
    write(answer, to.page, title, to.mark)
    write_sheet(table, to.predictions, to.form)
