"""Complexity: whether an explanation is short enough to be read.

    gini    = Σ_k (2k − p − 1)·|a|_(k) / (p·Σ|a|)          |a|_(k) the k-th smallest; 0 all equal … 1 − 1/p a single one
    entropy = −Σ_j q_j ln q_j,      q_j = |a_j| / Σ|a|     0 a single one … ln p all equal

for the attributions a_j of p parts. Chalasani et al. 2020, "Concise Explanations of Neural Networks using Adversarial
Training" (Gini index); Bhatt, Weller & Moura 2020, "Evaluating and Aggregating Feature-based Model Explanations"
(entropy). Neither depends on whether the explanation is true. If all attributions are 0, they count as equal. Quantus'
Sparseness adds 10⁻⁷ to every value first; its Complexity is NaN if all are 0.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .ranking import refuse_lost


class Complexity(NamedTuple):
    """How unevenly attributions are spread over the parts: the more uneven, the simpler the explanation."""

    gini: Float[Tensor, "*n"]  # 0 if all |values| are equal, near 1 if one part has it all
    entropy: Float[Tensor, "*n"]  # in nats: 0 if one part has it all, ln p if all p are equal


def complexity(values: Float[Tensor, "*n p"]) -> Complexity:
    """Return two measures of how concentrated each row's |attributions| are: the Gini index and the entropy.

    An explanation is simple if a few of the `p` parts have most of the attribution. The Gini index is 0 if all parts
    have the same |attribution|, and 1 − 1/p if a single part has all of the attribution. The entropy, in nats, is 0 if
    a single part has all of the attribution, and ln p if all parts have the same |attribution|.

    Raises:
        MapstoError: if values are not finite.

    >>> complexity(torch.tensor([[1.0, 0.0, -1.0, 0.0]]))
    Complexity(gini=tensor([0.5000]), entropy=tensor([0.6931]))
    """
    q = shares(refuse_lost(values).double())  # half precision cannot count places beyond the 256th
    p = values.shape[-1]
    weight = (2 * torch.arange(1, p + 1, device=values.device) - p - 1).to(q) / p
    gini, entropy = (q.sort(-1).values * weight).sum(-1), torch.special.entr(q).sum(-1)
    return Complexity(gini.to(values.dtype), entropy.to(values.dtype))


def shares(values: Float[Tensor, "*n p"]) -> Float[Tensor, "*n p"]:
    """Return |values| of each row as fractions that sum to 1; the fractions are equal in a row of zeros."""
    size = values.abs()
    largest = size.amax(-1, keepdim=True)  # first, so that the sum stays within what numbers can hold
    size = torch.where(largest > 0, size / torch.where(largest > 0, largest, 1.0), 1.0)
    return size / size.sum(-1, keepdim=True)
