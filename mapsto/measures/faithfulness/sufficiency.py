"""Comprehensiveness and sufficiency: the loss of outcome without the most important parts, and with these alone.

    comprehensiveness_b = v(all) − v(all but the top q_b)                               (eq. 1; large is good)
    sufficiency_b       = v(all) − v(only the top q_b)                                  (eq. 2; small is good)
    aopc                = mean over the bins b = 1 … |B|,   q_b = ⌈share_b · players⌉

v is the game's outcome for a set of players; the top q players are those of largest attribution.

DeYoung et al. 2020, "ERASER", §4, with its bins of 1, 5, 10, 20 and 50 % of the players. The outcome should be the
probability of the predicted class. The paper's eq. 3 also counts an empty bin and divides by |B| + 1. Its published
code, like this one, averages over the given bins. Ties are broken as in `ranking`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ... import checks
from .perturbation_curves import Games, fitting, play
from .ranking import order

ERASER = (0.01, 0.05, 0.1, 0.2, 0.5)


class Rationale(NamedTuple):
    """The loss of outcome of `n` rows without their top players, and with only these, for each fraction of players."""

    comprehensiveness: Float[Tensor, "n b"]  # loss without the top players: large is good
    sufficiency: Float[Tensor, "n b"]  # loss with only the top players: small is good

    @property
    def aopc_comprehensiveness(self) -> Float[Tensor, " n"]:
        """The mean comprehensiveness over the fractions: large is good."""
        return self.comprehensiveness.mean(-1)

    @property
    def aopc_sufficiency(self) -> Float[Tensor, " n"]:
        """The mean sufficiency over the fractions: small is good."""
        return self.sufficiency.mean(-1)


def rationale(
    games: Games,
    points: Float[Tensor, "n ..."],
    values: Float[Tensor, "n p"],
    shares: Sequence[float] = ERASER,
    seed: int = 0,
    chunk_size: int | None = None,
) -> Rationale:
    """Return the drop of the outcome without the most important players, and the drop with only these players.

    The drop without these players is called comprehensiveness; it is large if the model needs the players. The drop
    with only these players is called sufficiency; it is small if they are enough for the prediction.

    Args:
        games: a function from a point to its game. The game's outcome should be the probability of the predicted class.
        points: the explained points.
        values: the attribution of each player. The most important players are the players with the largest values.
        shares: the fractions of the players that count as most important, each above 0 and at most 1.
        seed: the random seed that orders players of equal value.
        chunk_size: the number of points to compute at a time, to limit memory; None computes all at once.

    Raises:
        MapstoError: if `values` does not hold one number for each point and player, `values` or outcomes are not
            finite, or a fraction is outside (0, 1].

    >>> from mapsto.views import game
    >>> x, slope = torch.tensor([[1.0, 1.0]]), torch.tensor([3.0, 1.0])
    >>> rationale(lambda x: game(lambda x: x @ slope, x), x, slope * x, shares=[0.5])
    Rationale(comprehensiveness=tensor([[3.]]), sufficiency=tensor([[1.]]))
    """
    players = fitting(games, points, values)
    fits = bool(shares) and all(0 < share <= 1 for share in shares)
    checks.expect(fits, "shares", list(shares), "at least one, each above 0 and at most 1")
    sizes = (torch.tensor(shares, dtype=torch.float64) * players - 1e-9).ceil()  # 0.2 · 5 is 1.0000000000000002
    rank = order(values, seed).argsort(-1)  # [n, p]
    chosen = (rank[:, None] < sizes.to(rank.device)[:, None]).to(values.dtype)  # [n, b, p]
    masks = torch.cat([torch.ones_like(chosen[:, :1]), 1 - chosen, chosen], 1)
    outcomes = play(games, points, masks, chunk_size)  # [n, 1 + 2b]
    without, alone = outcomes[:, 1:].chunk(2, 1)
    return Rationale(outcomes[:, :1] - without, outcomes[:, :1] - alone)
