"""The change of a model's outcome if one player is hidden: reasons without training, beside those that are learned.

    values_j = v(all players) − v(all but j)

`v(S)` is the model's outcome if only the players S are visible (Zeiler & Fergus 2014, "Visualizing and Understanding
Convolutional Networks", §4.2; Covert et al. 2021, "Explaining by Removing", §3). In a `Joint`, the option `agreement`
draws a learned explainer and this one together. With `candour` above 0, it also draws the model to predictions on which
both agree. Train without agreement first: it is a difference of shares, and shares of reasons that have not been
learned yet are noise, which disturbs the learning.
"""

from typing import NamedTuple, Self

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .explainer import Metrics, PlayerExplainer, Prediction, of_prediction
from .players import Players


class LeaveOneOutReasons(NamedTuple):
    """The change of each outcome of `n` rows if one player is hidden, and the outcome itself."""

    values: Float[Tensor, "n p k"]
    outcome: Float[Tensor, "n k"]


class LeaveOneOut(PlayerExplainer):
    """Explain a prediction by how much the outcome falls if one player is hidden; there is nothing to train.

    Use it in a `Joint` beside a learned explainer, whose reasons `agreement` then draws to these. `explain` returns
    `LeaveOneOutReasons`: `values` `[n, players, k]`, in the unit of the outcome (probability, or the predicted number),
    and `outcome` `[n, k]`. It asks the model about one row for each player, and about the row itself.

    Args:
        players: the players, such as `Columns(13)` or `Patches((1, 28, 28), 7)`.

    Raises:
        MapstoError: if `players` are not players.
    """

    def __init__(self, players: Players):
        super().__init__(players, None, None)
        self.by_class = False

    def loss(
        self, prediction: Prediction, y: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (0, no metrics)."""
        return w.new_zeros(()), {}

    def trained(self) -> Self:
        """Return the explainer, which is ready from the start."""
        return self

    @torch.no_grad()
    def explain(self, prediction: Prediction) -> LeaveOneOutReasons:
        """Return the change of each outcome if one player is hidden; 0 for a missing player."""
        return self._reasons(prediction)

    def importance(self, prediction: Prediction) -> Float[Tensor, "n p"]:
        """Return the absolute changes of the most probable class or, for numbers, of the first outcome."""
        return of_prediction(prediction, self._reasons(prediction).values).abs()

    def _reasons(self, prediction: Prediction) -> LeaveOneOutReasons:
        visible = self.players.visible(prediction.x)
        one = torch.eye(self.players.count, dtype=torch.bool, device=visible.device)
        masks = torch.cat([visible[:, None], visible[:, None] & ~one], 1).to(prediction.outcome)  # [n, 1 + p, p]
        outcome = self.outcomes(prediction, masks)
        return LeaveOneOutReasons(outcome[:, :1] - outcome[:, 1:], outcome[:, 0])
