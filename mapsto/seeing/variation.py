"""The share of a feature's variance that a label explains, and the share that it does not.

    Σ_i (h_i − h̄)²  =  Σ_c n_c·(h̄_c − h̄)²  +  Σ_c Σ_{i∈c} (h_i − h̄_c)²        total = between + within groups
    explained = between / total = η²,       unexplained = 1 − η²

The correlation ratio (Fisher 1925, "Statistical Methods for Research Workers", on the analysis of variance). If
`groups` are the classes, a feature of small η² varies *within* classes, so for a reason other than the class; if
`groups` are a nuisance (the drawer, the background, the clinic), a feature of large η² carries it. Random groups
explain (c − 1)/(n − 1) of any feature on average: that is `chance`, and only the excess counts.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import checks


class Explained(NamedTuple):
    """The fraction of the variance of each of `d` features that groups explain."""

    share: Float[Tensor, " d"]  # η², 0 … 1; nan for a feature that is the same on all rows
    chance: float


def variance_explained(features: Float[Tensor, "n d"], groups: Int[Tensor, " _n"]) -> Explained:
    """Return the fraction of each feature's variance over the rows that is explained by the rows' groups.

    The explained variance is the variance of the group means, each group weighted by its number of rows. The field
    `chance` of the result is the fraction that random groups explain on average.

    Raises:
        MapstoError: if `groups` does not have one entry for each row, there are fewer than two groups, no group has two
            rows, or features are not finite.

    >>> variance_explained(torch.tensor([[0.0, 1.0], [0.0, 2.0], [3.0, 1.0], [3.0, 2.0]]), torch.tensor([0, 0, 1, 1]))
    Explained(share=tensor([1., 0.]), chance=0.3333333333333333)
    """
    checks.shape((len(features),), "one for each row", groups=groups)
    names, which, counts = groups.unique(return_inverse=True, return_counts=True)
    several = 2 <= len(names) < len(groups)
    checks.expect(several, "groups", f"{len(names)} of {len(groups)} rows", "at least two, and fewer than rows")
    checks.finite(features=features)
    h = features.double()
    centred = h - h.mean(0)
    sums = centred.new_zeros(len(names), h.shape[1]).index_add(0, which, centred)  # [c, d]
    between, total = (sums.square() / counts[:, None]).sum(0), centred.square().sum(0)
    varies = centred.abs().amax(0) > 1e-12 * h.abs().amax(0)  # rounding does not count as variation
    share = torch.where(varies, between / total, torch.nan)
    return Explained(share.to(features.dtype), (len(names) - 1) / (len(groups) - 1))
