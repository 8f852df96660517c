"""The answer about pupils on the terminal: the quality, the predictions with their reasons, and what to ask next."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..figures import numbers
from ..figures.fonts import drawable
from ..reports.pupils import cases, words

if TYPE_CHECKING:
    from ..reports.pupils import Answer

_LISTED = 15  # predictions and pupils; the report has all


def show(answer: "Answer", title: str, files: Sequence[Path]) -> None:
    """Print the answer, its notes, and the files that were written."""
    console = Console(highlight=False)
    console.print(f"[bold]{_plain(title)}[/bold]: {words.overview(answer)[0]}", soft_wrap=True)
    quality = [(name, *cells) for name, cells in words.quality(answer.summary)]
    answers = answer.summary["measured_answers"]
    heads = ("prediction", "log loss", "accuracy", "AUC")
    if quality:
        _print(console, f"Quality on {answers:,} answers, each predicted from those before it", heads, iter(quality))
    left = max(0, len(answer.questions) - _LISTED)
    more = f" ({left:,} more in the report)" if left else ""
    _print(console, f"Next answers{more}", ("pupil", "question", "right", "because of"), _predictions(answer))
    _print(console, "Ask next", ("pupil", "item", "gain, bits", "because"), _advice(answer))
    for note in answer.notes:
        console.print(f"note: {_plain(note)}", soft_wrap=True)
    for path in files:
        console.print(f"wrote {_plain(str(path))}", soft_wrap=True)


def _predictions(answer: "Answer") -> Iterator[tuple[str, ...]]:
    for i, pupil in enumerate(answer.questions["pupil"][:_LISTED]):
        case = cases.shaded(answer, i)
        yield pupil, case["question"], numbers.percent(case["probability"]), case["caption"]


def _advice(answer: "Answer") -> Iterator[tuple[str, ...]]:
    for pupil in answer.pupils[:_LISTED]:
        best = cases.advice(answer, pupil)[0]
        yield pupil, best["item"], f"{best['gain']:.3f}", best["reason"]


def _print(console: Console, title: str, heads: Sequence[str], lines: Iterator[tuple[str, ...]]) -> None:
    table = Table(*heads, title=title, title_justify="left")
    for line in lines:
        table.add_row(*map(_plain, line))
    console.print(table)


def _plain(text: str) -> str:
    return escape(drawable(text))
