"""Does a feature vary for a reason? The share of its variance that a label explains, and the share that it does not.

    Σ_i (h_i − h̄)²  =  Σ_c n_c·(h̄_c − h̄)²  +  Σ_c Σ_{i∈c} (h_i − h̄_c)²        total = between + within groups
    explained = between / total = η²,       unexplained = 1 − η²

The correlation ratio (Fisher 1925, "Statistical Methods for Research Workers", on the analysis of variance). With
`groups` the classes, a feature of small η² varies *within* classes, so for a reason that is not the answer; with
`groups` a nuisance (the drawer, the background, the clinic), a feature of large η² carries it. Groups that mean nothing
explain (c − 1)/(n − 1) of any feature on average: that is `chance`, and what exceeds it counts.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import MapstoError


class Explained(NamedTuple):
    """How far groups explain each of `d` features."""

    share: Float[Tensor, " d"]  # η², 0 … 1; nan for a feature that is the same on all rows
    chance: float


def variance_explained(features: Float[Tensor, "n d"], groups: Int[Tensor, " _n"]) -> Explained:
    """Return the share of each feature's variance over the rows that lies between the groups.

    >>> variance_explained(torch.tensor([[0.0, 1.0], [0.0, 2.0], [3.0, 1.0], [3.0, 2.0]]), torch.tensor([0, 0, 1, 1]))
    Explained(share=tensor([1., 0.]), chance=0.3333333333333333)

    Raises:
        MapstoError: not a group for each row, or fewer than two groups, or no group of two rows, or features that are
            not finite.
    """
    if groups.shape != features.shape[:1]:
        raise MapstoError(f"groups: got shape {tuple(groups.shape)}, expected ({len(features)},), one for each row.")
    found, which, counts = groups.unique(return_inverse=True, return_counts=True)
    if not 2 <= len(found) < len(groups):
        raise MapstoError(
            f"groups: got {len(found)} of {len(groups)} rows, expected at least two, and fewer than there are rows."
        )
    if not features.isfinite().all():
        raise MapstoError("features: got numbers that are not finite, expected finite features.")
    h = features.double()
    centred = h - h.mean(0)
    sums = centred.new_zeros(len(found), h.shape[1]).index_add(0, which, centred)  # [c, d]
    between, total = (sums.square() / counts[:, None]).sum(0), centred.square().sum(0)
    varies = centred.abs().amax(0) > 1e-12 * h.abs().amax(0)  # rounding is no variation
    share = torch.where(varies, between / total, torch.nan)
    return Explained(share.to(features.dtype), (len(found) - 1) / (len(groups) - 1))
