"""The page of an answer about images."""

from __future__ import annotations

import os
from pathlib import Path

from ...figures.svg import plain_style
from .. import page
from . import cases, words
from .answer import Answer


def write(answer: Answer, path: str | os.PathLike[str], title: str) -> Path:
    """Write the page of an answer as one self-contained HTML file, whole or not at all, and return its path.

    Raises:
        MapstoError: if the file cannot be written.
    """
    with plain_style():
        return page.write(path, text(answer, title))


def text(answer: Answer, title: str) -> str:
    """Return the page; call it within `plain_style()`."""
    e = answer.reasons
    return page.render(
        "images.html.jinja",
        title=title,
        overview=words.overview(answer),
        training=cases.training(answer),
        numbers=words.quality(answer),
        classes=cases.classes(answer),
        cases=cases.cases(answer),
        agreement=words.agreement(answer.agreement) if answer.agreement["r2"] is not None else None,
        start=dict(zip(answer.classes, e.base_values[0], strict=True)),
        notes=answer.notes,
    )
