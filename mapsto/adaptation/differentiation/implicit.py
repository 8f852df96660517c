"""Differentiate the fixed point of the loop, not the steps to it.

    φ* = step(φ*, inputs):   u = (1 − ∂step/∂φ)⁻ᵀ v  by conjugate gradient,    (∂φ*/∂inputs)ᵀ v = (∂step/∂inputs)ᵀ u

Rajeswaran et al. 2019, "Meta-Learning with Implicit Gradients", eq. 6 and Algorithm 2: for a step of rate α along
∇L + λ(φ − θ) the derivative by the anchor θ is v ↦ λ(H + λ)⁻¹v.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import vjp
from torch.utils import _pytree as pytree

from ... import checks
from .conjugate_gradient import conjugate_gradient
from .pulling import Tensors, pull, split
from .route import Differentiation, Reverse, State, Step, detached


class Implicit(Differentiation):
    """Differentiate the fixed point of the steps, with the memory of one step for any number of steps.

    The derivatives assume that the loop has reached its fixed point. Conjugate gradient needs a symmetric ∂step/∂φ, as
    in gradient descent with one rate. The start gets no gradient, so it must enter through `inputs`, for example as the
    anchor of a proximal term.

    Args:
        iterations: the number of conjugate gradient iterations; the paper uses five.

    Raises:
        MapstoError: if `iterations` is below 1.
    """

    def __init__(self, iterations: int = 5):
        checks.count(iterations=iterations)
        self.iterations = iterations

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Return the state after `steps`; see `Differentiation`."""
        end = Reverse()(step, detached(state), detached(inputs), steps)
        leaves, spec = pytree.tree_flatten(end)
        tensors, join = split(inputs)

        def at(*both: Tensor) -> Tensors:
            state = pytree.tree_unflatten(both[: len(leaves)], spec)
            return tuple(pytree.tree_leaves(step(state, join(both[len(leaves) :]), steps.stop)))

        return pytree.tree_unflatten(_AtRest.apply(at, self.iterations, len(leaves), *leaves, *tensors), spec)


class _AtRest(torch.autograd.Function):
    """The given state, differentiated as a fixed point of `run`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(run: Callable[..., Tensors], iterations: int, size: int, *tensors: Tensor) -> Tensors:
        return tuple(tensor.clone() for tensor in tensors[:size])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensors) -> None:
        ctx.run, ctx.iterations, ctx.size, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple:
        tensors, size = ctx.saved_tensors, ctx.size
        by_state = lambda *state: ctx.run(*state, *tensors[size:])  # noqa: E731
        back = vjp(by_state, *tensors[:size])[1]
        u = conjugate_gradient(lambda u: _minus(u, back(u)), cotangents, ctx.iterations)
        return None, None, None, *[None] * size, *pull(ctx.run, tensors, u)[size:]


def _minus(a: Tensors, b: Tensors) -> Tensors:
    return tuple(s - t for s, t in zip(a, b, strict=True))
