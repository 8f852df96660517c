"""The page of an answer about pupils."""

from __future__ import annotations

import os
from pathlib import Path

from .. import page
from ..language import speaking, translating
from . import cases, words
from .answer import Answer
from .hidden import hidden, hidden_title


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
    if translating():
        answer, title = hidden(answer), hidden_title(title)
    return page.render(
        "pupils.html.jinja",
        title=title,
        mark=mark,
        overview=words.overview(answer),
        quality=words.quality(answer.summary),
        answers=answer.summary["measured_answers"],
        cases=cases.cases(answer),
        notes=answer.notes,
    )
