"""The main job, whole: a table's rows predicted and explained, the reasons checked, the quality measured if it can be.

(training rows, labels), rows ↦ probabilities, reasons, agreement with exact Shapley values, influence, quality
"""

import math
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from ..estimators import TableClassifier
from ..explanation import Explanation
from ..figures.facts import telling_rows
from ..figures.report import write_table_report
from ..measures import agreement
from .exact import COLUMNS, exact_values
from .quality import quality
from .teaching import driven

CHECKED = 32
"""How many explanations are held against exact Shapley values (fewer where many rows teach many classes)."""


@dataclass(frozen=True, eq=False)
class Question:
    """A table: rows that teach with their labels, rows to explain, and rows whose known outcome judges the quality."""

    train: pd.DataFrame
    labels: np.ndarray
    rows: pd.DataFrame
    judges: pd.DataFrame
    truth: np.ndarray  # the outcomes of the judges
    seed: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Answer:
    """What is found out about a `Question`; `summary` holds the numbers that `--json` prints."""

    question: Question
    classes: np.ndarray
    probabilities: Float[np.ndarray, "n k"]
    reasons: Explanation
    told: list[int]  # the rows whose training-row influence is shown
    influence: Float[np.ndarray, "r n_train k"]
    judged: Float[np.ndarray, "m k"]  # what is predicted for the judges
    summary: dict[str, Any]
    notes: list[str]


def answer(question: Question) -> Answer:
    """Do the main job; what Python would warn of becomes a note."""
    q = question
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        fitted = TableClassifier().fit(q.train, q.labels)
        start = time.perf_counter()
        reasons = fitted.explain(q.rows)
        took = time.perf_counter() - start
        p = reasons.predictions
        told = telling_rows(p)
        influence, bounded = driven(fitted, q.train, q.rows.iloc[told])
        judged = p if q.judges is q.rows else fitted.predict_proba(q.judges) if len(q.judges) else p[:0]
        measured = quality(fitted, q.train, q.labels, q.judges, judged, q.truth, q.seed)
        checked = _checked(q, fitted, reasons)
    if checked["columns"] < len(fitted.used_):
        told_of = f"the {checked['columns']} columns that move predictions most"
        bounded.append(f"reasons were held against exact ones with only {told_of} filled in.")
    notes = [*q.notes, *fitted.notes_, *bounded, *dict.fromkeys(str(warning.message) for warning in said)]
    summary = {**measured, "agreement": checked, "ms_per_row": 1e3 * took / len(q.rows)}
    summary["baselines"] = summary.pop("baselines")  # last, as it is printed
    return Answer(q, fitted.classes_, p, reasons, told, influence, judged, summary, notes)


def write_report(answer: Answer, path: Path, title: str) -> None:
    """Write the page that shows the answer."""
    q, classes = answer.question, answer.classes
    truth = np.searchsorted(classes, q.truth)
    write_table_report(
        path,
        title=title,
        summary={name: value for name, value in answer.summary.items() if not isinstance(value, dict)},
        explanation=answer.reasons,
        probabilities=answer.probabilities,
        y_true=truth if q.judges is q.rows else None,
        judged=(answer.judged, truth) if len(truth) else None,
        train=q.train,
        train_labels=np.searchsorted(classes, q.labels),
        influence=answer.influence,
        influence_rows=answer.told,
        agreement=answer.summary["agreement"] if answer.summary["agreement"]["r2"] is not None else None,
        baselines=answer.summary["baselines"],
        notes=answer.notes,
        row_names=[str(name) for name in q.rows.index],
    )


def _checked(question: Question, fitted: TableClassifier, reasons: Explanation) -> dict[str, Any]:
    """Hold one-pass reasons against exact ones; of a wide table, with all but the columns that count left empty."""
    work = len(question.train) * len(fitted.classes_) / 128  # of one exact value; 1 for 64 rows of two classes
    rows, players = question.rows.iloc[: round(CHECKED / min(max(work, 1), 8))], fitted.used_.tolist()
    values = reasons.values[: len(rows)]
    if len(players) > COLUMNS:
        count = np.sort(np.argsort(-reasons.importance.sum(1), kind="stable")[:COLUMNS])
        players = count.tolist()
        rows = rows.where(np.tile(np.isin(np.arange(rows.shape[1]), count), (len(rows), 1)))
        values = fitted.explain(rows).values
    found = agreement(values[:, players], exact_values(fitted, rows, players))
    r2, cosine = (None if math.isnan(value) else value for value in found[:2])
    return {"r2": r2, "cosine": cosine, "rows": len(rows), "columns": len(players)}
