"""REAL-X: the predictor is trained on random masks, so that the selector cannot tell it the answer by its masks.

    predictor:  E_r ℓ(target, q(x·r, r)),  r ~ Bernoulli(share),  share ~ U(0, 1)
    selector:   E_m[(ℓ(target, q(x·m, m)) − b)·∇ log p(m)] + cost·∇ mean(s),  m ~ Bernoulli(s)

Jethani et al. 2021, "Have We Learned to Explain?", §4. The baseline b of a mask is the mean loss of the row's other
masks (Kool, van Hoof & Welling 2019, "Buy 4 REINFORCE Samples, Get a Baseline for Free!"), in place of the paper's
estimator REBAR; both are unbiased. The paper's share is ½, with which the predictor hardly ever sees few players.
"""

from collections.abc import Mapping

from jaxtyping import Bool, Float
from torch import Tensor

from ... import checks
from .explainer import Prediction, Target
from .players import Players, random_masks
from .policy import Judgement, Policy, others
from .selector import Network, Predictor


class REALX(Policy):
    """Select as few players as suffice for a predictor that is trained on random masks, not on the selections.

    Args:
        cost: the price of showing all players, in the unit of the loss (nats for classes).
        draws: the number of masks per row in a training step; at least 2.
        predictor_width: the number of hidden units of the predictor.
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
        network: Network = "perceptron",
        width: int = 100,
        predictor_width: int = 200,
        restraint: float = 0.0003,
    ):
        super().__init__(players, outputs, reads, target, cost, restraint, warmup, draws, network, width)
        checks.count(2, draws=draws)
        checks.count(predictor_width=predictor_width)
        self.predictor = Predictor(players, outputs, predictor_width)

    def judge(
        self, prediction: Prediction, masks: Float[Tensor, "n c p"], visible: Bool[Tensor, "n p"],
        target: Float[Tensor, "n k"],
    ) -> Judgement:  # fmt: skip
        """Return the errors of the predictor, those of the other masks, and the predictor's loss on random masks."""
        error = self.predictor.errors(prediction, masks, target).detach()
        random = random_masks(visible, self.draws).to(masks)
        return Judgement(error, others(error), self.predictor.errors(prediction, random, target).mean(1))

    def predicted(self, prediction: Prediction, shown: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Return the outcome that the predictor reads from the shown players."""
        return self.predictor.outcome(prediction, shown)
