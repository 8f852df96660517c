"""The answer of a table on the terminal: its numbers, the predictions, the training rows, the columns and the notes.

Long names are folded, never cut, and a character that would steer the terminal is written as □.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ..figures.fonts import drawable
from ..figures.style import shorten
from ..reports.table import lines, reading
from ..reports.words import count

if TYPE_CHECKING:
    from ..reports.table.base import TableAnswer

_LISTED = 15  # columns; the report has all


def show(answer: "TableAnswer", title: str, files: Sequence[Path]) -> None:
    """Print the answer, its notes, and the files that were written."""
    console = Console(highlight=False)
    counts = f"{count(len(answer.question.labels), 'row')} taught, {len(answer.outputs)} predicted and explained."
    console.print(f"[bold]{_plain(title)}[/bold]: {counts}")
    for sentence in answer.headlines():
        console.print(f"[bold red]{_plain(sentence)}[/bold red]", soft_wrap=True)
    if answer.checked:
        console.print(_quality(answer))
    if second := answer.second_look():
        console.print(second)
    for table in (_predictions(answer), _training_rows(answer), *_columns(answer)):
        console.print(table)
    for note in answer.notes:
        console.print(f"note: {_plain(note)}", soft_wrap=True)
    for path in files:
        console.print(f"wrote {_plain(str(path))}", soft_wrap=True)


def _plain(text: str) -> str:
    return escape(drawable(text))


def _table(title: str, *heads: str) -> Table:
    return Table(*(Column(head, overflow="fold") for head in heads), title=title, title_justify="left")


def _quality(answer: "TableAnswer") -> Table:
    title = f"Quality and checks, {answer.how}"
    table = Table("", "", "95 % interval, or difference", title=title, title_justify="left")
    for line in answer.quality_lines():
        table.add_row(*map(escape, line))
    return table


def _predictions(answer: "TableAnswer") -> Table:
    rows = lines.listed(answer)
    left = len(answer.outputs) - len(rows)
    more = f"Predictions and their strongest reasons ({left} more in the report)"
    title = more if left else "Predictions and reasons"
    heads = ("row", "prediction", f"reasons, in {answer.measure}, with 90 % intervals")
    table = _table(title, *heads)
    for i in rows:
        table.add_row(*map(_plain, lines.prediction_line(answer, i)))
    return table


def _training_rows(answer: "TableAnswer") -> Table:
    heads = ("row", f"training row (its outcome) and its push on the prediction, in {answer.measure}")
    table = _table("Training rows that drove these predictions", *heads)
    for line in lines.training_lines(answer):
        table.add_row(*map(_plain, line))
    return table


def _columns(answer: "TableAnswer") -> list[Table]:
    """Return the table of how columns were read, without those that stand only in the report."""
    columns = reading.readings(answer)
    left = len(columns) - _LISTED
    title = "How your table was read" + (f" ({left} more columns in the report)" if left > 0 else "")
    if answer.question.source is not None:
        title += "; to change it: --type, --missing, --order, --drop, --id"
    table = _table(title, "column", "read as", "range or levels", "missing", "not used, because")
    for c in columns[:_LISTED]:
        values = f"{shorten(c.values, 60)} {c.unit}".strip()
        table.add_row(*map(_plain, (shorten(c.name, 60), c.kind, values, c.share, c.why)))
    return [table] * bool(columns)
