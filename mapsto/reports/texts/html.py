"""The page of an answer about texts."""

from __future__ import annotations

import os
from pathlib import Path

from .. import page
from ..table import words as measures
from ..table.headlines import headlines
from . import cases, words
from .answer import Answer


def write(answer: Answer, path: str | os.PathLike[str], title: str, mark: str = "") -> Path:
    """Write the page of an answer as one self-contained HTML file, whole or not at all, and return its path.

    If `mark` is given, it stands in the head of the page and says of which table the page is.

    Raises:
        MapstoError: if the file cannot be written.
    """
    return page.write(path, text(answer, title, mark))


def text(answer: Answer, title: str, mark: str = "") -> str:
    """Return the page."""
    summary = answer.summary
    return page.render(
        "texts.html.jinja",
        title=title,
        mark=mark,
        answer=answer,
        overview=words.overview(answer),
        numbers=measures.quality(summary, len(answer.classes)),
        comparison=measures.comparison(summary, summary["baselines"]),
        measured=summary["accuracy"] is not None,
        how=answer.evidence.how if answer.evidence else "",
        headlines=headlines(summary),
        strongest=words.of_classes(answer),
        cases=cases.cases(answer),
        listed=cases.listed(answer),
        agreement=words.agreement(summary["agreement"]) if summary["agreement"]["r2"] is not None else None,
        notes=answer.notes,
    )
