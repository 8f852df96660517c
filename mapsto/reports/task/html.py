"""The page of a test task, alone or before the course of the training that led to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import page
from ..answer import Answer
from ..film import POLICY, script


def task_page(title: str, task: Answer | None, sentences: Sequence[str], run: Mapping[str, Any] | None) -> str:
    """Return the page of a test task, a run, or both; call it within `plain_style()`."""
    return page.render(
        "run.html.jinja",
        title=title,
        overview=[*([task.about()] if task else []), *sentences],
        task=None if task is None else task.sections(),
        run=run,
        policy=POLICY,
        script=script(),
    )
