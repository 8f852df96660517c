"""What a learner goes by, over all rows and all tasks: importance, interactions, and partial dependence.

    importance_j = mean_t mean_i |a_tij|,   direction_j = mean_t mean_i a_tij                     ± 1.96·s_t/√T
    PD(v) = mean_t mean_i score(adapt(D_t); x_i with column j set to v)                           ± 1.96·s_t/√T

A mean of attributions explains one model; a learner makes a new model from each support set, so tasks are what is drawn
and intervals are over tasks. Partial dependence goes *through adaptation*: each task's own model is asked. Friedman
2001, "Greedy Function Approximation", is of the inner mean; Lundberg et al. 2020, "From local explanations to global
understanding", of the mean of |a|.
"""

from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from ... import views
from ...adaptation.batching import each_task
from ...adaptation.learner import Learner
from ...episodes import Episode
from ...errors import MapstoError
from ...estimate import estimate
from ...views import Link


class GlobalImportance(NamedTuple):
    """Importance of columns, or of pairs of them, in units of what was explained, with half widths of 95 % intervals.

    Not an attribution of one prediction: a mean over many. Intervals are nan where there is a single task.
    """

    importance: Float[np.ndarray, "..."]  # mean size
    interval: Float[np.ndarray, "..."]
    direction: Float[np.ndarray, "..."]  # mean value: its sign is that of the usual effect
    direction_interval: Float[np.ndarray, "..."]


class PartialDependence(NamedTuple):
    """The mean score at each grid value, as a curve with the half width of its 95 % interval."""

    grid: Float[np.ndarray, " g"]
    mean: Float[np.ndarray, " g"]
    interval: Float[np.ndarray, " g"]
    curves: Float[np.ndarray, "t g"]  # of each task


def global_importance(
    values: Float[np.ndarray, "t n *parts"], w: Float[np.ndarray, "t n"] | None = None
) -> GlobalImportance:
    """Aggregate the attributions of `n` rows in each of `t` tasks, `parts` being `d` columns or `d d` interactions.

    The mean of |values| over rows as Lundberg et al. 2020, over tasks besides.
    `w` weighs rows (alike by default; a row of weight 0 is left out, so that tasks may have different numbers of rows).
    Raises MapstoError where a task's rows weigh nothing, a weight is negative, a value is not finite, or shapes differ.

    >>> global_importance(np.array([[[1.0, 0.0], [-3.0, 0.0]], [[4.0, 0.0], [0.0, 0.0]]])).importance
    array([2., 0.])
    """
    if values.ndim < 2 or not values.size:
        raise MapstoError(
            f"values: got shape {values.shape}, expected [t, n, ...], n rows in each of t tasks, 1 or more."
        )
    w = np.ones(values.shape[:2]) if w is None else w
    _weigh(w, values.shape[:2])
    kept = w.reshape(*w.shape, *[1] * (values.ndim - 2))
    values = np.where(kept > 0, values, 0.0)
    if not np.isfinite(values).all():
        raise MapstoError(
            "values: got some that are not finite, expected attributions of rows that could be explained."
        )
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
    """Ask the adapted model of each task of a batch for its mean score where `column` is set to each grid value.

    Means are over the query rows, by their weights; `link` maps a row's scores first, to probabilities by default (the
    identity for targets). Each row is asked about alone, as in `views`, so that no answer depends on the rest of the
    grid. Raises MapstoError for rows that are not tables, or a column or target that they do not have, and what
    `views.state` raises: for a transductive learner, or one that draws at random.

    >>> from mapsto.learners import PrototypicalNetwork
    >>> from mapsto.tasks import Logistic
    >>> learner = PrototypicalNetwork(torch.nn.Identity(), ways=2)
    >>> tasks = Logistic(features=2).batch(0, count=5)
    >>> partial_dependence(learner, tasks, column=0, grid=torch.linspace(-1, 1, 3), target=1).curves.shape
    (5, 3)
    """
    if tasks.query.x.ndim != 3 or not isinstance(column, Integral) or not 0 <= column < tasks.query.x.shape[-1]:
        raise MapstoError(
            f"column: got {column} for rows of shape {tuple(tasks.query.x.shape[2:])}, expected 0 to one less than the "
            "columns of a table."
        )
    if not isinstance(target, Integral):
        raise MapstoError(f"target: got {target!r}, expected a class or output, counted from 0.")
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
    learner: Learner, tasks: Episode, explain: Callable[[Episode], Float[Tensor, "m ..."]]
) -> Float[np.ndarray, "t m ..."]:
    """Explain the query rows of each task of a batch: `explain(episode)` returns theirs, say by an explainer's `over`.

    >>> from mapsto import explainers, views
    >>> from mapsto.learners import PrototypicalNetwork
    >>> from mapsto.tasks import Logistic
    >>> learner = PrototypicalNetwork(torch.nn.Identity(), ways=2)
    >>> method = explainers.Gradient()
    >>> explain = lambda task: method.over(views.query(learner, task.support, target=1), task.query.x)
    >>> global_importance(attributions(learner, Logistic(features=2).batch(0, count=5), explain)).importance.shape
    (2,)
    """
    return each_task(learner, explain, tasks).detach().double().cpu().numpy()


def _weigh(w: Float[np.ndarray, "t n"], shape: tuple[int, ...]) -> None:
    """Refuse weights of another shape, that are negative or not finite, or all 0 in a task."""
    if w.shape != shape:
        raise MapstoError(f"w: got shape {w.shape}, expected {shape}, one weight a row of each task.")
    wrong = w[~(np.isfinite(w) & (w >= 0))]
    if len(wrong):
        raise MapstoError(f"w: got {float(wrong[0])}, expected finite weights from 0; a row of weight 0 is left out.")
    if not (w.sum(1) > 0).all():
        raise MapstoError(f"w: {int((w.sum(1) <= 0).sum())} of {len(w)} tasks weigh nothing, expected rows in each.")


def _numbers(grid: Any) -> Float[Tensor, " g"]:
    """Return a grid as a tensor; refuse one that has no values, or more than one axis."""
    if not isinstance(grid, Tensor | np.ndarray):
        raise MapstoError(f"grid: got a {type(grid).__name__}, expected numbers [g]; pass a tensor or an array.")
    grid = torch.as_tensor(grid)
    if grid.ndim != 1 or not len(grid):
        raise MapstoError(f"grid: got shape {tuple(grid.shape)}, expected [g], one or more values of the column.")
    return grid


def _over_tasks(values: Float[np.ndarray, "t ..."]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over tasks and the half width of its interval, entry by entry."""
    flat = [estimate(column) for column in values.reshape(len(values), -1).T]
    return tuple(np.array(part).reshape(values.shape[1:]) for part in zip(*flat, strict=True))  # type: ignore[return-value]
