"""The steps of an answer that differ between classes and numbers: fit, choose rows, measure, and record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float

from ...explanation import Explanation
from .base import TableAnswer
from .question import Question

if TYPE_CHECKING:
    from ...estimators.table import TableEstimator

FEW = 30
"""Fewer held-out rows say little, so the training rows are cross-validated beside them."""


class Parts(NamedTuple):
    """What an answer is made of; see the attributes of `Answer`."""

    question: Question
    reasons: Explanation
    outputs: Float[np.ndarray, "n k"]
    cases: list[int]
    push: Float[np.ndarray, "r n_train k"]
    tested: Float[np.ndarray, "j k"]  # the outputs of `question.test_rows`
    summary: dict[str, Any]
    notes: list[str]
    evidence: Any
    estimator: Any


class Build(ABC):
    """Makes an answer to a `Question`.

    Attributes:
        outcome: "classes" or "numbers".
        first: the names of the measures that `--json` prints first.
    """

    outcome: ClassVar[str]
    first: ClassVar[tuple[str, ...]]

    @abstractmethod
    def estimator(self, **settings: Any) -> TableEstimator:
        """Return a new estimator with these settings."""

    @abstractmethod
    def typical(self, estimator: Any, question: Question, outputs: Float[np.ndarray, "n k"]) -> list[int]:
        """Choose the rows that the page explains one by one."""

    @abstractmethod
    def scale(self, question: Question) -> float:
        """Return the unit in which reasons are compared with exact ones."""

    @abstractmethod
    def held_out(self, estimator: Any, question: Question, tested: Float[np.ndarray, "j k"]) -> Any:
        """Return the evidence of the rows `question.test_rows`, whose predictions are `tested`."""

    @abstractmethod
    def cross_validated(self, estimator: Any, question: Question, rivals: bool = True) -> Any:
        """Return the evidence of the training rows by cross-validation, or None if no row can be predicted."""

    @abstractmethod
    def measures(self, evidence: Any, estimator: Any, question: Question) -> dict[str, Any]:
        """Return all measures of the evidence; each is None if the evidence is."""

    @abstractmethod
    def record(self, parts: Parts) -> TableAnswer:
        """Return the answer."""

    def fitted(self, question: Question) -> Any:
        """Return an estimator that learned from the training rows."""
        choices = question.choices
        said = {name: getattr(choices, name) for name in ("missing", "types", "order", "max_memory")}
        estimator: Any = self.estimator(**said)
        return estimator.fit(question.train, question.labels)

    def quality(
        self, estimator: Any, question: Question, tested: Float[np.ndarray, "j k"]
    ) -> tuple[Any, dict[str, Any]]:
        """Return the evidence for the quality, and all measures; of few held-out rows, those of a second look too."""
        second = None
        if len(tested):
            evidence = self.held_out(estimator, question, tested)
            if question.independent_tests < FEW:
                second = self._second(estimator, question)
        else:
            evidence = self.cross_validated(estimator, question)
        return evidence, {**self.measures(evidence, estimator, question), "cross_validation": second}

    def no_quality(self, estimator: Any, question: Question) -> tuple[None, dict[str, Any]]:
        """Return what `quality` returns if nothing is measured."""
        return None, {**self.measures(None, estimator, question), "cross_validation": None}

    def _second(self, estimator: Any, question: Question) -> dict[str, Any] | None:
        evidence = self.cross_validated(estimator, question, rivals=False)
        if evidence is None:
            return None
        found = self.measures(evidence, estimator, question)
        return {"how": evidence.how, **{name: found[name] for name in (*self.first, "intervals", "measured_rows")}}

    def summary(self, measured: dict[str, Any], checks: dict[str, Any]) -> dict[str, Any]:
        """Return the numbers that `--json` prints, in its order."""
        rest = {name: value for name, value in measured.items() if name not in (*self.first, "baselines")}
        first = {name: measured[name] for name in self.first}
        return {**first, **checks, "baselines": measured["baselines"], **rest, "outcome": self.outcome}
