"""Explain the rows of a table under any model, with a background table in place of hidden cells: one line of code.

explainer.of(model, background)(rows)  ↦  Explanation
"""

from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import vmap

from ... import checks
from ...explanation import Explanation
from ...views import game
from ...views import model as model_view
from ...views.batch_model import method_of
from ..explainer import GameExplainer, numbers, without_graph
from ..shapley import Shapley
from .tree_values import TreeValues

_EXACT = 10  # columns

if TYPE_CHECKING:
    import pandas as pd


@final
class Explainer:
    """Explain the rows of a table under any model, as an `Explanation`, with background rows in place of hidden cells.

    `Explainer(model, background)(rows)` corresponds to `shap.Explainer(model, background)(rows)`. Each background row
    in turn provides the hidden cells, and the scores are averaged over these rows.

    Args:
        model: a module, a scikit-learn estimator, or a function of a batch of rows, see `views.model`. If it is a
            function and the background is a DataFrame, it gets DataFrames.
        background: rows `[b, d]` that represent the data, such as 100 training rows: an array, a tensor or a DataFrame.
            Columns of a DataFrame may hold texts.
        method: an explainer that hides, such as `LIME()`. If None, Shapley values: exact for up to 10 columns, and for
            the probabilities of forests and the numbers of tree ensembles if the package shap is installed; else
            `Shapley(samples=64·d)`. Rows are explained together, so `Shapley("auto")` is refused.
        target: the index or the name of the score to explain; if None, all scores are explained.
        chunk_size: the number of rows to explain at a time.
        batch_size: the largest number of rows that the model gets at a time; if None, as many as is fastest.

    A call with rows `[n, d]` returns their `Explanation`: `values [n, d, k]`, `base_values` (the mean score of the
    background), and `errors`, the standard errors of Shapley values from random coalitions.

    Raises:
        MapstoError: if `model` or `background` is of another kind, or the model cannot be explained.

    >>> rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> explanation = Explainer(lambda rows: rows[:, 0] * rows[:, 1], rows)(rows)
    >>> explanation.values, explanation.base_values
    (array([[-3., -2.],
           [ 3.,  2.]], dtype=float32), array([7., 7.], dtype=float32))
    """

    def __init__(
        self,
        model: Any,
        background: Any,
        method: GameExplainer | None = None,
        target: int | str | None = None,
        chunk_size: int | None = 4,
        batch_size: int | None = None,
    ):
        checks.expect(
            isinstance(method, GameExplainer | None), "method", f"a {type(method).__name__}",
            "None, or an explainer that hides, such as Shapley()", "for gradients, take method.over(view, rows)",
        )  # fmt: skip
        checks.chunk(chunk_size=chunk_size)
        self.chunk_size = chunk_size
        self.cells = _Cells(background) if _is_frame(background) else None
        f, columns = _of_cells(model, self.cells)
        self.view = model_view(f, target, batch_size=batch_size, columns=columns)
        self.background = self._codes("background", background)
        checks.expect(len(self.background) > 0, "background", "no rows", "at least one", "take some training rows")
        width = self.background.shape[1]
        fitted = getattr(getattr(model, "__self__", model), "n_features_in_", width)
        read = fitted if self.cells is None else width  # of a DataFrame, a model may leave columns out
        checks.expect(width == read, "background", f"{width} columns", f"{read}, as the model was fitted on")
        sampled = method is None and width > _EXACT
        self.trees = TreeValues(model, self.view, self.background) if sampled else None
        self.method = method or (Shapley() if width <= _EXACT else Shapley(samples=64 * width))
        with without_graph():
            self.base = vmap(self.view, chunk_size=batch_size)(self.background).mean(0)
        classes = self.view.batch_model.classes
        self.classes = list(range(len(self.base)) if classes is None else classes) if self.base.ndim else []
        names = getattr(model, "feature_names_in_", None)
        self.names = [f"column {i}" for i in range(self.background.shape[1])] if names is None else list(names)
        if self.cells is not None:
            self.names = self.cells.names

    def __call__(self, rows: Any) -> Explanation:
        """Return the explanations of the rows `[n, d]`.

        Raises:
            MapstoError: if the rows do not have the columns of the background, or an attribution is NaN.
        """
        x = self._codes("rows", rows)
        width = self.background.shape[1]
        checks.expect(x.shape[1] == width, "rows", f"{x.shape[1]} columns", f"{width}, as in the background")
        checks.expect(len(x) > 0, "rows", "no rows", "at least one")
        with without_graph():
            exact = self.trees(x) if self.trees else None
            if exact is None:
                values, *errors = vmap(self._explain, chunk_size=self.chunk_size)(x)
            else:
                values, errors = exact, [torch.zeros_like(exact)]
        base = np.broadcast_to(self.base.numpy(), (len(x), *self.base.shape))
        data, codes = np.asarray(x), None
        if self.cells is not None and _is_frame(rows):
            data, codes = self.cells.data(rows), x.double().numpy()
        error = errors[0].numpy() if errors else None
        return Explanation(numbers(values).numpy(), base, data, self.names, self.classes, codes, errors=error)

    def _explain(self, x: Tensor) -> tuple[Tensor, ...]:
        values, errors = self.method.attribute_with_error(game(self.view, x, background=self.background))
        return (values,) if errors is None else (values, errors)

    def _codes(self, name: str, rows: Any) -> Float[Tensor, "n d"]:
        codes = self._cells_as_numbers(name, rows)
        infinite = codes.isinf().any(1).nonzero()
        got = f"an infinite cell in row {infinite[0].item()}" if len(infinite) else ""
        checks.expect(not got, name, got, "finite numbers, or NaN where a cell is missing")
        return codes

    def _cells_as_numbers(self, name: str, rows: Any) -> Float[Tensor, "n d"]:
        if _is_frame(rows):
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


def _is_frame(rows: Any) -> bool:
    return all(callable(getattr(rows, name, None)) for name in ("itertuples", "to_numpy"))
