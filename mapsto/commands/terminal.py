"""The answer of a table on the terminal: one table of numbers, the predictions, the training rows, and the notes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..reports.table import lines
from ..reports.table.headlines import headlines
from ..reports.table.words import second_look
from ..reports.words import count

if TYPE_CHECKING:
    from ..reports.table.answer import Answer


def show(answer: "Answer", title: str, files: Sequence[Path]) -> None:
    """Print the answer, its notes, and the files that were written."""
    console = Console(highlight=False)
    counts = f"{count(len(answer.labels), 'row')} taught, {len(answer.probabilities)} predicted and explained."
    console.print(f"[bold]{escape(title)}[/bold]: {counts}")
    for sentence in headlines(answer.summary):
        console.print(f"[bold red]{escape(sentence)}[/bold red]", soft_wrap=True)
    console.print(_quality(answer))
    if second := second_look(answer.summary):
        console.print(second)
    for table in (_predictions(answer), _training_rows(answer)):
        console.print(table)
    for note in answer.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True)
    for path in files:
        console.print(f"wrote {escape(str(path))}", soft_wrap=True)


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
    table = Table(*heads, title=title, title_justify="left")
    for i in rows:
        table.add_row(*map(escape, lines.prediction_line(answer, i)))
    return table


def _training_rows(answer: "Answer") -> Table:
    heads = ("row", "training row (its class): points by which it pushed the predicted class")
    table = Table(*heads, title="Training rows that drove these predictions", title_justify="left")
    for line in lines.training_lines(answer):
        table.add_row(*map(escape, line))
    return table
