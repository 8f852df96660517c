"""The base of all routes, and the routes that unroll all steps, the last steps, or no step (first order).

    φ_{i+1} = step(φ_i, inputs, i),  i = 0 … K − 1;     v_i = (∂φ_{i+1}/∂φ_i)ᵀ v_{i+1},  backwards from v_K

v_i is the derivative of the final loss by φ_i. Finn et al. 2017, "Model-Agnostic Meta-Learning", §2.2 (through all
steps) and §5.2 (first order); Shaban et al. 2019, "Truncated Back-propagation for Bilevel Optimization", §2.3.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad
from torch.utils import _pytree as pytree

from ... import checks
from ..kernels import twice_differentiable

State = Any
Step = Callable[[State, Any, int], State]


class Differentiation(ABC):
    """A route: a way to differentiate a loop `state ← step(state, inputs, i)`, with pytrees as state and inputs."""

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        """Return the gradient function of `objective(params, *rest)` by `params` that this route uses in its steps."""
        mapped = grad(objective)

        def of(params: Any, *rest: Any) -> Any:
            # a constant would get a gradient with a graph, which ends in autograd's own copy of it
            leaves = pytree.tree_leaves(params)
            constant = not leaves or (torch.is_grad_enabled() and not all(p.requires_grad for p in leaves))
            direct = checks.recording() and not constant
            with twice_differentiable():
                return _by_autograd(objective, params, rest) if direct else mapped(params, *rest)

        return of

    @abstractmethod
    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Return the state after `steps`; routes differ only in its derivatives by `state` and `inputs`."""


class Reverse(Differentiation):
    """Unroll all steps: exact derivatives, with memory proportional to the number of steps."""

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Return the state after `steps`; see `Differentiation`."""
        for i in steps:
            state = step(state, inputs, i)
        return state


class FirstOrder(Differentiation):
    """Ignore how the inner gradients depend on the start θ, so that the adapted parameters φ have ∂φ/∂θ = 1.

    The dependence on parameters that do not adapt is ignored too. Derivatives by the support set and the learning rates
    remain, so the functions in `mt.views` can still differentiate through adaptation.
    """

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        """Return the gradient function of the objective, constant in the parameters that do not adapt."""
        gradient = super().gradient(objective)
        return lambda params, fixed, support: gradient(params, detached(fixed), support)

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Return the state after `steps`; see `Differentiation`."""
        start = detached(state)
        return _moved(state, start, Reverse()(step, start, inputs, steps))


class Truncated(Differentiation):
    """Differentiate only the last `last` steps, and treat the earlier steps as a constant displacement of the start.

    So ∂φ_{K−last}/∂φ_0 ≈ 1 for K steps in all. With `last = 0` the derivative by the start is that of first-order MAML;
    with `last ≥ K` the route is `Reverse` (Shaban et al. 2019, "Truncated Back-propagation for Bilevel Optimization",
    §2.3).

    Raises:
        MapstoError: if `last` is negative.
    """

    def __init__(self, last: int):
        checks.count(0, last=last)
        self.last = last

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Return the state after `steps`; see `Differentiation`."""
        early = steps[: max(0, len(steps) - self.last)]
        start = detached(state)
        state = _moved(state, start, Reverse()(step, start, detached(inputs), early))
        return Reverse()(step, state, inputs, steps[len(early) :])


def _moved(state: State, start: State, end: State) -> State:
    """Add to each tensor of `state` the difference from `start` to `end`."""
    return pytree.tree_map(lambda s, a, b: s + (b - a), state, start, end)


def _by_autograd(objective: Callable[..., Tensor], params: Any, rest: Any) -> Any:
    """Return the gradient that `torch.func.grad` would return, in half its time if the objective is small."""
    leaves, spec = pytree.tree_flatten(params)
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # of views, so that the gradient does not pass through one parameter to another
        views = [p.view_as(p) if graph else p.detach().requires_grad_() for p in leaves]
        value = objective(pytree.tree_unflatten(views, spec), *rest)
        if not value.requires_grad:  # a constant
            return pytree.tree_map(torch.zeros_like, params)
        gradients = torch.autograd.grad(value, views, create_graph=graph, materialize_grads=True)
    return pytree.tree_unflatten(gradients, spec)


def chosen(route: Differentiation | None, default: Differentiation) -> Differentiation:
    """Return the route, or the default if the route is None.

    Raises:
        MapstoError: if `route` is neither a route nor None.
    """
    valid = isinstance(route, Differentiation | None)
    checks.expect(valid, "differentiation", repr(route), "a route, such as Reverse() or Adjoint()")
    return default if route is None else route


def detached(tree: Any) -> Any:
    """Return a pytree with every tensor detached."""
    return pytree.tree_map_only(Tensor, Tensor.detach, tree)
