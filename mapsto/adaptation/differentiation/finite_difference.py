"""Compute second derivatives from first ones: a Hessian-vector product as the difference of two gradients.

    (∂∇L(φ)/∂a)ᵀ v ≈ (∇_a L(φ + εv) − ∇_a L(φ − εv)) / 2ε    for a = φ, and for every other input a of L

Fallah, Mokhtari & Ozdaglar 2020, "On the Convergence Theory of Gradient-Based Model-Agnostic Meta-Learning Algorithms"
(HF-MAML), eq. 11; Liu, Simonyan & Yang 2019, "DARTS", eq. 8.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad
from torch.utils import _pytree as pytree

from ... import checks
from .pulling import Tensors, pull, split
from .route import Reverse


class FiniteDifference(Reverse):
    """Approximate second derivatives of the inner loss by differences of gradients at two nearby points.

    Args:
        distance: the distance ε‖v‖ from the parameters φ to each point, as a multiple of (1 + ‖φ‖)·eps^⅓, where eps is
            the precision of the floating-point type. With the default, the errors of truncation and of rounding
            balance.

    Raises:
        MapstoError: if `distance` is not above 0.
    """

    def __init__(self, distance: float = 1.0):
        checks.above(0, distance=distance)
        self.distance = distance

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        """Return the gradient function of `objective`: exact values, with approximate derivatives."""

        def of(params: Any, *rest: Any) -> Any:
            leaves, spec = pytree.tree_flatten(params)
            tensors, join = split(rest)

            def value(*both: Tensor) -> Tensor:
                return objective(pytree.tree_unflatten(both[: len(leaves)], spec), *join(both[len(leaves) :]))

            return pytree.tree_unflatten(_Gradient.apply(value, self.distance, len(leaves), *leaves, *tensors), spec)

        return of


class _Gradient(torch.autograd.Function):
    """The gradient of `value` by its first `size` tensors, differentiated by central differences."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Callable[..., Tensor], distance: float, size: int, *tensors: Tensor) -> Tensors:
        return grad(value, tuple(range(size)))(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensors) -> None:
        ctx.value, ctx.distance, ctx.size, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *v: Tensor) -> tuple:
        params, rest = ctx.saved_tensors[: ctx.size], ctx.saved_tensors[ctx.size :]
        length = _norm(v)
        epsilon = (
            ctx.distance
            * torch.finfo(length.dtype).eps ** (1 / 3)
            * (1 + _norm(params))
            / torch.where(length > 0, length, 1.0)
        )

        def side(sign: float) -> list[Tensor | None]:
            moved = [p + sign * epsilon * d for p, d in zip(params, v, strict=True)]
            value = lambda *tensors: (ctx.value(*tensors),)  # noqa: E731
            return pull(value, (*moved, *rest), (torch.ones_like(length),))

        return None, None, None, *(_slope(a, b, epsilon) for a, b in zip(side(1.0), side(-1.0), strict=True))


def _norm(tensors: Tensors) -> Tensor:
    return torch.stack([tensor.square().sum() for tensor in tensors]).sum().sqrt()


def _slope(above: Tensor | None, below: Tensor | None, epsilon: Tensor) -> Tensor | None:
    return None if above is None or below is None else (above - below) / (2 * epsilon)
