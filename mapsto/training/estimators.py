"""Estimators of the meta-gradient of a loss F(θ): exact, or from random directions v, without backpropagation.

    exact        g = ∇F(θ)                                                      by reverse mode
    forward      g = 1/n · Σ_v (∂F(θ)/∂v)·v                                     by forward mode, v ~ N(0, I)
    evolution    g = 1/n · Σ_v (F(θ + σv) − F(θ − σv)) / 2σ · v                 from losses alone, v ~ N(0, I)

Forward mode is unbiased, and its memory does not grow with the number of inner steps (Baydin et al. 2022, "Gradients
without Backpropagation", eq. 2). If the random directions are replaced by √n times a basis of n directions, it is
exact. Evolution strategies are unbiased for F smoothed by N(0, σ²I), even if F is not differentiable (Salimans et al.
2017, "Evolution Strategies as a Scalable Alternative", §2, with their mirrored sampling; for MAML, Song et al. 2020,
"ES-MAML", Algorithm 3).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.func import grad_and_value, jvp, vmap
from torch.utils import _pytree as pytree

from .. import checks
from ..adaptation.learner import Metrics

Params = dict[str, Tensor]
Loss = Callable[[Params], tuple[Tensor, Metrics]]


class Estimator(ABC):
    """Loss, parameters, directions ↦ gradient and metrics."""

    def directions(self, params: Params, index: int) -> Params:
        """Return the directions of step `index`, stacked along a new first axis; by default there are none."""
        return {}

    @abstractmethod
    def __call__(self, loss: Loss, params: Params, directions: Params) -> tuple[Params, Metrics]:
        """Return the gradient of `loss(params) -> (value, metrics)` and the metrics."""


class Exact(Estimator):
    """The exact gradient, by reverse mode (Linnainmaa 1976)."""

    def __call__(self, loss: Loss, params: Params, directions: Params) -> tuple[Params, Metrics]:
        """Differentiate in reverse; see `Estimator`."""
        if torch.compiler.is_compiling():  # the compiler supports this form only
            gradient, (_, metrics) = grad_and_value(loss, has_aux=True)(params)
            return gradient, metrics
        leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
        value, metrics = loss(leaves)
        gradient = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
        return dict(zip(leaves, gradient, strict=True)), metrics


class Random(Estimator):
    """An estimate from normally distributed directions, which are a function of `seed` and the step.

    Args:
        count: number of directions in each step; the variance falls with it and grows with the number of parameters.
        seed: seed of the directions.

    Raises:
        MapstoError: if `count` is below 1 or `seed` is negative.
    """

    def __init__(self, count: int = 16, seed: int = 0):
        checks.count(count=count)
        checks.count(0, seed=seed)
        self.count, self.seed = count, seed

    def directions(self, params: Params, index: int) -> Params:
        """Draw the directions of step `index`; see `Estimator`."""
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence((self.seed, index)).generate_state(1)[0]))
        return {name: torch.randn(self.count, *p.shape, generator=generator).to(p) for name, p in params.items()}


class ForwardMode(Random):
    """The mean of directional derivatives times their directions, by forward mode; arguments as in `Random`.

    The inner loop must be unrolled, as by `Reverse`. `train` refuses routes that recompute the inner loop, because they
    support reverse mode only.
    """

    def __call__(self, loss: Loss, params: Params, directions: Params) -> tuple[Params, Metrics]:
        """Differentiate along the directions; see `Estimator`."""
        slopes, metrics = vmap(lambda v: _slope(loss, params, v))(directions)
        return _weighted(slopes, directions), _mean(metrics)


class EvolutionStrategies(Random):
    """The mean of loss differences on both sides of the parameters times the directions (Salimans et al. 2017).

    This estimates the gradient of the loss itself. Some learners treat a part of their loss as a constant (first-order
    MAML, truncated or implicit routes, the LSTM meta-learner); for these the estimate differs from their own gradient.
    `train` refuses `Reptile`, because its loss means nothing if its constants may vary.

    Args:
        count: number of directions in each step; each takes two evaluations of the loss.
        scale: σ, the distance that the parameters move along a direction.
        seed: seed of the directions.

    Raises:
        MapstoError: if `count` is below 1, `seed` is negative, or `scale` is not above 0.
    """

    def __init__(self, count: int = 16, scale: float = 0.01, seed: int = 0):
        super().__init__(count, seed)
        checks.above(0, scale=scale)
        self.scale = scale

    def __call__(self, loss: Loss, params: Params, directions: Params) -> tuple[Params, Metrics]:
        """Compare the losses on both sides of the parameters; see `Estimator`."""

        def side(sign: float) -> tuple[Tensor, Metrics]:
            moved = {name: params[name] + sign * self.scale * v for name, v in directions.items()}
            return vmap(loss)(moved)

        (above, metrics), (below, _) = side(1.0), side(-1.0)
        return _weighted((above - below) / (2 * self.scale), directions), _mean(metrics)


def _slope(loss: Loss, params: Params, v: Params) -> tuple[Tensor, Metrics]:
    _, slope, metrics = jvp(loss, (params,), (v,), has_aux=True)  # type: ignore[misc]
    return slope, metrics


def _weighted(slopes: Tensor, directions: Params) -> Params:
    """Return the mean over the directions of slope · direction."""
    return {name: torch.tensordot(slopes, v, 1) / len(slopes) for name, v in directions.items()}


def _mean(metrics: Metrics) -> Metrics:
    return pytree.tree_map(lambda values: values.mean(0), metrics)
