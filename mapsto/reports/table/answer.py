"""The answer to a question about a table: predictions, reasons, the training rows behind them, and checks of all three.

(training rows, labels), rows ↦ probabilities, reasons, agreement with exact Shapley values, pushes, quality

One record feeds the page, the terminal and the JSON. If there are two classes, pictures and stories are about the
positive one; if there are more, the story of a row is about its most probable class.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from ... import checks
from ...explanation import Explanation
from ...tables.columns import UnreadCells
from ...tables.outcome import positive
from .evidence import FEW, Evidence, cross_validated, held_out
from .exact import check
from .pushes import pushes
from .quality import MEASURES, measures
from .question import Question
from .remarks import about_rows

if TYPE_CHECKING:
    import pandas as pd

    from ...estimators import TableClassifier
    from ...tables.column import Column


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to a `Question`; all probabilities are fractions.

    Attributes:
        question: the table.
        reasons: the contribution of each cell to each class probability.
        probabilities: of the explained rows.
        cases: the rows that the page explains one by one.
        push: of each training row on the predictions of the `cases`: the prediction minus the one without that row.
        test_probabilities: the probabilities of the rows `question.test_rows`.
        summary: the numbers that `--json` prints.
        notes: sentences about the table.
        kinds: the kind of each column, such as "number" or "category"; if empty, the cells themselves tell.
        evidence: the rows by which the quality is measured, and the predictions of them; None if there are none.
        classifier: the fitted classifier, which knows how each column was read.
    """

    question: Question
    reasons: Explanation
    probabilities: Float[np.ndarray, "n k"]
    cases: list[int]
    push: Float[np.ndarray, "r n_train k"]
    test_probabilities: Float[np.ndarray, "j k"]
    summary: dict[str, Any]
    notes: list[str]
    kinds: Sequence[str] = ()
    evidence: Evidence | None = None
    classifier: TableClassifier | None = None

    @cached_property
    def classes(self) -> list[str]:
        """The names of the classes."""
        return [str(name) for name in self.reasons.class_names]

    @cached_property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [str(name) for name in self.reasons.feature_names]

    @cached_property
    def row_names(self) -> list[str]:
        """The names of the explained rows."""
        return row_names(self.question.rows)

    @cached_property
    def readers(self) -> dict[str, Column]:
        """How each column is read, by its name; empty if there is no classifier."""
        return {} if self.classifier is None else {column.name: column for column in self.classifier.columns_}

    def place(self, row: int) -> str:
        """Say where an explained row stands in its file, such as "line 89 of the file"; "" if that is not known."""
        source, places = self.question.source, self.question.places
        return "" if source is None or places is None else source.file.place(int(places[row]))

    def training_place(self, row: int) -> str:
        """Say where a training row stands in its file; "" if that is not known."""
        source, places = self.question.source, self.question.train_places
        return "" if source is None or places is None else source.train.place(int(places[row]))

    @cached_property
    def cells(self) -> Shaped[np.ndarray, "n d"]:
        """The cells of the explained rows as they came, in the order of `columns`."""
        return ordered(self.question.rows, self.columns).to_numpy(object)

    @cached_property
    def shades(self) -> Shaped[np.ndarray, "n d"]:
        """The cells by which pictures colour the explained rows: a number if the column has an order, None if missing.

        A number may be written with a unit, a date or a step of a scale as a word, so the cells alone do not tell.
        """
        shades, codes = np.asarray(self.reasons.data, object).copy(), self.reasons.codes
        if codes is None:
            return shades
        for j, kind in enumerate(self.kinds):
            if kind in ("number", "date", "ordered"):
                shades[:, j] = codes[:, j]
            elif kind == "category":
                shades[np.isnan(codes[:, j]), j] = None
        return shades

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
    def outcome_count(self) -> int:
        """The number of explained rows whose outcome is known."""
        return int(self.question.has_outcome.sum())

    @cached_property
    def positive(self) -> int:
        """The class that pictures and stories are about if there are two, or if one was chosen."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return positive(list(self.reasons.class_names), counts.tolist(), self.question.choices.positive)

    @property
    def targets(self) -> list[int]:
        """The classes that pictures are drawn for: the positive one of two, or each of more."""
        return [self.positive] if self._about_one else list(range(len(self.classes)))

    def target(self, row: int) -> int:
        """Return the class that the story of `row` is about."""
        return self.positive if self._about_one else int(self.probabilities[row].argmax())

    @property
    def _about_one(self) -> bool:
        return len(self.classes) == 2 or self.question.choices.positive is not None

    def _indices(self, labels: Shaped[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        index = {name: c for c, name in enumerate(self.reasons.class_names)}
        return np.array([index[label] for label in labels], int)

    @property
    def gap(self) -> float:
        """The largest difference between a probability and the sum of its parts."""
        return float(np.abs(self.reasons.predictions - self.probabilities).max())


def answer(question: Question, classifier: TableClassifier | None = None) -> Answer:
    """Answer a question about a table; warnings become notes.

    If `classifier` is None, a new one is fitted to the training rows.

    Raises:
        MapstoError: there is no row to explain, or the table does not suit the classifier.
    """
    checks.expect(len(question.rows) > 0, "X", "no rows", "at least one row to explain")
    if question.choices.positive is not None:
        different = np.unique(question.labels).tolist()
        positive(different, [0] * len(different), question.choices.positive)  # refuses a class that is not there
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        classifier = _fitted(question) if classifier is None else classifier
        start = time.perf_counter()
        reasons = classifier.explain(question.rows)
        seconds = time.perf_counter() - start
        p = reasons.predictions
        cases = typical_rows(p)
        push, notes = pushes(classifier, question.train, question.rows.iloc[cases])
        tested = _tested(classifier, question, p)
        evidence, second = _evidence(classifier, question, tested)
        agreement = check(classifier, question.rows, reasons)
    if agreement["columns"] < len(classifier.used_):
        some = f"the {agreement['columns']} columns that move predictions most"
        notes.append(f"reasons were held against exact ones with only {some} filled in.")
    found = measures(evidence, classifier.classes_, question)
    summary = {
        **{name: found.pop(name) for name in MEASURES},
        "agreement": agreement,
        "ms_per_row": 1e3 * seconds / len(p),
        "baselines": found.pop("baselines"),
        **found,
        "cross_validation": second,
    }
    names = np.array(row_names(question.rows), object)[question.has_outcome]
    notes = [*about_rows(question, classifier, [*names, *row_names(question.others)]), *notes]
    warned = [str(warning.message) for warning in caught if not issubclass(warning.category, UnreadCells)]
    remarks = list(dict.fromkeys([*question.notes, *_notes(question, classifier), *notes, *warned]))
    kinds = [column.kind for column in classifier.columns_.columns]
    return Answer(question, reasons, p, cases, push, tested, summary, remarks, kinds, evidence, classifier)


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


def row_names(table: pd.DataFrame) -> list[str]:
    """Name rows by the table's index, or by their number from 1 if the index was never set."""
    import pandas as pd

    default = isinstance(table.index, pd.RangeIndex) and table.index.start == 0 and table.index.step == 1
    return [str(i + 1) if default else str(name) for i, name in enumerate(table.index)]


