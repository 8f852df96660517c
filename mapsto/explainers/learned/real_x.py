"""REAL-X: the predictor is trained on random masks, so that the selector cannot tell it the answer by its masks.

    predictor:  E_r ℓ(target, q(x·r, r)),  r ~ Bernoulli(½)
    selector:   E_m ℓ(target, q(x·m, m)) + cost·mean(s),  m ~ Bernoulli(s),  without changing the predictor

Jethani et al. 2021, "Have We Learned to Explain?", §4. The gradient of the discrete mask is that of the relaxed mask
σ((logit + noise)/temperature) at the same noise (straight-through binary concrete, Jang et al. 2017, §2.2), in place of
the paper's estimator REBAR.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.func import functional_call

from ... import checks
from .explainer import Prediction, Target, errors
from .players import Players
from .selector import Losses, Network, Predictor, Selector


class REALX(Selector):
    """Select as few players as suffice for a predictor that is trained on random masks, not on the selections.

    Args:
        cost: the price of showing all players, in the unit of the loss (nats for classes).
        temperature: the temperature of the relaxed masks, whose gradient replaces that of the discrete ones.
        predictor_width: the number of hidden units of the predictor.
        players, outputs, reads, target, network, width: see `Selector`.

    Raises:
        MapstoError: if the cost is negative, the temperature is not positive, or in any case in which `Selector` raises
            it.
    """

    def __init__(
        self,
        players: Players,
        outputs: int | None = None,
        reads: Mapping[str, int] | None = None,
        target: Target = "model",
        cost: float = 0.1,
        warmup: int = 1000,
        temperature: float = 0.5,
        network: Network = "perceptron",
        width: int = 100,
        predictor_width: int = 200,
    ):
        super().__init__(players, outputs, reads, target, cost, warmup, network, width)
        checks.count(predictor_width=predictor_width)
        checks.above(0, temperature=temperature)
        self.temperature = temperature
        self.predictor = Predictor(players, outputs, predictor_width)

    def losses(
        self, prediction: Prediction, logits: Float[Tensor, "n p"], visible: Bool[Tensor, "n p"],
        target: Float[Tensor, "n k"],
    ) -> Losses:  # fmt: skip
        """Return the predictor's errors on the selections, without its gradient, and on random masks."""
        masks = straight(logits, self.temperature) * visible
        still = {name: value.detach() for name, value in self.predictor.named_parameters()}
        scores = functional_call(self.predictor, still, (prediction, masks))
        random = ((torch.rand_like(logits) < 0.5) & visible).to(logits)
        error = self.predictor.errors(prediction, random, target)
        return Losses(errors(scores, target, prediction.of_classes), error, masks.detach().sum(-1))

    def predicted(self, prediction: Prediction, shown: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Return the outcome that the predictor reads from the shown players."""
        return self.predictor.outcome(prediction, shown)


def straight(logits: Float[Tensor, "n p"], temperature: float) -> Float[Tensor, "n p"]:
    """Draw masks of 0 and 1 with probability σ(logit) of 1, whose gradient is that of relaxed masks."""
    noise = torch.rand_like(logits).clamp(1e-6, 1 - 1e-6).logit()
    relaxed = ((logits + noise) / temperature).sigmoid()
    return (relaxed > 0.5).to(relaxed) + (relaxed - relaxed.detach())
