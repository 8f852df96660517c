"""Complexity: whether an explanation is short enough to be read.

    gini    = Σ_k (2k − p − 1)·|a|_(k) / (p·Σ|a|)          |a|_(k) the k-th smallest; 0 all equal … 1 − 1/p a single one
    entropy = −Σ_j q_j ln q_j,      q_j = |a_j| / Σ|a|     0 a single one … ln p all equal

Chalasani et al. 2020, "Concise Explanations of Neural Networks using Adversarial Training" (Gini index); Bhatt, Weller
& Moura 2020, "Evaluating and Aggregating Feature-based Model Explanations" (entropy). Neither depends on whether the
explanation is true. An attribution of zeros counts as constant: nothing stands out. Quantus' Sparseness adds 10⁻⁷ to
every value first; its Complexity is nan for zeros.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .ranking import refuse_lost


class Complexity(NamedTuple):
    """How unevenly attributions are spread (Gini index), and over how many parts (entropy, in nats)."""

    gini: Float[Tensor, "*n"]
    entropy: Float[Tensor, "*n"]


def complexity(values: Float[Tensor, "*n p"]) -> Complexity:
    """Return the Gini index and the entropy of each row of attributions.

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
    """Return each player's share of a row's total magnitude; equal shares in a row of zeros."""
    size = values.abs()
    largest = size.amax(-1, keepdim=True)  # first, so that the sum stays within what numbers can hold
    size = torch.where(largest > 0, size / torch.where(largest > 0, largest, 1.0), 1.0)
    return size / size.sum(-1, keepdim=True)
