"""Seeded random draws for `t` tables of the same shape: `r` rows, `d` columns and `k` classes."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Dice:
    """Random draws from one generator, in shapes that the caller passes."""

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
        """Return `m` columns of each table in random order, some of them twice if there are fewer than `m`."""
        index = self.rand(self.t, self.d).argsort(-1)[:, torch.arange(m) % self.d]
        return x.gather(2, index[:, None].expand(-1, x.shape[1], -1))

    def first(self, low: int, m: int) -> Bool[Tensor, "t 1 m"]:
        """Return a mask that keeps the first of `m` things; for each table the number kept is random, `low` to `m`."""
        return torch.arange(m) < self.randint(low, m + 1, self.t, 1, 1)


def standard(z: Float[Tensor, "t r ..."]) -> Float[Tensor, "t r ..."]:
    """Return every column with mean 0 and standard deviation 1 over the rows (0 if it is constant)."""
    centred = z - z.mean(1, keepdim=True)
    return centred / centred.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)


def ranks(x: Float[Tensor, "t r d"]) -> Float[Tensor, "t r d"]:
    """Return the rank of each cell in its column, in (0, 1); equal cells have equal ranks."""
    this, other = x[:, :, None], x[:, None]
    return (other < this).float().mean(2) + (other == this).float().mean(2) / 2
