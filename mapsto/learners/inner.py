"""The differentiable inner loop: a few gradient steps on the support set, as a pure function.

    φ_0 = θ,   φ_{i+1} = φ_i − lr ∘ ∇_φ objective(φ_i, fixed, support),   i = 0 … steps − 1

A *step* maps `(params, inputs)` to params and reads nothing else, so that how a loop of steps is differentiated (here:
by unrolling) is separate from which step it takes (here: gradient descent).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor
from torch.func import grad
from torch.utils import _pytree as pytree

from ..episodes import Examples

Params = dict[str, Tensor]
Step = Callable[[Params, Any], Params]
Objective = Callable[[Params, Params, Examples], Tensor]


class Inputs(NamedTuple):
    """All that a step reads besides the parameters it moves; each leaf may be differentiated."""

    fixed: Params  # parameters that do not adapt
    rates: dict[str, Tensor | float]  # one learning rate a parameter: a number, or a tensor of its shape
    support: Examples


def gradient_step(objective: Objective) -> Step:
    """Return one step of gradient descent on `objective(params, fixed, support)`."""

    def step(params: Params, inputs: Inputs) -> Params:
        gradient = grad(objective)(params, inputs.fixed, inputs.support)
        return {name: params[name] - inputs.rates[name] * gradient[name] for name in params}

    return step


def unroll(step: Step, params: Params, inputs: Any, steps: int) -> Params:
    """Take `steps` steps from `params`; derivatives flow back through every one of them."""
    for _ in range(steps):
        params = step(params, inputs)
    return params


def first_order(step: Step, params: Params, inputs: Inputs, steps: int) -> Params:
    """Take `steps` steps that do not depend on the learner's own parameters (Finn et al. 2017, §5.2): ∂φ/∂θ = 1.

    They still depend on the support set and the rates, so that views through adaptation keep their derivatives.
    """
    start, fixed = pytree.tree_map(Tensor.detach, (params, inputs.fixed))
    moved = unroll(step, start, inputs._replace(fixed=fixed), steps)
    return {name: params[name] + (moved[name] - start[name]) for name in params}
