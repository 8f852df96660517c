"""The columns of generated tables: correlated inputs, nodes of random causal networks, and the kinds of column."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .dice import Dice, standard

LEVELS = 21  # the largest number of values of a nominal or whole-numbered column


def factors(dice: Dice) -> Float[Tensor, "t r d"]:
    """Draw correlated columns, which are sums of a few latent factors and independent noise."""
    t, r, d = dice.t, dice.r, dice.d
    latent = dice.randn(t, r, 4) @ (dice.randn(t, 4, d) * dice.chance(0.5, t, 4, d))
    own = dice.log_uniform(0.05, 3, t, 1, 1)
    return standard(latent * dice.chance(0.7, t, 1, 1) + own * dice.randn(t, r, d))


def graph(dice: Dice) -> tuple[Float[Tensor, "t r d"], Float[Tensor, "t r k"]]:
    """Return columns and scores, which are random nodes of a random causal network.

    After Hollmann et al. 2023, arXiv 2207.01848, §4.
    """
    t, r, width = dice.t, dice.r, max(12, dice.d + dice.k)
    causes = (torch.arange(width) < 1 + (dice.rand(t, 1) * 7).long()).float()[:, None]  # [t, 1, width]
    z = dice.randn(t, r, width) * causes
    nodes = []
    for _ in range(3):
        sparse = dice.rand(t, width, width) < dice.log_uniform(0.08, 0.9, t, 1, 1)
        z = standard(z @ (dice.randn(t, width, width) * sparse)) * dice.log_uniform(0.5, 2, t, 1, width)
        z = bend(dice, z + 0.5 * dice.randn(t, 1, width))
        z = z + dice.log_uniform(0.01, 0.6, t, 1, 1) * dice.rand(t, 1, width) * dice.randn(*z.shape)
        nodes.append(z)
    order = dice.rand(t, 3 * width).argsort(-1)[:, None].expand(-1, r, -1)
    z = standard(torch.cat(nodes, -1).gather(2, order))
    return z[..., : dice.d], z[..., dice.d : dice.d + dice.k]


def centres(dice: Dice) -> tuple[Float[Tensor, "t r d"], Int[Tensor, "t r"]]:
    """Return rows that scatter around one or two centres of their class, with correlated columns; and the classes."""
    t, r, d, k = dice.t, dice.r, dice.d, dice.k
    size = dice.log_uniform(0.2, 1, t, k)
    edges = (size / size.sum(-1, keepdim=True)).cumsum(-1)[:, None]
    y = (dice.rand(t, r, 1) > edges).sum(-1).clamp(max=k - 1)
    apart = dice.log_uniform(0.3, 3, t, 1, 1) * dice.rand(t, 1, d).pow(2)
    second = (dice.chance(0.5, t, r) & dice.chance(0.4, t, 1)).long()
    centre = dice.randn(t, 2 * k, d) * apart
    spread = dice.log_uniform(0.5, 1.5, t, k, d) ** dice.chance(0.5, t, 1, 1).float()
    index = (y + k * second)[..., None].expand(-1, -1, d)
    return centre.gather(1, index) + factors(dice) * spread.gather(1, y[..., None].expand(-1, -1, d)), y


def bend(dice: Dice, z: Float[Tensor, "t r h"]) -> Float[Tensor, "t r h"]:
    """Pass each node through a random function; in half of the tables all nodes have the same function."""
    kinds = (
        z, z.tanh(), z.relu(), torch.sin(2 * z), z.abs(), torch.sign(z), z.square() / 2, torch.exp(-z.square()),
    )  # fmt: skip
    favourite, own = (dice.randint(0, len(kinds), dice.t, 1, nodes) for nodes in (1, z.shape[-1]))
    kind = torch.where(dice.chance(0.5, dice.t, 1, 1), favourite, own)
    return torch.stack(kinds).gather(0, kind.expand(z.shape)[None])[0]


def columns(dice: Dice, z: Float[Tensor, "t r d"], binary: float) -> Float[Tensor, "t r d"]:
    """Make columns skewed, heavy-tailed, binary, whole-numbered or nominal; each table prefers some of these kinds.

    A fraction `binary` of the tables has binary columns only.
    """
    t, d = dice.t, dice.d
    z = standard(z)
    preference = dice.log_uniform(0.02, 1, t, 6) + torch.tensor([0.6, 0.2, 0.1, 0.1, 0.1, 0.05])
    edges = (preference / preference.sum(-1, keepdim=True)).cumsum(-1)[:, None]
    kind = (dice.rand(t, d, 1) > edges).sum(-1)[:, None].clamp(max=5)
    kind = torch.where(dice.chance(binary, t, 1, 1), 3, kind)
    uniform = torch.special.ndtr(z)  # approximately
    levels = 3 + (dice.rand(t, 1, d).square() * (LEVELS - 3)).floor()
    whole = (uniform ** dice.log_uniform(0.4, 2.5, t, 1, d) * levels).floor().clamp(min=0).minimum(levels - 1)
    names = dice.rand(t, d, LEVELS).argsort(-1).float().transpose(1, 2)  # [t, code, d]
    kinds = (
        z,
        torch.exp(dice.log_uniform(0.3, 1.5, t, 1, d) * z.clamp(-6, 6)),
        z * z.abs(),
        (uniform > 0.1 + 0.8 * dice.rand(t, 1, d)).float(),
        whole,
        names.gather(1, whole.long()),
    )
    return torch.stack(kinds).gather(0, kind.expand(z.shape)[None])[0]
