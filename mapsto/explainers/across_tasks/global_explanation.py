"""Explanations of a learner over all rows and tasks: importance, interactions, and partial dependence.

    importance_j = mean_t mean_i |a_tij|,   direction_j = mean_t mean_i a_tij                     ± t·s_t/√T
    PD(v) = mean_t mean_i score(adapt(D_t); x_i with column j set to v)                           ± t·s_t/√T

`a_tij` is the attribution of column j for row i of task t, `D_t` the support set of task t, `s_t` the standard
deviation over the T tasks, and the factor t Student's, see `measures.estimate`.

A mean of attributions explains one model. A learner makes a new model from each support set, so tasks are sampled, and
intervals are over tasks. Partial dependence goes *through adaptation*: each task's own adapted model is used. The inner
mean is that of Friedman 2001, "Greedy Function Approximation"; the mean of |a| is that of Lundberg et al. 2020, "From
local explanations to global understanding".
"""

from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from ... import checks, views
from ...adaptation.batching import each_task
from ...adaptation.learner import Learner
from ...episodes import Episode
from ...errors import MapstoError
from ...estimate import estimate
from ...views import Link


class GlobalImportance(NamedTuple):
    """The importance of columns, or of pairs of columns: mean attributions over tasks, with 95 % intervals.

    All fields are in the unit of the explained score. The intervals are given as half their width; they are NaN if
    there is a single task. The means describe many predictions, not one.
    """

    importance: Float[np.ndarray, "..."]  # mean |attribution|
    interval: Float[np.ndarray, "..."]  # half the width of its interval
    direction: Float[np.ndarray, "..."]  # mean attribution: its sign is that of the usual effect
    direction_interval: Float[np.ndarray, "..."]  # half the width of its interval


class PartialDependence(NamedTuple):
    """A partial dependence curve: the mean score at each value of one column, with its 95 % interval over tasks."""

    grid: Float[np.ndarray, " g"]
    mean: Float[np.ndarray, " g"]
    interval: Float[np.ndarray, " g"]  # half the width
    curves: Float[np.ndarray, "t g"]  # the curve of each task


def global_importance(
    values: Float[np.ndarray, "t n *parts"], w: Float[np.ndarray, "t n"] | None = None
) -> GlobalImportance:
    """Return the mean absolute attribution of each column and its mean signed attribution, with 95 % intervals.

    Attributions are averaged over the rows of each task, then over tasks. The intervals describe the variation among
    tasks. The mean of absolute values follows Lundberg et al. 2020.

    Args:
        values: the attributions of `n` rows in each of `t` tasks: `[t, n, d]` for `d` columns, or `[t, n, d, d]` for
            interactions between pairs of columns.
        w: the weights of the rows, `[t, n]`. If None, all rows have equal weight. Rows of weight 0 are ignored: they
            can pad tasks that have fewer rows.

    Raises:
        MapstoError: if the weights of a task sum to 0, a weight is negative, a value is not finite, or shapes do not
            fit.

    >>> global_importance(np.array([[[1.0, 0.0], [-3.0, 0.0]], [[4.0, 0.0], [0.0, 0.0]]])).importance
    array([2., 0.])
    """
    several = values.ndim >= 2 and values.size > 0
    checks.expect(several, "values", f"shape {values.shape}", "[t, n, ...] of at least one task and row")
    w = np.ones(values.shape[:2]) if w is None else w
    _weigh(w, values.shape[:2])
    kept = w.reshape(*w.shape, *[1] * (values.ndim - 2))
    values = np.where(kept > 0, values, 0.0)
    lost = int((~np.isfinite(values)).sum())
    checks.expect(lost == 0, "values", f"{lost} that are not finite", "attributions of rows that could be explained")
    share = kept / kept.sum(1, keepdims=True)
    size, signed = (_over_tasks((share * part).sum(1)) for part in (np.abs(values), values))
    return GlobalImportance(*size, *signed)


