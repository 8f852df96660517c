"""A transformer over the cells of a table: each cell is a token, and each row has one more token for its label.

In each layer, the tokens of a row first attend to one another, and then to the support rows in two ways. Half of the
heads attend column by column, to cells of the same column. The other half compare whole rows, by a score that is a sum
over the C columns,

    score(i, j) = Σ_c ⟨q_ic, k_jc⟩ / √(e·C),

so that all columns share one attention matrix (tied row attention: Rao et al. 2021, "MSA Transformer", §3.1).

A query attends to the support rows and never to another query. So its result does not depend on the other queries, and
the keys and values of the support rows are all that a model of the task has to keep. There is no position encoding:
reordering the columns reorders the tokens and changes nothing else.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .. import checks
from ..attention import attend, attention_weights

_AT_ONCE = 2**21  # numbers of a tensor to process at a time


class Memory(NamedTuple):
    """The keys and values of one layer for the support rows and a learned null row, needed by an empty support set."""

    row_keys: Float[Tensor, "b h n ce"]  # for the heads that compare whole rows
    row_values: Float[Tensor, "b h n ce"]
    cell_keys: Float[Tensor, "bc g n e"]  # for the heads that attend column by column
    cell_values: Float[Tensor, "bc g n e"]


class SetTransformer(nn.Module):
    """A transformer over the cells of tables, in which query rows attend to support rows but not to one another.

    Each cell is a token (a vector). The network maps tokens `[b, rows, columns, width]` of b tables to tokens of the
    same shape. In each layer, the cells of a row attend to one another, then to the support rows, and then pass through
    an MLP.

    Args:
        width: the size of a token; a multiple of `heads`.
        depth: the number of layers.
        heads: the number of attention heads. Half of them, rounded down, compare whole rows; the other heads compare
            cells of the same column.

    Raises:
        MapstoError: if `width` is not a multiple of `heads`, a size is below 1, or `depth` is above 1000.
    """

    def __init__(self, width: int = 64, depth: int = 4, heads: int = 4):
        super().__init__()
        checks.count(width=width, heads=heads)
        checks.layers(depth=depth)
        checks.expect(width % heads == 0, "width", f"{width} with {heads} heads", "a multiple of the number of heads")
        self.width = width
        self.layers: Iterable[Layer] = nn.ModuleList(Layer(width, heads) for _ in range(depth))  # type: ignore[assignment]
        self.norm = nn.RMSNorm(width, eps=1e-6)

    def remember(self, tokens: Float[Tensor, "b n c w"], log_weight: Float[Tensor, "b n"]) -> list[Memory]:
        """Return the keys and values of the support rows in each layer.

        `log_weight` is the logarithm of the weight of each row. A row with `log_weight` −∞ is ignored.
        """
        memories = []
        for layer in self.layers:
            tokens = _in_parts(layer.mix_columns, tokens)
            memories.append(layer.memorise(tokens))
            tokens = _in_parts(partial(layer.read, memory=memories[-1], log_weight=log_weight), tokens)
        return memories

    def forward(
        self, tokens: Float[Tensor, "b m c w"], memories: list[Memory], log_weight: Float[Tensor, "b n"]
    ) -> Float[Tensor, "b m c w"]:
        """Return the output tokens of `m` query rows, each computed independently of the other query rows.

        `memories` is the result of `remember` for the support rows, and `log_weight` is the same as in `remember`.
        """
        for layer, memory in zip(self.layers, memories, strict=True):
            tokens = layer.read(layer.mix_columns(tokens), memory, log_weight)
        return self.norm(tokens)

    def attentions(
        self, tokens: Float[Tensor, "b m c w"], memories: list[Memory], log_weight: Float[Tensor, "b n"]
    ) -> list[Float[Tensor, "b m n1"]]:
        """Return the attention of m rows to a null row and n support rows in b tables, `[b, m, n + 1]` for each layer.

        The null row comes first. It is a learned row without data, to which rows can attend even if the support set is
        empty. The attention is averaged over heads and columns.
        """
        attentions = []
        for layer, memory in zip(self.layers, memories, strict=True):
            tokens = layer.mix_columns(tokens)
            attentions.append(layer.row_attention(tokens, memory, log_weight))
            tokens = layer.read(tokens, memory, log_weight)
        return attentions


class Layer(nn.Module):
    """Attention across the columns of a row, attention across the support rows, and an MLP, as pre-norm residuals."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.whole = heads, heads // 2
        self.column_norm, self.row_norm, self.mlp_norm = (nn.RMSNorm(width, eps=1e-6) for _ in range(3))
        self.column_qkv, self.column_out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.row_q, self.row_kv = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.row_out = nn.Linear(width, width, bias=False)
        self.sharpness = nn.Parameter(torch.zeros(heads, 1))  # the scores are multiplied by its exponential
        self.null = nn.Parameter(0.02 * torch.randn(2, heads, width // heads))  # key and value of the null row
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(approximate="tanh"), nn.Linear(2 * width, width))
        nn.init.orthogonal_(
            self.row_q.weight
        )  # queries and keys start equal, so that similar cells attend to one another
        with torch.no_grad():
            self.row_kv.weight[:width].copy_(self.row_q.weight)
            for last in (self.column_out, self.row_out, self.mlp[2]):  # each layer starts as the identity
                last.weight.zero_()  # type: ignore[operator]

    def mix_columns(self, tokens: Float[Tensor, "b r c w"]) -> Float[Tensor, "b r c w"]:
        """Return the tokens plus their attention to the tokens of the same row."""
        qkv = self.column_qkv(self.column_norm(tokens)).flatten(0, 1).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [b·r, h, c, e]
        return tokens + self.column_out(attend(q, k, v).transpose(1, 2).reshape(tokens.shape))

    def memorise(self, tokens: Float[Tensor, "b n c w"]) -> Memory:
        """Return the keys and values of these rows and of the null row."""
        kv = self.row_kv(self.row_norm(tokens)).unflatten(-1, (2, self.heads, -1)).movedim(3, 0)  # [2, b, n, c, h, e]
        null = self.null[:, None, None, None].expand(2, len(tokens), 1, *kv.shape[3:])
        both = torch.cat([null, kv], 2)
        rows, cells = both[..., : self.whole, :], both[..., self.whole :, :]
        return Memory(*(_whole(part) for part in rows), *(_by_column(part) for part in cells))

    def read(self, tokens: Float[Tensor, "b r c w"], memory: Memory, log_weight: Float[Tensor, "b n"]) -> Tensor:
        """Return the tokens after attention to the support and after the MLP."""
        return self.ponder(self.mix_rows(tokens, memory, log_weight))

    def mix_rows(self, tokens: Float[Tensor, "b r c w"], memory: Memory, log_weight: Float[Tensor, "b n"]) -> Tensor:
        """Return the tokens plus their attention to the support, by whole rows and column by column."""
        b, c = len(tokens), tokens.shape[2]
        q, bias = self._queries(tokens), F.pad(log_weight, (1, 0))  # the null row has weight 1
        read = []
        if self.whole:
            seen = attend(_whole(q[..., : self.whole, :]), memory.row_keys, memory.row_values, bias)  # [b, h, r, c·e]
            read.append(seen.unflatten(-1, (c, -1)).permute(0, 2, 3, 1, 4))
        q_cell = _by_column(q[..., self.whole :, :])
        seen = attend(q_cell, memory.cell_keys, memory.cell_values, bias.repeat_interleave(c, 0))  # [b·c, g, r, e]
        read.append(seen.unflatten(0, (b, c)).permute(0, 3, 1, 2, 4))
        return tokens + self.row_out(torch.cat(read, 3).reshape(tokens.shape))

    def row_attention(
        self, tokens: Float[Tensor, "b r c w"], memory: Memory, log_weight: Float[Tensor, "b n"]
    ) -> Float[Tensor, "b r n1"]:
        """Return the attention weights of `mix_rows`, averaged over heads and columns."""
        b, c = len(tokens), tokens.shape[2]
        q, bias = self._queries(tokens), F.pad(log_weight, (1, 0))
        by_cell = attention_weights(_by_column(q[..., self.whole :, :]), memory.cell_keys, bias.repeat_interleave(c, 0))
        total = by_cell.unflatten(0, (b, c)).mean(1).sum(1)
        if self.whole:
            total = total + attention_weights(_whole(q[..., : self.whole, :]), memory.row_keys, bias).sum(1)
        return total / self.heads

    def ponder(self, tokens: Tensor) -> Tensor:
        """Return each token plus the output of the MLP for it."""
        return tokens + self.mlp(self.mlp_norm(tokens))

    def _queries(self, tokens: Float[Tensor, "b r c w"]) -> Float[Tensor, "b r c h e"]:
        return self.row_q(self.row_norm(tokens)).unflatten(-1, (self.heads, -1)) * self.sharpness.exp()


def _in_parts(function: Callable[[Tensor], Tensor], tokens: Float[Tensor, "b r c w"]) -> Float[Tensor, "b r c w"]:
    """Apply a function that treats each row independently to a few rows at a time, which takes less memory.

    If gradients are taken, the backward pass computes the results of a part again instead of keeping them. An exported
    graph, which is for any number of rows, has no parts.
    """
    if torch.compiler.is_exporting():
        return function(tokens)
    at_once = max(1, _AT_ONCE * tokens.shape[1] // max(1, tokens.numel()))
    if at_once >= tokens.shape[1]:
        return function(tokens)
    parts = tokens.split(at_once, 1)
    return torch.cat([checkpoint(function, part, use_reentrant=False) for part in parts], 1)


def _whole(part: Float[Tensor, "b r c h e"]) -> Float[Tensor, "b h r ce"]:
    """Concatenate the columns of each row into one vector for each head."""
    return part.permute(0, 3, 1, 2, 4).flatten(3)


def _by_column(part: Float[Tensor, "b r c h e"]) -> Float[Tensor, "bc h r e"]:
    """Move the columns to the batch axis."""
    return part.permute(0, 2, 3, 1, 4).flatten(0, 1)
