"""Attention over points by their distance: what is known near x, in several widths at once, layer upon layer.

    a_i = w_i·exp(−½‖s∘(x − x_i)‖²) / (null + Σ_j w_j·exp(−½‖s∘(x − x_j)‖²))
    out = Σ a_i·[v_i, (u·(s∘(x_i − x)))·v'_i]

per head, whose scales s are learned and start log-spaced from wide to narrow. Scores come from inputs alone, as in the
cross-attention of Kim et al. 2019, "Attentive Neural Processes", §3; they are those of a kernel smoother (Nadaraya
1964, Watson 1964) rather than of a dot product, and half of the values are weighed by the offset to the point, which
makes local slopes as easy to read as local means. The learned null keeps the answer finite with nothing near, and how
much there was is handed on beside the values. Context points attend to one another in every layer but the last, and a
query attends to each layer of them, never to another query.
"""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import MapstoError


class Recall(NamedTuple):
    """What is kept of a context: its inputs, its weights in examples, and each layer's values."""

    x: Float[Tensor, "n d"]
    w: Float[Tensor, " n"]
    values: list  # of [h, n, e], one a layer


class KernelAttention(nn.Module):
    """Context (x, y, w), query x ↦ representation `[m, width]`.

    Args:
        features: numbers in an input x.
        targets: numbers in a target y.
        width: channels of a point, divisible by `heads`.
        depth: layers; one layer attends once, to the embedded context.
        heads: kernels a layer.
        scales: inverse width of the widest and the narrowest kernel to start from, in units of 1/x.

    Raises MapstoError where `heads` does not divide `width`, a size is below 1, or a scale is not above 0.

    >>> attention = KernelAttention(features=1, targets=1, width=8, heads=2)
    >>> recall = attention.remember(torch.randn(5, 1), torch.randn(5, 1), torch.ones(5))
    >>> attention(torch.zeros(3, 1), recall).shape
    torch.Size([3, 8])
    """

    def __init__(
        self,
        features: int = 1,
        targets: int = 1,
        width: int = 64,
        depth: int = 4,
        heads: int = 8,
        scales: tuple[float, float] = (0.5, 12.0),
    ):
        super().__init__()
        if min(features, targets, width, depth, heads) < 1 or width % heads:
            raise MapstoError(f"width: got {width} with {heads} heads, expected a multiple; every size is at least 1.")
        if not min(scales) > 0:
            raise MapstoError(f"scales: got {scales}, expected (widest, narrowest), two numbers above 0.")
        self.width, self.targets = width, targets
        known = features + targets + 1
        self.point = nn.Sequential(nn.Linear(known, width), nn.GELU(approximate="tanh"), nn.Linear(width, width))
        layers = (_Layer(features, width, heads, scales) for _ in range(depth))
        self.layers: Iterable[_Layer] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.norm = nn.LayerNorm(width)

    def remember(self, x: Float[Tensor, "n d"], y: Float[Tensor, "n k"], w: Float[Tensor, " n"]) -> Recall:
        """Read a context, whose examples count `w` each; 0 is absence."""
        points = self.point(torch.cat([x, y, torch.ones_like(x[:, :1])], -1))
        first, *others = self.layers
        values = [first.values(points)]
        for layer, following in itertools.pairwise([first, *others]):
            points = layer(points, x, x, w, values[-1])
            values.append(following.values(points))
        return Recall(x, w, values)

    def forward(self, x: Float[Tensor, "m d"], recall: Recall) -> Float[Tensor, "m width"]:
        """Represent `m` query points, each on its own."""
        points = self.point(torch.cat([x, x.new_zeros(len(x), self.targets + 1)], -1))  # the last 0: y is not known
        for layer, values in zip(self.layers, recall.values, strict=True):
            points = layer(points, x, recall.x, recall.w, values)
        return self.norm(points)


class _Layer(nn.Module):
    """Attention by distance, then an MLP; pre-norm residuals."""

    def __init__(self, features: int, width: int, heads: int, scales: tuple[float, float]):
        super().__init__()
        widest, narrowest = torch.tensor(scales).log()
        start = widest + (narrowest - widest) * torch.linspace(0, 1, heads)  # a single head starts with the widest
        self.log_scale = nn.Parameter(start[:, None].repeat(1, features))
        self.direction = nn.Parameter(torch.full((heads, features), features**-0.5))
        self.log_null = nn.Parameter(torch.full((heads,), -1.0))
        self.heads, self.norm, self.mlp_norm = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.value, self.out = nn.Linear(width, 2 * width), nn.Linear(2 * width + heads, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(approximate="tanh"), nn.Linear(2 * width, width))

    def values(self, points: Float[Tensor, "n width"]) -> Float[Tensor, "h n e"]:
        return self.value(self.norm(points)).unflatten(-1, (self.heads, -1)).transpose(0, 1)

    def forward(self, points: Tensor, x: Tensor, context: Tensor, w: Tensor, values: Tensor) -> Tensor:
        """Let points at `x [m, d]` look at the values of those at `context [n, d]`."""
        offset = (context - x[:, None]) * self.log_scale.exp()[:, None, None]  # [h, m, n, d]
        near = (-offset.square().sum(-1) / 2).exp() * w  # [h, m, n]; at most w, so no score overflows
        mass = near.sum(-1) + self.log_null.exp()[:, None]  # [h, m]
        share = near / mass[..., None]
        along = (offset * self.direction[:, None, None]).sum(-1)  # [h, m, n]
        here, sloped = values.chunk(2, -1)
        seen = torch.cat([share @ here, (share * along) @ sloped, mass.log()[..., None]], -1)  # [h, m, e + 1]
        points = points + self.out(seen.transpose(0, 1).flatten(1))
        return points + self.mlp(self.mlp_norm(points))
