"""INVASE: an actor selects players, a critic predicts from them, and a baseline that reads the whole row is the bar.

    critic:    E_m ℓ(target, q(x·m, m))         baseline: ℓ(target, b(x))         m ~ Bernoulli(s)
    selector:  E_m[(ℓ_critic(m) − ℓ_baseline)·∇ log p(m)] + cost·∇ mean(s)

Yoon et al. 2019, "INVASE: Instance-wise Variable Selection using Neural Networks", eq. 4–8. With several masks per
row, the mean error of the row's other masks takes the place of the baseline, because it varies less. Because the critic
is trained on the selector's masks, a mask can encode the answer (Jethani et al. 2021, §3.1).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ... import checks
from .explainer import Prediction, Target
from .players import Players, random_masks
from .policy import Judgement, Policy, others
from .selector import Network, Predictor


class INVASE(Policy):
    """Select as few players as suffice for a critic that is trained on the selections; the number varies by row.

    Args:
        cost: the price of showing all players, in the unit of the loss (nats for classes).
        draws: the number of masks per row in a training step; 1 in the paper.
        explore: the number of random masks per row on which the critic is trained too, so that it still knows what
            players tell that the actor has stopped showing; 0 in the paper.
        critic_width: the number of hidden units of the critic and, if `draws` is 1, of the baseline.
        players, outputs, reads, target, restraint, warmup, network, width: see `Selector`.

    Raises:
        MapstoError: if a number is out of range, or in any case in which `Selector` raises it.
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
        explore: int = 4,
        network: Network = "perceptron",
        width: int = 100,
        critic_width: int = 200,
        restraint: float = 0.0003,
    ):
        super().__init__(players, outputs, reads, target, cost, restraint, warmup, draws, network, width)
        checks.count(critic_width=critic_width)
        checks.count(0, explore=explore)
        self.explore = explore
        self.critic = Predictor(players, outputs, critic_width)
        self.baseline = Predictor(players, outputs, critic_width) if draws == 1 else None

    def judge(
        self, prediction: Prediction, masks: Float[Tensor, "n c p"], visible: Bool[Tensor, "n p"],
        target: Float[Tensor, "n k"],
    ) -> Judgement:  # fmt: skip
        """Return the errors of the critic, the baselines, and the loss of the critic (and of the baseline, if any)."""
        critic = self.critic.errors(prediction, masks, target)
        random = self.critic.errors(prediction, random_masks(visible, self.explore).to(masks), target)
        learning = torch.cat([critic, random], 1).mean(1)
        if self.baseline is None:
            return Judgement(critic, others(critic), learning)
        baseline = self.baseline.errors(prediction, visible[:, None].to(masks), target)
        return Judgement(critic, baseline, learning + baseline[:, 0])

    def predicted(self, prediction: Prediction, shown: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Return the outcome that the critic reads from the shown players."""
        return self.critic.outcome(prediction, shown)
