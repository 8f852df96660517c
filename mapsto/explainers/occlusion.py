"""Occlusion: hide one player at a time and measure how much the outcome falls.

    a_j = v(all) − v(all without j)

(Zeiler & Fergus 2014, §4.2; for single features, Ancona et al. 2018, Table 1). The game decides what a player is (a
column, a patch of pixels, a support example) and how it is hidden. The values need not add up to the outcome. If an
outcome needs two players together, both get it, so it counts twice. If either of two players is enough for an outcome,
neither gets it.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks
from ..games import Game
from .explainer import GameExplainer


@final
class Occlusion(GameExplainer):
    """Attribute to each player the decrease in the outcome when only this player is hidden.

    Values are in the unit of the game's outcome. The game is evaluated for `players + 1` coalitions. `chunk_size` is
    the number of coalitions to evaluate at a time, to limit memory; if None, the game decides.

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0, 4.0])
    >>> Occlusion()(game(lambda x: x[0] * x[1] + x[2], x, baseline=0.0))
    tensor([6., 6., 4.])
    """

    def __init__(self, chunk_size: int | None = None):
        checks.chunk(chunk_size=chunk_size)
        self.chunk_size = chunk_size

    def attribute(self, game: Game) -> Float[Tensor, "players ..."]:
        """Return the decrease in the outcome for each hidden player: `[players]`, or `[players, k]` for k scores."""
        everyone = torch.ones(1, game.players)
        masks = torch.cat([everyone, everyone - torch.eye(game.players)])  # [1 + p, p]
        outcomes = game.outcomes(masks, self.chunk_size)  # [1 + p, (k)]
        # Not a `DesignedExplainer`: in its product one infinite outcome would make the values of all players NaN.
        return outcomes[0] - outcomes[1:]
