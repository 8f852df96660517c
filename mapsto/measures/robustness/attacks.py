"""Attacks: the small move of a query or, through adaptation, of the support examples that raises a loss most.

    FGSM   x' = x + ε·sign(∇loss(x))                                             (Goodfellow et al. 2015, §4)
    PGD    x ← Π(x + step·direction(∇loss(x))),  `steps` times                   (Madry et al. 2018)

ε is the radius of the attack, and Π the projection on the ball ‖x' − x‖ ≤ ε and on `bounds`. direction(g) is sign(g)
for the maximum norm, and g/‖g‖ for the Euclidean one.

An attack raises the score of a `View`, so one function attacks any input that a view can have: the query
(`views.query`), or the support set (`views.support`, `teaching_loss`: poisoning through adaptation, Biggio et al. 2012;
of meta-learners, Goldblum et al. 2020). PGD returns the point of highest score that it passed, so the score is never
lower than at the start.
"""

import math
from abc import ABC, abstractmethod
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.func import grad_and_value, vmap

from ... import checks, views
from ...adaptation.learner import Learner
from ...episodes import Episode, Examples
from ...explainers.explainer import without_graph
from ...views import View

Bounds = tuple[float, float]
_ANYWHERE = (-math.inf, math.inf)


class Attack(ABC):
    """An attack on a model: a function (view, point) ↦ a nearby point, chosen to raise the view's score."""

    @abstractmethod
    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the moved point.

        A missing entry (NaN) stays missing, and an entry that the view ignores is not moved.
        """

    def over(self, view: View, points: Float[Tensor, "n ..."], chunk_size: int | None = None) -> Float[Tensor, "n ..."]:
        """Attack `n` points in one batch, or `chunk_size` of them at a time, to limit memory."""
        with without_graph():
            return vmap(lambda point: self(view, point), chunk_size=chunk_size)(points)


@final
class FGSM(Attack):
    """Attack a model by one gradient step: move each entry by `radius` in the direction that raises the score.

    `FGSM(radius)(view, point)` returns the moved point. `view` is the function from an input to one score. The moved
    entries are clipped to `bounds`, a pair (lowest, highest); by default, there are no bounds. An entry whose gradient
    is 0 does not move.

    Raises:
        MapstoError: if `radius` is not above 0, `bounds` are in the wrong order, or the view has several scores.

    >>> FGSM(0.1)(lambda x: x @ torch.tensor([3.0, -2.0, 0.0]), torch.zeros(3))
    tensor([ 0.1000, -0.1000,  0.0000])
    """

    def __init__(self, radius: float, bounds: Bounds = _ANYWHERE):
        _check_ball(radius, bounds)
        self.radius, self.bounds = radius, bounds

    @without_graph()
    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the moved point; see `Attack`."""
        slope, score = grad_and_value(_scalar(view))(point)
        _number(score)
        return (point + self.radius * _present(point, slope).sign()).clamp(*self.bounds)


