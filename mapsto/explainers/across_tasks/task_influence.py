"""Influence of meta-training tasks: how a prediction on a new task would change if one training task had been left out.

    change_t = ∇sᵀ·(G + damping·I)⁻¹·∇ℓ_t / T,      G = 1/T · Σ_t Jₜᵀ·Hₜ·Jₜ

`s` is any scalar function of the learner, and ℓ_t is its loss on task t, one of T tasks. Jₜ is the derivative of task
t's query scores with respect to the learner's parameters, *through adaptation*. Hₜ is the second derivative of the loss
with respect to these scores.

This is eq. 2 of Koh & Liang 2017, "Understanding Black-box Predictions via Influence Functions". The Gauss–Newton
matrix G replaces the Hessian (Martens 2010; Schraudolph 2002), because Hₜ is positive semidefinite, and the Hessian
need not be. One linear system is solved by conjugate gradients, which need only products G·v: a forward and a backward
derivative of each task.

The result is exact to first order in 1/T, at parameters that minimise the mean loss (plus damping/2·‖θ‖², if training
has that term). Koh & Liang report the effect of upweighting a task, and divide it by −n to delete one; here the change
by the deletion is returned, with its sign.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, jvp, vjp

from ... import checks, processes, views
from ...adaptation.batching import each_task
from ...adaptation.differentiation.conjugate_gradient import Tensors, conjugate_gradient, dot
from ...adaptation.learner import Learner
from ...episodes import Episode, some
from ...processes import Processes

Params = dict[str, Tensor]


def task_influence(
    learner: Learner,
    tasks: Episode,
    score: Callable[[Learner], Tensor],
    damping: float = 1e-3,
    tolerance: float = 1e-6,
    iterations: int = 200,
    devices: int = 1,
    num_nodes: int = 1,
) -> Float[Tensor, " t"]:
    """Estimate, for each training task, how `score(learner)` would change if meta-training had left this task out.

    The estimate comes from influence functions: it is a first-order approximation, and no learner is trained again. It
    is valid only if the learner's training has converged.

    Args:
        learner: the trained learner.
        tasks: a batch of all `t` training tasks.
        score: a function from the learner to a scalar, for example
            `lambda learner: views.query(learner, support, target=1)(x)`.
        damping: the number added to the diagonal of the Gauss–Newton matrix. The larger it is, the fewer
            conjugate-gradient steps are needed.
        tolerance: the conjugate-gradient steps stop when the residual has fallen to the fraction `tolerance` of its
            initial size.
        iterations: the largest number of conjugate-gradient steps.
        devices: the number of processes on each machine that share the tasks, see `mapsto.processes`. All of them call
            this function, and get the same result.
        num_nodes: the number of machines.

    Raises:
        MapstoError: if `damping` is not above 0, `tasks` is one episode instead of a batch, the score is not a scalar,
            the score or a gradient is not finite, or the learner has no trainable parameters or has random layers.
            MapstoError is also raised if the learner overrides `loss`, because the estimate needs a loss that depends
            only on the query scores.
    """
    device = next(iter(learner.parameters()), torch.empty(0)).device
    group = processes.joined(devices, num_nodes, device)
    _check_learner_and_tasks(learner, tasks, damping, group)
    params = {name: p.detach() for name, p in learner.named_parameters() if p.requires_grad}
    slope, value = grad_and_value(lambda params: _scalar(_at(learner, params, score)))(params)
    checks.finite("does the score read missing cells?", score=value)
    count = len(tasks.support.w)
    own, share = group.part(count)

    def product(v: Tensors) -> Tensors:
        mean = gauss_newton(learner, some(tasks, own), params, dict(zip(slope, v, strict=True)), damping)
        return group.sum(tuple(share * entry for entry in mean.values()))

    direction = conjugate_gradient(product, tuple(slope.values()), iterations, tolerance)

    def change(episode: Episode) -> Tensor:
        gradient = grad(lambda params: _at(learner, params, lambda learner: learner.loss(episode)[0]))(params)
        return dot(direction, tuple(gradient.values())) / count

    changes = each_task(learner, change, tasks, processes=group)
    checks.finite(
        "the gradients of score and losses through adaptation must be finite: see that the learner's parameters are",
        tasks=changes,
    )
    return changes


def gauss_newton(learner: Learner, tasks: Episode, params: Params, v: Params, damping: float) -> Params:
    """Return `(G + damping·I)·v`, where G is the mean Gauss–Newton matrix of a batch of tasks."""
    loss = learner.criterion

    def product(episode: Episode) -> Params:
        def scores(params: Params) -> Tensor:
            return _at(learner, params, lambda learner: learner.predict(learner.adapt_to(episode), episode.query.x))

        at, moved = jvp(scores, (params,), (v,))[:2]  # [m, k] each
        slope = grad(lambda scores: loss(scores, episode.query.y, episode.query.w))
        curved = jvp(slope, (at,), (moved,))[1]  # Hₜ·Jₜ·v
        return vjp(scores, params)[1](curved)[0]

    products = each_task(learner, product, tasks)
    return {name: products[name].mean(0) + damping * v[name] for name in v}


class _Asked(nn.Module):
    """A module whose forward pass applies a function to a learner, because `functional_call` calls modules only."""

    def __init__(self, learner: Learner, question: Callable[[Learner], Tensor]):
        super().__init__()
        self.learner, self.question = learner, question

    def forward(self) -> Tensor:
        return self.question(self.learner)


def _at(learner: Learner, params: Params, question: Callable[[Learner], Tensor]) -> Tensor:
    return functional_call(_Asked(learner, question), {f"learner.{name}": p for name, p in params.items()}, ())


def _check_learner_and_tasks(learner: Learner, tasks: Episode, damping: float, group: Processes) -> None:
    checks.above(0, damping=damping)
    name = type(learner).__name__
    usual = type(learner).loss is Learner.loss
    checks.expect(usual, "learner", f"{name} with a loss of its own", "a loss of the query scores (Gauss–Newton)")
    checks.shape(("t", "n"), "a batch of episodes: put them together with episodes.stack", tasks=tasks.support.w)
    trained = any(p.requires_grad for p in learner.parameters())
    checks.expect(trained, "learner", f"{name} without a trainable parameter", "at least one with requires_grad")
    views.deterministic(learner)
    with torch.no_grad():
        loss = each_task(learner, lambda episode: learner.loss(episode)[0], tasks, processes=group)
    lost = (~loss.isfinite()).nonzero().flatten().tolist()
    checks.expect(not lost, "tasks", f"a loss that is not finite on tasks {lost}", "numbers", "leave these tasks out")


def _scalar(value: Tensor) -> Tensor:
    kind = type(value).__name__
    checks.expect(isinstance(value, Tensor), "score", f"a {kind}", "a tensor with a gradient", "leave out .item()")
    checks.shape((), "a scalar; pick one output by its target", score=value)
    return value
