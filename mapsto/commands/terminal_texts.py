"""The answer about texts on the terminal: the quality, the predictions with their words, and the training texts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..figures import numbers, style
from ..reports.table.headlines import headlines
from ..reports.table.rivals import baseline_name
from ..reports.table.words import interval
from ..reports.words import count
from ..texts.scripts import isolated

if TYPE_CHECKING:
    from ..reports.texts import Answer

_LISTED, _STRONGEST = 10, 3  # predictions, and words or training texts of a prediction
_WRITTEN = 0.0005  # a smaller contribution would be written as 0.0 points


def show(answer: "Answer", title: str, files: Sequence[Path]) -> None:
    """Print the answer, its notes, and the files that were written."""
    console, s = Console(highlight=False), answer.summary
    counts = f"{count(s['training_texts'], 'text')} taught, {s['texts']:,} predicted and explained."
    console.print(f"[bold]{escape(title)}[/bold]: {counts}")
    left = max(0, s["texts"] - _LISTED)
    more = f" ({left:,} more in the report)" if left else ""
    predictions = ("row", "prediction", "reasons, in percentage points of the predicted class")
    training = ("row", "training texts (their class): points by which they pushed the predicted class")
    for sentence in headlines(s):
        console.print(f"[bold red]{escape(sentence)}[/bold red]", soft_wrap=True)
    how = answer.evidence.how if answer.evidence else "no class is known"
    _print(console, f"Quality and checks, {how}", (), _quality(answer))
    _print(console, f"Predictions and their strongest reasons{more}", predictions, _predictions(answer))
    _print(console, "Training texts that drove these predictions", training, _training(answer))
    for note in answer.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True)
    for path in files:
        console.print(f"wrote {escape(str(path))}", soft_wrap=True)


def _print(console: Console, title: str, heads: Sequence[str], lines: Iterator[tuple[str, ...]]) -> None:
    table = Table(*heads, title=title, title_justify="left", show_header=bool(heads))
    for line in lines:
        table.add_row(*map(escape, line))
    console.print(table)


def _quality(answer: "Answer") -> Iterator[tuple[str, ...]]:
    s, agreement = answer.summary, answer.summary["agreement"]
    for name in ("accuracy", "auc", "log_loss", "calibration_error"):
        yield name.replace("_", " "), _number(s[name]), interval(s, name)
    for name, scores in s["baselines"].items():
        yield f"accuracy of {baseline_name(name)}", _number(scores["accuracy"]), ""
    checked = f"with exact Shapley values, {count(agreement['texts'], 'text')} of up to {agreement['parts']} parts"
    yield "agreement R²", _number(agreement["r2"]), checked
    yield "ms per explained text", f"{s['ms_per_row']:.2f}", ""


def _predictions(answer: "Answer") -> Iterator[tuple[str, ...]]:
    for i in range(min(_LISTED, len(answer.predicted))):
        c, parts = int(answer.predicted[i]), answer.reasons.parts[i]
        values = answer.reasons.values[i, : len(parts), c]
        reasons = [f"{isolated(style.shorten(parts[j], 40))} {numbers.points(values[j])}" for j in _largest(values)]
        prediction = f"{answer.classes[c]} {numbers.percent(answer.probabilities[i, c])}"
        yield answer.names[i], prediction, ", ".join(reasons) or "no word moves it by 0.1 points"


def _training(answer: "Answer") -> Iterator[tuple[str, ...]]:
    texts, labels = answer.question.train.iloc[:, 0], answer.question.labels
    for i, push in zip(answer.cases, answer.push, strict=True):
        p = push[:, int(answer.predicted[i])]
        pushes = [
            f"{isolated(style.shorten(texts.iloc[j], 40))} ({labels[j]}) {numbers.points(p[j])}" for j in _largest(p)
        ]
        yield answer.names[i], ", ".join(pushes) or "none moves it by 0.1 points"


def _largest(values: np.ndarray) -> list[int]:
    return [int(j) for j in np.argsort(-np.abs(values), kind="stable")[:_STRONGEST] if abs(values[j]) >= _WRITTEN]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
