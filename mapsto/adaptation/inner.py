"""The differentiable inner loop: a few steps of an optimizer on the support set, as a pure function.

    φ_0 = θ,    g_i = ∇_φ objective(φ_i, fixed, support) + λ(φ_i − anchor),    φ_{i+1} = φ_i − lr_i ∘ direction(g_i)

A *step* maps `(loop, inputs, i)` to the next loop and reads nothing else, so that how a loop of steps is
differentiated (`differentiation`) is separate from which step it takes. Momentum and Adam are torch's own (Kingma & Ba
2015, Algorithm 1), with a derivative at gradient 0, where √ has none.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..episodes import Examples
from ..errors import MapstoError

Params = dict[str, Tensor]
Objective = Callable[[Params, Params, Examples], Tensor]
Gradient = Callable[[Params, Params, Examples], Params]


class Inputs(NamedTuple):
    """All that a step reads besides the loop's own state; each leaf may be differentiated."""

    fixed: Params  # parameters that do not adapt
    rates: dict[str, Sequence[Tensor | float]]  # of each parameter: one rate a step, the last for all steps after it
    support: Examples
    anchor: Params = {}  # where a proximal term pulls to  # noqa: RUF012


class Loop(NamedTuple):
    """What a step moves: the parameters, and the optimizer's memory of earlier gradients."""

    params: Params
    memory: tuple[Params, ...] = ()


InnerStep = Callable[[Loop, Inputs, int], Loop]


class InnerOptimizer(ABC):
    """gradient ↦ direction, whose multiple by the rate is taken away from the parameters.

    Args:
        weight_decay: adds so much of the parameters to their gradient.
    """

    def __init__(self, weight_decay: float = 0.0):
        if weight_decay < 0:
            raise MapstoError(f"weight_decay: got {weight_decay}, expected 0 or more.")
        self.weight_decay = weight_decay

    @abstractmethod
    def start(self, params: Params) -> tuple[Params, ...]:
        """Return the memory before the first step."""

    @abstractmethod
    def direction(self, g: Params, memory: tuple[Params, ...], i: int) -> tuple[Params, tuple[Params, ...]]:
        """Return the direction of step `i` (0, 1, …) and the new memory."""


class SGD(InnerOptimizer):
    """Gradient descent, with momentum: b ← momentum·b + g, direction b (`torch.optim.SGD`)."""

    def __init__(self, momentum: float = 0.0, weight_decay: float = 0.0):
        super().__init__(weight_decay)
        if not 0 <= momentum < 1:
            raise MapstoError(f"momentum: got {momentum}, expected 0 up to 1.")
        self.momentum = momentum

    def start(self, params: Params) -> tuple[Params, ...]:
        """Return no memory, or one of zeros."""
        return (_zeros(params),) if self.momentum else ()

    def direction(self, g: Params, memory: tuple[Params, ...], i: int) -> tuple[Params, tuple[Params, ...]]:
        """Follow the gradient, or its running sum."""
        if not memory:
            return g, ()
        b = {name: self.momentum * memory[0][name] + g[name] for name in g}
        return b, (b,)


class Adam(InnerOptimizer):
    """m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², direction m̂ / (√v̂ + ε) (`torch.optim.Adam`).

    Where v = 0 the root counts as constant: its derivative, ∞ times 0, would be NaN in second order.
    """

    def __init__(self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.0):
        super().__init__(weight_decay)
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            if not 0 <= beta < 1:
                raise MapstoError(f"{name}: got {beta}, expected 0 up to 1.")
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def start(self, params: Params) -> tuple[Params, ...]:
        """Return means of zeros."""
        return _zeros(params), _zeros(params)

    def direction(self, g: Params, memory: tuple[Params, ...], i: int) -> tuple[Params, tuple[Params, ...]]:
        """Follow the mean gradient, in units of its root mean square."""
        m = {name: self.beta1 * memory[0][name] + (1 - self.beta1) * g[name] for name in g}
        v = {name: self.beta2 * memory[1][name] + (1 - self.beta2) * g[name].square() for name in g}
        c1, c2 = 1 - self.beta1 ** (i + 1), 1 - self.beta2 ** (i + 1)
        return {name: m[name] / c1 / (_root(v[name] / c2) + self.epsilon) for name in g}, (m, v)


def start(optimizer: InnerOptimizer, params: Params) -> Loop:
    """Return the loop before its first step."""
    return Loop(params, optimizer.start(params))


def gradient_step(gradient: Gradient, optimizer: InnerOptimizer, proximal: float = 0.0) -> InnerStep:
    """Return one step of `optimizer` along `gradient(params, fixed, support)`.

    `proximal` is λ of a pull to `inputs.anchor` (Rajeswaran et al. 2019, eq. 3).
    """

    def step(loop: Loop, inputs: Inputs, i: int) -> Loop:
        g = gradient(loop.params, inputs.fixed, inputs.support)
        if optimizer.weight_decay:
            g = {name: g[name] + optimizer.weight_decay * p for name, p in loop.params.items()}
        if proximal:
            g = {name: g[name] + proximal * (p - inputs.anchor[name]) for name, p in loop.params.items()}
        direction, memory = optimizer.direction(g, loop.memory, i)
        return Loop({name: p - _of(inputs.rates[name], i) * direction[name] for name, p in loop.params.items()}, memory)

    return step


def alone(gradient: Gradient, names: Collection[str]) -> Gradient:
    """Return the gradient of some parameters, at the cost of these, and 0 for the others."""

    def partial(params: Params, fixed: Params, support: Examples) -> Params:
        some, others = ({n: p for n, p in params.items() if (n in names) == kept} for kept in (True, False))
        return _zeros(params) | gradient(some, {**fixed, **others}, support)

    return partial


def on_minibatches(step: InnerStep, size: int) -> InnerStep:
    """Let step `i` see `size` support rows, the next ones round and round.

    Where all rows weigh alike, they weigh together what all would. Rows of weight 0 take their turns too.
    """

    def partial(loop: Loop, inputs: Inputs, i: int) -> Loop:
        n = len(inputs.support.w)
        rows = [(i * size + j) % n for j in range(min(size, n))]
        x, y, w = (leaf[rows] for leaf in inputs.support)
        return step(loop, inputs._replace(support=Examples(x, y, w * (n / max(len(rows), 1)))), i)

    return partial


def _of(rates: Sequence[Tensor | float], i: int) -> Tensor | float:
    return rates[min(i, len(rates) - 1)]


def _zeros(params: Params) -> Params:
    return {name: torch.zeros_like(p) for name, p in params.items()}


def _root(v: Tensor) -> Tensor:
    positive = v > 0
    return torch.where(positive, torch.where(positive, v, 1.0).sqrt(), 0.0)
