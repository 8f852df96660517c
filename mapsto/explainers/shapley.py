"""Shapley values: each player's fair share of an outcome, exact or by KernelSHAP.

    φ = weights @ v(masks)

(Shapley 1953; Lundberg & Lee 2017, Theorem 2). The weighted least squares of KernelSHAP is linear in the outcomes, so
it is solved once for each number of players and seed. Complete: the values add up to `v(all) − v(none)`, sampled or
not.
"""

from typing import final

import torch

from . import coalitions
from .designed import DesignedExplainer


@final
class Shapley(DesignedExplainer):
    """Attribute by Shapley values, in units of outcome.

    If `samples` is None, all `2^players` coalitions are asked: exact, up to 12 players. A number asks that many
    coalitions (KernelSHAP, different complementary pairs drawn from `seed`) besides nobody and everybody; if there are
    no more than that, all are asked and the values are exact too. `chunk_size` coalitions at a time bounds memory.

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0])
    >>> Shapley()(game(lambda x: x[0] * x[1] + x[0], x, baseline=0.0))
    tensor([5., 3.])
    """

    def __init__(self, samples: int | None = None, seed: int = 0, chunk_size: int | None = None):
        self.samples, self.seed, self.chunk_size = samples, seed, chunk_size

    def design(self, players: int) -> coalitions.Design:
        """Return all coalitions and their exact weights, or the sampled ones of KernelSHAP."""
        if self.samples is not None:
            return coalitions.kernel(players, self.samples, self.seed, dtype=torch.float64)
        coalitions.refuse_many(players, f"samples={32 * players}")
        return coalitions.exact(players, dtype=torch.float64)
