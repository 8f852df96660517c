"""Effects of one column of a table on the score of any model: for each row alone (ICE), and accumulated (ALE).

    ICE_i(v) = f(v, x_i)                       x_i: row i without column j, which is set to v
    PD(v)    = mean_i ICE_i(v)
    ALE(z_k) = Σ_{m≤k} mean_{i in bin m} [f(z_m, x_i) − f(z_{m−1}, x_i)] − c

The edges z_0 … z_K are quantiles of the column; bin m holds the rows from z_{m−1} (excluded) to z_m; c makes the mean
over the rows 0. Partial dependence also asks for rows that cannot be, such as heavy newborns, if columns are
correlated. Accumulated effects move each row within its own bin only.

ALE is linear in the means of the bins: ALE = A·means. With n_m rows in bin m, in which the difference has the variance
s_m², the 95 % interval is ± 1.96·√(A²·s²/n): that of other rows with the same cells in the column.

References: Goldstein et al. 2015, "Peeking inside the black box: visualizing statistical learning with plots of
individual conditional expectation" (ICE); Apley & Zhu 2020, "Visualizing the effects of predictor variables in black
box supervised learning models", eq. 15 and 16 (ALE).
"""

from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.func import vmap

from ... import checks
from ..explainer import without_graph
from .table_model import TableModel

_NORMAL = 1.959964  # the quantile 0.975 of the normal distribution


class SingleRows(NamedTuple):
    """The score of each row as a function of one column: curves of individual conditional expectation."""

    column: str
    outcome: str  # the name of the score
    grid: Shaped[np.ndarray, " g"]  # the values to which the column is set: floats, or objects such as words and dates
    curves: Float[np.ndarray, "n g"]
    cells: Shaped[np.ndarray, " n"]  # the rows' own values

    @property
    def mean(self) -> Float[np.ndarray, " g"]:
        """The partial dependence: the mean curve."""
        return self.curves.mean(0)


class LocalEffects(NamedTuple):
    """The accumulated local effects of a column of numbers on a score; their mean over the rows is 0.

    The intervals are those of other rows with the same cells in the column: effects of wholly new rows vary somewhat
    more. They take means for normally distributed: with fewer than about ten rows in each bin, they are too narrow, and
    of one row no variance is known. As effects accumulate, they are then all NaN: take fewer bins.
    """

    column: str
    outcome: str  # the name of the score
    edges: Float[np.ndarray, " b+1"]  # of the bins: values of the column
    effects: Float[np.ndarray, " b+1"]  # at the edges
    rows: Int[np.ndarray, " b"]  # the number of rows in each bin
    tenths: Float[np.ndarray, "11"]  # of the column: its quantiles 0, 0.1, …, 1
    interval: Float[np.ndarray, " b+1"]  # half the width of the 95 % intervals; all NaN if any bin has one row


def ice(
    model: Any,
    rows: Any,
    column: Any,
    grid: Any = 20,
    target: int | str | None = None,
    batch_size: int | None = None,
) -> SingleRows:
    """Return the score of each row as a function of the value of one column, the other cells unchanged.

    Args:
        model: a module, a scikit-learn estimator, or a function of a batch of rows, see `views.model`.
        rows: rows `[n, d]` that represent the data: an array, a tensor or a DataFrame. Columns of a DataFrame may hold
            words.
        column: the name of the column, or its place, counted from 0.
        grid: the values to which the column is set, or their number: so many quantiles of the column. All of its
            values are taken if they are fewer, and all of its words. Quantiles of dates and of ordered categories are
            dates and categories of the column.
        target: the index or the name of the score. If it is None, it is the only score or the second of two; of more
            scores, one must be named.
        batch_size: the largest number of rows that the model gets at a time; if None, as many as is fastest.

    Raises:
        MapstoError: if there is no such column or score, the column has no value, the grid has values of another kind,
            or a score is not a number.

    >>> ice(lambda rows: rows[:, 0] * rows[:, 1], np.array([[0.0, 1.0], [2.0, 3.0]]), column=0).curves
    array([[0., 2.],
           [0., 6.]])
    """
    table = TableModel(model, "rows", rows, target, batch_size)
    j, x = _column(table, column)
    values = _grid(table, j, grid)
    moved = x[:, None].repeat(1, len(values), 1)  # [n, g, d]
    moved[:, :, j] = values
    scores, outcome = _scores(table, moved, target)
    shown = _shown(table, j, values)
    return SingleRows(str(table.names[j]), outcome, shown, scores.double().numpy(), _shown(table, j, x[:, j]))


