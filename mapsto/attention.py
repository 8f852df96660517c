"""Scaled dot-product attention: softmax(q·kᵀ/√e + bias)·v (Vaswani et al. 2017, eq. 1).

Written out, it has derivatives of any order and shares keys and values under vmap (`products.product`). Within
`fused()` it is torch's own kernel: the same numbers without the matrix of scores, but first derivatives only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from .products import product

_fused = ContextVar("fused", default=False)


def attend(
    q: Float[Tensor, "b h r e"],
    k: Float[Tensor, "b h n e"],
    v: Float[Tensor, "b h n f"],
    bias: Float[Tensor, "b n"] | None = None,
) -> Float[Tensor, "b h r f"]:
    """Return what each of `r` queries reads of `n` values; `bias` is added to every score of a key, −∞ removes it."""
    if not torch.compiler.is_compiling() and _fused.get():
        mask = None if bias is None else bias[:, None, None].expand(-1, q.shape[1], q.shape[2], -1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return product(shares(q, k, bias), v)


def shares(
    q: Float[Tensor, "b h r e"],
    k: Float[Tensor, "b h n e"],
    bias: Float[Tensor, "b n"] | None = None,
) -> Float[Tensor, "b h r n"]:
    """Return how each query shares its attention out among the keys: softmax(q·kᵀ/√e + bias)."""
    score = product(q, k.mT) * q.shape[-1] ** -0.5
    return (score if bias is None else score + bias[:, None, None]).softmax(-1)


@contextmanager
def fused() -> Iterator[None]:
    """Use torch's kernel within: for inference, and for training that needs first derivatives only."""
    token = _fused.set(True)
    try:
        yield
    finally:
        _fused.reset(token)
