"""The answer to a question about numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float

from ...explanation import Explanation
from ...figures import numbers, style
from ...figures.unit import Amount
from . import number_lines, number_parts
from .base import TableAnswer, Verdict
from .number_evidence import NumberEvidence
from .number_headlines import headlines
from .question import Question

if TYPE_CHECKING:
    from ...estimators.table import TableEstimator


@dataclass(frozen=True, eq=False)
class NumberAnswer(TableAnswer):
    """The answer to a `Question` about numbers; everything is in the unit of the outcome.

    Attributes:
        question: the table.
        reasons: the contribution of each cell to each prediction.
        numbers: the predictions of the explained rows.
        intervals: the lower and upper ends of their 90 % intervals.
        cases: the rows that the page explains one by one.
        push: of each training row on the predictions of the `cases`: the prediction minus the one without that row.
        summary: the numbers that `--json` prints.
        notes: sentences about the table.
        evidence: the rows by which the quality is measured, and the predictions of them; None if there are none.
        classifier: the fitted regressor, which knows how each column was read.
    """

    template: ClassVar[str] = "table_numbers.html.jinja"
    verdict_heads: ClassVar[tuple[str, str]] = ("prediction", "90 % interval")

    question: Question
    reasons: Explanation
    numbers: Float[np.ndarray, " n"]
    intervals: Float[np.ndarray, "n 2"]
    cases: list[int]
    push: Float[np.ndarray, "r n_train"]
    summary: dict[str, Any]
    notes: list[str]
    evidence: NumberEvidence | None = None
    classifier: TableEstimator | None = None

    @property
    def outputs(self) -> Float[np.ndarray, "n 1"]:
        """The predictions as one column."""
        return self.numbers[:, None]

    @property
    def pushes(self) -> Float[np.ndarray, "r n_train 1"]:
        """The push of each training row on the predictions of the `cases`."""
        return self.push[..., None]

    @property
    def targets(self) -> list[int]:
        """The only output."""
        return [0]

    def target(self, row: int) -> int:
        """Return the only output."""
        return 0

    def predicted(self, row: int) -> int:
        """Return the only output."""
        return 0

    @cached_property
    def amount(self) -> Amount:
        """The unit of the outcome."""
        labels = self.question.labels
        return self.question.amount or Amount("outcome", spread=float(labels.std()))

    def unit(self, output: int = 0) -> Amount:
        """Return the unit of the outcome."""
        return self.amount

    def verdict(self, row: int) -> Verdict:
        """Return the prediction of `row` and its 90 % interval."""
        low, high = self.intervals[row]
        true = self.question.outcomes[row]
        missed = true is not None and not low <= true <= high
        prediction, interval = self.amount.amount(self.numbers[row]), self.interval(row)
        return Verdict(prediction, interval, missed, f"{prediction} ({interval})")

    def interval(self, row: int) -> str:
        """Write the 90 % interval of `row` without its unit."""
        return " to ".join(self.amount.number(end) for end in self.intervals[row])

    def heading(self, row: int) -> str:
        """Return the prediction of `row` with its interval."""
        name = style.shorten(self.amount.name, 40)
        return f"{name} {self.amount.amount(self.numbers[row])} (90 % interval {self.interval(row)})"

    @cached_property
    def outcomes(self) -> list[str | None]:
        """The true outcome of each explained row, None if it is unknown."""
        return [None if outcome is None else self._written(outcome) for outcome in self.question.outcomes]

    @property
    def training_outcomes(self) -> list[str]:
        """The outcome of each training row."""
        return [self._written(outcome) for outcome in self.question.labels]

    @property
    def names(self) -> list[str]:
        """The name of the outcome and its unit."""
        return [self.amount.name, self.amount.unit]

    @property
    def directed(self) -> bool:
        """A high cell can raise or lower a number."""
        return True

    @property
    def measure(self) -> str:
        """The unit of the outcome."""
        return self.amount.measure

    def taught(self) -> str:
        """Return the range and the mean of the outcomes of the training rows."""
        labels, write = self.question.labels, self.amount
        ends = f"{numbers.cell(float(labels.min()))} to {self._written(labels.max())}"
        return f"{style.shorten(write.name, 40)} from {ends}, {write.number(labels.mean())} on average"

    def in_short(self) -> list[str]:
        """Return sentences about the predictions and their quality."""
        return number_parts.in_short(self)

    def headlines(self) -> list[str]:
        """Return sentences that stand above everything else; usually none."""
        return headlines(self.summary, self.amount)

    @property
    def how(self) -> str:
        """Say on which rows the quality was measured, as the end of a sentence."""
        return self.evidence.how if self.evidence else super().how

    def quality_lines(self) -> list[tuple[str, str, str]]:
        """Return each measure with its value and a remark."""
        return number_lines.quality_lines(self.summary, self.amount)

    def second_look(self) -> str:
        """Say what a cross-validation gives beside few held-out rows."""
        return number_parts.second_look(self.summary, self.amount)

    def sections(self) -> dict[str, Any]:
        """Return the parts of the page about numbers."""
        return number_parts.sections(self)

    def predictions(self) -> dict[str, Sequence[Any]]:
        """Return the predictions, the ends of their 90 % intervals, and the starting value."""
        low, high = self.intervals.T
        ends = {"lower": low.tolist(), "upper": high.tolist()}
        return {"prediction": self.numbers.tolist(), **ends, "base": self.reasons.base_values.tolist()}

    def _written(self, outcome: float) -> str:
        return f"{numbers.cell(float(outcome))} {self.amount.unit}".rstrip()
