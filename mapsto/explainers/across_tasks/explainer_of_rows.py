"""Explain the rows of a table under any model, with a background table in place of hidden cells: one line of code.

explainer.of(model, background)(rows)  ↦  Explanation
"""

from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from ... import checks
from ...explanation import Explanation
from ...views import game
from ..explainer import GameExplainer, numbers, without_graph
from ..shapley import Shapley
from .table_model import TableModel
from .tree_values import TreeValues

_EXACT = 10  # columns


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
        self.table = TableModel(model, "background", background, target, batch_size)
        self.view, self.background = self.table.view, self.table.rows
        checks.expect(len(self.background) > 0, "background", "no rows", "at least one", "take some training rows")
        width = self.background.shape[1]
        sampled = method is None and width > _EXACT
        self.trees = TreeValues(model, self.view, self.background) if sampled else None
        self.method = method or (Shapley() if width <= _EXACT else Shapley(samples=64 * width))
        with without_graph():
            self.base = vmap(self.view, chunk_size=batch_size)(self.background).mean(0)
        self.classes = self.table.classes(len(self.base)) if self.base.ndim else []

    def __call__(self, rows: Any) -> Explanation:
        """Return the explanations of the rows `[n, d]`.

        Raises:
            MapstoError: if the rows do not have the columns of the background, or an attribution is NaN.
        """
        x = self.table.codes("rows", rows)
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
        data, codes = self.table.data(rows, x)
        error = errors[0].numpy() if errors else None
        kinds = None if self.table.cells is None or codes is None else self.table.cells.kinds
        names = self.table.names, self.classes
        return Explanation(numbers(values).numpy(), base, data, *names, codes, errors=error, kinds=kinds)

    def _explain(self, x: Tensor) -> tuple[Tensor, ...]:
        values, errors = self.method.attribute_with_error(game(self.view, x, background=self.background))
        return (values,) if errors is None else (values, errors)
