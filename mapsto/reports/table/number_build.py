"""The steps of an answer that are those of numbers: fit, choose rows, measure, and record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ...explanation import Explanation
from .evidence import FEW
from .number_answer import NumberAnswer
from .number_evidence import NumberEvidence, cross_validated, held_out
from .number_quality import MEASURES, measures
from .question import Question

if TYPE_CHECKING:
    from ...estimators import TableRegressor


def fitted(question: Question) -> TableRegressor:
    """Return a regressor that learned from the training rows."""
    from ...estimators import TableRegressor

    choices = question.choices
    regressor = TableRegressor(missing=choices.missing, types=choices.types, order=choices.order)
    return regressor.fit(question.train, question.labels)


def typical(regressor: TableRegressor, question: Question, outputs: Float[np.ndarray, "n 1"]) -> list[int]:
    """Choose the rows that the page explains."""
    return typical_rows(outputs[:, 0], np.ptp(regressor.predict_interval(question.rows), 1))


def typical_rows(predictions: Float[np.ndarray, " n"], widths: Float[np.ndarray, " n"]) -> list[int]:
    """Choose up to four rows: a low, a middle and a high prediction, and the one with the widest interval.

    The low and the high one are the tenth and the ninetieth percentile, since the extremes are seldom typical.

    >>> typical_rows(np.arange(11.0), np.array([1, 1, 1, 9, 1, 1, 1, 1, 1, 1, 1.0]))
    [1, 5, 9, 3]
    """
    order = np.argsort(predictions, kind="stable")
    places = [round(share * (len(order) - 1)) for share in (0.1, 0.5, 0.9)]
    return list(dict.fromkeys([*(int(order[place]) for place in places), int(widths.argmax())]))


def scale(question: Question) -> float:
    """Return the unit in which reasons are compared with exact ones: the standard deviation of the outcome."""
    return float(question.labels.std()) or 1.0


def quality(
    regressor: TableRegressor, question: Question, tested: Float[np.ndarray, "j 1"]
) -> tuple[NumberEvidence | None, dict[str, Any]]:
    """Return the evidence for the quality, and all measures."""
    if not len(tested):
        evidence = cross_validated(regressor, question)
        return evidence, {**measures(evidence), "cross_validation": None}
    first = held_out(regressor, question, tested[:, 0])
    second = cross_validated(regressor, question, rivals=False) if question.independent_tests < FEW else None
    return first, {**measures(first), "cross_validation": None if second is None else _second(second)}


def _second(evidence: NumberEvidence) -> dict[str, Any]:
    found = measures(evidence)
    return {"how": evidence.how, **{name: found[name] for name in (*MEASURES, "intervals", "measured_rows")}}


def summary(measured: dict[str, Any], checks: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers that `--json` prints, in its order."""
    rest = {name: value for name, value in measured.items() if name not in (*MEASURES, "baselines")}
    first = {name: measured[name] for name in MEASURES}
    return {**first, **checks, "baselines": measured["baselines"], **rest, "outcome": "numbers"}


def record(
    question: Question,
    reasons: Explanation,
    outputs: Float[np.ndarray, "n 1"],
    cases: list[int],
    push: Float[np.ndarray, "r n_train 1"],
    tested: Float[np.ndarray, "j 1"],
    summary: dict[str, Any],
    notes: list[str],
    kinds: list[str],
    evidence: NumberEvidence | None,
    regressor: TableRegressor,
) -> NumberAnswer:
    """Return the answer."""
    unit = "" if question.amount is None else question.amount.unit
    intervals = regressor.predict_interval(question.rows)
    summary = {**summary, "unit": unit or None}
    return NumberAnswer(
        question, reasons, outputs[:, 0], intervals, cases, push[..., 0], summary, notes, kinds, evidence, regressor
    )
