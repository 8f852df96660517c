"""A small attention network that gives each player of a row a token, from its entries and the model's features.

The token of a player starts from its entries, its place and the predicted outcome. In each layer, the tokens attend to
the tokens of the features (see `feature_tokens`) and to one another (Vaswani et al. 2017, §3.2; Perceiver, Jaegle et
al. 2021, for queries that read a larger array). If the tokens are `by_class`, there is one set of tokens for each
class, which also reads the mean of the class's support examples, and the sets of the classes attend to one another.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...attention import attend
from .explainer import Prediction, against_others
from .feature_tokens import FeatureTokens
from .players import Players


class Tokens(nn.Module):
    """Map a prediction to one token for each player (and class): `[n, 1 or k, players, width]`."""

    def __init__(
        self, players: Players, reads: Mapping[str, int], outputs: int | None, width: int, depth: int, heads: int,
        slopes: int = 0,
    ):  # fmt: skip
        super().__init__()
        self.players, self.by_class = players, outputs is None
        self.place = nn.Parameter(torch.randn(players.count, width) * 0.3)
        self.entries = nn.Sequential(
            nn.Linear((2 + self.by_class) * players.size, width), nn.GELU(), nn.Linear(width, width)
        )
        self.outcome = nn.Linear(outputs or 2, width)
        self.slopes = nn.Linear((outputs or 1) * slopes, width) if slopes else None
        self.features = nn.ModuleList(FeatureTokens(channels, width, self.by_class) for channels in reads.values())
        self.layers = nn.ModuleList(Layer(width, heads, bool(reads), self.by_class) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(
        self, prediction: Prediction, features: list[Float[Tensor, "_ _ _"]], means: list[Float[Tensor, "_ _ _"]],
        slopes: Float[Tensor, "n k p s"] | None = None,
    ) -> Float[Tensor, "n g p v"]:  # fmt: skip
        """Return the tokens of `n` rows, given the model's features and, if they are by class, the classes' means.

        `slopes` are the outcome's slopes, if the tokens read them.
        """
        tokens, memory = self._start(prediction), self._memory(features, means)
        if self.slopes is not None and slopes is not None:
            tokens = tokens + self.slopes(self.players.count * self._by_group(slopes))  # an equal share of 1 becomes 1
        for layer in self.layers:
            tokens = layer(tokens, memory)
        return self.norm(tokens)

    def _start(self, prediction: Prediction) -> Tensor:
        x, outcome = prediction.x, prediction.outcome
        cells, visible = self.players.cells(x)[:, None], self.players.visible(x)[:, None, :, None]  # [n, 1, p, m]
        parts = [cells, visible.to(cells.dtype).expand_as(cells)]
        if self.by_class:
            means = self.players.cells(prediction.classes["x"])[None]  # [1, k, p, m]
            size = (len(x), len(means[0]), -1, -1)
            parts = [part.expand(*size) for part in (*parts, means)]
            outcome = against_others(outcome)  # [n, k, 2]
        return self.entries(torch.cat(parts, -1)) + self.place + self.outcome(outcome).view(len(x), -1, 1, self.width)

    def _by_group(self, slopes: Float[Tensor, "n k p s"]) -> Float[Tensor, "n g p _"]:
        """Return the slopes that each token reads: those of its class, or of all outcomes."""
        return slopes if self.by_class else slopes.movedim(1, 2).flatten(2)[:, None]

    @property
    def width(self) -> int:
        """The number of channels of a token."""
        return self.place.shape[1]

    def _memory(self, features: list[Tensor], means: list[Tensor]) -> Tensor | None:
        """Return the tokens of all features that are read, `[n, 1 or k, t, width]`."""
        pairs = zip(self.features, features, means if self.by_class else [None] * len(features), strict=True)
        parts = [tokens(feature, mean) for tokens, feature, mean in pairs]
        return torch.cat(parts, 2) if parts else None


class Layer(nn.Module):
    """Tokens attend to the features, to one another and, if there are several classes, across classes."""

    def __init__(self, width: int, heads: int, reads: bool, by_class: bool):
        super().__init__()
        self.look = Attention(width, heads) if reads else None
        self.talk = Attention(width, heads)
        self.compare = Attention(width, heads) if by_class else None
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Float[Tensor, "n g p v"], memory: Float[Tensor, "n g t v"] | None) -> Tensor:
        """Return the tokens after one layer."""
        if self.look is not None and memory is not None:
            tokens = self.look(tokens, memory)
        tokens = self.talk(tokens, tokens)
        if self.compare is not None:
            across = tokens.transpose(1, 2)
            tokens = self.compare(across, across).transpose(1, 2)
        return tokens + self.think(tokens)


class Attention(nn.Module):
    """Pre-norm multi-head attention with a residual connection."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm, self.norm_of_keys = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)

    def forward(self, queries: Float[Tensor, "n g p v"], keys: Float[Tensor, "n g t v"]) -> Float[Tensor, "n g p v"]:
        """Return the queries plus what they read from the keys."""
        shape = queries.shape
        q = self.q(self.norm(queries)).flatten(0, 1)
        k, v = self.kv(self.norm_of_keys(keys)).flatten(0, 1).chunk(2, -1)
        split = [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v)]
        return queries + self.out(attend(*split).transpose(1, 2).flatten(2)).view(shape)
