"""The differentiable inner loop: a few steps of an optimizer on the support set, as a pure function.

    φ_0 = θ,    g_i = ∇_φ objective(φ_i, fixed, support) + λ(φ_i − anchor),    φ_{i+1} = φ_i − lr_i ∘ direction(g_i)

A step is a function from `(loop, inputs, i)` to the next state of the loop, and reads nothing else. So every step works
with every route of `differentiation`, which defines the derivatives through the loop. `SGD` and `Adam` compute the same
numbers as those of torch (Kingma & Ba 2015, Algorithm 1), but also have a derivative at gradient 0.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .. import checks
from ..episodes import Examples

Params = dict[str, Tensor]
Gradient = Callable[[Params, Params, Examples], Params]


class Inputs(NamedTuple):
    """The values that a step reads besides the loop's state; derivatives by each of these tensors are possible."""

    fixed: Params  # parameters that do not adapt
    rates: dict[str, Sequence[Tensor | float]]  # of each parameter, one for each step; the last is for all later ones
    support: Examples
    anchor: Params = {}  # the centre of the proximal term  # noqa: RUF012


class Loop(NamedTuple):
    """The state of the loop: the parameters, and the optimizer's memory of earlier gradients."""

    params: Params
    memory: tuple[Params, ...] = ()


InnerStep = Callable[[Loop, Inputs, int], Loop]


class InnerOptimizer(ABC):
    """The base of inner optimizers, which turn a gradient into the direction of a step.

    A step subtracts the learning rate times the direction from the parameters.

    Args:
        weight_decay: the parameters, multiplied by this number, are added to their gradient.

    Raises:
        MapstoError: if `weight_decay` is negative.
    """

    def __init__(self, weight_decay: float = 0.0):
        checks.at_least(0, weight_decay=weight_decay)
        self.weight_decay = weight_decay

    @abstractmethod
    def start(self, params: Params) -> tuple[Params, ...]:
        """Return the optimizer's memory before the first step."""

    @abstractmethod
    def direction(self, g: Params, memory: tuple[Params, ...], i: int) -> tuple[Params, tuple[Params, ...]]:
        """Return the direction of step `i` (0, 1, …) for the gradient `g`, and the new memory."""


class SGD(InnerOptimizer):
    """Gradient descent with optional momentum, as in `torch.optim.SGD`.

    With momentum, the direction of a step is the running sum b ← momentum·b + g of the gradients g.

    Raises:
        MapstoError: if `momentum` is not in [0, 1), or `weight_decay` is negative.
    """

    def __init__(self, momentum: float = 0.0, weight_decay: float = 0.0):
        super().__init__(weight_decay)
        checks.at_least(0, momentum=momentum)
        checks.expect(momentum < 1, "momentum", momentum, "a number below 1")
        self.momentum = momentum

    def start(self, params: Params) -> tuple[Params, ...]:
        """Return zeros for the running sum of the gradients, or no memory if the momentum is 0."""
        return (_zeros(params),) if self.momentum else ()

    def direction(self, g: Params, memory: tuple[Params, ...], i: int) -> tuple[Params, tuple[Params, ...]]:
        """Return the gradient, or with momentum the running sum of the gradients, and the new memory."""
        if not memory:
            return g, ()
        b = {name: self.momentum * memory[0][name] + g[name] for name in g}
        return b, (b,)


class Adam(InnerOptimizer):
    """Adam: follow the running mean of the gradients, divided by their root mean square, as in `torch.optim.Adam`.

    m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², and the direction is m̂ / (√v̂ + ε), with the bias corrected.

    If v = 0, the square root is treated as a constant. Otherwise its infinite derivative times 0 would make second
    derivatives NaN.

    Raises:
        MapstoError: if `beta1` or `beta2` is not in [0, 1), or `weight_decay` is negative.
    """

    def __init__(self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.0):
        super().__init__(weight_decay)
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            checks.at_least(0, **{name: beta})
            checks.expect(beta < 1, name, beta, "a number below 1")
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def start(self, params: Params) -> tuple[Params, ...]:
        """Return zeros for the running means of the gradient and of its square."""
        return _zeros(params), _zeros(params)

    def direction(self, g: Params, memory: tuple[Params, ...], i: int) -> tuple[Params, tuple[Params, ...]]:
        """Return the running mean of the gradients divided by their root mean square, and the new memory."""
        m = {name: self.beta1 * memory[0][name] + (1 - self.beta1) * g[name] for name in g}
        v = {name: self.beta2 * memory[1][name] + (1 - self.beta2) * g[name].square() for name in g}
        c1, c2 = 1 - self.beta1 ** (i + 1), 1 - self.beta2 ** (i + 1)
        return {name: m[name] / c1 / (_root(v[name] / c2) + self.epsilon) for name in g}, (m, v)


