"""L2X: a fixed number of players, chosen with a relaxed sample, and a predictor trained together with the selector.

    m_j = max_{i=1…count} softmax((logits + g_i)/temperature)_j,  g_i ~ Gumbel      loss = E_m ℓ(target, q(x·m, m))

Chen et al. 2018, "Learning to Explain", eq. 4 and §3.4. At the end, the players of the largest logits are selected.
Because the predictor is trained on the selector's masks, a mask can encode the answer (Jethani et al. 2021, §3.1).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ... import checks
from .explainer import Prediction, Target
from .players import Players, strongest
from .selector import Losses, Network, Predictor, Selector


class L2X(Selector):
    """Select a fixed number of players, through a relaxed sample, with a predictor that is trained on these samples.

    Args:
        count: the number of players to select.
        temperature: the temperature of the relaxed sample; towards 0, it becomes a choice.
        predictor_width: the number of hidden units of the predictor.
        players, outputs, reads, target, network, width: see `Selector`.

    Raises:
        MapstoError: if `count` exceeds the number of players, the temperature is not positive, or in any case in which
            `Selector` raises it.
    """

    def __init__(
        self,
        players: Players,
        count: int,
        outputs: int | None = None,
        reads: Mapping[str, int] | None = None,
        target: Target = "model",
        temperature: float = 0.5,
        network: Network = "perceptron",
        width: int = 100,
        predictor_width: int = 200,
    ):
        super().__init__(players, outputs, reads, target, cost=0, restraint=0, warmup=0, network=network, width=width)
        checks.count(count=count, predictor_width=predictor_width)
        checks.expect(count <= players.count, "count", count, f"at most {players.count}, the players")
        checks.above(0, temperature=temperature)
        self.count, self.temperature = count, temperature
        self.predictor = Predictor(players, outputs, predictor_width)

    def losses(
        self, prediction: Prediction, logits: Float[Tensor, "n p"], visible: Bool[Tensor, "n p"],
        target: Float[Tensor, "n k"],
    ) -> Losses:  # fmt: skip
        """Return the error of the predictor on relaxed samples of the selection, which trains both."""
        scores = logits.log_softmax(-1).masked_fill(~visible, -1e9)
        noise = -torch.empty(len(logits), self.count, self.players.count).to(logits).exponential_().log()
        relaxed = ((scores[:, None] + noise) / self.temperature).softmax(-1).amax(1) * visible
        error = self.predictor.errors(prediction, relaxed[:, None], target)[:, 0]
        return Losses(torch.zeros_like(error), error, relaxed.detach().sum(-1))

    def choose(self, probability: Float[Tensor, "n p"]) -> Bool[Tensor, "n p"]:
        """Return the `count` players with the largest probabilities."""
        return strongest(probability, self.count)

    def predicted(self, prediction: Prediction, shown: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Return the outcome that the predictor reads from the shown players."""
        return self.predictor.outcome(prediction, shown)
