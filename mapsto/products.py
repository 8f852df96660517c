"""A matrix product that does not copy a shared factor under `torch.func.vmap`.

If only one factor is mapped, `vmap` computes a batched product, for which it copies the other factor, for example the
keys of a support set for every coalition of every row. Here the mapped factor becomes more rows of a single product.
"""

from typing import Any

import torch
from torch import Tensor


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return `a @ b` for `[..., n, e]` and `[..., e, m]` with the same leading axes.

    If vmap maps one factor only, its mapped axis is folded into its rows or columns, and the other factor is not
    copied. The product can be differentiated any number of times.
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
        needs = ctx.needs_input_grad
        return product(slope, b.mT) if needs[0] else None, product(a.mT, slope) if needs[1] else None

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
