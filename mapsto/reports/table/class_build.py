"""The steps of an answer that are those of classes: fit, choose rows, measure, and record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ...explanation import Explanation
from ...tables.outcome import positive
from .class_answer import Answer
from .evidence import FEW, Evidence, cross_validated, held_out
from .quality import MEASURES, measures
from .question import Question

if TYPE_CHECKING:
    from ...estimators import TableClassifier


def fitted(question: Question) -> TableClassifier:
    """Return a classifier that learned from the training rows."""
    from ...estimators import TableClassifier

    choices = question.choices
    different = np.unique(question.labels).tolist()
    if choices.positive is not None:
        positive(different, [0] * len(different), choices.positive)  # refuses a class that is not there
    classifier = TableClassifier(missing=choices.missing, types=choices.types, order=choices.order)
    return classifier.fit(question.train, question.labels)


def typical(classifier: TableClassifier, question: Question, p: Float[np.ndarray, "n k"]) -> list[int]:
    """Choose the rows that the page explains."""
    return typical_rows(p)


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


def scale(question: Question) -> float:
    """Return the unit in which reasons are compared with exact ones: probability."""
    return 1.0


def quality(
    classifier: TableClassifier, question: Question, tested: Float[np.ndarray, "j k"]
) -> tuple[Evidence | None, dict[str, Any]]:
    """Return the evidence for the quality, and all measures."""
    evidence, second = _evidence(classifier, question, tested)
    return evidence, {**measures(evidence, classifier.classes_, question), "cross_validation": second}


def summary(measured: dict[str, Any], checks: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers that `--json` prints, in its order."""
    rest = {name: value for name, value in measured.items() if name not in (*MEASURES, "baselines")}
    first = {name: measured[name] for name in MEASURES}
    return {**first, **checks, "baselines": measured["baselines"], **rest, "outcome": "classes"}


def record(question: Question, reasons: Explanation, p: Float[np.ndarray, "n k"], *rest: Any) -> Answer:
    """Return the answer."""
    return Answer(question, reasons, p, *rest)


def _evidence(
    classifier: TableClassifier, question: Question, tested: Float[np.ndarray, "j k"]
) -> tuple[Evidence | None, dict[str, Any] | None]:
    """Return the evidence for the quality, and the measures of a cross-validation if few rows were held out."""
    if not len(tested):
        return cross_validated(classifier, question), None
    first = held_out(classifier, question, tested)
    second = cross_validated(classifier, question, rivals=False) if question.independent_tests < FEW else None
    if second is None:
        return first, None
    found = measures(second, classifier.classes_, question)
    return first, {"how": second.how, **{name: found[name] for name in (*MEASURES, "intervals", "measured_rows")}}
