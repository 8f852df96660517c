"""Which coalitions to ask about, and how their outcomes add up to Shapley values.

A *design* is a pair `(masks [c, p], weights [p, c])` with `φ = weights @ v(masks)`. Both designs below satisfy
efficiency `Σφ = v(all) − v(none)` and give a player who changes nothing exactly 0, whatever the game.
"""

import functools
import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Design(NamedTuple):
    """Coalitions and the linear map from their outcomes to the players' values."""

    masks: Float[Tensor, "c p"]
    weights: Float[Tensor, "p c"]


@functools.cache
def exact(players: int) -> Design:
    """Enumerate all `2^p` coalitions (Shapley 1953): `φ_j = Σ_S |S|!(p−|S|−1)!/p! · (v(S∪j) − v(S))`.

    >>> design = exact(2)
    >>> v = torch.tensor([0.0, 1.0, 2.0, 5.0])  # v(none), v(first), v(second), v(both)
    >>> design.weights @ v
    tensor([2., 3.])
    """
    masks = (torch.arange(2**players)[:, None] >> torch.arange(players)) & 1  # [c, p], player j is bit j
    size = masks.sum(1)
    joins = torch.tensor([1 / (players * math.comb(players - 1, s)) if s < players else 0.0 for s in range(players + 1)])
    leaves = torch.tensor([0.0] + [1 / (players * math.comb(players - 1, s - 1)) for s in range(1, players + 1)])
    weights = torch.where(masks.bool(), leaves[size][:, None], -joins[size][:, None])  # [c, p]
    return Design(masks.float(), weights.T.contiguous())


@functools.cache
def permutations(players: int, pairs: int, seed: int = 0) -> Design:
    """Draw `pairs` orders of the players and their reverses (antithetic; Mitchell et al. 2022, §4.1).

    Along one order each player gets its marginal contribution; the weights average over the `2·pairs` orders.
    """
    generator = torch.Generator().manual_seed(seed)
    forward = torch.stack([torch.randperm(players, generator=generator) for _ in range(pairs)])
    orders = torch.cat([forward, forward.flip(1)])  # [o, p]
    rank = orders.argsort(1)  # the place of each player in each order
    masks = (rank[:, None, :] < torch.arange(players + 1)[:, None]).float()  # [o, p+1, p]: the first i players
    joins = torch.nn.functional.one_hot(rank + 1, players + 1) - torch.nn.functional.one_hot(rank, players + 1)
    weights = joins.permute(1, 0, 2).reshape(players, -1) / len(orders)  # [p, o·(p+1)]
    return Design(masks.reshape(-1, players), weights)


def design(players: int, limit: int = 10, pairs: int = 16) -> Design:
    """Enumerate up to `limit` players, sample `pairs` of orders beyond."""
    return exact(players) if players <= limit else permutations(players, pairs)