def ale(
    model: Any,
    rows: Any,
    column: Any,
    bins: int = 20,
    target: int | str | None = None,
    batch_size: int | None = None,
) -> LocalEffects:
    """Return the accumulated local effects of a column of numbers; rows whose cell is missing are left out.

    Args:
        model: a module, a scikit-learn estimator, or a function of a batch of rows, see `views.model`.
        rows: rows `[n, d]` that represent the data: an array, a tensor or a DataFrame.
        column: the name of the column, or its place, counted from 0.
        bins: the number of bins, which hold about as many rows each. Equal values are in one bin. If any bin has only
            one row, the interval is all NaN: take fewer bins.
        target: the index or the name of the score. If it is None, it is the only score or the second of two; of more
            scores, one must be named.
        batch_size: the largest number of rows that the model gets at a time; if None, as many as is fastest.

    Raises:
        MapstoError: if there is no such column or score, the column holds words, dates or fewer than two values, or a
            score is not a number.

    >>> ale(lambda rows: 3 * rows[:, 0], np.array([[0.0], [1.0], [2.0]]), column=0, bins=2).effects
    array([-3.,  0.,  3.])
    """
    checks.count(bins=bins)
    table = TableModel(model, "rows", rows, target, batch_size)
    j, x = _column(table, column)
    held = None if table.cells is None else table.cells.holds(table.names[j])
    remedy = "give it a dtype of numbers" if held == "numbers as objects" else "take ice"
    checks.expect(held is None, "column", f"{column!r}, which holds {held}", "numbers", remedy)
    x = x[x[:, j].isfinite()]
    checks.expect(len(x) > 0, "column", f"{column!r}, in which every cell is missing", "numbers")
    cells = x[:, j].double().numpy()
    edges = np.unique(np.quantile(cells, np.linspace(0, 1, bins + 1), method="inverted_cdf"))
    checks.expect(len(edges) > 1, "column", f"{column!r}, in which all cells are equal", "at least two values")
    bin_of = np.clip(np.searchsorted(edges, cells) - 1, 0, None)
    ends = x[:, None].repeat(1, 2, 1)
    ends[:, :, j] = torch.as_tensor(np.stack([edges[bin_of], edges[bin_of + 1]], 1))
    scores, outcome = _scores(table, ends, target)
    changes, count = (scores[:, 1] - scores[:, 0]).double().numpy(), np.bincount(bin_of)
    local = np.bincount(bin_of, changes) / count
    with np.errstate(invalid="ignore"):  # the variance of one row is 0 / 0
        variance = np.bincount(bin_of, (changes - local[bin_of]) ** 2) / (count - 1)
    interval = _NORMAL * np.sqrt(_summed(edges, cells) ** 2 @ (variance / count))
    effects = np.append(0.0, local.cumsum())
    effects -= np.interp(cells, edges, effects).mean()
    tenths = np.quantile(cells, np.linspace(0, 1, 11))
    return LocalEffects(str(table.names[j]), outcome, edges, effects, count, tenths, interval)


def _summed(edges: Float[np.ndarray, " e"], cells: Float[np.ndarray, " n"]) -> Float[np.ndarray, "e e-1"]:
    """Return the matrix from the means of the bins to the effects at the edges, whose mean over the cells is 0."""
    until = np.tri(len(edges), len(edges) - 1, -1)
    at_cells = [np.interp(cells, edges, column).mean() for column in until.T]
    return until - at_cells


def _column(table: TableModel, column: Any) -> tuple[int, Float[Tensor, "n d"]]:
    checks.expect(len(table.rows) > 0, "rows", "no rows", "at least one")
    return checks.place(table.names, column=column), table.rows


def _grid(table: TableModel, j: int, grid: Any) -> Float[Tensor, " g"]:
    """Return the codes of the values to which column j is set."""
    if not isinstance(grid, Integral):
        return _given(table, j, grid)
    checks.count(grid=grid)
    most, x = int(grid), table.rows[:, j]
    if table.levels(j) is not None:
        return _some_levels(table, j, most)
    x = x[x.isfinite()]
    known = x.unique()
    checks.expect(len(known) > 0, "column", "no value", "at least one")
    return known if len(known) <= most else torch.quantile(x, torch.linspace(0, 1, most, dtype=x.dtype)).unique()


def _given(table: TableModel, j: int, grid: Any) -> Float[Tensor, " g"]:
    """Return the codes of values that the caller gives; raise MapstoError if they are no values of such a column."""
    values = np.array(grid.tolist() if isinstance(grid, Tensor) else grid, object)
    checks.expect(values.ndim == 1 and len(values) > 0, "grid", f"shape {values.shape}", "[g], at least one")
    if table.levels(j) is not None:
        assert table.cells is not None
        return torch.tensor(table.cells.given("grid", table.names[j], grid))
    numbers = all(isinstance(value, Real) for value in values)
    checks.expect(numbers, "grid", f"{grid!r}", "numbers, as in the column")
    codes = torch.tensor([float(value) for value in values], dtype=table.rows.dtype)
    checks.finite(grid=codes)
    return codes


def _some_levels(table: TableModel, j: int, most: int) -> Float[Tensor, " g"]:
    """Return the codes of all words or, of dates and ordered categories, of so many quantiles; missing cells last."""
    assert table.cells is not None
    codes, order = table.rows[:, j].int().tolist(), table.cells.in_order(table.names[j])
    if order is None:
        return table.rows[:, j].unique()
    missing = sorted(set(codes).difference(order))
    if len(order) > most:
        ranks = [order.index(code) for code in codes if code in order]
        picked = np.unique(np.quantile(ranks, np.linspace(0, 1, most), method="inverted_cdf"))
        order = [order[rank] for rank in picked]
    return torch.tensor([*order, *missing]).to(table.rows)


def _shown(table: TableModel, j: int, codes: Float[Tensor, " v"]) -> Shaped[np.ndarray, " v"]:
    """Return values of the column as they were given: its words, dates, categories or truths, or its numbers."""
    levels = table.levels(j)
    if levels is None and table.truths(j) and bool(((codes == 0) | (codes == 1)).all()):
        levels = [False, True]
    if levels is None:
        return codes.double().numpy()
    shown = np.empty(len(codes), object)
    shown[:] = [levels[int(code)] for code in codes]
    return shown


def _scores(table: TableModel, rows: Float[Tensor, "n g d"], target: Any) -> tuple[Float[Tensor, "n g"], str]:
    """Return the scores of rows, and their name: the target's or, if there is none, the only one's or the second's."""
    with without_graph():
        scores = vmap(table.view)(rows.flatten(0, 1))
    checks.finite(scores=scores)
    if scores.ndim > 1:
        classes = table.classes(scores.shape[1])
        checks.expect(len(classes) <= 2, "target", "None", f"one of the scores {', '.join(map(repr, classes))}")
        scores, target = scores[:, -1], str(classes[-1])
    return scores.reshape(rows.shape[:2]), table.score_name(target)
