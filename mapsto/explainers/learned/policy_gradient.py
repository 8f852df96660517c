"""Policy gradient: a policy shows the model a few players, and is rewarded if the model keeps its prediction.

    reward(m) = −ℓ(target, model(x with only m visible)),   m ~ Bernoulli(s),   V = network(row) trained on the rewards
    selector:   −E_m[(reward(m) − V)·∇ log p(m)] + cost·∇ mean(s)

There is no predictor: the model itself is asked about the shown players, so it works for any model, also for one that
cannot be differentiated. Williams 1992, "Simple statistical gradient-following algorithms" (REINFORCE), §2 and §6; V is
its reinforcement baseline, learned as in actor–critic methods (Sutton & Barto 2018, §13.4).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .explainer import Prediction, Target
from .perceptron import Perceptron
from .players import Players
from .policy import Judgement, Policy
from .selector import Network


class PolicyGradient(Policy):
    """Select as few players as suffice for the model itself to keep its prediction, by policy gradient.

    Args:
        cost: the price of showing all players, in the unit of the loss (nats for classes).
        draws: the number of masks per row in a training step.
        players, outputs, reads, target, restraint, warmup, network, width: see `Selector`.

    Raises:
        MapstoError: in any case in which `Selector` raises it, or if `draws` is below 1.
    """

    def __init__(
        self,
        players: Players,
        outputs: int | None = None,
        reads: Mapping[str, int] | None = None,
        target: Target = "model",
        cost: float = 0.1,
        warmup: int = 1000,
        draws: int = 4,
        network: Network = "perceptron",
        width: int = 100,
        restraint: float = 0.0003,
    ):
        super().__init__(players, outputs, reads, target, cost, restraint, warmup, draws, network, width)
        self.baseline = Perceptron(players, 0, 1, False, width)

    def judge(
        self, prediction: Prediction, masks: Float[Tensor, "n c p"], visible: Bool[Tensor, "n p"],
        target: Float[Tensor, "n k"],
    ) -> Judgement:  # fmt: skip
        """Return the errors of the model, those that the baseline expects, and the squared error of the baseline."""
        error = self._errors(prediction, masks, target)
        expected = self.baseline(prediction, visible[:, None].to(masks))[..., 0, 0].expand_as(error)
        return Judgement(error, expected, (expected - error).square().mean(1))

    def predicted(self, prediction: Prediction, shown: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Return the outcome of the model if only the shown players are visible."""
        return self.outcomes(prediction, shown[:, None])[:, 0]

    @torch.no_grad()
    def _errors(self, prediction: Prediction, masks: Float[Tensor, "n c p"], target: Tensor) -> Float[Tensor, "n c"]:
        """Return the loss of the model's outcome for the shown players: cross-entropy in nats, or squared error."""
        outcome, _ = self.sampled(prediction, masks)
        if not prediction.of_classes:
            return (outcome - target[:, None]).square().sum(-1)
        return -(target[:, None] * outcome.clamp(min=1e-6).log()).sum(-1)
