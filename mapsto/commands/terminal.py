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
from ..reports.table.headlines import headlines
from ..reports.table.words import second_look
from ..reports.words import count

if TYPE_CHECKING:
    from ..reports.table.answer import Answer

_LISTED = 15  # columns; the report has all


def show(answer: "Answer", title: str, files: Sequence[Path]) -> None:
    """Print the answer, its notes, and the files that were written."""
    console = Console(highlight=False)
    counts = f"{count(len(answer.labels), 'row')} taught, {len(answer.probabilities)} predicted and explained."
    console.print(f"[bold]{_plain(title)}[/bold]: {counts}")
    for sentence in headlines(answer.summary):
        console.print(f"[bold red]{_plain(sentence)}[/bold red]", soft_wrap=True)
    console.print(_quality(answer))
    if second := second_look(answer.summary):
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


def _quality(answer: "Answer") -> Table:
    title = f"Quality and checks, {lines.how(answer)}"
    table = Table("", "", "95 % interval, or difference", title=title, title_justify="left")
    for line in lines.quality_lines(answer):
        table.add_row(*map(escape, line))
    return table


def _predictions(answer: "Answer") -> Table:
    rows = lines.listed(answer)
    left = len(answer.probabilities) - len(rows)
    more = f"Predictions and their strongest reasons ({left} more in the report)"
    title = more if left else "Predictions and reasons"
    heads = ("row", "prediction", "reasons, in percentage points of the predicted class")
    table = _table(title, *heads)
    for i in rows:
        table.add_row(*map(_plain, lines.prediction_line(answer, i)))
    return table


def _training_rows(answer: "Answer") -> Table:
    heads = ("row", "training row (its class): points by which it pushed the predicted class")
    table = _table("Training rows that drove these predictions", *heads)
    for line in lines.training_lines(answer):
        table.add_row(*map(_plain, line))
    return table


def _columns(answer: "Answer") -> list[Table]:
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
