"""Matrix products of which many share one factor.

`torch.func.vmap` answers many questions at once by giving each a copy of what all of them are held against: the keys
of a support set, once for every coalition of every row. Here the questions become rows of one product instead.
"""

from typing import Any

import torch
from torch import Tensor


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return `a @ b`, `[..., n, e]` by `[..., e, m]` with the same leading axes; what vmap maps over one factor only,
    it folds into that factor's rows or columns, and the other is not copied. Differentiable any number of times.
    """
    return _Product.apply(a, b)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(a: Tensor, b: Tensor) -> Tensor:
        return a @ b

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        asked = ctx.needs_input_grad
        return product(slope, b.mT) if asked[0] else None, product(a.mT, slope) if asked[1] else None

    @staticmethod
    def jvp(ctx: Any, a_moves: Tensor, b_moves: Tensor) -> Tensor:
        a, b = ctx.saved_tensors
        return product(a_moves, b) + product(a, b_moves)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, int | None], a: Tensor, b: Tensor) -> tuple[Tensor, int]:
        dim, other = in_dims
        if dim is None:  # (a·b)ᵀ = bᵀ·aᵀ
            assert other is not None
            out, at = _Product.vmap(info, (0, None), b.movedim(other, 0).mT, a.mT)
            return out.mT, at
        if other is not None:
            return product(a.movedim(dim, 0), b.movedim(other, 0)), 0
        a = a.movedim(dim, -3)  # [..., batch, n, e]
        return product(a.flatten(-3, -2), b).unflatten(-2, a.shape[-3:-1]), a.ndim - 3
