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
from .selector import Losses, Network, Predictor, Selector, drawn, log_probability


class INVASE(Selector):
    """Select as few players as suffice for a critic that is trained on the selections; the number varies by row.

    Args:
        cost: the price of showing all players, in the unit of the loss (nats for classes).
        critic_width: the number of hidden units of the critic and of the baseline.
        players, outputs, reads, target, network, width: see `Selector`.

    Raises:
        MapstoError: if the cost is negative, or in any case in which `Selector` raises it.
    """

    def __init__(
        self,
        players: Players,
        outputs: int | None = None,
        reads: Mapping[str, int] | None = None,
        target: Target = "model",
        cost: float = 0.1,
        warmup: int = 1000,
        network: Network = "perceptron",
        width: int = 100,
        critic_width: int = 200,
    ):
        super().__init__(players, outputs, reads, target, cost, warmup, network, width)
        checks.count(critic_width=critic_width)
        self.critic = Predictor(players, outputs, critic_width)
        self.baseline = Predictor(players, outputs, critic_width)

    def losses(
        self, prediction: Prediction, logits: Float[Tensor, "n p"], visible: Bool[Tensor, "n p"],
        target: Float[Tensor, "n k"],
    ) -> Losses:  # fmt: skip
        """Return the losses of the actor, and the sum of those of the critic and of the baseline."""
        masks = drawn(logits.detach(), visible)
        critic = self.critic.errors(prediction, masks, target)
        baseline = self.baseline.errors(prediction, visible.to(masks), target)
        actor = (critic - baseline).detach() * log_probability(logits, masks, visible)
        return Losses(actor, critic + baseline, masks.sum(-1))

    def predicted(self, prediction: Prediction, shown: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Return the outcome that the critic reads from the shown players."""
        return self.critic.outcome(prediction, shown)
