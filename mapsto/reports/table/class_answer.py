"""The answer to a question about classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float, Int, Shaped

from ...explanation import Explanation
from ...figures import numbers, style
from ...figures.unit import Probability
from ...tables.outcome import positive
from ..words import count
from . import class_parts, lines, words
from .base import TableAnswer, Verdict
from .evidence import Evidence
from .headlines import headlines
from .question import Question

if TYPE_CHECKING:
    from ...estimators.table import TableEstimator


@dataclass(frozen=True, eq=False)
class Answer(TableAnswer):
    """The answer to a `Question` about classes; all probabilities are fractions.

    Attributes:
        question: the table.
        reasons: the contribution of each cell to each class probability.
        probabilities: of the explained rows.
        cases: the rows that the page explains one by one.
        push: of each training row on the predictions of the `cases`: the prediction minus the one without that row.
        test_probabilities: the probabilities of the rows `question.test_rows`.
        summary: the numbers that `--json` prints.
        notes: sentences about the table.
        evidence: the rows by which the quality is measured, and the predictions of them; None if there are none.
        classifier: the fitted classifier, which knows how each column was read.
    """

    template: ClassVar[str] = "table_classes.html.jinja"
    verdict_heads: ClassVar[tuple[str, str]] = ("prediction", "probability")

    question: Question
    reasons: Explanation
    probabilities: Float[np.ndarray, "n k"]
    cases: list[int]
    push: Float[np.ndarray, "r n_train k"]
    test_probabilities: Float[np.ndarray, "j k"]
    summary: dict[str, Any]
    notes: list[str]
    evidence: Evidence | None = None
    classifier: TableEstimator | None = None

    @property
    def outputs(self) -> Float[np.ndarray, "n k"]:
        """The probabilities."""
        return self.probabilities

    @property
    def pushes(self) -> Float[np.ndarray, "r n_train k"]:
        """The push of each training row on the probabilities of the `cases`."""
        return self.push

    @cached_property
    def classes(self) -> list[str]:
        """The names of the classes."""
        return [str(name) for name in self.reasons.class_names]

    @cached_property
    def labels(self) -> Int[np.ndarray, " n_train"]:
        """The class index of each training row."""
        return self._indices(self.question.labels)

    @cached_property
    def truth(self) -> Int[np.ndarray, " j"]:
        """The class index of each row in `question.test_rows`."""
        return self._indices(self.question.truth)

    @cached_property
    def outcomes(self) -> list[str | None]:
        """The true class of each explained row, None if it is unknown."""
        return [None if outcome is None else str(outcome) for outcome in self.question.outcomes]

    @property
    def training_outcomes(self) -> list[str]:
        """The class of each training row."""
        return [self.classes[y] for y in self.labels]

    @cached_property
    def positive(self) -> int:
        """The class that pictures and stories are about if there are two, or if one was chosen."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return positive(list(self.reasons.class_names), counts.tolist(), self.question.choices.positive)

    @property
    def targets(self) -> list[int]:
        """The classes that pictures are drawn for: the positive one of two, or each of more, the commonest first."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return [self.positive] if self._about_one else np.argsort(-counts, kind="stable").tolist()

    def target(self, row: int) -> int:
        """Return the class that the story of `row` is about."""
        return self.positive if self._about_one else self.predicted(row)

    def predicted(self, row: int) -> int:
        """Return the most probable class of `row`."""
        return int(self.probabilities[row].argmax())

    def unit(self, output: int = 0) -> Probability:
        """Return the unit of the probability of a class."""
        return Probability(self.classes[output])

    def verdict(self, row: int) -> Verdict:
        """Return the most probable class of `row` and its probability."""
        c, true = self.predicted(row), self.outcomes[row]
        p = numbers.percent(self.probabilities[row, c])
        missed = true is not None and true != self.classes[c]
        return Verdict(self.classes[c], p, missed, f"{self.classes[c]} {p}")

    def heading(self, row: int) -> str:
        """Return the probability of the class that the story of `row` is about."""
        c = self.target(row)
        return f"{numbers.percent(self.probabilities[row, c])} probability of {style.shorten(self.classes[c], 40)}"

    @property
    def names(self) -> list[str]:
        """The names of the classes."""
        return self.classes

    @property
    def directed(self) -> bool:
        """Whether there are two classes."""
        return len(self.classes) == 2

    @property
    def measure(self) -> str:
        """The unit of the contributions to a row's prediction."""
        return "percentage points of the predicted class"

    def taught(self) -> str:
        """Count the training rows of each class."""
        return words.outcome_counts(self.labels, self.classes)

    def in_short(self) -> list[str]:
        """Return sentences about the predictions and their quality."""
        return class_parts.in_short(self)

    def headlines(self) -> list[str]:
        """Return sentences that stand above everything else; usually none."""
        return headlines(self.summary)

    @property
    def how(self) -> str:
        """Say on which rows the quality was measured, as the end of a sentence."""
        if self.evidence:
            return self.evidence.how
        return f"on {count(len(self.truth), 'row')} not used for training" if len(self.truth) else super().how

    def quality_lines(self) -> list[tuple[str, str, str]]:
        """Return each measure with its value and a remark."""
        return lines.quality_lines(self)

    def second_look(self) -> str:
        """Say what a cross-validation gives beside few held-out rows."""
        return words.second_look(self.summary)

    def sections(self) -> dict[str, Any]:
        """Return the parts of the page about classes."""
        return class_parts.sections(self)

    def predictions(self) -> dict[str, Sequence[Any]]:
        """Return the predicted class, the probability of each class, and the base of the predicted class."""
        p, e = self.probabilities, self.reasons
        best = p.argmax(1)
        columns: dict[str, Sequence[Any]] = {"prediction": np.asarray(e.class_names)[best].tolist()}
        columns |= {f"probability of {name}": p[:, c].tolist() for c, name in enumerate(e.class_names)}
        return columns | {"base": e.base_values[np.arange(len(p)), best].tolist()}

    @property
    def _about_one(self) -> bool:
        return len(self.classes) == 2 or self.question.choices.positive is not None

    def _indices(self, labels: Shaped[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        index = {name: c for c, name in enumerate(self.reasons.class_names)}
        return np.array([index[label] for label in labels], int)