@final
class PGD(Attack):
    """Attack a model by several gradient steps that raise the score and stay within `radius` of the point.

    `PGD(radius)(view, point)` returns the visited point with the highest score. `view` is the function from an input to
    one score. After each step, the point is projected back into the ball of radius `radius` around the original point.

    Args:
        radius: the largest distance from the original point.
        norm: how distance is measured: "linf" is the largest change of an entry, "l2" is the Euclidean distance.
        steps: the number of steps.
        step: the length of a step. If None, it is 2.5·radius/steps, so that the steps together can cross the ball
            (Madry et al. 2018).
        bounds: the lowest and the highest value of an entry; by default, there are no bounds.
        seed: the random seed for a random starting point within the ball. If None, the attack starts from the original
            point.

    Raises:
        MapstoError: if `radius` or `step` is not above 0, `steps` is below 1, the norm is unknown, `bounds` are in the
            wrong order, or the view has several scores.

    >>> PGD(0.5, "l2")(lambda x: x @ torch.tensor([3.0, -4.0]), torch.zeros(2))
    tensor([ 0.3000, -0.4000])
    """

    def __init__(
        self,
        radius: float,
        norm: Literal["linf", "l2"] = "linf",
        steps: int = 20,
        step: float | None = None,
        bounds: Bounds = _ANYWHERE,
        seed: int | None = None,
    ):
        _check_ball(radius, bounds)
        checks.one_of(("linf", "l2"), norm=norm)
        checks.count(steps=steps)
        self.step = 2.5 * radius / steps if step is None else step
        checks.above(0, step=self.step)
        self.radius, self.norm, self.steps, self.bounds, self.seed = radius, norm, steps, bounds, seed

    @without_graph()
    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the moved point; see `Attack`."""
        loss, best = _scalar(view), point.clamp(*self.bounds)
        at = self._project(point, self._start(point))
        highest = _number(loss(best))
        for _ in range(self.steps):
            slope, value = grad_and_value(loss)(at)
            highest, best = torch.maximum(value, highest), torch.where(value > highest, at, best)
            at = self._project(point, at - point + self.step * self._direction(_present(point, slope)))
        return torch.where(loss(at) > highest, at, best)

    def _start(self, point: Tensor) -> Tensor:
        if self.seed is None:
            return torch.zeros_like(point)
        move = np.random.default_rng(self.seed).uniform(-self.radius, self.radius, tuple(point.shape))
        return torch.from_numpy(move).to(point)

    def _direction(self, slope: Tensor) -> Tensor:
        return slope.sign() if self.norm == "linf" else slope / _length(slope)

    def _project(self, point: Tensor, move: Tensor) -> Tensor:
        """Return the point moved to the nearest place in the ball, and clipped to the bounds.

        Clipping can only bring it nearer to `point`, if `point` lies within the bounds.
        """
        if self.norm == "linf":
            move = move.clamp(-self.radius, self.radius)
        else:
            move = move * (self.radius / _length(_present(point, move))).clamp(max=1)
        return (point + move).clamp(*self.bounds)


def surprise(learner: Learner, support: Examples | Episode, y: Shaped[Tensor, "..."]) -> View:
    """Return the function from a query row x to the learner's loss on x, with `y` as the true outcome.

    The learner adapts to `support`. An attack that raises this loss drives the learner's prediction away from `y`. If
    `y` is a class index, the loss is −log p(y | x). If `y` holds numbers `[k]`, the loss is the mean squared error.
    """
    loss = learner.criterion
    return views.query(learner, support, link=lambda scores: loss(scores[None], y[None], scores.new_ones(1)))


def teaching_loss(learner: Learner, episode: Episode) -> View:
    """Return the function from the support inputs to the loss on the query set after adapting to these inputs.

    The other parts of `episode` stay as they are. An attack that raises this loss poisons the support set.
    """
    views.deterministic(learner)
    (_, y, w), query = episode.support, episode.query

    def loss(x: Tensor) -> Tensor:
        scores = learner.predict(learner.adapt_to(episode._replace(support=Examples(x, y, w))), query.x)
        return learner.criterion(scores, query.y, query.w)

    return loss


def _length(values: Tensor) -> Tensor:
    return values.square().sum().sqrt().clamp(min=torch.finfo(values.dtype).tiny)


def _present(point: Tensor, slope: Tensor) -> Tensor:
    """Return the slope, with 0 for missing entries, whose slope is unknown."""
    return torch.where(point.isnan(), torch.zeros_like(slope), slope)


def _scalar(view: View) -> View:
    def value(point: Tensor) -> Tensor:
        score = view(point)
        remedy = "pass a target, or a loss"
        got = f"scores of shape {tuple(score.shape)}"
        checks.expect(score.ndim == 0, "view", got, "one number to raise", remedy)
        return score

    return value


def _number(score: Tensor) -> Tensor:
    """Return a score; raise MapstoError if it is NaN. Inside a transform of `torch.func`, NaN passes."""
    if checks.readable(score):
        checks.expect(not score.isnan(), "view", "NaN", "a number to raise", "does it read missing cells?")
    return score


def _check_ball(radius: float, bounds: Bounds) -> None:
    checks.above(0, radius=radius)
    checks.expect(bounds[0] < bounds[1], "bounds", bounds, "(lowest, highest)")