def ordered(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return `table` with its columns in the order of `columns`, or as it is if they have no such names."""
    names = [str(name) for name in table.columns]
    return table.set_axis(names, axis=1)[columns] if sorted(names) == sorted(columns) else table


def _notes(question: Question, classifier: TableClassifier) -> list[str]:
    """Return the notes of `fit`, with one sentence for each column about all cells that cannot be read."""
    names = [column.name for column in classifier.columns_]
    train, rows, others = (ordered(part, names) for part in (question.train, question.rows, question.others))
    columns, of_fit = classifier.columns_, classifier.columns_.unread(train)
    return [*(note for note in classifier.notes_ if note not in of_fit), *columns.unread(train, rows, others)]


def _fitted(question: Question) -> TableClassifier:
    from ...estimators import TableClassifier

    choices = question.choices
    classifier = TableClassifier(missing=choices.missing, types=choices.types, order=choices.order)
    return classifier.fit(question.train, question.labels)


def _tested(classifier: TableClassifier, question: Question, p: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "j k"]:
    """Return the probabilities of the test rows, without asking again about the explained rows."""
    tested = p[question.has_outcome]
    return np.concatenate([tested, classifier.predict_proba(question.others)]) if len(question.others) else tested


def _evidence(
    classifier: TableClassifier, question: Question, tested: Float[np.ndarray, "j k"]
) -> tuple[Evidence | None, dict[str, Any] | None]:
    """Return the evidence for the quality, and the measures of a cross-validation if few rows were held out."""
    if not len(tested):
        return cross_validated(classifier, question), None
    first = held_out(classifier, question, tested)
    second = cross_validated(classifier, question, rivals=False) if len(tested) < FEW else None
    if second is None:
        return first, None
    found = measures(second, classifier.classes_, question)
    return first, {"how": second.how, **{name: found[name] for name in (*MEASURES, "intervals", "measured_rows")}}
