"""The rows that rules and counterfactuals draw from: a table as numbers, with each column's name and kind.

A column is a "category" (texts, booleans, and what `categorical` names), an "integer" (every observed value is whole)
or a "number". Rows made up from it go back to the classifier in the form the background came in: tensor, array or
DataFrame, of its dtypes, categories as they were written. NaN means missing.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import MapstoError

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
        self.form = _form(rows)
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
            raise MapstoError(f"row: got {_told(row)}, expected a single row.")
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


class _Form(ABC):
    """The form of a table: how to read it as numbers, and how to write numbers in that form."""

    like: Any  # no rows of it
    names: list[str]
    labels: set[int]  # columns that hold no numbers

    @abstractmethod
    def encode(self, rows: Any) -> Float[np.ndarray, "n d"]:
        """Return the table as numbers."""

    @abstractmethod
    def decode(self, values: Float[np.ndarray, "n d"]) -> Any:
        """Return numbers as a table."""

    def table(self, row: Any) -> Any:
        """Return a row as a table of one row."""
        return row[None] if isinstance(row, type(self.like)) and row.ndim == 1 else row

    def fitting(self, rows: Any, argument: str) -> Any:
        """Return a table whose columns are the background's, in its order; `argument` is whose mistake an error names.

        Raises:
            MapstoError: no table of this form, of this width.
        """
        kind, d = type(self.like).__name__, self.like.shape[1]
        if not isinstance(rows, type(self.like)) or rows.ndim != 2 or rows.shape[1] != d:
            raise MapstoError(f"{argument}: got {_told(rows)}, expected a {kind} of {d} columns, as the background is.")
        return rows

    def single(self, values: Float[np.ndarray, "1 d"]) -> Any:
        """Return one row: `[d]`, or of a DataFrame a frame of one row."""
        return self.decode(values)[0]

    def text(self, column: int, value: float) -> str:
        """Write a value."""
        return f"{value + 0.0:.6g}"  # no "-0"


class _Tensor(_Form):
    def __init__(self, rows: Tensor):
        d = rows.shape[1]
        self.like, self.names = rows[:0].detach(), [f"x{j}" for j in range(d)]
        self.labels = set(range(d)) if rows.dtype == torch.bool else set()

    def encode(self, rows: Tensor) -> Float[np.ndarray, "n d"]:
        return rows.detach().cpu().double().numpy()

    def decode(self, values: Float[np.ndarray, "n d"]) -> Tensor:
        return torch.as_tensor(values).to(self.like)


class _Array(_Form):
    def __init__(self, rows: np.ndarray):
        d = rows.shape[1]
        self.like, self.names = rows[:0], [f"x{j}" for j in range(d)]
        self.labels = set(range(d)) if rows.dtype == bool else set()

    def encode(self, rows: np.ndarray) -> Float[np.ndarray, "n d"]:
        return rows.astype(np.float64)

    def decode(self, values: Float[np.ndarray, "n d"]) -> np.ndarray:
        return values.astype(self.like.dtype)


class _Frame(_Form):
    """A DataFrame: texts, booleans and categories are read as their rank among those that the background has."""

    def __init__(self, frame: Any):
        self.like, self.names = frame.iloc[:0], [str(name) for name in frame.columns]
        self.levels = {j: _levels(frame.iloc[:, j]) for j, dtype in enumerate(frame.dtypes) if dtype.kind not in "iuf"}
        self.labels = set(self.levels)

    def encode(self, rows: Any) -> Float[np.ndarray, "n d"]:
        columns = [self._read(j, rows.iloc[:, j]) for j in range(len(self.names))]
        return np.stack(columns, 1) if columns else np.empty((len(rows), 0))

    def decode(self, values: Float[np.ndarray, "n d"]) -> Any:
        import pandas as pd

        columns = [self._write(j, values[:, j]) for j in range(len(self.names))]
        return pd.concat(columns, axis=1).set_axis(self.like.columns, axis=1)

    def single(self, values: Float[np.ndarray, "1 d"]) -> Any:
        return self.decode(values)

    def table(self, row: Any) -> Any:
        import pandas as pd

        return row.to_frame().T if isinstance(row, pd.Series) else row

    def fitting(self, rows: Any, argument: str) -> Any:
        """Return a frame with its columns, found by their names, in the background's order."""
        if not isinstance(rows, type(self.like)):
            return super().fitting(rows, argument)
        known, got = list(self.like.columns), list(rows.columns)
        wrong = {
            "lacks": [name for name in known if name not in got],
            "has unknown": [name for name in got if name not in known],
            "has more than once": [name for name in known if got.count(name) > 1],
        }
        told = ", ".join(f"{what} {', '.join(map(repr, names))}" for what, names in wrong.items() if names)
        if told:
            raise MapstoError(f"{argument}: {told}, expected the background's columns, each once, in any order.")
        return rows[known]

    def text(self, column: int, value: float) -> str:
        return str(self.levels[column][int(value)]) if column in self.levels else f"{value:.6g}"

    def _read(self, column: int, values: Any) -> Float[np.ndarray, " n"]:
        if column not in self.levels:
            return self._plain(column, values)
        ranks = {level: float(i) for i, level in enumerate(self.levels[column])}
        present = values.notna()
        for value in values[present]:
            if value not in ranks:
                raise MapstoError(
                    f"row: column {self.names[column]!r} holds {value!r}, which no background row has; add one."
                )
        return np.array([ranks[v] if there else np.nan for v, there in zip(values, present, strict=True)], np.float64)

    def _plain(self, column: int, values: Any) -> Float[np.ndarray, " n"]:
        try:
            return values.to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise MapstoError(f"row: column {self.names[column]!r}: {error}, expected numbers only.") from error

    def _write(self, column: int, values: Float[np.ndarray, " n"]) -> Any:
        import pandas as pd

        dtype = self.like.dtypes.iloc[column]
        if column not in self.levels:
            return pd.Series(values).astype(dtype)
        levels = [None if np.isnan(v) else self.levels[column][int(v)] for v in values]
        return pd.Series(levels, dtype=object).astype(dtype)


def _form(rows: Any) -> _Form:
    if isinstance(rows, Tensor) and rows.ndim == 2:
        return _Tensor(rows)
    if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind in "biuf":
        return _Array(rows)
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        return _Frame(rows)
    raise MapstoError(f"background: got {_told(rows)}, expected a tensor or array of numbers [n, d], or a DataFrame.")


def _levels(values: Any) -> list[Any]:
    import pandas as pd

    if values.dtype.kind in "mM":
        raise MapstoError(f"background: column {values.name!r} holds times, expected numbers or texts; give days.")
    seen = set(values.dropna())
    if isinstance(values.dtype, pd.CategoricalDtype):
        return [level for level in values.dtype.categories if level in seen]
    return sorted(seen, key=str)


def _finite(values: Float[np.ndarray, "n d"], argument: str = "background") -> Float[np.ndarray, "n d"]:
    if np.isinf(values).any():
        raise MapstoError(f"{argument}: got an infinite value, expected finite numbers, NaN where one is missing.")
    return values


def _different(argument: str, names: Sequence[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise MapstoError(f"{argument}: has column {twice[0]!r} more than once, expected different names; rename one.")


def _told(rows: Any) -> str:
    shape = f" of shape {tuple(rows.shape)}" if isinstance(rows, Tensor | np.ndarray) else ""
    return f"a {type(rows).__name__}{shape}"
