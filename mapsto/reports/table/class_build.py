"""The steps of an answer that are those of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from jaxtyping import Float

from ...tables.outcome import positive
from . import evidence, quality
from .build import Build, Parts
from .class_answer import Answer
from .question import Question

if TYPE_CHECKING:
    from ...estimators import TableClassifier


@final
class ClassBuild(Build):
    """Makes an answer about classes; its outputs are probabilities."""

    outcome: ClassVar[str] = "classes"
    first: ClassVar[tuple[str, ...]] = quality.MEASURES

    def estimator(self, **settings: Any) -> TableClassifier:
        """Return a new classifier."""
        from ...estimators import TableClassifier

        return TableClassifier(**settings)

    def fitted(self, question: Question) -> TableClassifier:
        """Return a classifier that learned from the training rows; refuse a positive class that is not there."""
        different = np.unique(question.labels).tolist()
        if question.choices.positive is not None:
            positive(different, [0] * len(different), question.choices.positive)
        return super().fitted(question)

    def typical(self, estimator: TableClassifier, question: Question, outputs: Float[np.ndarray, "n k"]) -> list[int]:
        """Choose up to three rows."""
        return typical_rows(outputs)

    def scale(self, question: Question) -> float:
        """Return 1: reasons are compared in probability."""
        return 1.0

    def held_out(
        self, estimator: TableClassifier, question: Question, tested: Float[np.ndarray, "j k"]
    ) -> evidence.Evidence:
        """Return the evidence of the held-out rows."""
        return evidence.held_out(estimator, question, tested)

    def cross_validated(
        self, estimator: TableClassifier, question: Question, rivals: bool = True
    ) -> evidence.Evidence | None:
        """Return the evidence of the training rows."""
        return evidence.cross_validated(estimator, question, rivals)

    def measures(
        self, evidence: evidence.Evidence | None, estimator: TableClassifier, question: Question
    ) -> dict[str, Any]:
        """Return all measures."""
        return quality.measures(evidence, estimator.classes_, question)

    def record(self, parts: Parts) -> Answer:
        """Return the answer."""
        return Answer(*parts)


def typical_rows(p: Float[np.ndarray, "n k"]) -> list[int]:
    """Choose up to three rows: a typical one of each of the two commonest predictions, and the most doubtful one.

    >>> typical_rows(np.array([[0.9, 0.1], [0.45, 0.55], [0.2, 0.8], [0.1, 0.9]]))
    [2, 0, 1]
    """
    predicted = p.argmax(1)
    common = np.argsort(-np.bincount(predicted, minlength=p.shape[1]), kind="stable")[:2]
    groups = [np.flatnonzero(predicted == c) for c in common]
    typical = [
        int(g[np.argsort(p[g, c], kind="stable")[len(g) // 2]]) for g, c in zip(groups, common, strict=True) if len(g)
    ]
    return list(dict.fromkeys([*typical, int(p.max(1).argmin())]))
