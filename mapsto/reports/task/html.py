"""The page of a test task, alone or before the course of the training that led to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import page
from ..film import POLICY, script
from .answer import TaskAnswer
from .sections import sections


def task_page(title: str, task: TaskAnswer | None, sentences: Sequence[str], run: Mapping[str, Any] | None) -> str:
    """Return the page of a test task, a run, or both; call it within `plain_style()`."""
    parts = None if task is None else sections(task)
    return page.render(
        "run.html.jinja",
        title=title,
        overview=[*([parts["about"]] if parts else []), *sentences],
        task=parts,
        run=run,
        policy=POLICY,
        script=script(),
    )
