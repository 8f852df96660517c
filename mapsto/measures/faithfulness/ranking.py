"""Orders and ranks of attributions, with a rule for ties.

    midrank_i = #{a_j < a_i} + (#{a_j = a_i} + 1) / 2
    ρ(a, b)   = Pearson correlation of the midranks of a and of b                                   (Spearman 1904)
    top_i     = min(1, max(0, (m − #{a_j > a_i}) / #{a_j = a_i}))        the chance that i is among the m largest

Ties in an order are broken by a random order of the players, which a seed fixes and which is the same for all rows. A
constant attribution is then ranked like a random one, and not by the order in which columns happen to be written.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ... import checks


def order(values: Float[Tensor, "*n p"], seed: int = 0) -> Int[Tensor, "*n p"]:
    """Return the numbers of the players from the largest value to the smallest; `seed` fixes the order of ties.

    >>> order(torch.tensor([0.1, -3.0, 0.5]))
    tensor([2, 0, 1])
    """
    shuffled = torch.from_numpy(np.random.default_rng(seed).permutation(values.shape[-1])).to(values.device)
    return shuffled[values[..., shuffled].argsort(dim=-1, descending=True, stable=True)]


def midranks(values: Float[Tensor, "*n p"]) -> Float[Tensor, "*n p"]:
    """Return ranks from 1, the smallest value first; equal values share the mean of their ranks.

    Works under vmap.

    >>> midranks(torch.tensor([5.0, 1.0, 5.0]))
    tensor([2.5000, 1.0000, 2.5000])
    """
    ascending, queries = values.sort(-1).values.contiguous(), values.contiguous()
    below = torch.searchsorted(ascending, queries)  # #{a_j < a_i}
    return (below + torch.searchsorted(ascending, queries, right=True) + 1).to(values.dtype) / 2


def top(values: Float[Tensor, "*n p"], m: Float[Tensor, "*n 1"]) -> Float[Tensor, "*n p"]:
    """Return each player's chance to be among the `m` of largest value if ties are broken at random.

    >>> top(torch.tensor([9.0, 1.0, 1.0]), torch.tensor([2.0]))
    tensor([1.0000, 0.5000, 0.5000])
    """
    ascending, queries = values.sort(-1).values.contiguous(), values.contiguous()
    not_above = torch.searchsorted(ascending, queries, right=True)
    equal = not_above - torch.searchsorted(ascending, queries)
    return ((m - (values.shape[-1] - not_above)) / equal).clamp(0, 1).to(values.dtype)


def rank_correlation(a: Float[Tensor, "*n p"], b: Float[Tensor, "*n p"]) -> Float[Tensor, "*n"]:
    """Return Spearman's rank correlation of each row of `a` with the same row of `b`.

    The correlation is NaN if one of the two rows is constant, since a constant row has no order. Works under vmap.

    Raises:
        MapstoError: if the shapes differ, or values are not finite.

    >>> rank_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 4.0, 9.0]))
    tensor(1.)
    """
    checks.shape(tuple(a.shape), "the shape of a", b=b)
    ranks = [midranks(refuse_lost(values).double()) for values in (a, b)]
    u, v = (rank - rank.mean(-1, keepdim=True) for rank in ranks)
    return ((u * v).sum(-1) / (u.square().sum(-1) * v.square().sum(-1)).sqrt()).to(a.dtype)


def refuse_lost(values: Tensor, name: str = "values") -> Tensor:
    """Return `values`; raise MapstoError if they are not floating-point numbers, or some are not finite.

    Inside a transform of `torch.func`, values that are not finite pass.
    """
    checks.expect(values.is_floating_point(), name, values.dtype, "floating-point numbers")
    lost = int((~values.isfinite()).sum()) if checks.readable(values) else 0
    remedy = "use an explainer that can explain these rows, or leave them out"
    checks.expect(lost == 0, name, f"{lost} of {values.numel()} that are not finite", "finite attributions", remedy)
    return values
