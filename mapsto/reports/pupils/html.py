"""The page of an answer about pupils."""

from __future__ import annotations

import os
from pathlib import Path

from .. import page
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
