"""A model of a table's rows, and the rows as numbers: arrays, tensors, or DataFrames whose words get a code each.

The model gets the user's own numbers: whole numbers are held in double precision. In a DataFrame, those that double
precision rounds get a code each, as do words and dates.
"""

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ... import checks
from ...errors import MapstoError
from ...views import model as model_view
from ...views.batch_model import method_of

if TYPE_CHECKING:
    import pandas as pd


_ROUNDS, _HELD = "which double precision rounds", "numbers that it holds exactly"


class TableModel:
    """A model as a view of coded rows, and how rows are coded; `Explainer` describes what models and rows may be.

    Args:
        model: the model.
        name: what the rows are called in refusals.
        rows: the rows that decide the columns and the codes of words.
        target: the score to return; if None, all scores.
        batch_size: the largest number of rows that the model gets at a time.
    """

    def __init__(self, model: Any, name: str, rows: Any, target: int | str | None, batch_size: int | None):
        self.cells = Cells(rows) if is_frame(rows) else None
        f, columns = _of_cells(model, self.cells)
        self.view = model_view(f, target, batch_size=batch_size, columns=columns)
        self.dtype = torch.float32
        self.rows = self.codes(name, rows)
        self.dtype = self.rows.dtype
        width = self.rows.shape[1]
        read = _columns_read(model) if self.cells is None else None  # of a DataFrame, a model may leave columns out
        checks.expect(read in (None, width), name, f"{width} columns", f"{read}, as the model was fitted on")
        names = getattr(model, "feature_names_in_", None)
        self.names = [f"column {i}" for i in range(self.rows.shape[1])] if names is None else list(names)
        if self.cells is not None:
            self.names = self.cells.names

    def classes(self, k: int) -> list:
        """Return the names of k scores, once the model has been asked; their numbers if it has no names."""
        named = self.view.batch_model.classes
        return list(range(k)) if named is None else np.asarray(named).tolist()

    def score_name(self, target: Any) -> str:
        """Return the name of the score `target`, once the model has been asked; of the only score if it is None."""
        named = self.view.batch_model.classes
        if isinstance(target, Integral) and named is not None:
            target = np.asarray(named).tolist()[int(target)]
        return "score" if target is None else f"score of {target}"

    def levels(self, column: int) -> list | None:
        """Return the cells of a column of words, dates or categories, as numbered; None if it is one of numbers."""
        return None if self.cells is None else self.cells.levels.get(self.names[column])

    def codes(self, name: str, rows: Any) -> Float[Tensor, "n d"]:
        """Return rows of the table as numbers; raise MapstoError if they are of another kind.

        Numbers are rounded neither here nor where they stand beside those of the rows that decide the columns.
        """
        if is_frame(rows):
            remedy = "pass the background as a DataFrame too"
            checks.expect(self.cells is not None, name, "a DataFrame", "an array, as the background", remedy)
            assert self.cells is not None
            return self.cells.codes(name, rows)
        array = isinstance(rows, Tensor | np.ndarray)
        checks.expect(array, name, f"a {type(rows).__name__}", "an array, a tensor or a DataFrame")
        codes = rows.detach().cpu() if isinstance(rows, Tensor) else _as_tensor(name, rows)
        codes = codes[None] if codes.ndim == 1 else codes
        checks.expect(codes.ndim == 2, name, f"shape {tuple(codes.shape)}", "[rows, columns]", "take mt.views.game")
        if not codes.is_floating_point():
            lost = _rounded(codes.flatten().tolist())
            checks.expect(lost is None, name, f"{lost}, {_ROUNDS}", _HELD, "pass a DataFrame")
            codes = codes.double()
        return codes.to(torch.promote_types(codes.dtype, self.dtype))

    def data(self, rows: Any, codes: Tensor) -> tuple[Shaped[np.ndarray, "n d"], Float[np.ndarray, "n d"] | None]:
        """Return the cells of rows as given and, if they were given as a DataFrame, the numbers that sort them."""
        if self.cells is not None and is_frame(rows):
            return self.cells.data(rows), self.cells.sorting(codes.double().numpy())
        return np.asarray(codes), None


