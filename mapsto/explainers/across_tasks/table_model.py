"""A model of a table's rows, and the rows as numbers: arrays, tensors, or DataFrames whose words get a code each."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ... import checks
from ...views import model as model_view
from ...views.batch_model import method_of

if TYPE_CHECKING:
    import pandas as pd


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
        self.cells = _Cells(rows) if is_frame(rows) else None
        f, columns = _of_cells(model, self.cells)
        self.view = model_view(f, target, batch_size=batch_size, columns=columns)
        self.rows = self.codes(name, rows)
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

    def codes(self, name: str, rows: Any) -> Float[Tensor, "n d"]:
        """Return rows of the table as numbers; raise MapstoError if they are of another kind."""
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
        return codes if codes.is_floating_point() else codes.to(torch.get_default_dtype())

    def data(self, rows: Any, codes: Tensor) -> tuple[Shaped[np.ndarray, "n d"], Float[np.ndarray, "n d"] | None]:
        """Return the cells of rows as given, and their codes if they were given as a DataFrame."""
        if self.cells is not None and is_frame(rows):
            return self.cells.data(rows), codes.double().numpy()
        return np.asarray(codes), None


def _columns_read(model: Any) -> int | None:
    """Return the number of columns that a scikit-learn estimator was fitted on; None if the model is something else."""
    from sklearn.base import BaseEstimator

    method = getattr(model, "__name__", "")
    predicts = method.startswith("predict") or method == "decision_function"
    asked = getattr(model, "__self__", model) if predicts else model
    read = getattr(asked, "n_features_in_", None) if isinstance(asked, BaseEstimator) else None
    return read if isinstance(read, int) else None


class _Cells:
    """The columns of a DataFrame as numbers: texts are numbered in the order in which they are first read."""

    def __init__(self, frame: "pd.DataFrame"):
        import pandas as pd

        self.names, self.dtypes = list(frame.columns), frame.dtypes
        numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
        self.levels: dict[Any, list] = {
            name: [] for name, number in zip(self.names, numeric, strict=True) if not number
        }

    def codes(self, name: str, frame: "pd.DataFrame") -> Float[Tensor, "n d"]:
        """Return the cells as float64 numbers; a missing number is NaN."""
        missing = [column for column in self.names if column not in frame.columns]
        checks.expect(not missing, name, f"no column {', '.join(map(str, missing))}", "the columns of the background")
        columns = [
            self._numbered(column, frame[column])
            if column in self.levels
            else frame[column].to_numpy(float, na_value=np.nan)
            for column in self.names
        ]
        return torch.tensor(np.stack(columns, 1).reshape(len(frame), len(self.names)))

    def _numbered(self, name: Any, cells: "pd.Series") -> np.ndarray:
        levels = self.levels[name]
        places = {_key(level): i for i, level in enumerate(levels)}
        for cell in cells:
            if _key(cell) not in places:
                places[_key(cell)] = len(levels)
                levels.append(cell)
        return np.array([places[_key(cell)] for cell in cells], float)

    def decode(self, codes: "pd.DataFrame") -> "pd.DataFrame":
        """Return cells as the model reads them, with the dtypes of the background if the cells allow it."""
        import pandas as pd

        columns = {}
        for name, dtype in zip(self.names, self.dtypes, strict=True):
            cells = codes[name]
            if name in self.levels:
                levels = self.levels[name]
                cells = pd.Series([levels[int(code)] for code in cells], codes.index, dtype=dtype)
            elif dtype.kind in "iub" and cells.notna().all() and (cells == cells.round()).all():
                cells = cells.astype(dtype)
            columns[name] = cells
        return pd.DataFrame(columns, codes.index)

    def data(self, frame: "pd.DataFrame") -> np.ndarray:
        """Return the cells as given."""
        return frame[self.names].to_numpy(object if self.levels else None)


def _of_cells(model: Any, cells: _Cells | None) -> tuple[Any, list[str] | None]:
    """Return the model, or if it reads DataFrames a function of coded ones, and the names of the columns."""
    if cells is None:
        return model, None
    if isinstance(model, nn.Module):
        got = f"texts in column {', '.join(map(str, cells.levels))}"
        checks.expect(not cells.levels, "background", got, "numbers for a module", "give texts a code each")
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
    """Return the cell, or one key for all missing cells, because NaN differs from itself."""
    return None if cell is None or cell != cell or str(cell) in ("<NA>", "NaT") else cell


def is_frame(rows: Any) -> bool:
    """Return whether rows are a DataFrame, of pandas or another library."""
    return all(callable(getattr(rows, name, None)) for name in ("itertuples", "to_numpy"))
