"""The page of an answer about texts."""

from __future__ import annotations

import os
from pathlib import Path

from .. import page
from ..language import speaking, translating
from ..private import hide
from ..table import words as measures
from ..table.headlines import headlines
from . import cases, words
from .answer import Answer
from .hidden import hidden


def write(answer: Answer, path: str | os.PathLike[str], title: str, mark: str = "", language: str = "en") -> Path:
    """Write the page of an answer as one self-contained HTML file, whole or not at all, and return its path.

    If `mark` is given, it stands in the head of the page and says of which table the page is. `language` is "en" for
    English or "zh" for Chinese.

    Raises:
        MapstoError: there is no such language, or the file cannot be written.
    """
    with speaking(language):
        return page.write(path, text(answer, title, mark))


def text(answer: Answer, title: str, mark: str = "") -> str:
    """Return the page."""
    summary, strongest = answer.summary, words.of_classes(answer)
    if translating():
        answer, title = hidden(answer), hide(title)
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
        strongest=strongest,
        cases=cases.cases(answer),
        listed=cases.listed(answer),
        agreement=words.agreement(summary["agreement"]) if summary["agreement"]["r2"] is not None else None,
        notes=answer.notes,
    )
