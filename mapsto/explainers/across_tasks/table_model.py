"""A model of a table's rows, and the rows as numbers: arrays, tensors, or DataFrames whose words get a code each.

The model gets the user's own numbers: whole numbers are held in double precision. Longer ones of an array are rounded
to it, with a warning.
"""

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ... import checks
from ...views import model as model_view
from ...views.batch_model import method_of
from .cells import Cells, Rounding

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
        self.cells = Cells(rows) if is_frame(rows) else None
        f, columns = _of_cells(model, self.cells)
        self.view = model_view(f, target, batch_size=batch_size, columns=columns)
        self.dtype, self.rounding = torch.float32, Rounding("pass a DataFrame to keep every digit")
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
        """Return the names of k scores, after its first call; their numbers if it has no names."""
        named = self.view.batch_model.classes
        return list(range(k)) if named is None else np.asarray(named).tolist()

    def score_name(self, target: Any) -> str:
        """Return the name of the score `target`, after the first call of the model; of the only score if it is None."""
        named = self.view.batch_model.classes
        if isinstance(target, Integral) and named is not None:
            target = np.asarray(named).tolist()[int(target)]
        return "score" if target is None else f"score of {target}"

    def levels(self, column: int) -> list | None:
        """Return the cells of a column of words, dates or categories, as numbered; None if it is one of numbers."""
        return None if self.cells is None else self.cells.levels.get(self.names[column])

    def truths(self, column: int) -> bool:
        """Return whether a column of a DataFrame is of booleans."""
        return self.cells is not None and self.cells.dtypes[self.names[column]].kind == "b"

    def codes(self, name: str, rows: Any) -> Float[Tensor, "n d"]:
        """Return rows of the table as numbers; raise MapstoError if they are of another kind.

        Only whole numbers that double precision does not hold are rounded, with a warning.
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
            for i, column in enumerate(codes.numpy().T):
                self.rounding.warn(f"column {i}", column)
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


def _of_cells(model: Any, cells: Cells | None) -> tuple[Any, list[str] | None]:
    """Return the model, or if it reads DataFrames a function of coded ones, and the names of the columns."""
    if cells is None:
        return model, None
    if isinstance(model, nn.Module):
        cells.levels = {name: [] for name in cells.levels if cells.dtypes[name].kind not in "biuf"}
        got = f"texts or dates in column {', '.join(map(str, cells.levels))}"
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


def is_frame(rows: Any) -> bool:
    """Return whether rows are a DataFrame, of pandas or another library."""
    return all(callable(getattr(rows, name, None)) for name in ("itertuples", "to_numpy"))
