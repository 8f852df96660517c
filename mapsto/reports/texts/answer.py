"""The answer to a question about texts: predictions, reasons, the training texts behind them, and checks of all three.

One record feeds the page, the terminal and the JSON.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from ... import checks
from ...estimators import TextClassifier
from ...texts.scripts import other_scripts
from ..table.answer import row_names, typical_rows
from ..table.evidence import Evidence
from ..table.quality import MEASURES, measures
from ..table.question import Question
from .exact import check
from .quality import cross_validated, held_out, texts

if TYPE_CHECKING:
    from ...estimators.text_explanation import TextExplanation

_WRONG = 3  # mistakes that are told one by one


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to a `Question` about texts; all probabilities are fractions.

    Attributes:
        question: the texts; its tables have one column.
        reasons: the contribution of each word or sentence to each class probability.
        cases: the texts that the page tells with their training texts.
        push: of each training text on the predictions of the `cases`: the prediction minus the one without that text.
        summary: the numbers that `--json` prints.
        notes: sentences about the table.
        evidence: the texts by which the quality is measured, and the predictions of them; None if there are none.
    """

    question: Question
    reasons: TextExplanation
    cases: list[int]
    push: Float[np.ndarray, "r n_train k"]
    summary: dict[str, Any]
    notes: list[str]
    evidence: Evidence | None = None

    @cached_property
    def classes(self) -> list[str]:
        """The names of the classes."""
        return [str(name) for name in self.reasons.class_names]

    @cached_property
    def probabilities(self) -> Float[np.ndarray, "n k"]:
        """The probability of each class, for each explained text."""
        return self.reasons.predictions

    @cached_property
    def predicted(self) -> Int[np.ndarray, " n"]:
        """The index of the most probable class of each explained text."""
        return self.probabilities.argmax(1)

    @cached_property
    def names(self) -> list[str]:
        """The names of the explained rows."""
        return row_names(self.question.rows)

    @cached_property
    def outcomes(self) -> list[str | None]:
        """The true class of each explained text, None if it is unknown."""
        return [None if outcome is None else str(outcome) for outcome in self.question.outcomes]


def answer(question: Question, classifier: TextClassifier | None = None) -> Answer:
    """Answer a question about texts. If `classifier` is None, a new one is fitted to the training texts.

    Raises:
        MapstoError: if there is no text to explain, or the training texts do not suit the classifier.
    """
    train, rows, others = (texts(part) for part in (question.train, question.rows, question.others))
    checks.expect(len(rows) > 0, "texts", "none", "at least one text to explain")
    classifier = TextClassifier().fit(train, question.labels) if classifier is None else classifier
    start = time.perf_counter()
    reasons = classifier.explain(rows)
    milliseconds = 1e3 * (time.perf_counter() - start) / len(rows)
    p, known = reasons.predictions, question.has_outcome
    index = {name: c for c, name in enumerate(classifier.classes_.tolist())}
    y, labels = (np.array([index[label] for label in part.tolist()], int) for part in (question.truth, question.labels))
    tested = np.concatenate([p[known], classifier.predict_proba(others)]) if others else p[known]
    asked = [text for text, there in zip(rows, known, strict=True) if there] + others
    wrong = [i for i in np.flatnonzero(known).tolist() if index[question.outcomes[i]] != p[i].argmax()]
    cases = list(dict.fromkeys([*wrong[:_WRONG], *typical_rows(p)]))
    cases = [i for i in cases if reasons.parts[i]] or cases[:1]  # an empty text has no reasons
    push = -classifier.influence([rows[i] for i in cases])
    if len(tested):
        evidence: Evidence | None = held_out(question, tested, y, asked, labels)
    else:
        evidence = cross_validated(classifier, question, labels)
    found = measures(evidence, classifier.classes_)
    counts = {"classes": len(index), "training_texts": len(train), "texts": len(rows)}
    found = {**{name: found.pop(name) for name in MEASURES}, **found}
    checked = {"agreement": check(classifier, reasons), "ms_per_row": milliseconds}
    notes = [*question.notes, *classifier.notes_]
    notes += other_scripts(rows, "predicted text") if classifier.encoder is None else []
    return Answer(question, reasons, cases, push, {**counts, **found, **checked}, notes, evidence)
