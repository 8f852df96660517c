"""Solve `matrix(x) = b` for a symmetric positive definite matrix, given only its products with vectors.

Hestenes & Stiefel 1952, "Methods of Conjugate Gradients for Solving Linear Systems", eq. 3:1. Vectors are tuples of
tensors, one for each parameter.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .pulling import Tensors


def conjugate_gradient(
    matrix: Callable[[Tensors], Tensors], b: Tensors, iterations: int, tolerance: float = 0.0
) -> Tensors:
    """Return the solution x of `matrix(x) = b` after `iterations` iterations of conjugate gradient.

    If `tolerance` is above 0, the iterations stop when the norm of the residual is at most `tolerance` times the norm
    of b. This needs the values of tensors, which `vmap` and the compiler do not allow.
    """
    x, r, p = tuple(torch.zeros_like(t) for t in b), b, b
    for _ in range(iterations):
        if tolerance > 0 and dot(r, r) <= tolerance**2 * dot(b, b):
            break
        q = matrix(p)
        alpha = _ratio(dot(r, r), dot(p, q))
        x, rest = _plus(x, p, alpha), _plus(r, q, -alpha)
        p, r = _plus(rest, p, _ratio(dot(rest, rest), dot(r, r))), rest
    return x


def dot(a: Tensors, b: Tensors) -> Tensor:
    """Return the scalar product of two vectors."""
    return torch.stack([(s * t).sum() for s, t in zip(a, b, strict=True)]).sum()


def _plus(a: Tensors, b: Tensors, times: Tensor) -> Tensors:
    return tuple(s + times * t for s, t in zip(a, b, strict=True))


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return a / torch.where(b != 0, b, 1.0)
