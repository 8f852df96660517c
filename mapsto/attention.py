"""Scaled dot-product attention: softmax(q·kᵀ/√e + bias)·v (Vaswani et al. 2017, eq. 1).

By default, attention has derivatives of any order, and under `vmap` a factor that all tasks share is not copied
(`products.product`). Within `fused()`, torch's own kernel computes the same numbers without storing the matrix of
scores, but has first derivatives only.
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
    """Return the attention-weighted average of `n` values for each of `r` queries, in each of `h` heads.

    `bias` is added to the scores of a key for all queries; −∞ removes the key.
    """
    if not torch.compiler.is_compiling() and _fused.get():
        mask = None if bias is None else bias[:, None, None].expand(-1, q.shape[1], q.shape[2], -1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return product(attention_weights(q, k, bias), v)


def attention_weights(
    q: Float[Tensor, "b h r e"],
    k: Float[Tensor, "b h n e"],
    bias: Float[Tensor, "b n"] | None = None,
) -> Float[Tensor, "b h r n"]:
    """Return the attention weights of each query for the keys, softmax(q·kᵀ/√e + bias); they sum to 1."""
    score = product(q, k.mT) * q.shape[-1] ** -0.5
    return (score if bias is None else score + bias[:, None, None]).softmax(-1)


@contextmanager
def fused() -> Iterator[None]:
    """Use torch's own attention kernel inside a `with` block, for inference or training with first derivatives only."""
    token = _fused.set(True)
    try:
        yield
    finally:
        _fused.reset(token)
