"""The steps of an answer that are those of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from jaxtyping import Float

from . import number_evidence, number_quality
from .build import Build, Parts
from .number_answer import NumberAnswer
from .number_evidence import NumberEvidence
from .question import Question

if TYPE_CHECKING:
    from ...estimators import TableRegressor


@final
class NumberBuild(Build):
    """Makes an answer about numbers; its outputs are one column, in the unit of the outcome."""

    outcome: ClassVar[str] = "numbers"
    first: ClassVar[tuple[str, ...]] = number_quality.MEASURES

    def estimator(self, **settings: Any) -> TableRegressor:
        """Return a new regressor."""
        from ...estimators import TableRegressor

        return TableRegressor(**settings)

    def typical(self, estimator: TableRegressor, question: Question, outputs: Float[np.ndarray, "n 1"]) -> list[int]:
        """Choose up to four rows."""
        return typical_rows(outputs[:, 0], np.ptp(estimator.predict_interval(question.rows), 1))

    def scale(self, question: Question) -> float:
        """Return the standard deviation of the outcome."""
        return float(question.labels.std()) or 1.0

    def held_out(
        self, estimator: TableRegressor, question: Question, tested: Float[np.ndarray, "j 1"]
    ) -> NumberEvidence:
        """Return the evidence of the held-out rows."""
        return number_evidence.held_out(estimator, question, tested[:, 0])

    def cross_validated(
        self, estimator: TableRegressor, question: Question, rivals: bool = True
    ) -> NumberEvidence | None:
        """Return the evidence of the training rows."""
        return number_evidence.cross_validated(estimator, question, rivals)

    def measures(
        self, evidence: NumberEvidence | None, estimator: TableRegressor, question: Question
    ) -> dict[str, Any]:
        """Return all measures."""
        return number_quality.measures(evidence)

    def record(self, parts: Parts) -> NumberAnswer:
        """Return the answer."""
        question, reasons, outputs, cases, push, _, summary, *rest = parts
        unit = "" if question.amount is None else question.amount.unit
        intervals = parts.estimator.predict_interval(question.rows)
        summary = {**summary, "unit": unit or None}
        return NumberAnswer(question, reasons, outputs[:, 0], intervals, cases, push[..., 0], summary, *rest)


def typical_rows(predictions: Float[np.ndarray, " n"], widths: Float[np.ndarray, " n"]) -> list[int]:
    """Choose up to four rows: a low, a middle and a high prediction, and the one with the widest interval.

    The low and the high one are the tenth and the ninetieth percentile, since the extremes are seldom typical.

    >>> typical_rows(np.arange(11.0), np.array([1, 1, 1, 9, 1, 1, 1, 1, 1, 1, 1.0]))
    [1, 5, 9, 3]
    """
    order = np.argsort(predictions, kind="stable")
    places = [round(share * (len(order) - 1)) for share in (0.1, 0.5, 0.9)]
    return list(dict.fromkeys([*(int(order[place]) for place in places), int(widths.argmax())]))
