"""The page of a test task, alone or before the course of the training that led to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import page
from ..film import POLICY, script
from ..robots.answer import RobotAnswer
from ..robots.html import sections as robot_sections
from .answer import TaskAnswer
from .sections import about as sections_about
from .sections import sections


def task_page(
    title: str, task: TaskAnswer | RobotAnswer | None, sentences: Sequence[str], run: Mapping[str, Any] | None
) -> str:
    """Return the page of a test task, a run, or both; call it within `plain_style()`."""
    parts = None if task is None else _sections(task)
    return page.render(
        "run.html.jinja",
        title=title,
        overview=[*([parts["about"]] if parts else []), *sentences],
        task=parts,
        run=run,
        policy=POLICY,
        script=script(),
    )


def about(task: TaskAnswer | RobotAnswer) -> str:
    """Describe the task, and the success of the model or the policy in it."""
    return task.about() if isinstance(task, RobotAnswer) else sections_about(task)


def _sections(task: TaskAnswer | RobotAnswer) -> dict[str, Any]:
    return robot_sections(task) if isinstance(task, RobotAnswer) else sections(task)
