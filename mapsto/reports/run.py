"""The page of a run: a test task answered and explained, then the course of the training that led to it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..figures.svg import plain_style
from . import page
from .answer import Answer
from .course import Metrics, course, curve, quantities
from .task.html import task_page


def write_run_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    metrics: Metrics,
    config: str,
    evaluation: Mapping[str, Any] | None = None,
    files: Sequence[tuple[str, int]] = (),
    notes: Sequence[str] = (),
    task: Answer | None = None,
) -> Path:
    """Write the report of a training run as one HTML file, and return its path.

    `metrics` holds one dictionary for each logged step, with the key `step`; `config` is the text of `config.yaml`;
    `evaluation` maps the name of a measure to its value; `files` lists the name and the size in bytes of each file of
    the run. `task` is the answer about a test task, which the page shows first.

    Raises:
        MapstoError: the file cannot be written.
    """
    with plain_style():
        run = {
            "curves": [curve(metrics, name) for name in quantities(metrics)],
            "evaluation": evaluation,
            "config": config,
            "files": files,
        }
        text = task_page(title, task, [*course(metrics), *notes], run)
    return page.write(path, text)
