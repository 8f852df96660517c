"""What a person reads on the terminal: one table of numbers, who taught what, and what is awkward about the table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from .answer import Answer

_LISTED = 10  # rows whose predictions are printed where quality cannot be measured
_STRONGEST = 3  # columns, or training rows, that a line names


def show(answer: "Answer", title: str, files: Sequence[Path]) -> None:
    """Print the answer."""
    console = Console(highlight=False)
    q, n = answer.question, len(answer.probabilities)
    console.print(f"[bold]{escape(title)}[/bold]: {_rows(len(q.train))} taught, {n} predicted and explained.")
    console.print(_numbers(answer))
    console.print(_predictions(answer))
    console.print(_teachers(answer))
    for note in answer.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True)
    for path in files:
        console.print(f"wrote {escape(str(path))}", soft_wrap=True)


def _numbers(answer: "Answer") -> Table:
    s, a = answer.summary, answer.summary["agreement"]
    table = Table(title="Quality and checks", title_justify="left", show_header=False)
    judged = f"on {_rows(len(answer.question.judges))} that did not teach"
    known = s["accuracy"] is not None
    table.add_row("AUC", _number(s["auc"]), judged if known else "no outcome to judge by")
    for name in ("accuracy", "log_loss", "calibration_error"):
        table.add_row(name.replace("_", " "), _number(s[name]), "")
    for name, scores in s["baselines"].items():
        table.add_row(f"AUC of {name.replace('_', ' ')}", _number(scores["auc"]), "on the same rows" if known else "")
    table.add_row(
        "agreement R²", _number(a["r2"]), f"with exact Shapley values, {_rows(a['rows'])} × {a['columns']} columns"
    )
    table.add_row("agreement cosine", _number(a["cosine"]), "")
    table.add_row("ms per explained row", f"{s['ms_per_row']:.2f}", "")
    return table


def _predictions(answer: "Answer") -> Table:
    measured = answer.question.judges is answer.question.rows
    first = range(0 if measured else min(_LISTED, len(answer.probabilities)))
    rows = list(dict.fromkeys([*first, *answer.told]))
    left = len(answer.probabilities) - len(rows)
    title = (
        f"Predictions and their strongest reasons ({left} more in the report)" if left else "Predictions and reasons"
    )
    table = Table(
        "row", "prediction", "reasons, in percentage points of the predicted class", title=title, title_justify="left"
    )
    for i in rows:
        best = int(answer.probabilities[i].argmax())
        said = f"{escape(str(answer.classes[best]))} {answer.probabilities[i, best]:.0%}"
        table.add_row(escape(str(answer.question.rows.index[i])), said, escape(_reasons(answer, i, best)))
    return table


def _teachers(answer: "Answer") -> Table:
    q = answer.question
    table = Table(
        "row", "training row (its class): points by which it pushed the predicted class", title_justify="left"
    )
    table.title = "Training rows that drove these predictions"
    for i, change in zip(answer.told, answer.influence, strict=True):
        push = -100 * change[:, int(answer.probabilities[i].argmax())]
        named = [f"{q.train.index[j]} ({q.labels[j]}) {push[j]:+.1f}" for j in _largest(push)]
        table.add_row(escape(str(q.rows.index[i])), escape(", ".join(named) or "none moves it by 0.1 points"))
    return table


def _reasons(answer: "Answer", i: int, c: int) -> str:
    e = answer.reasons
    points = 100 * e.values[i, :, c]
    said = [f"{e.feature_names[j]} = {_cell(e.data[i, j])}: {points[j]:+.1f}" for j in _largest(points)]
    return ", ".join(said) or "no column moves it by 0.1 points"


def _largest(values: np.ndarray) -> list[int]:
    return [int(j) for j in np.argsort(-np.abs(values), kind="stable")[:_STRONGEST] if abs(values[j]) >= 0.05]


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