def _columns_read(model: Any) -> int | None:
    """Return the number of columns that a scikit-learn estimator was fitted on; None if the model is something else."""
    from sklearn.base import BaseEstimator

    method = getattr(model, "__name__", "")
    predicts = method.startswith("predict") or method == "decision_function"
    asked = getattr(model, "__self__", model) if predicts else model
    read = getattr(asked, "n_features_in_", None) if isinstance(asked, BaseEstimator) else None
    return read if isinstance(read, int) else None


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
            name: []
            for name, dtype in self.dtypes.items()
            if dtype.kind not in "biuf" or _rounded(frame[name].dropna().tolist()) is not None
        }

    def codes(self, name: str, frame: "pd.DataFrame") -> Float[Tensor, "n d"]:
        """Return the cells as float64 numbers; a missing number is NaN."""
        missing = [column for column in self.names if column not in frame.columns]
        checks.expect(not missing, name, f"no column {', '.join(map(str, missing))}", "the columns of the background")
        columns = [self._column(name, column, frame[column]) for column in self.names]
        return torch.tensor(np.stack(columns, 1).reshape(len(frame), len(self.names)))

    def _column(self, name: str, column: Any, cells: "pd.Series") -> np.ndarray:
        """Return cells of one column as float64 numbers."""
        if column in self.levels:
            return self._numbered(column, cells)
        lost = _rounded(cells.dropna().tolist())
        got = f"{lost} in column {column!r}, {_ROUNDS}"
        checks.expect(lost is None, name, got, f"{_HELD}, as in the background", "write the column as texts in both")
        try:
            return cells.to_numpy(float, na_value=np.nan)
        except (TypeError, ValueError) as error:
            got = f"{cells.dtype} in column {column!r}"
            raise MapstoError(f"{name}: got {got}, expected numbers, as in the background.") from error

    def given(self, name: str, column: Any, values: Any) -> np.ndarray:
        """Return values of a column of words, dates or categories as numbers; they need not be in the background."""
        import pandas as pd

        dtype = self.dtypes[column]
        try:
            cells = pd.Series(list(values), dtype=dtype if dtype.kind in "mMiu" else None)
        except (TypeError, ValueError, OverflowError) as error:
            got = f"{values!r} for column {column!r}"
            raise MapstoError(f"{name}: got {got}, expected values of {dtype}, as in the column.") from error
        return self._numbered(column, cells)

    def in_order(self, column: Any) -> list[int] | None:
        """Return the numbers of the present levels of a column in their order; None if they have none, as words."""
        import pandas as pd

        levels, dtype = self.levels[column], self.dtypes[column]
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
        import pandas as pd

        levels, dtype = self.levels[name], self.dtypes[name]
        if isinstance(dtype, pd.CategoricalDtype):  # else pandas takes a new category for a missing cell
            new = [level for level in levels if not pd.isna(level) and level not in dtype.categories]
            dtype = pd.CategoricalDtype([*dtype.categories, *new], dtype.ordered) if new else dtype
        return pd.Series([levels[int(code)] for code in codes], codes.index, dtype=dtype)

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
            moments = pd.to_datetime(pd.Series(levels, dtype=object), utc=True)
            return ((moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)).to_numpy(float)
        if kind == "number":
            return pd.Series(levels, dtype=self.dtypes[name]).to_numpy(float, na_value=np.nan)
        order = self.in_order(name) or [i for i, level in enumerate(levels) if _key(level) is not None]
        return np.array([order.index(code) if code in order else np.nan for code in range(len(levels))], float)

    def data(self, frame: "pd.DataFrame") -> np.ndarray:
        """Return the cells as given."""
        return frame[self.names].to_numpy(object if self.levels else None)


def _of_cells(model: Any, cells: Cells | None) -> tuple[Any, list[str] | None]:
    """Return the model, or if it reads DataFrames a function of coded ones, and the names of the columns."""
    if cells is None:
        return model, None
    if isinstance(model, nn.Module):
        got = f"texts, dates or long numbers in column {', '.join(map(str, cells.levels))}"
        checks.expect(not cells.levels, "background", got, "numbers for a module", "give them a code each")
        return model, None
    method = method_of(model)
    owner = getattr(method, "__self__", method)
    fitted_on_arrays = owner is not method and getattr(owner, "feature_names_in_", None) is None
    if fitted_on_arrays and not cells.levels:
        return model, None

    def decoded(frame: "pd.DataFrame") -> Any:
        return method(cells.decode(frame))

    decoded.classes_ = getattr(owner, "classes_", None)  # type: ignore[attr-defined]
    decoded.__name__ = getattr(method, "__name__", "")
    return decoded, cells.names


def _as_tensor(name: str, array: np.ndarray) -> Tensor:
    remedy = "pass a DataFrame, or give texts a code each"
    checks.expect(array.dtype.kind in "biuf", name, f"an array of {array.dtype}", "numbers", remedy)
    return torch.as_tensor(array.copy())  # some arrays are read-only


def _key(cell: Any) -> Any:
    """Return a key of the cell, which 1 and True do not share; missing cells do, because NaN differs from itself."""
    import pandas as pd

    return None if np.ndim(cell) == 0 and pd.isna(cell) else (type(cell), cell)


def _kind(dtype: Any) -> str:
    ordered = dtype.kind == "m" or getattr(dtype, "ordered", False)
    return "date" if dtype.kind == "M" else "number" if dtype.kind in "iuf" else "ordered" if ordered else "category"


def _rounded(cells: list) -> int | None:
    """Return the first whole number that double precision rounds, or None."""
    return next((cell for cell in cells if isinstance(cell, int) and float(cell) != cell), None)


def _of_dtype(dtype: Any, cells: "pd.Series") -> "pd.Series":
    """Return numbers in the dtype, or as they are if it cannot hold one of them."""
    try:
        with np.errstate(invalid="ignore", over="ignore"):  # such numbers are left as they are
            cast = cells.astype(dtype)
    except (TypeError, ValueError):  # a missing cell among whole numbers, or a fraction
        return cells
    same = np.array_equal(cast.to_numpy(float, na_value=np.nan), cells.to_numpy(), equal_nan=True)
    return cast if same else cells


def is_frame(rows: Any) -> bool:
    """Return whether rows are a DataFrame, of pandas or another library."""
    return all(callable(getattr(rows, name, None)) for name in ("itertuples", "to_numpy"))
