"""Attention by distance: each layer smooths the values of context points by kernels of several widths.

    a_i = w_i·exp(−½‖s∘(x − x_i)‖²) / (null + Σ_j w_j·exp(−½‖s∘(x − x_j)‖²))
    out = Σ a_i·[v_i, (u·(s∘(x_i − x)))·v'_i]

Each head computes this for a point x and the context points x_i, with weights w_i and values v_i and v'_i. The learned
scales s start log-spaced from wide to narrow kernels. The attention a_i depends on the inputs x only, as in the
cross-attention of Kim et al. 2019, "Attentive Neural Processes", §3, but comes from a kernel smoother (Nadaraya 1964,
Watson 1964) instead of a dot product. The values v'_i are multiplied by the offset from x to x_i along a learned
direction u, so that a layer can read local slopes as well as local means. The learned number `null` keeps the result
finite if no context point is near. The logarithm of the denominator is passed on beside the values.

Context points attend to one another in every layer except the last. A query attends to the context points of every
layer, and never to another query.
"""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import checks


class Recall(NamedTuple):
    """The memory of a context: its inputs, its weights, and its values in each layer."""

    x: Float[Tensor, "n d"]
    w: Float[Tensor, " n"]
    values: list  # one [h, n, e] for each layer


class KernelAttention(nn.Module):
    """Attention by distance: represent each query point by the support examples near it.

    `remember(x, y, w)` reads the inputs, targets and weights of the support examples once. `forward` then returns
    representations `[m, width]` of `m` query points.

    Args:
        features: the number of values in an input x.
        targets: the number of values in a target y.
        width: the number of values in a representation; a multiple of `heads`.
        depth: the number of layers. Query points attend to the support examples in every layer, and support examples
            attend to one another in every layer except the last.
        heads: the number of kernels in each layer.
        scales: the initial inverse widths of the widest and the narrowest kernel. A kernel with inverse width s has
            width 1/s, in the unit of x.

    Raises:
        MapstoError: if `width` is not a multiple of `heads`, a size is below 1, `depth` is above 1000, or a scale is
            not above 0.

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
        checks.count(features=features, targets=targets, width=width, heads=heads)
        checks.layers(depth=depth)
        checks.expect(width % heads == 0, "width", f"{width} with {heads} heads", "a multiple of the number of heads")
        checks.expect(min(scales) > 0, "scales", scales, "(widest, narrowest), two numbers above 0")
        self.width, self.targets = width, targets
        inputs = features + targets + 1
        self.point = nn.Sequential(nn.Linear(inputs, width), nn.GELU(approximate="tanh"), nn.Linear(width, width))
        layers = (_Layer(features, width, heads, scales) for _ in range(depth))
        self.layers: Iterable[_Layer] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.norm = nn.LayerNorm(width)

    def remember(self, x: Float[Tensor, "n d"], y: Float[Tensor, "n k"], w: Float[Tensor, " n"]) -> Recall:
        """Return the memory of support examples.

        `w` holds the weights of the examples. An example counts in proportion to its weight; an example of weight 0 is
        ignored.
        """
        points = self.point(torch.cat([x, y, torch.ones_like(x[:, :1])], -1))
        first, *others = self.layers
        values = [first.values(points)]
        for layer, following in itertools.pairwise([first, *others]):
            points = layer(points, x, x, w, values[-1])
            values.append(following.values(points))
        return Recall(x, w, values)

    def forward(self, x: Float[Tensor, "m d"], recall: Recall) -> Float[Tensor, "m width"]:
        """Return representations of `m` query points, each computed independently of the other query points.

        `recall` is the memory that `remember` returns.
        """
        points = self.point(
            torch.cat([x, x.new_zeros(x.shape[0], self.targets + 1)], -1)
        )  # the last 0 marks an unknown y
        for layer, values in zip(self.layers, recall.values, strict=True):
            points = layer(points, x, recall.x, recall.w, values)
        return self.norm(points)


class _Layer(nn.Module):
    """A layer of attention by distance and an MLP, both as pre-norm residuals."""

    def __init__(self, features: int, width: int, heads: int, scales: tuple[float, float]):
        super().__init__()
        widest, narrowest = torch.tensor(scales).log()
        start = widest + (narrowest - widest) * torch.linspace(
            0, 1, heads
        )  # a single head starts with the widest kernel
        self.log_scale = nn.Parameter(start[:, None].repeat(1, features))
        self.direction = nn.Parameter(torch.full((heads, features), features**-0.5))
        self.log_null = nn.Parameter(torch.full((heads,), -1.0))
        self.heads, self.norm, self.mlp_norm = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.value, self.out = nn.Linear(width, 2 * width), nn.Linear(2 * width + heads, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(approximate="tanh"), nn.Linear(2 * width, width))

    def values(self, points: Float[Tensor, "n width"]) -> Float[Tensor, "h n e"]:
        return self.value(self.norm(points)).unflatten(-1, (self.heads, -1)).transpose(0, 1)

    def forward(self, points: Tensor, x: Tensor, context: Tensor, w: Tensor, values: Tensor) -> Tensor:
        """Return the points at `x [m, d]` after attention to the points at `context [n, d]` and after the MLP."""
        offset = (context - x[:, None]) * self.log_scale.exp()[:, None, None]  # [h, m, n, d]
        near = (-offset.square().sum(-1) / 2).exp() * w  # [h, m, n]; at most w, so that no weight overflows
        mass = near.sum(-1) + self.log_null.exp()[:, None]  # [h, m]
        weight = near / mass[..., None]
        along = (offset * self.direction[:, None, None]).sum(-1)  # [h, m, n]
        here, sloped = values.chunk(2, -1)
        seen = torch.cat([weight @ here, (weight * along) @ sloped, mass.log()[..., None]], -1)  # [h, m, e + 1]
        points = points + self.out(seen.transpose(0, 1).flatten(1))
        return points + self.mlp(self.mlp_norm(points))
