"""The reports: a table's predictions with their reasons, and a training run's course, each as one self-contained page.

Nothing is computed about the model here: the facts come in, `sections` puts them in pictures and words, a template
sets the page, and the file appears whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from . import page, sections, task_sections, words
from .curve import learning_curve
from .facts import Facts, telling_rows
from .slider import POLICY, script
from .task_facts import TaskFacts

if TYPE_CHECKING:
    import pandas as pd

    from ..explanation import Explanation


def write_table_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    summary: Mapping[str, float | None],
    explanation: Explanation,
    probabilities: Float[np.ndarray, "n k"],
    y_true: Int[np.ndarray, " n"] | None,
    train: pd.DataFrame,
    train_labels: Int[np.ndarray, " n_train"],
    influence: Float[np.ndarray, "r n_train k"] | None = None,
    influence_rows: Sequence[int] = (),
    agreement: Mapping[str, Any] | None = None,
    baselines: Mapping[str, Mapping[str, float | None]] | None = None,
    notes: Sequence[str] = (),
    row_names: Sequence[object] | None = None,
    judged: tuple[Float[np.ndarray, "m k"], Int[np.ndarray, " m"]] | None = None,
) -> Path:
    """Write the report of a table as one self-contained HTML file, whole or not at all, and return its path.

    `summary` holds `auc, accuracy, log_loss, calibration_error` (fractions) and `ms_per_row`, each possibly None;
    `y_true` and `train_labels` are class indices, `y_true` None where no outcome is known; `influence` is how the
    predictions of the rows `influence_rows` change when each training row is deleted; `agreement` holds `r2, cosine,
    rows, columns`; `row_names` name the explained rows (default: their number, from 1); `judged` are the predictions
    and outcomes that the quality was measured on, where they are not those of the explained rows.

    Raises:
        MapstoError: the file cannot be written.
        ValueError: no row is explained, or parts do not fit together.
    """
    p = np.asarray(probabilities, float)
    y = None if y_true is None else np.asarray(y_true)
    told = influence is not None and len(influence) > 0
    facts = Facts(
        values=np.asarray(explanation.values, float),
        base=np.asarray(explanation.base_values, float),
        cells=np.asarray(explanation.data, dtype=object),
        names=[str(name) for name in explanation.feature_names],
        classes=[str(name) for name in explanation.class_names],
        p=p,
        y=y,
        train=train,
        train_labels=np.asarray(train_labels),
        change=np.asarray(influence, float) if told else None,
        rows=[int(i) for i in influence_rows] if told or not len(p) else telling_rows(p),
        row_names=[str(name) for name in (range(1, len(p) + 1) if row_names is None else row_names)],
        judged=judged if y is None or judged is not None else (p, y),
    )
    return page.write(path, _table_page(title, facts, summary, agreement, baselines or {}, notes))


def _table_page(
    title: str,
    facts: Facts,
    summary: Mapping[str, float | None],
    agreement: Mapping[str, Any] | None,
    baselines: Mapping[str, Mapping[str, float | None]],
    notes: Sequence[str],
) -> str:
    with page.plain_style():
        return page.render(
            "table.html.jinja",
            title=title,
            facts=facts,
            overview=sections.overview(facts, summary),
            numbers=words.quality(summary, len(facts.classes)),
            measured=any(summary.get(key) is not None for key in ("accuracy", "auc", "log_loss")),
            comparison=words.comparison(summary, baselines),
            swarms=sections.swarms(facts),
            moved=sections.moved(facts),
            cases=sections.cases(facts),
            influences=sections.influences(facts),
            reliability=sections.trust(facts),
            agreement=words.agreement(agreement) if agreement else None,
            listed=sections.listed(facts),
            notes=list(notes),
        )


def write_run_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    metrics: Sequence[Mapping[str, Any]],
    config: str,
    evaluation: Mapping[str, Any] | None = None,
    files: Sequence[tuple[str, int]] = (),
    notes: Sequence[str] = (),
    task: TaskFacts | None = None,
) -> Path:
    """Write the report of a training run as one self-contained HTML file, and return its path.

    `metrics` are the logged steps, each with `step` and some numbers; `config` is the text of `config.yaml`;
    `evaluation` maps the name of a measure to its value; `files` are the run's (name, bytes); `task` is a test task
    that is told on the page, where the run's learner could be asked about one.

    Raises:
        MapstoError: the file cannot be written.
    """
    with page.plain_style():
        told = None if task is None else task_sections.task(task)
        text = page.render(
            "run.html.jinja",
            title=title,
            overview=[*([told["about"]] if told else []), *words.course(metrics), *notes],
            task=told,
            policy=POLICY,
            script=script(),
            curves=[_curve(metrics, name) for name in words.logged(metrics)],
            evaluation=evaluation,
            config=config,
            files=files,
        )
    return page.write(path, text)


def _curve(metrics: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Draw one logged quantity."""
    steps, y = words.series(metrics, name)
    first, last = (f"{words.number(y[i])} at step {steps[i]:,}" for i in (0, -1))
    alt = f"Learning curve of {name}: {first}, {last}."
    return {"name": name, "picture": page.picture(learning_curve(steps, y, name), alt)}
