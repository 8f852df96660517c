"""The base of routes, and the routes that unroll the loop: all steps, the last steps, or none (first order).

    φ_{i+1} = step(φ_i, inputs, i),  i = 0 … K − 1;     v_i = (∂φ_{i+1}/∂φ_i)ᵀ v_{i+1},  backwards from v_K

Finn et al. 2017, "Model-Agnostic Meta-Learning", §2.2 (through all steps) and §5.2 (first order); Shaban et al. 2019,
"Truncated Back-propagation for Bilevel Optimization", §2.3.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.func import grad
from torch.utils import _pytree as pytree

from ... import checks

State = Any
Step = Callable[[State, Any, int], State]


class Differentiation(ABC):
    """A route through a loop `state ← step(state, inputs, i)`, whose state and inputs are pytrees of tensors."""

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        """Return the gradient of `objective(params, *rest)` by `params`, as the steps of this route use it."""
        return grad(objective)

    @abstractmethod
    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Return the state after `steps`; routes differ in its derivatives by `state` and `inputs`."""


class Reverse(Differentiation):
    """Unroll all steps: exact derivatives, with memory proportional to the number of steps."""

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Take the steps; see `Differentiation`."""
        for i in steps:
            state = step(state, inputs, i)
        return state


class FirstOrder(Differentiation):
    """Treat inner gradients as constants of the start, ∂φ/∂θ = 1, and of the parameters that do not adapt.

    Derivatives by the support set and the rates remain, so views through adaptation keep their derivatives.
    """

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        """Return the gradient, a constant of the parameters that do not adapt; see `Differentiation`."""
        return lambda params, fixed, support: grad(objective)(params, detached(fixed), support)

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Take the steps; see `Differentiation`."""
        start = detached(state)
        return _moved(state, start, Reverse()(step, start, inputs, steps))


class Truncated(Differentiation):
    """Differentiate the last `last` steps only, with ∂φ_{K−last}/∂φ_0 ≈ 1 for the earlier steps.

    With `last = 0` the derivative by the start is first-order MAML's; with `last ≥ K` the route is `Reverse`
    (Shaban et al. 2019, "Truncated Back-propagation for Bilevel Optimization", §2.3).
    """

    def __init__(self, last: int):
        checks.count(0, last=last)
        self.last = last

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Take the steps; see `Differentiation`."""
        early = steps[: max(0, len(steps) - self.last)]
        start = detached(state)
        state = _moved(state, start, Reverse()(step, start, detached(inputs), early))
        return Reverse()(step, state, inputs, steps[len(early) :])


def _moved(state: State, start: State, end: State) -> State:
    """Add to each tensor of `state` the difference from `start` to `end`."""
    return pytree.tree_map(lambda s, a, b: s + (b - a), state, start, end)


def chosen(route: Differentiation | None, default: Differentiation) -> Differentiation:
    """Return the route, or the default if it is None; raises MapstoError for any other object."""
    valid = isinstance(route, Differentiation | None)
    checks.expect(valid, "differentiation", repr(route), "a route, such as Reverse() or Adjoint()")
    return default if route is None else route


def detached(tree: Any) -> Any:
    """Return a pytree with every tensor detached."""
    return pytree.tree_map_only(Tensor, Tensor.detach, tree)
