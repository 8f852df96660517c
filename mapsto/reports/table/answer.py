"""The answer to a question about a table: predictions, reasons, the training rows behind them, and checks of all three.

(training rows, outcomes), rows ↦ predictions, reasons, agreement with exact Shapley values, pushes, quality

One record feeds the page, the terminal and the JSON: an `Answer` if classes are predicted, a `NumberAnswer` if numbers
are. If there are two classes, pictures and stories are about the positive one; if there are more, the story of a row is
about its most probable class.
"""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ... import checks
from ...tables.columns import UnreadCells
from .base import TableAnswer, ordered, row_names
from .build import Build, Parts
from .class_answer import Answer
from .class_build import ClassBuild, typical_rows
from .exact import UNCHECKED, check
from .number_answer import NumberAnswer
from .number_build import NumberBuild
from .pushes import pushes
from .question import Question
from .remarks import about_rows

if TYPE_CHECKING:
    from ...estimators.table import TableEstimator

__all__ = ["Answer", "NumberAnswer", "TableAnswer", "answer", "row_names", "typical_rows"]


def answer(question: Question, classifier: TableEstimator | None = None, quality: bool = True) -> Any:
    """Answer a question about a table; warnings become notes.

    If `classifier` is None, a new estimator is fitted to the training rows. If `quality` is False, neither predictions
    nor reasons are checked, which takes most of the time.

    Raises:
        MapstoError: there is no row to explain, or the table does not suit the estimator.
    """
    checks.expect(len(question.rows) > 0, "X", "no rows", "at least one row to explain")
    kind: Build = ClassBuild() if question.amount is None else NumberBuild()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        estimator = kind.fitted(question) if classifier is None else classifier
        start = time.perf_counter()
        reasons = estimator.explain(question.rows)
        seconds = time.perf_counter() - start
        outputs = reasons.predictions.reshape(len(reasons), -1)
        cases = kind.typical(estimator, question, outputs)
        push, notes = pushes(estimator, question.train, question.rows.iloc[cases])
        tested = _tested(estimator, question, outputs)
        if quality:
            evidence, measured = kind.quality(estimator, question, tested)
            agreement = check(estimator, question.rows, reasons, kind.scale(question))
        else:
            (evidence, measured), agreement = kind.no_quality(estimator, question), UNCHECKED
    if not quality:
        notes.append("quality: neither predictions nor reasons were checked, as asked.")
    elif agreement["columns"] < len(estimator.used_):
        some = f"the {agreement['columns']} columns that move predictions most"
        notes.append(f"reasons were held against exact ones with only {some} filled in.")
    summary = kind.summary(measured, {"agreement": agreement, "ms_per_row": 1e3 * seconds / len(reasons)})
    names = np.array(row_names(question.rows), object)[question.has_outcome]
    notes = [*about_rows(question, estimator, [*names, *row_names(question.others)]), *notes]
    warned = [str(warning.message) for warning in caught if not issubclass(warning.category, UnreadCells)]
    remarks = list(dict.fromkeys([*question.notes, *_notes(question, estimator), *notes, *warned]))
    parts = (question, reasons, outputs, cases, push, tested, summary, remarks, evidence, estimator)
    return kind.record(Parts(*parts))


def _notes(question: Question, estimator: TableEstimator) -> list[str]:
    """Return the notes of `fit`, with one sentence for each column about all cells that cannot be read."""
    names = [column.name for column in estimator.columns_]
    train, rows, others = (ordered(part, names) for part in (question.train, question.rows, question.others))
    columns, of_fit = estimator.columns_, estimator.columns_.unread(train)
    return [*(note for note in estimator.notes_ if note not in of_fit), *columns.unread(train, rows, others)]


def _tested(
    estimator: TableEstimator, question: Question, outputs: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, "j k"]:
    """Return the predictions of the test rows, without asking again about the explained rows."""
    tested = outputs[question.has_outcome]
    return np.concatenate([tested, estimator.outputs(question.others)]) if len(question.others) else tested
