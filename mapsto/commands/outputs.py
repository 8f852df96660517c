"""The files that `mapsto explain` writes about a table: checked before any work is done, written when all is known."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .folder import make, mark, name_for, refuse_other, writable
from .sheet import Sheet, refuse_without_package, write_sheet


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
    folder = writable(args.out or name_for(args.path))
    if args.out is None:
        refuse_other(args.path, folder)
    predictions = folder / f"predictions.{form.rstrip(';')}"
    return Outputs(folder / "report.html", predictions, form, mark(args.path, folder))


def deliver(to: Outputs, answer: Any, table: Sheet, write: Callable[..., object], title: str) -> None:
    """Write the page by `write` and the predictions."""
    make(to.page.parent)
    write(answer, to.page, title, to.mark)
    write_sheet(table, to.predictions, to.form)
