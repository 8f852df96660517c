"""The rows that rules and counterfactuals draw from: a table as numbers, with each column's name and kind.

A column is a "category" (texts, booleans, and what `categorical` names), an "integer" (every observed value is whole)
or a "number". Rows made up from it go back to the classifier in the form the background came in: tensor, array or
DataFrame, of its dtypes, categories as they were written. NaN means missing.
"""

from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Float

from ..errors import MapstoError
from .forms import form_of, told

Kind = Literal["number", "integer", "category"]


@final
class Background:
    """A table's rows as numbers: `values` `[n, d]`, the `names` and the `kinds` of its columns.

    `rows` is a tensor or array `[n, d]`, or a DataFrame; `names` default to the DataFrame's, or x0, x1, ...;
    `categorical` lists columns (name or position) whose numbers are mere labels.

    >>> background = Background(np.array([[61.5, 1], [48.0, 0]]), names=["age", "ward"], categorical=["ward"])
    >>> background.kinds
    ('number', 'category')
    """

    def __init__(self, rows: Any, names: Sequence[str] | None = None, categorical: Sequence[str | int] = ()):
        self.form = form_of(rows)
        self.values = _finite(self.form.encode(rows))
        n, d = self.values.shape
        if not n or not d:
            raise MapstoError(f"background: got shape ({n}, {d}), expected at least one row and one column.")
        self.names = tuple(self.form.names if names is None else [str(name) for name in names])
        if len(self.names) != d:
            raise MapstoError(f"names: got {len(self.names)}, expected {d}, one for each column of the background.")
        _different("background" if names is None else "names", self.names)
        labels = self.columns(categorical, "categorical") | self.form.labels
        self.kinds: tuple[Kind, ...] = tuple(self._kind(j, labels) for j in range(d))

    def columns(self, which: Sequence[str | int], argument: str) -> set[int]:
        """Return the positions of columns given by name or position; `argument` is whose mistake an error names."""
        return {self._column(one, argument) for one in which}

    def encode(self, rows: Any, argument: str) -> Float[np.ndarray, "n d"]:
        """Return rows of the background's form as numbers; `argument` is whose mistake an error names.

        Columns of a DataFrame are found by their names, whatever their order.

        Raises:
            MapstoError: another form or width, other names, an infinite value, or a category that no background row
                has.
        """
        return _finite(self.form.encode(self.form.fitting(rows, argument)), argument)

    def row(self, row: Any) -> Float[np.ndarray, " d"]:
        """Return one row (`[d]` or `[1, d]`; of a DataFrame, a Series or a frame of one row) as numbers."""
        table = self.form.table(row)
        if len(table) != 1:
            raise MapstoError(f"row: got {told(row)}, expected a single row.")
        return self.encode(table, "row")[0]

    def observed(self, column: int) -> Float[np.ndarray, " u"]:
        """Return the different values of a column, sorted, missing ones left out."""
        values = np.unique(self.values[:, column])
        return values[~np.isnan(values)]

    def text(self, column: int, value: float) -> str:
        """Write a value of a column as a reader knows it."""
        return "missing" if np.isnan(value) else self.form.text(column, value)

    def _column(self, which: str | int, argument: str) -> int:
        d = len(self.names)
        if isinstance(which, str) and which in self.names:
            return self.names.index(which)
        if isinstance(which, int) and -d <= which < d:
            return which % d
        raise MapstoError(f"{argument}: got {which!r}, expected a column's name, or its position from 0 to {d - 1}.")

    def _kind(self, column: int, labels: set[int]) -> Kind:
        if column in labels:
            return "category"
        return "integer" if (self.observed(column) % 1 == 0).all() else "number"


def _finite(values: Float[np.ndarray, "n d"], argument: str = "background") -> Float[np.ndarray, "n d"]:
    if np.isinf(values).any():
        raise MapstoError(f"{argument}: got an infinite value, expected finite numbers, NaN where one is missing.")
    return values


def _different(argument: str, names: Sequence[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise MapstoError(f"{argument}: has column {twice[0]!r} more than once, expected different names; rename one.")
