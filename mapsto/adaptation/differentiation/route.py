"""The choice itself, and the routes that unroll: all of the loop, its last steps, or its steps but not their slopes.

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

from ...errors import MapstoError

State = Any
Step = Callable[[State, Any, int], State]


class Differentiation(ABC):
    """Take the steps of a range: `state ← step(state, inputs, i)`; state and inputs are pytrees of tensors."""

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        """Return the gradient of `objective(params, *rest)` by `params` that the steps are made of."""
        return grad(objective)

    @abstractmethod
    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Return the state after `steps`; how its derivatives by `state` and `inputs` are made is what differs."""


class Reverse(Differentiation):
    """Unroll: derivatives flow back through every step, and memory grows with their number. Exact."""

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Take the steps; see `Differentiation`."""
        for i in steps:
            state = step(state, inputs, i)
        return state


class FirstOrder(Differentiation):
    """Take the way to be a constant of the start, ∂φ/∂θ = 1, and of what does not adapt.

    It still varies with the support set and the rates, so that views through adaptation keep their derivatives.
    """

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        """Return the gradient, a constant of what does not adapt; see `Differentiation`."""
        return lambda params, fixed, support: grad(objective)(params, detached(fixed), support)

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Take the steps; see `Differentiation`."""
        start = detached(state)
        return _moved(state, start, Reverse()(step, start, inputs, steps))


class Truncated(Differentiation):
    """Differentiate the last `last` steps; what came before is taken to move with the start, ∂φ_{K−last}/∂φ_0 ≈ 1.

    With `last = 0` that is first-order MAML by the start, with `last ≥ K` it is `Reverse`
    (Shaban et al. 2019, "Truncated Back-propagation for Bilevel Optimization", §2.3).
    """

    def __init__(self, last: int):
        if last < 0:
            raise MapstoError(f"last: got {last}, expected 0 or more steps to differentiate.")
        self.last = last

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Take the steps; see `Differentiation`."""
        early = steps[: max(0, len(steps) - self.last)]
        start = detached(state)
        state = _moved(state, start, Reverse()(step, start, detached(inputs), early))
        return Reverse()(step, state, inputs, steps[len(early) :])


def _moved(state: State, start: State, end: State) -> State:
    """Add to each tensor of `state` the way from `start` to `end`."""
    return pytree.tree_map(lambda s, a, b: s + (b - a), state, start, end)


def chosen(given: Differentiation | None, usual: Differentiation) -> Differentiation:
    """Return the route that is given, else the usual one; raises MapstoError for what is none."""
    if not isinstance(given, Differentiation | None):
        raise MapstoError(f"differentiation: got {given!r}, expected a route, as Reverse() or Adjoint().")
    return usual if given is None else given


def detached(tree: Any) -> Any:
    """Cut every tensor of a pytree off its past."""
    return pytree.tree_map_only(Tensor, Tensor.detach, tree)
