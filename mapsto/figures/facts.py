"""The facts a report is told from, checked once: predictions, their parts, cells, outcomes, training rows.

For two classes everything is told about the second; for more, a row's story is told about its most probable class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, Shaped

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Facts:
    """One table's predictions and reasons; probabilities are fractions, outcomes are class indices."""

    values: Float[np.ndarray, "n d k"]
    base: Float[np.ndarray, "n k"]
    cells: Shaped[np.ndarray, "n d"]
    names: Sequence[str]
    classes: Sequence[str]
    p: Float[np.ndarray, "n k"]
    y: Int[np.ndarray, " n"] | None  # None: no outcome is known
    train: pd.DataFrame
    train_labels: Int[np.ndarray, " n_train"]
    change: Float[np.ndarray, "r n_train k"] | None  # of the prediction of rows[i], when a training row is deleted
    rows: Sequence[int]  # the rows told one by one
    row_names: Sequence[str]
    judged: tuple[Float[np.ndarray, "m k"], Int[np.ndarray, " m"]] | None  # predictions and outcomes that judge quality

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together.

        Raises:
            ValueError: no row is explained, or a part has another shape than `values` asks for.
        """
        n, d, k = self.values.shape
        if n == 0:
            raise ValueError("explanation: got no rows, expected at least one explained row; explain some rows first.")
        self._expect("probabilities", self.p.shape, (n, k))
        self._expect("train", self.train.shape[1:], (d,))
        self._expect("train_labels", self.train_labels.shape, (len(self.train),))
        self._expect("row_names", (len(self.row_names),), (n,))
        if self.y is not None:
            self._expect("y_true", np.shape(self.y), (n,))
        if self.judged is not None:
            self._expect("judged", (len(self.judged[1]), k), self.judged[0].shape)
        if self.change is not None:
            self._expect("influence", self.change.shape, (len(self.rows), len(self.train), k))

    @staticmethod
    def _expect(part: str, got: tuple[int, ...], wanted: tuple[int, ...]) -> None:
        if got != wanted:
            raise ValueError(f"{part}: got shape {got}, expected {wanted}; pass the parts of one explanation.")

    @property
    def targets(self) -> list[int]:
        """The classes pictures are drawn for: of two the second says it all, of more each says its own."""
        return [1] if len(self.classes) == 2 else list(range(len(self.classes)))

    def target(self, row: int) -> int:
        """Choose the class that the story of `row` is told about."""
        return 1 if len(self.classes) == 2 else int(self.p[row].argmax())

    @property
    def gap(self) -> float:
        """The largest difference between a prediction and the sum of its parts."""
        return float(np.abs(self.base + self.values.sum(1) - self.p).max())


def telling_rows(p: Float[np.ndarray, "n k"]) -> list[int]:
    """Choose up to three rows to tell: a typical one of the two commonest predictions each, and the most doubtful.

    >>> telling_rows(np.array([[0.9, 0.1], [0.45, 0.55], [0.2, 0.8], [0.1, 0.9]]))
    [2, 0, 1]
    """
    predicted = p.argmax(1)
    common = np.argsort(-np.bincount(predicted, minlength=p.shape[1]), kind="stable")[:2]
    groups = [np.flatnonzero(predicted == c) for c in common]
    typical = [
        int(g[np.argsort(p[g, c], kind="stable")[len(g) // 2]]) for g, c in zip(groups, common, strict=True) if len(g)
    ]
    return list(dict.fromkeys([*typical, int(p.max(1).argmin())]))


def row_labels(table: pd.DataFrame) -> list[str]:
    """Name rows by the table's index, or by their number from 1 where the index was never set."""
    import pandas as pd

    default = isinstance(table.index, pd.RangeIndex) and table.index.start == 0 and table.index.step == 1
    return [str(i + 1) if default else str(name) for i, name in enumerate(table.index)]