def start(optimizer: InnerOptimizer, params: Params) -> Loop:
    """Return the state of the loop before its first step."""
    return Loop(params, optimizer.start(params))


def gradient_step(gradient: Gradient, optimizer: InnerOptimizer, proximal: float = 0.0) -> InnerStep:
    """Return a function that takes one step of `optimizer` by the gradient `gradient(params, fixed, support)`.

    `proximal` is the weight λ of a penalty λ/2·‖φ − anchor‖² (Rajeswaran et al. 2019, eq. 3).
    """

    def step(loop: Loop, inputs: Inputs, i: int) -> Loop:
        g = gradient(loop.params, inputs.fixed, inputs.support)
        if optimizer.weight_decay:
            g = {name: g[name] + optimizer.weight_decay * p for name, p in loop.params.items()}
        if proximal:
            g = {name: g[name] + proximal * (p - inputs.anchor[name]) for name, p in loop.params.items()}
        direction, memory = optimizer.direction(g, loop.memory, i)
        rates = {name: _of(steps, i) for name, steps in inputs.rates.items()}
        return Loop({name: _moved(p, rates[name], direction[name]) for name, p in loop.params.items()}, memory)

    return step


def alone(gradient: Gradient, names: Collection[str]) -> Gradient:
    """Return a gradient function that computes only the gradient of the named parameters, and 0 for all others."""

    def partial(params: Params, fixed: Params, support: Examples) -> Params:
        some, others = ({n: p for n, p in params.items() if (n in names) == kept} for kept in (True, False))
        return _zeros(params) | gradient(some, {**fixed, **others}, support)

    return partial


def on_minibatches(step: InnerStep, size: int) -> InnerStep:
    """Return `step` on minibatches of `size` support rows, which take turns and start over after the last row.

    If all rows have equal weights, a minibatch has the same total weight as all rows. Rows of weight 0 are not skipped.
    """

    def partial(loop: Loop, inputs: Inputs, i: int) -> Loop:
        n = len(inputs.support.w)
        rows = [(i * size + j) % n for j in range(min(size, n))]
        x, y, w = (leaf[rows] for leaf in inputs.support)
        return step(loop, inputs._replace(support=Examples(x, y, w * (n / max(len(rows), 1)))), i)

    return partial


def check_fixed_point(optimizer: InnerOptimizer, proximal: float, learn_lr: bool | str, minibatch: int | None) -> None:
    """Raise MapstoError if `Implicit` cannot differentiate the inner loop, which must have a fixed point."""
    checks.above(0, proximal=proximal)  # implicit gradients reach the start only through the proximal term
    checks.expect(minibatch is None, "minibatch", f"{minibatch} with Implicit", "None, for all rows in every step")
    plain = not optimizer.start({"": torch.zeros(())}) and not learn_lr
    checks.expect(
        plain, "differentiation", "Implicit for an inner loop with memory or learned rates",
        "gradient descent with one rate, whose step has a symmetric Jacobian",
    )  # fmt: skip


def _moved(p: Tensor, rate: Tensor | float, direction: Tensor) -> Tensor:
    return p - rate * direction if isinstance(rate, Tensor) else p.sub(direction, alpha=rate)


def _of(rates: Sequence[Tensor | float], i: int) -> Tensor | float:
    return rates[min(i, len(rates) - 1)]


def _zeros(params: Params) -> Params:
    return {name: torch.zeros_like(p) for name, p in params.items()}


def _root(v: Tensor) -> Tensor:
    positive = v > 0
    return torch.where(positive, torch.where(positive, v, 1.0).sqrt(), 0.0)
