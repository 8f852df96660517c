"""`mapsto demo --images`: learn drawn characters from one example each, and predict and explain new drawings.

The characters are strokes drawn at random in dark ink on light paper. Each drawing shifts each stroke a little.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .folder import make, writable
from .options import write_json

if TYPE_CHECKING:
    from ..reports.images import Answer

CHARACTERS, DRAWINGS, SIZE = 5, 5, 48


def demo_images(args: argparse.Namespace) -> int:
    """Run the demonstration, print its numbers and write `report.html`."""
    from ..reports.images import write

    path = writable(args.out) / "report.html"
    result = _answer(args.seed)
    make(path.parent)
    write(result, path, "Drawn characters, learned from one example each")
    if args.json:
        write_json({**result.summary, "report": str(path), "notes": result.notes})
    else:
        _show(result, path)
    return 0


def _answer(seed: int) -> "Answer":
    import numpy as np

    from ..reports.images import answer
    from ..tasks import PlantedStrokes

    tasks = PlantedStrokes(
        CHARACTERS, 1, DRAWINGS, strokes=3, distractors=0, size=SIZE, jitter=SIZE / 16, width=SIZE / 16
    )
    support, query = tasks.batch(0, 1, seed)[:2]
    names = np.array([f"character {c + 1}" for c in range(CHARACTERS)])
    by_name = [part.y[0].argsort(stable=True) for part in (support, query)]
    (train, labels), (images, truth) = (
        (1 - part.x[0][order].numpy(), names[part.y[0][order].numpy()])
        for part, order in zip((support, query), by_name, strict=True)
    )
    return answer(train, labels, images, truth)


def _show(answer: "Answer", path: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..figures import numbers
    from ..reports.images.words import strongest

    console = Console(highlight=False)
    s, names = answer.summary, list(answer.reasons.feature_names)
    console.print(
        f"[bold]Drawn characters[/bold]: {s['training_images']} images taught, {s['images']} predicted and explained."
    )
    table = Table(title="Quality and checks", title_justify="left", show_header=False)
    for line in _lines(answer):
        table.add_row(*line)
    console.print(table)
    rows = _listed(answer)
    more = f"Predictions and their strongest reasons ({s['images'] - len(rows)} more in the report)"
    heads = ("drawing of", "prediction", "patches, in percentage points of the predicted class")
    table = Table(*heads, title=more, title_justify="left")
    for i in rows:
        c = answer.predicted[i]
        prediction = f"{answer.classes[c]} {numbers.percent(answer.probabilities[i, c])}"
        table.add_row(str(answer.truth[i]), prediction, strongest(answer.reasons.values[i, :, c], names))
    console.print(table)
    for note in answer.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True)
    console.print(f"wrote {escape(str(path))}", soft_wrap=True)


def _listed(answer: "Answer") -> list[int]:
    """Return the positions of the first drawing of each character, and of the mistakes."""
    first = {str(name): i for i, name in reversed(list(enumerate(answer.truth)))}
    wrong = (answer.predicted != answer.true).nonzero()[0].tolist()
    return sorted({*first.values(), *wrong})


def _lines(answer: "Answer") -> list[tuple[str, str, str]]:
    """Return each measure with its value and a remark."""
    s, agreement = answer.summary, answer.summary["agreement"]
    checked = f"with exact Shapley values of {agreement['images']} drawings"
    r2, cosine = ("–" if agreement[key] is None else f"{agreement[key]:.3f}" for key in ("r2", "cosine"))
    return [
        ("accuracy", f"{s['accuracy']:.3f}", f"guessing: {1 / s['classes']:.3f}"),
        ("agreement R²", r2, checked),
        ("agreement cosine", cosine, ""),
        ("ms per explained drawing", f"{s['ms_per_image']:.2f}", ""),
    ]
