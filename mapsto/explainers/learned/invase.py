"""INVASE: an actor selects players, a critic predicts from them, and a baseline that reads the whole row is the bar.

    critic:    E_m ℓ(target, q(x·m, m))         baseline: ℓ(target, b(x))         m ~ Bernoulli(s)
    selector:  E_m[(ℓ_critic(m) − ℓ_baseline)·∇ log p(m)] + cost·∇ mean(s)

Yoon et al. 2019, "INVASE: Instance-wise Variable Selection using Neural Networks", eq. 4–8. Because the critic is
trained on the selector's masks, a mask can encode the answer (Jethani et al. 2021, §3.1).
"""

from collections.abc import Mapping

from jaxtyping import Bool, Float
from torch import Tensor

from ... import checks
from .explainer import Prediction, Target
from .players import Players
from .policy import Judgement, Policy
from .selector import Network, Predictor


class INVASE(Policy):
    """Select as few players as suffice for a critic that is trained on the selections; the number varies by row.

    Args:
        cost: the price of showing all players, in the unit of the loss (nats for classes).
        draws: the number of masks per row in a training step.
        critic_width: the number of hidden units of the critic and of the baseline.
        players, outputs, reads, target, warmup, network, width: see `Selector`.

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
        network: Network = "perceptron",
        width: int = 100,
        critic_width: int = 200,
    ):
        super().__init__(players, outputs, reads, target, cost, warmup, draws, network, width)
        checks.count(critic_width=critic_width)
        self.critic = Predictor(players, outputs, critic_width)
        self.baseline = Predictor(players, outputs, critic_width)

    def judge(
        self, prediction: Prediction, masks: Float[Tensor, "n c p"], visible: Bool[Tensor, "n p"],
        target: Float[Tensor, "n k"],
    ) -> Judgement:  # fmt: skip
        """Return the errors of the critic, that of the baseline, and the sum of the losses of both."""
        critic = self.critic.errors(prediction, masks, target)
        baseline = self.baseline.errors(prediction, visible[:, None].to(masks), target)
        return Judgement(critic, baseline.expand_as(critic), critic.mean(1) + baseline[:, 0])

    def predicted(self, prediction: Prediction, shown: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Return the outcome that the critic reads from the shown players."""
        return self.critic.outcome(prediction, shown)
