"""The adaptation film: how a learner learned one task, with a frame for every inner step.

    frame i:  ℓ(support), ℓ(query),  f_i(x) on the query and on a grid,  φ_i in the plane of the path,
              ‖g_i‖ and mean rate of each layer,  explainer(f_i, x*) of one query row,       i = 0 … steps

A film holds an attribution for each step if an explainer is given. Its frames are the states of the inner loop itself
(`iterates`), so the last frame shows the model that `evaluate` scores. After the plots of an adapting network in Finn,
Abbeel & Levine 2017, "Model-Agnostic Meta-Learning", figures 2 and 3, and the trajectories of Li et al. 2018, §7.2.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .. import checks, views
from ..adaptation.fitting import answering
from ..adaptation.inner import Params
from ..adaptation.learner import Learner
from ..episodes import Episode, Examples
from ..explainers.explainer import Explain
from .iterates import Iterates, by_layer, iterates
from .plane import plane

Link = Callable[[Tensor], Tensor]


class Film(NamedTuple):
    """The frames: `s` = steps + 1 of them, `l` layers that adapt, `k` outputs after the film's link."""

    support_loss: Float[Tensor, " s"]
    query_loss: Float[Tensor, " s"]
    predictions: Float[Tensor, "s m k"]  # for the query rows
    path: Float[Tensor, "s 2"]  # the parameters, in the plane of the path's first two principal components
    kept: float  # the share of the path's variance in that plane
    layers: tuple[str, ...]
    rates: Float[Tensor, "s l"]  # mean rate of the step from the frame, see `Iterates`; the last step is not taken
    gradient_norm: Float[Tensor, "s l"]
    support: Examples
    query: Examples
    grid: Float[Tensor, "g d"] | None  # inputs that span those of the task, if these have one or two features
    surface: Float[Tensor, "s g k"] | None  # the predictions on the grid
    row: Shaped[Tensor, "..."]  # the query row that is explained
    attribution: Float[Tensor, "s ..."] | None  # for each entry of `row`, if an explainer was given


def film(
    learner: Learner,
    episode: Episode,
    explainer: Explain | None = None,
    row: int = 0,
    target: int = 0,
    link: Link = lambda scores: scores,
    points: int = 41,
) -> Film:
    """Record losses, predictions, parameters and attributions at every inner step of adapting to `episode`.

    Args:
        learner: a learner that adapts in steps, such as `MAML` or `LearnedOptimizer`.
        episode: one task. A learner with a memory also reads the episode's `context`, the examples of earlier tasks.
        explainer: a function (view, point) ↦ attribution, such as a `ViewExplainer`. At step 0 and after every step, it
            explains output `target` for query row `row`. If None, nothing is explained.
        row: the index of the query row to explain.
        target: the index of the output to explain.
        link: a function that is applied to the scores before they are recorded and explained, for example softmax over
            the last axis. By default, scores stay as they are.
        points: the number of points on each axis of a grid of inputs. If the inputs have one or two features, the
            model's outputs on this grid are also recorded. If they have more, there is no grid.

    Raises:
        MapstoError: if the learner has no inner steps or is stochastic, the episode does not fit the learner, gradients
            are not finite, `row` is not in the query set, or an explainer is given for a transductive learner.

    >>> from mapsto.episodes import examples
    >>> from mapsto.learners import MAML
    >>> task = examples(torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [5.0]]))
    >>> frames = film(MAML(torch.nn.Linear(1, 1), loss="mse", lr=0.5, steps=20), Episode(task, task))
    >>> frames.support_loss.shape, frames.predictions[-1, :, 0].round(decimals=3)
    (torch.Size([21]), tensor([1., 5.]))
    """
    last = len(episode.query.w) - 1
    checks.expect(0 <= row <= last, "row", row, f"0 to {last}, the index of a query row")
    steps = iterates(learner, episode)
    with torch.no_grad(), answering(learner, episode.query.x):
        on_support, on_query = ([learner.predict(state, rows.x) for state in steps.states] for rows in episode[:2])
    grid = grid_over(torch.cat([episode.support.x, episode.query.x]), points)
    with torch.no_grad():
        predictions = torch.stack([link(scores) for scores in on_query])
        surface = None if grid is None else torch.stack([link(learner.predict(state, grid)) for state in steps.states])
        support_loss = _losses(learner, on_support, episode.support)
        query_loss = _losses(learner, on_query, episode.query)
    path, kept = plane(torch.stack([torch.cat([p.flatten() for p in params.values()]) for params in steps.params]))
    return Film(
        support_loss, query_loss, predictions, path, kept, tuple(by_layer(steps.params[0])),
        _each_layer(steps.rates, Tensor.mean), _each_layer(steps.gradients, Tensor.norm),
        episode.support, episode.query, grid, surface, episode.query.x[row],
        None if explainer is None else _attributions(explainer, steps, episode, row, target, link),
    )  # fmt: skip


def grid_over(x: Float[Tensor, "n ..."], points: int) -> Float[Tensor, "g d"] | None:
    """Return a grid with `points` on each axis around rows of one or two features; None if they have more.

    >>> grid_over(torch.tensor([[0.0], [10.0]]), 3)
    tensor([[-1.],
            [ 5.],
            [11.]])
    """
    if x.dim() != 2 or x.shape[1] not in (1, 2):
        return None
    low, high = x.amin(0), x.amax(0)
    margin = 0.1 * torch.where(high > low, high - low, 1.0)
    axes = [torch.linspace(a, b, points).to(x) for a, b in zip(low - margin, high + margin, strict=True)]
    return torch.cartesian_prod(*axes).reshape(-1, x.shape[1])  # the first feature changes last


def _losses(learner: Learner, frames: list[Float[Tensor, "n k"]], rows: Examples) -> Float[Tensor, " s"]:
    of = learner.criterion
    return torch.stack([of(scores, rows.y, rows.w) for scores in frames])


def _each_layer(steps: list[Params], measure: Callable[[Tensor], Tensor]) -> Float[Tensor, "s l"]:
    return torch.stack([torch.stack([measure(entries) for entries in by_layer(step).values()]) for step in steps])


def _attributions(
    explainer: Explain, steps: Iterates, episode: Episode, row: int, target: int, link: Link
) -> Float[Tensor, "s ..."]:
    x = episode.query.x[row]
    frames = [views.query(stopped, episode, target, link) for stopped in steps.learners]
    return torch.stack([explainer(view, x).detach() for view in frames])
