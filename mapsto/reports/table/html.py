"""The page of a table's answer."""

from __future__ import annotations

import os
from pathlib import Path

from ...figures.svg import plain_style
from .. import page
from . import cases, lines, overview, words
from .answer import Answer
from .headlines import headlines


def write(answer: Answer, path: str | os.PathLike[str], title: str) -> Path:
    """Write the page of an answer as one self-contained HTML file, whole or not at all, and return its path.

    Raises:
        MapstoError: the file cannot be written.
    """
    with plain_style():
        return page.write(path, text(answer, title))


def text(answer: Answer, title: str) -> str:
    """Return the page; call it within `plain_style()`."""
    summary = answer.summary
    compared = summary["agreement"]["r2"] is not None
    return page.render(
        "table.html.jinja",
        title=title,
        answer=answer,
        headlines=headlines(summary),
        overview=overview.overview(answer),
        numbers=words.quality(summary, len(answer.classes)),
        how=lines.how(answer),
        measured_by=summary.get("measured"),
        intervals=summary.get("intervals"),
        decisions=words.decisions(summary),
        each_class=words.each_class(summary),
        second_look=words.second_look(summary),
        measured=any(summary[key] is not None for key in ("accuracy", "auc", "log_loss")),
        comparison=words.comparison(summary, summary["baselines"]),
        swarms=overview.swarms(answer),
        moved=overview.moved(answer),
        cases=cases.cases(answer),
        influences=cases.influences(answer),
        reliability=overview.trust(answer),
        agreement=words.agreement(summary["agreement"]) if compared else None,
        listed=cases.listed(answer),
        notes=answer.notes,
    )
