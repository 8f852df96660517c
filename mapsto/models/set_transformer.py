"""A transformer over a table's cells: rows by columns, every cell a token, and one label token a row.

Each layer lets a row's tokens look at one another (what do the other columns say of this row?), then each column's
tokens look at the support rows (what did such a cell mean there?). A query sees the support, never another query, so
its answer is row-wise, and the support's keys and values are all that a model of the task needs to keep. Rows attend by
scaled dot products (Vaswani et al. 2017, eq. 1), columns by the cheaper `σ(q) ⊙ Σ_c softmax_c(k) ⊙ v`, the simple form
of the attention-free transformer (Zhai et al. 2021, eq. 2 without position biases); both forget the order.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import MapstoError
from .products import product


class Memory(NamedTuple):
    """What one layer remembers of the support rows, and of its learned null row (all that an empty support has)."""

    keys: Float[Tensor, "b c h n e"]
    values: Float[Tensor, "b c h n e"]


class SetTransformer(nn.Module):
    """Tokens `[b, rows, columns, width]` ↦ tokens, through `depth` layers of column mixing, row mixing and an MLP.

    Args:
        width: channels of a token.
        depth: number of layers.
        heads: attention heads; divides `width`.

    Raises MapstoError where `heads` does not divide `width`, or a size is below 1.
    """

    def __init__(self, width: int = 64, depth: int = 4, heads: int = 4):
        super().__init__()
        if min(width, depth, heads) < 1 or width % heads:
            raise MapstoError(f"width: got {width} with {heads} heads, expected a multiple; every size is at least 1.")
        self.width = width
        self.layers: Iterable[Layer] = nn.ModuleList(Layer(width, heads) for _ in range(depth))  # type: ignore[assignment]
        self.norm = nn.LayerNorm(width)

    def remember(self, tokens: Float[Tensor, "b n c w"], log_weight: Float[Tensor, "b n"]) -> list[Memory]:
        """Read the support: what each layer keeps of it. A row with `log_weight` −∞ is absent."""
        memories = []
        for layer in self.layers:
            tokens = layer.mix_columns(tokens)
            memories.append(layer.memorise(tokens))
            tokens = layer.ponder(layer.mix_rows(tokens, memories[-1], log_weight))
        return memories

    def forward(
        self, tokens: Float[Tensor, "b m c w"], memories: list[Memory], log_weight: Float[Tensor, "b n"]
    ) -> Float[Tensor, "b m c w"]:
        """Read `m` query rows, each on its own, against what was remembered."""
        for layer, memory in zip(self.layers, memories, strict=True):
            tokens = layer.ponder(layer.mix_rows(layer.mix_columns(tokens), memory, log_weight))
        return self.norm(tokens)


class Layer(nn.Module):
    """Attention across a row's columns, attention across a column's support rows, MLP; pre-norm residuals."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.column_norm, self.row_norm, self.mlp_norm = (nn.LayerNorm(width) for _ in range(3))
        self.column_qkv, self.column_out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.row_q, self.row_kv = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.row_out = nn.Linear(width, width)
        self.attention = nn.Softmax(-1)  # a layer of its own, so that it can be watched by its name
        self.null = nn.Parameter(0.02 * torch.randn(2, heads, 1, width // heads))  # the null row's key and value
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(approximate="tanh"), nn.Linear(2 * width, width))
        nn.init.orthogonal_(self.row_q.weight)  # queries and keys start alike, so that like cells find one another
        with torch.no_grad():
            self.row_kv.weight[:width].copy_(self.row_q.weight)

    def mix_columns(self, tokens: Float[Tensor, "b r c w"]) -> Float[Tensor, "b r c w"]:
        """Let the tokens of each row look at one another."""
        q, k, v = self.column_qkv(self.column_norm(tokens)).chunk(3, -1)
        pooled = (k.softmax(-2) * v).sum(-2, keepdim=True)  # [b, r, 1, w]: each channel attends over the columns
        return tokens + self.column_out(torch.sigmoid(q) * pooled)

    def memorise(self, tokens: Float[Tensor, "b n c w"]) -> Memory:
        """Keep what later rows may ask of these."""
        kv = self.row_kv(self.row_norm(tokens)).unflatten(-1, (2, self.heads, -1))  # [b, n, c, 2, h, e]
        keys, values = kv.permute(3, 0, 2, 4, 1, 5)  # each [b, c, h, n, e]
        null = self.null[:, None, None].expand(2, *keys.shape[:3], 1, keys.shape[-1])
        return Memory(torch.cat([null[0], keys], -2), torch.cat([null[1], values], -2))

    def mix_rows(self, tokens: Float[Tensor, "b r c w"], memory: Memory, log_weight: Float[Tensor, "b n"]) -> Tensor:
        """Let each column's tokens look at what is remembered of that column."""
        q = self.row_q(self.row_norm(tokens)).unflatten(-1, (self.heads, -1)).permute(0, 2, 3, 1, 4)  # [b, c, h, r, e]
        bias = F.pad(log_weight, (1, 0))[:, None, None, None, :]  # the null row weighs as much as one row
        score = product(q, memory.keys.mT) * q.shape[-1] ** -0.5 + bias  # [b, c, h, r, n+1]
        mixed = product(self.attention(score), memory.values).permute(0, 3, 1, 2, 4)  # [b, r, c, h, e]
        return tokens + self.row_out(mixed.reshape(tokens.shape))

    def ponder(self, tokens: Tensor) -> Tensor:
        """Let each token think for itself."""
        return tokens + self.mlp(self.mlp_norm(tokens))
