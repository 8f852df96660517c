"""Seeded draws for `t` tables of one shape: `r` rows, `d` columns, `k` classes."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Dice:
    """Draws from one generator; shapes are written out by the caller."""

    def __init__(self, generator: torch.Generator, t: int, r: int, d: int, k: int):
        self.generator, self.t, self.r, self.d, self.k = generator, t, r, d, k

    def rand(self, *shape: int) -> Float[Tensor, "..."]:
        """Draw uniform numbers in [0, 1)."""
        return torch.rand(shape, generator=self.generator)

    def randn(self, *shape: int) -> Float[Tensor, "..."]:
        """Draw standard normal numbers."""
        return torch.randn(shape, generator=self.generator)

    def randint(self, low: int, high: int, *shape: int) -> Int[Tensor, "..."]:
        """Draw whole numbers from `low` to `high − 1`."""
        return torch.randint(low, high, shape, generator=self.generator)

    def chance(self, p: float, *shape: int) -> Bool[Tensor, "..."]:
        """Draw True with probability `p`."""
        return self.rand(*shape) < p

    def log_uniform(self, low: float, high: float, *shape: int) -> Float[Tensor, "..."]:
        """Draw numbers whose logarithm is uniform."""
        return low * (high / low) ** self.rand(*shape)

    def some(self, x: Float[Tensor, "t r d"], m: int) -> Float[Tensor, "t r m"]:
        """Take `m` columns of each table in random order; some of them twice if there are fewer."""
        index = self.rand(self.t, self.d).argsort(-1)[:, torch.arange(m) % self.d]
        return x.gather(2, index[:, None].expand(-1, x.shape[1], -1))

    def first(self, low: int, m: int) -> Bool[Tensor, "t 1 m"]:
        """Keep the first `low` to `m` of `m` things, a number of them for each table."""
        return torch.arange(m) < self.randint(low, m + 1, self.t, 1, 1)


def standard(z: Float[Tensor, "t r ..."]) -> Float[Tensor, "t r ..."]:
    """Give every column mean 0 and deviation 1 over the rows (0 if it is constant)."""
    centred = z - z.mean(1, keepdim=True)
    return centred / centred.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)


def ranks(x: Float[Tensor, "t r d"]) -> Float[Tensor, "t r d"]:
    """Return each cell's rank among its column's, in (0, 1), equal cells alike."""
    this, other = x[:, :, None], x[:, None]
    return (other < this).float().mean(2) + (other == this).float().mean(2) / 2
