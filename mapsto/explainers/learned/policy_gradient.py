"""Policy gradient: a policy shows the model a few players, and is rewarded if the model keeps its prediction.

    reward(m) = −ℓ(target, model(x with only m visible)),   m ~ Bernoulli(s),   V = network(row) trained on the rewards
    ∇ = −E_m[(reward(m) − V)·∇ log p(m)] + cost·∇ mean(s)

There is no predictor: the model itself is asked about the shown players, so it works for any model, also for one that
cannot be differentiated. Williams 1992, "Simple statistical gradient-following algorithms" (REINFORCE), §2 and §6; V is
its reinforcement baseline, learned as in actor–critic methods (Sutton & Barto 2018, §13.4).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ... import checks
from .explainer import Prediction, Target
from .perceptron import Perceptron
from .players import Players
from .selector import Losses, Network, Selector, drawn, log_probability


class PolicyGradient(Selector):
    """Select as few players as suffice for the model itself to keep its prediction, by policy gradient.

    Args:
        cost: the price of showing all players, in the unit of the loss (nats for classes).
        draws: the number of masks per row in a training step.
        players, outputs, reads, target, network, width: see `Selector`.

    Raises:
        MapstoError: if the cost is negative, `draws` is not positive, or in any case in which `Selector` raises it.
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
    ):
        super().__init__(players, outputs, reads, target, cost, warmup, network, width)
        checks.count(draws=draws)
        self.draws = draws
        self.baseline = Perceptron(players, 0, 1, False, width)

    def losses(
        self, prediction: Prediction, logits: Float[Tensor, "n p"], visible: Bool[Tensor, "n p"],
        target: Float[Tensor, "n k"],
    ) -> Losses:  # fmt: skip
        """Return the losses whose gradient is the policy gradient, and the squared error of the baseline."""
        value = self.baseline(prediction, visible.to(logits))[:, 0]  # [n, 1]
        logits, visible = (part[:, None].expand(-1, self.draws, -1) for part in (logits, visible))
        masks = drawn(logits.detach(), visible)  # [n, draws, p]
        reward = -self._misfit(prediction, masks, target)
        policy = (value - reward).detach() * log_probability(logits, masks, visible)
        return Losses(policy.mean(1), (value - reward).square().mean(1), masks.sum(-1).mean(1))

    def predicted(self, prediction: Prediction, shown: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Return the outcome of the model if only the shown players are visible."""
        return prediction.ask(self.players.show(prediction.x, shown[:, None])[:, 0])

    @torch.no_grad()
    def _misfit(self, prediction: Prediction, masks: Float[Tensor, "n c p"], target: Tensor) -> Float[Tensor, "n c"]:
        """Return the loss of the model's outcome for the shown players: cross-entropy in nats, or squared error."""
        outcome = prediction.ask(self.players.show(prediction.x, masks).flatten(0, 1)).unflatten(0, masks.shape[:2])
        if not prediction.of_classes:
            return (outcome - target[:, None]).square().sum(-1)
        return -(target[:, None] * outcome.clamp(min=1e-6).log()).sum(-1)
