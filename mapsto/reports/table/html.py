"""The page of a table's answer."""

from __future__ import annotations

import os
from pathlib import Path

from ...figures import fonts
from ...figures.svg import plain_style
from .. import page
from ..language import speaking, translating
from . import cases, overview, reading, words
from .base import TableAnswer
from .hidden import Said, hidden, hidden_said


def write(answer: TableAnswer, path: str | os.PathLike[str], title: str, mark: str = "", language: str = "en") -> Path:
    """Write the page of an answer as one self-contained HTML file, whole or not at all, and return its path.

    If `mark` is given, it stands in the head of the page and says of which table the page is. `language` is "en" for
    English or "zh" for Chinese.

    Raises:
        MapstoError: there is no such language, or the file cannot be written.
    """
    with plain_style(), speaking(language):
        return page.write(path, text(answer, title, mark))


def _head(place: str) -> tuple[str, str] | None:
    """Return the head of the column of line numbers, in two lines, or None if there are none."""
    words = "".join(letter for letter in place if not letter.isdigit()).split()
    return (words[0], " ".join(words[1:])) if words else None


def _of_fonts(answer: TableAnswer) -> list[str]:
    """Say that a picture needs the reader's fonts, if no font of this computer has its letters."""
    letters = fonts.missing("".join([*answer.columns, *answer.names, *answer.row_names]))[:3]
    remedy = "if boxes stand there instead, install a font that has them, such as Noto Sans"
    return (
        [f"pictures: letters such as {letters} are drawn with the fonts of your browser; {remedy}."] if letters else []
    )


def text(answer: TableAnswer, title: str, mark: str = "") -> str:
    """Return the page; call it within `plain_style()`."""
    compared = answer.summary["agreement"]["r2"] is not None
    said = Said(title, reading.readings(answer), reading.sentences(answer), [*answer.notes, *_of_fonts(answer)])
    if translating():
        answer, said = hidden(answer), hidden_said(said)
    return page.render(
        answer.template,
        mark=mark,
        answer=answer,
        unit=answer.unit(answer.targets[0]),
        headlines=answer.headlines(),
        overview=overview.overview(answer),
        how=answer.how,
        second_look=answer.second_look(),
        swarms=overview.swarms(answer),
        moved=overview.moved(answer),
        cases=cases.cases(answer),
        influences=cases.influences(answer),
        agreement=words.agreement(answer.summary["agreement"]) if compared else None,
        listed=cases.listed(answer),
        places=_head(answer.place(0)),
        training_places=_head(answer.training_place(0)),
        **said._asdict(),
        **answer.sections(),
    )
