"""A matrix product that does not copy a shared factor under `torch.func.vmap`.

If `vmap` maps only one factor of `a @ b`, PyTorch computes a batched product and copies the other factor for every
entry of the batch: for example the keys of a support set, for every coalition of every row. Here the batch becomes
additional rows of one ordinary product instead, and nothing is copied.
"""

from typing import Any

import torch
from torch import Tensor


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product `a @ b`, without copies if `torch.func.vmap` maps only one of the factors.

    `a` has shape `[..., n, e]` and `b` has shape `[..., e, m]`, with the same leading axes. If vmap maps only one
    factor, its mapped axis is folded into that factor's rows (`a`) or columns (`b`). The product can be differentiated
    any number of times.
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
