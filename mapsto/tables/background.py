"""The rows from which rules and counterfactuals draw: a table as numbers, with each column's name and kind.

A column is a "category" (texts, booleans, and the columns in `categorical`), an "integer" (every observed value is
whole) or a "number". Synthetic rows go back to the classifier in the form of the background: tensor, array or
DataFrame, with its dtypes, and categories as they were written. NaN means missing.
"""

from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Float

from .. import checks
from ..errors import MapstoError
from .forms import described, form_of

Kind = Literal["number", "integer", "category"]


@final
class Background:
    """A table's rows as numbers: `values` `[n, d]`, and the `names` and `kinds` of its columns.

    `rows` is a tensor or array `[n, d]`, or a DataFrame; `names` default to those of the DataFrame, or x0, x1, ...;
    `categorical` lists columns (name or position) whose numbers are mere labels.

    >>> background = Background(np.array([[61.5, 1], [48.0, 0]]), names=["age", "ward"], categorical=["ward"])
    >>> background.kinds
    ('number', 'category')
    """

    def __init__(self, rows: Any, names: Sequence[str] | None = None, categorical: Sequence[str | int] = ()):
        self.form = form_of(rows)
        self.values = _finite(self.form.encode(rows))
        n, d = self.values.shape
        checks.expect(n > 0 and d > 0, "background", f"shape ({n}, {d})", "at least one row and one column")
        self.names = tuple(self.form.names if names is None else [str(name) for name in names])
        checks.expect(len(self.names) == d, "names", len(self.names), f"{d}, one for each column of the background")
        _different("background" if names is None else "names", self.names)
        labels = self.columns(categorical, "categorical") | self.form.labels
        self.kinds: tuple[Kind, ...] = tuple(self._kind(j, labels) for j in range(d))

    def columns(self, which: Sequence[str | int], argument: str) -> set[int]:
        """Return the positions of columns given by name or position; errors name `argument`."""
        return {self._column(column, argument) for column in which}

    def encode(self, rows: Any, argument: str) -> Float[np.ndarray, "n d"]:
        """Return rows of the background's form as numbers; errors name `argument`.

        Columns of a DataFrame are matched by name, in any order.

        Raises:
            MapstoError: if the rows have another form, width or names, an infinite value, or a category that no
                background row has.
        """
        return _finite(self.form.encode(self.form.fitting(rows, argument)), argument)

    def row(self, row: Any) -> Float[np.ndarray, " d"]:
        """Return one row (`[d]` or `[1, d]`; for a DataFrame, a Series or a frame of one row) as numbers."""
        table = self.form.table(row)
        checks.expect(len(table) == 1, "row", described(row), "a single row")
        return self.encode(table, "row")[0]

    def observed(self, column: int) -> Float[np.ndarray, " u"]:
        """Return the distinct values of a column, sorted, without missing ones."""
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
    checks.expect(not np.isinf(values).any(), argument, "an infinite value", "finite numbers, NaN if one is missing")
    return values


def _different(argument: str, names: Sequence[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    checks.expect(not twice, argument, f"column {twice[:1]} more than once", "different names", "rename one")
