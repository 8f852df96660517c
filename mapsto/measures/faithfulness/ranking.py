"""Who comes first: the orders and ranks that attributions give, with a rule for ties.

    midrank_i = #{a_j < a_i} + (#{a_j = a_i} + 1) / 2
    ρ(a, b)   = Pearson correlation of the midranks of a and of b                                   (Spearman 1904)
    top_i     = min(1, max(0, (m − #{a_j > a_i}) / #{a_j = a_i}))        the chance that i is among the m largest

Where an order must be taken, ties are broken by one order of the players that a seed draws, the same for all rows: a
constant attribution then fares as a random one does, and not as the order in which columns happen to be written.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...checks import readable
from ...errors import MapstoError


def order(values: Float[Tensor, "*n p"], seed: int = 0) -> Int[Tensor, "*n p"]:
    """Return the players from the largest value to the smallest.

    >>> order(torch.tensor([0.1, -3.0, 0.5]))
    tensor([2, 0, 1])
    """
    shuffled = torch.from_numpy(np.random.default_rng(seed).permutation(values.shape[-1])).to(values.device)
    return shuffled[values[..., shuffled].argsort(dim=-1, descending=True, stable=True)]


def midranks(values: Float[Tensor, "*n p"]) -> Float[Tensor, "*n p"]:
    """Return ranks from 1, the smallest value first, equal values sharing the mean of theirs; batches under vmap.

    >>> midranks(torch.tensor([5.0, 1.0, 5.0]))
    tensor([2.5000, 1.0000, 2.5000])
    """
    ascending, asked = values.sort(-1).values.contiguous(), values.contiguous()
    below = torch.searchsorted(ascending, asked)  # #{a_j < a_i}
    return (below + torch.searchsorted(ascending, asked, right=True) + 1).to(values.dtype) / 2


def top(values: Float[Tensor, "*n p"], m: Float[Tensor, "*n 1"]) -> Float[Tensor, "*n p"]:
    """Return the chance of each player to be among the `m` of largest value, those of equal value alike.

    >>> top(torch.tensor([9.0, 1.0, 1.0]), torch.tensor([2.0]))
    tensor([1.0000, 0.5000, 0.5000])
    """
    ascending, asked = values.sort(-1).values.contiguous(), values.contiguous()
    not_above = torch.searchsorted(ascending, asked, right=True)
    equal = not_above - torch.searchsorted(ascending, asked)
    return ((m - (values.shape[-1] - not_above)) / equal).clamp(0, 1).to(values.dtype)


def rank_correlation(a: Float[Tensor, "*n p"], b: Float[Tensor, "*n p"]) -> Float[Tensor, "*n"]:
    """Return Spearman's rank correlation of each row; nan where one of its two attributions is constant.

    Constant attributions have no order that another could share or reverse. Batches under vmap.

    >>> rank_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 4.0, 9.0]))
    tensor(1.)

    Raises MapstoError for attributions of different shapes or that are not finite.
    """
    if a.shape != b.shape:
        raise MapstoError(f"b: got shape {tuple(b.shape)}, expected {tuple(a.shape)}, that of a.")
    ranks = [midranks(refuse_lost(values).double()) for values in (a, b)]
    u, v = (rank - rank.mean(-1, keepdim=True) for rank in ranks)
    return ((u * v).sum(-1) / (u.square().sum(-1) * v.square().sum(-1)).sqrt()).to(a.dtype)


def refuse_lost(values: Tensor, name: str = "values") -> Tensor:
    """Return `values`, or raise MapstoError where they are no floats, or some are not finite.

    Inside a transform of `torch.func` what is not finite passes.
    """
    if not values.is_floating_point():
        raise MapstoError(f"{name}: got {values.dtype}, expected floating-point numbers; convert them.")
    lost = int((~values.isfinite()).sum()) if readable(values) else 0
    if lost:
        raise MapstoError(
            f"{name}: got {lost} of {values.numel()} that are not finite, expected finite attributions: explain again "
            "with an explainer that can take these rows, or leave them out."
        )
    return values
