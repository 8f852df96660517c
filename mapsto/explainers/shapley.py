"""Shapley values: each player's fair share of an outcome, exact or by KernelSHAP.

    φ = weights @ v(masks)

(Shapley 1953; Lundberg & Lee 2017, Theorem 2). The weighted least squares of KernelSHAP are linear in the outcomes, so
the weights are computed once for each number of players and seed. Exact or sampled, the values add up to `v(all) −
v(none)`.
"""

from typing import final

import torch

from . import coalitions
from .designed import DesignedExplainer


@final
class Shapley(DesignedExplainer):
    """Attribute an outcome to players by Shapley values: marginal contributions, averaged over all orders of joining.

    Values are in the unit of the game's outcome, and add up to v(all) − v(none).

    Args:
        samples: None evaluates all `2^players` coalitions of at most 12 players, and the values are exact. A number
            evaluates about as many random coalitions, in complementary pairs, besides the empty and the full one
            (KernelSHAP).
        seed: the random seed of the coalitions.
        chunk_size: the number of coalitions to evaluate at a time, to limit memory; None evaluates all at once.

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
