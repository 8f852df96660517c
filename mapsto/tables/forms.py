"""The forms of a table: how each form is read as numbers, and how numbers are written in it again.

A table is a tensor or an array of numbers, or a DataFrame, whose columns are matched by name, and whose texts, booleans
and categories are read as their rank.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks
from ..errors import MapstoError


def as_text(value: float) -> str:
    """Write a number with six significant digits, but a whole number with all of its digits: it may be a code.

    >>> as_text(1234567.0), as_text(0.1 + 0.2), as_text(-0.0)
    ('1234567', '0.3', '0')
    """
    value += 0.0  # no "-0"
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"


class Form(ABC):
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
        """Return a table with the background's columns in its order; errors name `argument`.

        Raises:
            MapstoError: if the rows are no table of this form and width.
        """
        kind, d = type(self.like).__name__, self.like.shape[1]
        fits = isinstance(rows, type(self.like)) and rows.ndim == 2 and rows.shape[1] == d
        checks.expect(fits, argument, described(rows), f"a {kind} of {d} columns, as the background is")
        return rows

    def single(self, values: Float[np.ndarray, "1 d"]) -> Any:
        """Return one row `[d]`; for a DataFrame, a frame of one row."""
        return self.decode(values)[0]

    def text(self, column: int, value: float) -> str:
        """Write a value."""
        return as_text(value)


class _Tensor(Form):
    def __init__(self, rows: Tensor):
        d = rows.shape[1]
        self.like, self.names = rows[:0].detach(), [f"x{j}" for j in range(d)]
        self.labels = set(range(d)) if rows.dtype == torch.bool else set()

    def encode(self, rows: Tensor) -> Float[np.ndarray, "n d"]:
        return rows.detach().cpu().double().numpy()

    def decode(self, values: Float[np.ndarray, "n d"]) -> Tensor:
        return torch.as_tensor(values).to(self.like)


class _Array(Form):
    def __init__(self, rows: np.ndarray):
        d = rows.shape[1]
        self.like, self.names = rows[:0], [f"x{j}" for j in range(d)]
        self.labels = set(range(d)) if rows.dtype == bool else set()

    def encode(self, rows: np.ndarray) -> Float[np.ndarray, "n d"]:
        return rows.astype(np.float64)

    def decode(self, values: Float[np.ndarray, "n d"]) -> np.ndarray:
        return values.astype(self.like.dtype)


class _Frame(Form):
    """A DataFrame: texts, booleans and categories are read as their rank among the values in the background."""

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
        """Return a frame with the background's columns, matched by name, in its order."""
        if not isinstance(rows, type(self.like)):
            return super().fitting(rows, argument)
        names, got = list(self.like.columns), list(rows.columns)
        wrong = {
            "lacks": [name for name in names if name not in got],
            "has unknown": [name for name in got if name not in names],
            "has more than once": [name for name in names if got.count(name) > 1],
        }
        problems = ", ".join(
            f"{problem} {', '.join(map(repr, columns))}" for problem, columns in wrong.items() if columns
        )
        if problems:
            raise MapstoError(f"{argument}: {problems}, expected the background's columns, each once, in any order.")
        return rows[names]

    def text(self, column: int, value: float) -> str:
        return str(self.levels[column][int(value)]) if column in self.levels else as_text(value)

    def _read(self, column: int, values: Any) -> Float[np.ndarray, " n"]:
        if column not in self.levels:
            return self._plain(column, values)
        ranks = {level: float(i) for i, level in enumerate(self.levels[column])}
        present = values.notna()
        for value in values[present]:
            if value not in ranks:
                raise MapstoError(
                    f"column {self.names[column]!r}: got {value!r}, which no background row has; add one that does."
                )
        return np.array([ranks[v] if there else np.nan for v, there in zip(values, present, strict=True)], np.float64)

    def _plain(self, column: int, values: Any) -> Float[np.ndarray, " n"]:
        try:
            return values.to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise MapstoError(f"column {self.names[column]!r}: {error}, expected numbers only.") from error

    def _write(self, column: int, values: Float[np.ndarray, " n"]) -> Any:
        import pandas as pd

        dtype = self.like.dtypes.iloc[column]
        if column not in self.levels:
            return pd.Series(values).astype(dtype)
        levels = [None if np.isnan(v) else self.levels[column][int(v)] for v in values]
        return pd.Series(levels, dtype=object).astype(dtype)


def form_of(rows: Any) -> Form:
    """Return the form of a table; raise MapstoError if it is none."""
    if isinstance(rows, Tensor) and rows.ndim == 2:
        return _Tensor(rows)
    if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind in "biuf":
        return _Array(rows)
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        return _Frame(rows)
    raise MapstoError(
        f"background: got {described(rows)}, expected a tensor or array of numbers [n, d], or a DataFrame."
    )


def described(rows: Any) -> str:
    """Return a description of an argument that is no table, for a message."""
    shape = f" of shape {tuple(rows.shape)}" if isinstance(rows, Tensor | np.ndarray) else ""
    return f"a {type(rows).__name__}{shape}"


def _levels(values: Any) -> list[Any]:
    import pandas as pd

    if values.dtype.kind in "mM":
        raise MapstoError(f"background: column {values.name!r} holds times, expected numbers or texts; give days.")
    seen = set(values.dropna())
    if isinstance(values.dtype, pd.CategoricalDtype):
        return [level for level in values.dtype.categories if level in seen]
    return sorted(seen, key=str)
