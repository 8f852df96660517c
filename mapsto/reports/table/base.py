"""What the answers about a table have in common, whether classes or numbers are predicted.

An answer has outputs: the probabilities of `k` classes, or one number (`k = 1`). Its page, its lines and its file tell
of them in the answer's own units and words, so nothing that reads an answer asks which kind it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from ...explanation import Explanation
from ...figures.unit import Unit
from .question import Question

if TYPE_CHECKING:
    import pandas as pd

    from ...estimators.table import TableEstimator
    from ...tables.column import Column


class Verdict(NamedTuple):
    """The prediction of one row in words: the prediction, how sure it is, whether it was wrong, and both in a line."""

    prediction: str
    detail: str
    missed: bool
    line: str


class TableAnswer(ABC):
    """The answer to a `Question`.

    Attributes:
        question: the table.
        reasons: the contribution of each cell to each output.
        cases: the rows that the page explains one by one.
        summary: the numbers that `--json` prints.
        notes: sentences about the table.
        classifier: the fitted estimator, which knows how each column was read.
        template: the file that the page is made of.
        verdict_heads: the names of the prediction and the detail of a `Verdict`.
    """

    template: ClassVar[str]
    verdict_heads: ClassVar[tuple[str, str]]

    question: Question
    reasons: Explanation
    cases: list[int]
    summary: dict[str, Any]
    notes: list[str]
    classifier: TableEstimator | None

    @property
    @abstractmethod
    def outputs(self) -> Float[np.ndarray, "n k"]:
        """The predictions of the explained rows."""

    @property
    @abstractmethod
    def pushes(self) -> Float[np.ndarray, "r n_train k"]:
        """The push of each training row on the outputs of the `cases`."""

    @property
    @abstractmethod
    def targets(self) -> list[int]:
        """The outputs that pictures are drawn for."""

    @abstractmethod
    def target(self, row: int) -> int:
        """Return the output that the story of `row` is about."""

    @abstractmethod
    def predicted(self, row: int) -> int:
        """Return the output that is the prediction of `row`."""

    @abstractmethod
    def unit(self, output: int = 0) -> Unit:
        """Return the unit of an output."""

    @abstractmethod
    def verdict(self, row: int) -> Verdict:
        """Return the prediction of `row` in words."""

    @abstractmethod
    def heading(self, row: int) -> str:
        """Return the prediction of `row` as the end of a heading."""

    @property
    @abstractmethod
    def outcomes(self) -> list[str | None]:
        """The true outcome of each explained row, None if it is unknown."""

    @property
    @abstractmethod
    def training_outcomes(self) -> list[str]:
        """The outcome of each training row."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """The names of the classes, or the name and the unit of the outcome."""

    @property
    @abstractmethod
    def directed(self) -> bool:
        """Whether a high cell of a column can be said to raise or lower the predictions."""

    @property
    @abstractmethod
    def measure(self) -> str:
        """The unit of the contributions to a row's prediction, in words."""

    @abstractmethod
    def taught(self) -> str:
        """Describe the outcomes of the training rows."""

    @abstractmethod
    def in_short(self) -> list[str]:
        """Return sentences about the predictions and their quality."""

    @abstractmethod
    def headlines(self) -> list[str]:
        """Return sentences that stand above everything else; usually none."""

    @abstractmethod
    def quality_lines(self) -> list[tuple[str, str, str]]:
        """Return each measure with its value and a remark, for the terminal."""

    @abstractmethod
    def second_look(self) -> str:
        """Say what a cross-validation gives beside few held-out rows; empty if there was none."""

    @abstractmethod
    def sections(self) -> dict[str, Any]:
        """Return the parts of the page that belong to this kind of answer, by their names in the template."""

    @abstractmethod
    def predictions(self) -> dict[str, Sequence[Any]]:
        """Return the columns of the file of predictions, without the reasons."""

    @property
    def values(self) -> Float[np.ndarray, "n d k"]:
        """The contribution of each cell to each output."""
        return self.reasons.values.reshape(*self.reasons.values.shape[:2], -1)

    @cached_property
    def reach(self) -> Float[np.ndarray, "n d k"]:
        """Half the width of the 90 % interval of each contribution; 0 if its error is not known."""
        if self.reasons.errors is None:
            return np.zeros_like(self.values)
        low, high = self.reasons.intervals(0.9)
        return ((high - low) / 2).reshape(self.values.shape)

    def change(self, row: int, column: int, output: int) -> str:
        """Write a contribution with the half-width of its interval."""
        contribution, reach = (float(part[row, column, output]) for part in (self.values, self.reach))
        return self.unit(output).within(contribution, reach)

    @property
    def bases(self) -> Float[np.ndarray, "n k"]:
        """The outputs if no cell is known."""
        return self.reasons.base_values.reshape(len(self.reasons), -1)

    @property
    def gap(self) -> float:
        """The largest difference between a prediction and the sum of its parts."""
        return float(np.abs(self.bases + self.values.sum(1) - self.outputs).max())

    @property
    def checked(self) -> bool:
        """Whether predictions and reasons were checked."""
        return self.summary["agreement"]["rows"] > 0

    @property
    def how(self) -> str:
        """Say on which rows the quality was measured, as the end of a sentence."""
        return "no outcome is known"

    @cached_property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [str(name) for name in self.reasons.feature_names]

    @cached_property
    def used(self) -> list[int]:
        """The columns that are used for predicting, as positions in `columns`; all if none is, or it is not known."""
        used = [] if self.classifier is None else sorted(map(int, self.classifier.used_))
        return used or list(range(len(self.columns)))

    @cached_property
    def row_names(self) -> list[str]:
        """The names of the explained rows."""
        return row_names(self.question.rows)

    @cached_property
    def readers(self) -> dict[str, Column]:
        """How each column is read, by its name; empty if there is no estimator."""
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
        return self.reasons.shades

    @property
    def outcome_count(self) -> int:
        """The number of explained rows whose outcome is known."""
        return int(self.question.has_outcome.sum())


def row_names(table: pd.DataFrame) -> list[str]:
    """Name rows by the table's index, or by their number from 1 if the index was never set."""
    import pandas as pd

    default = isinstance(table.index, pd.RangeIndex) and table.index.start == 0 and table.index.step == 1
    return [str(i + 1) if default else str(name) for i, name in enumerate(table.index)]


def ordered(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return `table` with its columns in the order of `columns`, or as it is if they have no such names."""
    names = [str(name) for name in table.columns]
    return table.set_axis(names, axis=1)[columns] if sorted(names) == sorted(columns) else table
