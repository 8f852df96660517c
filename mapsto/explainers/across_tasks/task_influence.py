"""Which meta-training task caused a prediction on a new one: what the answer would be had the task not been seen.

    change_t = ∇sᵀ·(G + damping·I)⁻¹·∇ℓ_t / T,      G = 1/T · Σ_t Jₜᵀ·Hₜ·Jₜ

`s` is any number asked of the learner, ℓ_t its loss on task t, Jₜ the slope of task t's query scores with respect to
the learner's parameters, *through adaptation*, and Hₜ the second derivative of the loss with respect to these scores.
Koh & Liang 2017, "Understanding Black-box Predictions via Influence Functions", eq. 2, with the Gauss–Newton matrix
for the Hessian (Martens 2010; Schraudolph 2002), since Hₜ is positive and the Hessian need not be. One system is
solved by conjugate gradients, which ask for products G·v only: a forward and a backward derivative of each task.

It is exact to first order in 1/T, at parameters that minimise the mean loss (with damping/2·‖θ‖², where that is trained
with). Koh & Liang divide upweighting by −n to delete; we return the change itself, with its sign.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, jvp, vjp

from ... import views
from ...adaptation import losses
from ...adaptation.batching import each_task
from ...adaptation.differentiation.conjugate_gradient import Tensors, conjugate_gradient, dot
from ...adaptation.learner import Learner
from ...episodes import Episode
from ...errors import MapstoError

Params = dict[str, Tensor]


def task_influence(
    learner: Learner,
    tasks: Episode,
    score: Callable[[Learner], Tensor],
    damping: float = 1e-3,
    tolerance: float = 1e-6,
    iterations: int = 200,
) -> Float[Tensor, " t"]:
    """Return how `score(learner)` would change, were each task of the batch `tasks` left out of the meta-training.

    `score` returns a scalar, as `lambda learner: views.query(learner, support, target=1)(x)`. Conjugate gradients stop
    at a residual of `tolerance` times that of the start, or after so many `iterations`; more `damping` needs fewer.

    Raises:
        MapstoError: `damping` not above 0, one episode for a batch, a score that is no scalar, numbers that are not
            finite, or a learner that has no parameters, draws at random, or is judged by another loss than one of its
            query scores, for which there is no Gauss–Newton form.
    """
    _check(learner, tasks, damping)
    params = {name: p.detach() for name, p in learner.named_parameters() if p.requires_grad}
    slope, value = grad_and_value(lambda params: _scalar(_at(learner, params, score)))(params)
    if not value.isfinite():
        raise MapstoError(f"score: got {float(value)}, expected a finite number; does it read missing cells?")
    count = len(tasks.support.w)

    def product(v: Tensors) -> Tensors:
        return tuple(gauss_newton(learner, tasks, params, dict(zip(slope, v, strict=True)), damping).values())

    direction = conjugate_gradient(product, tuple(slope.values()), iterations, tolerance)

    def change(episode: Episode) -> Tensor:
        gradient = grad(lambda params: _at(learner, params, lambda learner: learner.loss(episode)[0]))(params)
        return dot(direction, tuple(gradient.values())) / count

    changes = each_task(learner, change, tasks)
    if not changes.isfinite().all():
        raise MapstoError(
            "tasks: got changes that are not finite, expected finite slopes of score and losses through adaptation; "
            "see that the learner's parameters are finite, and that nothing it computes has an infinite slope."
        )
    return changes


def gauss_newton(learner: Learner, tasks: Episode, params: Params, v: Params, damping: float) -> Params:
    """Return `(G + damping·I)·v` for the mean over a batch of tasks."""
    loss = losses.LOSSES[learner.loss_name]

    def one(episode: Episode) -> Params:
        def scores(params: Params) -> Tensor:
            return _at(learner, params, lambda learner: learner.predict(learner.adapt_to(episode), episode.query.x))

        at, moved = jvp(scores, (params,), (v,))[:2]  # [m, k] each
        slope = grad(lambda scores: loss(scores, episode.query.y, episode.query.w))
        curved = jvp(slope, (at,), (moved,))[1]  # Hₜ·Jₜ·v
        return vjp(scores, params)[1](curved)[0]

    products = each_task(learner, one, tasks)
    return {name: products[name].mean(0) + damping * v[name] for name in v}


class _Asked(nn.Module):
    """A learner as a module that answers one question, because `functional_call` calls modules."""

    def __init__(self, learner: Learner, question: Callable[[Learner], Tensor]):
        super().__init__()
        self.learner, self.question = learner, question

    def forward(self) -> Tensor:
        return self.question(self.learner)


def _at(learner: Learner, params: Params, question: Callable[[Learner], Tensor]) -> Tensor:
    return functional_call(_Asked(learner, question), {f"learner.{name}": p for name, p in params.items()}, ())


def _check(learner: Learner, tasks: Episode, damping: float) -> None:
    if not damping > 0:
        raise MapstoError(f"damping: got {damping}, expected a number above 0: the matrix alone may be singular.")
    if type(learner).loss is not Learner.loss:
        raise MapstoError(
            f"learner: {type(learner).__name__} has a loss of its own, expected that of its query scores, which the "
            "Gauss–Newton form is of."
        )
    if tasks.support.w.ndim != 2:
        raise MapstoError(
            f"tasks: got support weights of shape {tuple(tasks.support.w.shape)}, expected [t, n], those of a batch of "
            "episodes; put them together with episodes.stack."
        )
    if not any(p.requires_grad for p in learner.parameters()):
        raise MapstoError(
            f"learner: {type(learner).__name__} has no parameter that training moves (requires_grad), expected one at "
            "least: without, no task has any influence."
        )
    views.deterministic(learner)
    with torch.no_grad():
        found = each_task(learner, lambda episode: learner.loss(episode)[0], tasks)
    if lost := (~found.isfinite()).nonzero().flatten().tolist():
        raise MapstoError(
            f"tasks: got a loss that is not finite on tasks {lost} of {len(found)}, expected numbers; leave these out, "
            "or fill what they miss."
        )


def _scalar(value: Tensor) -> Tensor:
    if not isinstance(value, Tensor):
        raise MapstoError(
            f"score: got a {type(value).__name__}, expected a tensor, so that it has a slope; leave out float() and "
            ".item()."
        )
    if value.shape != ():
        raise MapstoError(f"score: got shape {tuple(value.shape)}, expected a scalar; pick one output by its target.")
    return value