def partial_dependence(
    learner: Learner,
    tasks: Episode,
    column: int,
    grid: Float[Tensor, " g"] | Float[np.ndarray, " g"],
    target: int,
    link: Link = lambda scores: scores.softmax(-1),
) -> PartialDependence:
    """Return the mean score of the query rows as a function of the value of one column.

    In each task, the learner adapts to the support set. For each value of `grid`, the column is set to this value in
    all query rows, and the weighted mean of the rows' scores is computed. The function returns this curve for each
    task, and the mean curve over tasks with its 95 % interval. Each row is scored alone, so that its score does not
    depend on the other rows.

    Args:
        learner: the learner.
        tasks: a batch of episodes whose inputs are rows of a table.
        column: the position of the column, counted from 0.
        grid: the values to which the column is set.
        target: the index of the score to average.
        link: a function that is applied to a row's scores before the score `target` is selected; the default is
            softmax, which gives probabilities. If the learner predicts a number, pass the identity.

    Raises:
        MapstoError: if the inputs are not rows of a table, if `column`, `grid` or `target` is not valid, or if the
            learner is transductive or has random layers.

    >>> from mapsto.learners import PrototypicalNetwork
    >>> from mapsto.tasks import Logistic
    >>> learner = PrototypicalNetwork(torch.nn.Identity(), ways=2)
    >>> tasks = Logistic(features=2).batch(0, count=5)
    >>> partial_dependence(learner, tasks, column=0, grid=torch.linspace(-1, 1, 3), target=1).curves.shape
    (5, 3)
    """
    shape = tuple(tasks.query.x.shape[2:])
    there = isinstance(column, Integral) and len(shape) == 1 and 0 <= column < shape[0]
    checks.expect(there, "column", f"{column} for rows of shape {shape}", "a column of a table, counted from 0")
    checks.expect(isinstance(target, Integral), "target", repr(target), "the index of a score, counted from 0")
    grid = _numbers(grid)
    chosen = torch.arange(tasks.query.x.shape[-1], device=grid.device) == column

    def curve(episode: Episode) -> Tensor:
        state, (x, _, w) = learner.adapt_to(episode), episode.query

        def score(row: Tensor) -> Tensor:
            view, point = views.state(learner, state, row, target, link)
            return view(point)

        def mean(value: Tensor) -> Tensor:
            return vmap(score)(torch.where(chosen, value, x)) @ w / w.sum()

        return vmap(mean)(grid.to(x))  # [g]

    try:
        with torch.no_grad():
            curves = each_task(learner, curve, tasks).double().cpu().numpy()  # [t, g]
    except RuntimeError as error:  # only the learner knows what it reads
        raise MapstoError(
            f"tasks: the learner fails on rows of {len(chosen)} columns ({error}), expected the columns it was "
            "built for."
        ) from error
    return PartialDependence(grid.double().cpu().numpy(), *_over_tasks(curves), curves)


def attributions(
    learner: Learner, tasks: Episode, explain_task: Callable[[Episode], Float[Tensor, "m ..."]]
) -> Float[np.ndarray, "t m ..."]:
    """Return the attributions of the query rows of each task in a batch, from `explain_task(episode)` for one task.

    >>> from mapsto import explainers, views
    >>> from mapsto.learners import PrototypicalNetwork
    >>> from mapsto.tasks import Logistic
    >>> learner = PrototypicalNetwork(torch.nn.Identity(), ways=2)
    >>> method = explainers.Gradient()
    >>> explain_task = lambda task: method.over(views.query(learner, task.support, target=1), task.query.x)
    >>> global_importance(attributions(learner, Logistic(features=2).batch(0, count=5), explain_task)).importance.shape
    (2,)
    """
    return each_task(learner, explain_task, tasks).detach().double().cpu().numpy()


def _weigh(w: Float[np.ndarray, "t n"], shape: tuple[int, ...]) -> None:
    """Raise MapstoError if weights differ in shape from the rows, are negative or not finite, or all 0 in a task."""
    checks.shape(shape, "one weight for each row of each task", w=w)
    wrong = w[~(np.isfinite(w) & (w >= 0))]
    checks.expect(
        len(wrong) == 0, "w", next(map(float, wrong), None), "finite weights from 0", "leave a row out with weight 0"
    )
    empty = int((w.sum(1) <= 0).sum())
    checks.expect(empty == 0, "w", f"{empty} of {len(w)} tasks without weight", "weighted rows in each task")


def _numbers(grid: Any) -> Float[Tensor, " g"]:
    """Return a grid as a tensor; raise MapstoError if it has no values, or more than one axis."""
    checks.expect(isinstance(grid, Tensor | np.ndarray), "grid", f"a {type(grid).__name__}", "a tensor or array [g]")
    grid = torch.as_tensor(grid)
    values = grid.ndim == 1 and len(grid) > 0
    checks.expect(values, "grid", f"shape {tuple(grid.shape)}", "[g], at least one value of the column")
    return grid


def _over_tasks(values: Float[np.ndarray, "t ..."]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over tasks and the half width of its interval, for each entry."""
    flat = [estimate(column) for column in values.reshape(len(values), -1).T]
    return tuple(np.array(part).reshape(values.shape[1:]) for part in zip(*flat, strict=True))  # type: ignore[return-value]
