"""The columns of a DataFrame as numbers, and back: the model gets its own words, dates and whole numbers.

Whole numbers are held in double precision. If a column of the background has some that it rounds, they get a code each,
as do words and dates.
"""

import warnings
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ... import checks
from ...errors import MapstoError

if TYPE_CHECKING:
    import pandas as pd


_EXACT = 2**53  # double precision holds every whole number up to it


class Rounding:
    """Warns once of each column whose whole numbers double precision rounds, and says the remedy."""

    def __init__(self, remedy: str):
        self.remedy, self.said = remedy, set[str]()

    def warn(self, column: str, cells: Any) -> None:
        """Warn of the column if one of its cells is rounded."""
        if column not in self.said and _rounds(cells):
            self.said.add(column)
            warnings.warn(f"{column} is rounded in double precision; {self.remedy}.", stacklevel=4)


class Cells:
    """The columns of a DataFrame as numbers: cells of words, dates and categories are numbered as they are first read.

    So are whole numbers if the column has some that double precision rounds.
    """

    def __init__(self, frame: "pd.DataFrame"):
        self.names = list(frame.columns)
        twice = [name for name in self.names if self.names.count(name) > 1]
        checks.expect(not twice, "columns", f"{twice[:1]} more than once", "different names", "rename one")
        self.dtypes = dict(zip(self.names, frame.dtypes, strict=True))
        self.levels: dict[Any, list] = {
            name: [] for name, dtype in self.dtypes.items() if dtype.kind not in "biuf" or _rounds(frame[name].dropna())
        }
        self.rounding = Rounding("write it as texts in both tables to keep every digit")

    def codes(self, name: str, frame: "pd.DataFrame") -> Float[Tensor, "n d"]:
        """Return the cells as float64 numbers; a missing number is NaN."""
        missing = [column for column in self.names if column not in frame.columns]
        checks.expect(not missing, name, f"no column {', '.join(map(str, missing))}", "the columns of the background")
        columns = [self._column(name, column, frame[column]) for column in self.names]
        return torch.tensor(np.stack(columns, 1).reshape(len(frame), len(self.names)))

    def _column(self, name: str, column: Any, cells: "pd.Series") -> np.ndarray:
        """Return cells of one column as float64 numbers."""
        if self.dtypes[column].kind == "M":
            return self._numbered(column, self._dates(name, column, "as in the background", cells))
        if column in self.levels:
            return self._numbered(column, cells)
        self.rounding.warn(f"column {column!r}", cells.dropna())
        try:
            return cells.to_numpy(float, na_value=np.nan)
        except (TypeError, ValueError) as error:
            got = f"{cells.dtype} in column {column!r}"
            raise MapstoError(f"{name}: got {got}, expected numbers, as in the background.") from error

    def _dates(self, name: str, column: Any, whose: str, cells: Any) -> "pd.Series":
        """Return cells as dates of the column; raise MapstoError, with the first that is none, if they are not."""
        dtype, cells = self.dtypes[column], list(cells)
        dates = _as_dates(cells, dtype)
        if dates is None:
            first = next((cell for cell in cells if _as_dates([cell], dtype) is None), cells[0])
            checks.expect(False, name, f"{str(first)!r} in column {column!r}", f"dates of {dtype}, {whose}")
        assert dates is not None
        return dates

    def given(self, name: str, column: Any, values: Any) -> np.ndarray:
        """Return values of a column of words, dates or categories as numbers; they need not be in the background."""
        import pandas as pd

        dtype = self.dtypes[column]
        if dtype.kind == "M":
            return self._numbered(column, self._dates(name, column, "as in the column", values))
        try:
            cells = pd.Series(list(values), dtype=dtype if dtype.kind in "miu" else None)
        except (TypeError, ValueError, OverflowError) as error:
            got = f"{values!r} for column {column!r}"
            raise MapstoError(f"{name}: got {got}, expected values of {dtype}, as in the column.") from error
        return self._numbered(column, cells)

    def in_order(self, column: Any) -> list[int] | None:
        """Return the numbers of the present levels of a column in their order; None if they have none, as words."""
        import pandas as pd

        levels, dtype = self.levels[column], self._widened(column)
        present = [code for code, level in enumerate(levels) if _key(level) is not None]
        if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
            return sorted(present, key=lambda code: list(dtype.categories).index(levels[code]))
        if any(isinstance(levels[code], str) for code in present):
            return None
        try:
            return sorted(present, key=lambda code: levels[code])
        except TypeError:  # of several kinds
            return None

    def _numbered(self, name: Any, cells: "pd.Series") -> np.ndarray:
        levels = self.levels[name]
        places = {_key(level): i for i, level in enumerate(levels)}
        for cell in cells:
            if _key(cell) not in places:
                places[_key(cell)] = len(levels)
                levels.append(cell)
        return np.array([places[_key(cell)] for cell in cells], float)

    def decode(self, codes: "pd.DataFrame") -> "pd.DataFrame":
        """Return cells as the model reads them, with the dtypes of the background if these hold them."""
        import pandas as pd

        columns = {
            name: self._leveled(name, codes[name]) if name in self.levels else _of_dtype(dtype, codes[name])
            for name, dtype in self.dtypes.items()
        }
        return pd.DataFrame(columns, codes.index)

    def _leveled(self, name: Any, codes: "pd.Series") -> "pd.Series":
        levels = self.levels[name]
        return _as_held([levels[int(code)] for code in codes], self._widened(name), codes.index)

    def _widened(self, name: Any) -> Any:
        """Return the dtype of a column, with new categories last: else pandas takes them for missing cells."""
        import pandas as pd

        levels, dtype = self.levels[name], self.dtypes[name]
        if not isinstance(dtype, pd.CategoricalDtype):
            return dtype
        new = [level for level in levels if not pd.isna(level) and level not in dtype.categories]
        return pd.CategoricalDtype([*dtype.categories, *new], dtype.ordered) if new else dtype

    def holds(self, name: Any) -> str | None:
        """Return what a numbered column holds, in a word or two; None if it is not numbered."""
        if name not in self.levels:
            return None
        dtype, present = self.dtypes[name], [level for level in self.levels[name] if _key(level) is not None]
        if dtype.kind in "iu":
            return "whole numbers that double precision rounds"
        if dtype.kind in "mM" or hasattr(dtype, "categories"):
            return {"m": "spans of time", "M": "dates"}.get(dtype.kind, "categories")
        if present and all(isinstance(level, Real) for level in present):
            return "numbers as objects"
        return "words" if any(isinstance(level, str) for level in present) else f"cells of {dtype}"

    @property
    def kinds(self) -> list[str]:
        """The kind of each column, as an `Explanation` has it."""
        return [_kind(dtype) for dtype in self.dtypes.values()]

    def sorting(self, codes: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Return the numbers by which pictures sort cells; NaN if a cell is missing."""
        columns = [
            self._sorting(name)[column.astype(int)] if name in self.levels else column
            for name, column in zip(self.names, codes.T, strict=True)
        ]
        return np.stack(columns, 1)

    def _sorting(self, name: Any) -> Float[np.ndarray, " v"]:
        """Return a number for each level: the days since 1970, the number itself, the place in the order, or any."""
        import pandas as pd

        levels, kind = self.levels[name], _kind(self.dtypes[name])
        if kind == "date":
            moments = pd.Series(levels, dtype=self.dtypes[name])
            moments = moments.dt.tz_convert(None) if moments.dt.tz else moments
            return (moments.to_numpy() - np.datetime64(0, "D")) / np.timedelta64(1, "D")
        if kind == "number":
            return pd.Series(levels, dtype=object).to_numpy(float, na_value=np.nan)
        order = self.in_order(name) or [i for i, level in enumerate(levels) if _key(level) is not None]
        return np.array([order.index(code) if code in order else np.nan for code in range(len(levels))], float)

    def data(self, frame: "pd.DataFrame") -> np.ndarray:
        """Return the cells as given."""
        return frame[self.names].to_numpy(object if self.levels else None)


def _key(cell: Any) -> Any:
    """Return a key of the cell, which 1 and True do not share; missing cells do, because NaN differs from itself."""
    import pandas as pd

    return None if np.ndim(cell) == 0 and pd.isna(cell) else (type(cell), cell)


def _kind(dtype: Any) -> str:
    ordered = dtype.kind == "m" or getattr(dtype, "ordered", False)
    return "date" if dtype.kind == "M" else "number" if dtype.kind in "iuf" else "ordered" if ordered else "category"


def _rounds(cells: Any) -> bool:
    """Return whether one of the cells is a whole number that double precision rounds."""
    kind = getattr(getattr(cells, "dtype", None), "kind", "O")
    if kind in "bf" or (kind in "iu" and (not len(cells) or max(-int(cells.min()), int(cells.max())) <= _EXACT)):
        return False
    return any(isinstance(cell, int) and float(cell) != cell for cell in np.asarray(cells, object).tolist())


def _as_dates(cells: list, dtype: Any) -> "pd.Series | None":
    """Return cells in the dtype of dates; None if one is no such date, or a number, which pandas counts from 1970."""
    import pandas as pd

    if any(isinstance(cell, Real) and not pd.isna(cell) for cell in cells):
        return None
    try:
        return pd.Series(cells, dtype=dtype)
    except (TypeError, ValueError, OverflowError):
        return None


def _as_held(cells: list, dtype: Any, index: "pd.Index") -> "pd.Series":
    """Return cells in the dtype, or as they are if it cannot hold one of them."""
    import pandas as pd

    try:
        return pd.Series(cells, index, dtype=dtype)
    except (TypeError, ValueError, OverflowError):  # a missing cell or a fraction among whole numbers
        return pd.Series(cells, index, dtype=object if _rounds(cells) else None)


def _of_dtype(dtype: Any, cells: "pd.Series") -> "pd.Series":
    """Return numbers in the dtype; if it is one of whole numbers that cannot hold one of them, as they are."""
    with np.errstate(invalid="ignore", over="ignore"):
        if dtype.kind == "f":
            return cells.astype(dtype)
        try:
            cast = cells.astype(dtype)
        except (TypeError, ValueError):  # a missing cell among whole numbers, or a fraction
            return cells
    same = np.array_equal(cast.to_numpy(float, na_value=np.nan), cells.to_numpy(), equal_nan=True)
    return cast if same else cells
