"""Attacks: the small move that hurts most, of the query or, through adaptation, of the teaching examples.

    FGSM   x' = x + ε·sign(∇loss(x))                                             (Goodfellow et al. 2015, §4)
    PGD    x ← Π(x + step·direction(∇loss(x))),  `steps` times                   (Madry et al. 2018)

with Π the projection on the ball ‖x' − x‖ ≤ ε and on `bounds`, direction(g) = sign(g) for the maximum norm, g/‖g‖ for
the Euclidean one. An attack raises a `View`, so one function attacks whatever a view speaks of: the query
(`views.query`), or the support set (`views.support`, `teaching_loss`: poisoning through adaptation, Biggio et al. 2012;
of meta-learners, Goldblum et al. 2020). PGD returns the best point that it passed, so it never does worse than nothing.
"""

import math
from abc import ABC, abstractmethod
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.func import grad_and_value, vmap

from ... import views
from ...adaptation import losses
from ...adaptation.learner import Learner
from ...checks import readable
from ...episodes import Episode, Examples
from ...errors import MapstoError
from ...views import View

Bounds = tuple[float, float]
_ANYWHERE = (-math.inf, math.inf)


class Attack(ABC):
    """(view, point) ↦ a point near it at which the view is higher. Moves an input; attributes nothing."""

    @abstractmethod
    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the moved point. A missing entry (NaN) stays missing; one that the view ignores is not pushed."""

    def over(self, view: View, points: Float[Tensor, "n ..."], chunk_size: int | None = None) -> Float[Tensor, "n ..."]:
        """Move `n` points at once; `chunk_size` of them at a time bounds memory."""
        return vmap(lambda point: self(view, point), chunk_size=chunk_size)(points)


@final
class FGSM(Attack):
    """One step of `radius` in every entry, up the sign of the slope; entries stay within `bounds`.

    Raises MapstoError for a radius that is not above 0, bounds in the wrong order, or a view of several scores.

    >>> FGSM(0.1)(lambda x: x @ torch.tensor([3.0, -2.0, 0.0]), torch.zeros(3))
    tensor([ 0.1000, -0.1000,  0.0000])
    """

    def __init__(self, radius: float, bounds: Bounds = _ANYWHERE):
        _check(radius, bounds)
        self.radius, self.bounds = radius, bounds

    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the moved point; see `Attack`."""
        slope, score = grad_and_value(_scalar(view))(point)
        _number(score)
        return (point + self.radius * _known(point, slope).sign()).clamp(*self.bounds)


@final
class PGD(Attack):
    """`steps` steps up the slope, each projected back on the ball of `radius` and on `bounds`.

    `norm` is "linf" (each entry moves by at most `radius`) or "l2" (the whole point does). A step is as long as
    `step`, by default 2.5·radius/steps, which can leave the ball's middle and reach its edge (Madry et al. 2018).
    `seed` starts from a random point of the ball, None from the point itself.

    Raises MapstoError for a radius or step that is not above 0, fewer than 1 steps, an unknown norm, bounds in the
    wrong order, or a view of several scores.

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
        _check(radius, bounds)
        if norm not in ("linf", "l2"):
            raise MapstoError(f"norm: got {norm!r}, expected 'linf' or 'l2'.")
        if steps < 1:
            raise MapstoError(f"steps: got {steps}, expected at least 1.")
        self.step = 2.5 * radius / steps if step is None else step
        if not self.step > 0:
            raise MapstoError(f"step: got {step}, expected a length above 0, or None for 2.5·radius/steps.")
        self.radius, self.norm, self.steps, self.bounds, self.seed = radius, norm, steps, bounds, seed

    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the moved point; see `Attack`."""
        loss, best = _scalar(view), point.clamp(*self.bounds)
        at = self._project(point, self._start(point))
        highest = _number(loss(best))
        for _ in range(self.steps):
            slope, value = grad_and_value(loss)(at)
            highest, best = torch.maximum(value, highest), torch.where(value > highest, at, best)
            at = self._project(point, at - point + self.step * self._direction(_known(point, slope)))
        return torch.where(loss(at) > highest, at, best)

    def _start(self, point: Tensor) -> Tensor:
        if self.seed is None:
            return torch.zeros_like(point)
        move = np.random.default_rng(self.seed).uniform(-self.radius, self.radius, tuple(point.shape))
        return torch.from_numpy(move).to(point)

    def _direction(self, slope: Tensor) -> Tensor:
        return slope.sign() if self.norm == "linf" else slope / _length(slope)

    def _project(self, point: Tensor, move: Tensor) -> Tensor:
        """Return the nearest point in the ball; clamping to the bounds afterwards only comes nearer to `point`."""
        if self.norm == "linf":
            move = move.clamp(-self.radius, self.radius)
        else:
            move = move * (self.radius / _length(_known(point, move))).clamp(max=1)
        return (point + move).clamp(*self.bounds)


def surprise(learner: Learner, support: Examples, y: Shaped[Tensor, "..."]) -> View:
    """x ↦ the loss of row x, whose truth is `y`: the view to raise in order to turn one prediction.

    That is −log p(y | x) of a class (`y` an integer), or the mean squared error of the numbers `y` `[k]`.
    """
    loss = losses.LOSSES[learner.loss_name]
    return views.query(learner, support, link=lambda scores: loss(scores[None], y[None], scores.new_ones(1)))


def teaching_loss(learner: Learner, episode: Episode) -> View:
    """D.x ↦ the loss on the query set after adaptation: the view to raise in order to poison what is taught."""
    views.deterministic(learner)
    (_, y, w), query = episode.support, episode.query

    def loss(x: Tensor) -> Tensor:
        scores = learner.predict(learner.adapt(Examples(x, y, w)), query.x)
        return losses.LOSSES[learner.loss_name](scores, query.y, query.w)

    return loss


def _length(values: Tensor) -> Tensor:
    return values.square().sum().sqrt().clamp(min=torch.finfo(values.dtype).tiny)


def _known(point: Tensor, slope: Tensor) -> Tensor:
    """Leave missing entries out: nothing is known of their slope."""
    return torch.where(point.isnan(), torch.zeros_like(slope), slope)


def _scalar(view: View) -> View:
    def value(point: Tensor) -> Tensor:
        score = view(point)
        if score.ndim:
            raise MapstoError(
                f"view: got scores of shape {tuple(score.shape)}, expected one number to raise; pass a target, or a "
                "loss such as measures.attacks.surprise."
            )
        return score

    return value


def _number(score: Tensor) -> Tensor:
    """Refuse a score that is NaN, which nothing raises (inside a transform of `torch.func` it passes)."""
    if readable(score) and score.isnan():
        raise MapstoError("view: got NaN, expected a number to raise; does it read missing cells?")
    return score


def _check(radius: float, bounds: Bounds) -> None:
    if not 0 < radius < math.inf:
        raise MapstoError(f"radius: got {radius}, expected a number above 0, in units of the input.")
    if not bounds[0] < bounds[1]:
        raise MapstoError(f"bounds: got {bounds}, expected (lowest, highest).")
