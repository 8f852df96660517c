"""A self-explaining network: the scores are sums of concepts h(x), weighted by relevances θ(x).

    scores_k = g(θ(x)_1k·h(x)_1, …, θ(x)_ck·h(x)_c),   g the sum

Alvarez-Melis & Jaakkola 2018, "Towards Robust Interpretability with Self-Explaining Neural Networks", §2. θ may be any
network. The penalty `penalties.ConceptStability` makes θ change slowly compared with the concepts. Near a
point, the scores are then linear in the concepts with coefficients θ(x), and θ·h is the contribution of each concept.

We depart from the paper in two points. g is the sum, as in the paper's experiments, and not any increasing function.
The concepts are not grounded by an autoencoder (the paper's §3); the caller chooses the network `concepts`.
"""

from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from .. import checks
from ..errors import MapstoError


@final
class SENN(nn.Module):
    """A self-explaining network: each score is the sum of the input's concepts, each multiplied by its relevance.

    The network maps inputs `[n, ...]` to scores `[n, outputs]`. In a learner, `learner.features(state, x)` returns the
    explanation of each row: `concepts` h `[n, c]`, `relevances` θ `[n, c·outputs]` and `contributions` θ·h
    `[n, c, outputs]`. Summed over the c concepts, the contributions are the scores.

    Args:
        concepts: the network x ↦ h(x) `[n, c]`. With `nn.Identity()`, each column of the input is a concept.
        relevances: the network x ↦ θ(x) `[n, c·outputs]`.
        outputs: the number of scores.

    Raises:
        MapstoError: if `outputs` is below 1. The method `forward` raises MapstoError if the number of relevances
            differs from concepts × outputs.

    >>> import torch
    >>> head = SENN(nn.Identity(), nn.Linear(3, 6), outputs=2)
    >>> head(torch.randn(4, 3)).shape
    torch.Size([4, 2])
    """

    def __init__(self, concepts: nn.Module, relevances: nn.Module, outputs: int):
        super().__init__()
        checks.count(outputs=outputs)
        self.concepts, self.relevances, self.outputs = concepts, relevances, outputs
        self.contributions = _Contributions(outputs)

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the scores of `n` rows."""
        return self.contributions(self.relevances(x), self.concepts(x)).sum(1)


class _Contributions(nn.Module):
    def __init__(self, outputs: int):
        super().__init__()
        self.outputs = outputs

    def forward(self, relevances: Tensor, concepts: Tensor) -> Float[Tensor, "n c k"]:
        if concepts.ndim != 2 or relevances.shape != (concepts.shape[0], concepts.shape[1] * self.outputs):
            raise MapstoError(
                f"relevances: got {tuple(relevances.shape)} for concepts {tuple(concepts.shape)}, expected concepts "
                f"[n, c] and relevances [n, c·{self.outputs}], one for each concept and output."
            )
        return relevances.unflatten(1, (-1, self.outputs)) * concepts[..., None]
