"""How a meta-gradient is had of a loss F(θ): exactly, or from directions v alone, without a way back through the loop.

    exact        g = ∇F(θ)                                                      by reverse mode
    forward      g = 1/n · Σ_v (∂F(θ)/∂v)·v                                     by forward mode, v ~ N(0, I)
    evolution    g = 1/n · Σ_v (F(θ + σv) − F(θ − σv)) / 2σ · v                 by losses alone, v ~ N(0, I)

Forward mode is unbiased and its memory does not grow with the inner steps (Baydin et al. 2022, "Gradients without
Backpropagation", eq. 2); with √n times a basis of n directions in place of random ones it is exact. Evolution
strategies are unbiased for F smoothed by N(0, σ²I), whatever F is made of (Salimans et al. 2017, "Evolution Strategies
as a Scalable Alternative", §2, with their mirrored sampling; on MAML Song et al. 2020, "ES-MAML", Algorithm 3).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.func import grad_and_value, jvp, vmap
from torch.utils import _pytree as pytree

from ..adaptation.learner import Metrics
from ..errors import MapstoError

Params = dict[str, Tensor]
Loss = Callable[[Params], tuple[Tensor, Metrics]]


class Estimator(ABC):
    """loss, parameters, directions ↦ gradient and metrics."""

    def directions(self, params: Params, index: int) -> Params:
        """Return the directions of step `index`, with one more axis in front than `params`; none by default."""
        return {}

    @abstractmethod
    def __call__(self, loss: Loss, params: Params, directions: Params) -> tuple[Params, Metrics]:
        """Return the gradient of `loss(params) -> (value, metrics)`, and the metrics."""


class Exact(Estimator):
    """The gradient itself, by reverse mode (Linnainmaa 1976)."""

    def __call__(self, loss: Loss, params: Params, directions: Params) -> tuple[Params, Metrics]:
        """Differentiate in reverse; see `Estimator`."""
        if torch.compiler.is_compiling():  # which knows this form alone
            gradient, (_, metrics) = grad_and_value(loss, has_aux=True)(params)
            return gradient, metrics
        leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
        value, metrics = loss(leaves)
        gradient = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
        return dict(zip(leaves, gradient, strict=True)), metrics


class Random(Estimator):
    """An estimate from normal directions, which are a function of `seed` and the step.

    Args:
        count: directions a step; the variance falls with it and grows with the number of parameters.
        seed: of the directions.

    Raises:
        MapstoError: `count` below 1 or a negative `seed`.
    """

    def __init__(self, count: int = 16, seed: int = 0):
        if count < 1:
            raise MapstoError(f"count: got {count}, expected at least 1 direction.")
        if seed < 0:
            raise MapstoError(f"seed: got {seed}, expected a whole number from 0.")
        self.count, self.seed = count, seed

    def directions(self, params: Params, index: int) -> Params:
        """Draw the directions of step `index`; see `Estimator`."""
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence((self.seed, index)).generate_state(1)[0]))
        drawn = {name: torch.randn(self.count, *p.shape, generator=generator) for name, p in params.items()}
        return {name: v.to(params[name]) for name, v in drawn.items()}


class ForwardMode(Random):
    """Directional derivatives taken forwards, each times its direction; arguments as in `Random`.

    The inner loop is to be unrolled, as by `Reverse`: recomputing routes are made for the way back, and refused.
    """

    def __call__(self, loss: Loss, params: Params, directions: Params) -> tuple[Params, Metrics]:
        """Differentiate along the directions; see `Estimator`."""
        slopes, metrics = vmap(lambda v: _slope(loss, params, v))(directions)
        return _weighted(slopes, directions), _mean(metrics)


class EvolutionStrategies(Random):
    """Differences of losses on either side, each times its direction (Salimans et al. 2017).

    They follow the loss as it is: where a learner's gradient is not that of its loss, because it takes some of it for a
    constant (first-order MAML, truncated or implicit routes, an LSTM meta-learner), this is another one. `Reptile`,
    whose loss says nothing without its constants, is refused.

    Args:
        count: pairs of sides a step.
        scale: σ, by how much the parameters move.
        seed: of the directions.

    Raises:
        MapstoError: `count` below 1, a negative `seed`, or `scale` not above 0.
    """

    def __init__(self, count: int = 16, scale: float = 0.01, seed: int = 0):
        super().__init__(count, seed)
        if scale <= 0:
            raise MapstoError(f"scale: got {scale}, expected a number above 0.")
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
    """Return the mean over directions of slope times direction."""
    return {name: torch.tensordot(slopes, v, 1) / len(slopes) for name, v in directions.items()}


def _mean(metrics: Metrics) -> Metrics:
    return pytree.tree_map(lambda values: values.mean(0), metrics)
