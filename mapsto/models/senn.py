"""A network that is its own explanation: concepts, and how much each of them counts here.

    scores_k = g(θ(x)_1k·h(x)_1, …, θ(x)_ck·h(x)_c),   g the sum

Alvarez-Melis & Jaakkola 2018, "Towards Robust Interpretability with Self-Explaining Neural Networks", §2. θ may be as
deep as any network; `learners.penalties.ConceptStability` makes it change slowly where the concepts do, so that near a
point the scores are linear in the concepts with coefficients θ(x), and `θ·h` may be read as what each concept adds.

Where we depart: g is the sum, as in the paper's experiments, and not any increasing function. Grounding the concepts
(the paper's autoencoder, §3) is left to whoever builds `concepts`.
"""

from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from ..errors import MapstoError


@final
class SENN(nn.Module):
    """Inputs `[n, ...]` ↦ scores `[n, outputs]`, each a sum of concepts times their relevances.

    The features `concepts` `[n, c]`, `relevances` `[n, c·outputs]` and `contributions` `[n, c, outputs]`, θ·h, are its
    own attributions: `learner.features(state, x)` gives those of the adapted network, and contributions add up to the
    scores.

    Args:
        concepts: x ↦ h(x) `[n, c]`; `nn.Identity()` takes columns for concepts.
        relevances: x ↦ θ(x) `[n, c·outputs]`.
        outputs: number of scores.

    Raises:
        MapstoError: `outputs` below 1; in use, relevances that are not one a concept and output.

    >>> import torch
    >>> head = SENN(nn.Identity(), nn.Linear(3, 6), outputs=2)
    >>> head(torch.randn(4, 3)).shape
    torch.Size([4, 2])
    """

    def __init__(self, concepts: nn.Module, relevances: nn.Module, outputs: int):
        super().__init__()
        if outputs < 1:
            raise MapstoError(f"outputs: got {outputs}, expected at least 1.")
        self.concepts, self.relevances, self.outputs = concepts, relevances, outputs
        self.contributions = _Contributions(outputs)

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the scores."""
        return self.contributions(self.relevances(x), self.concepts(x)).sum(1)


class _Contributions(nn.Module):
    def __init__(self, outputs: int):
        super().__init__()
        self.outputs = outputs

    def forward(self, relevances: Tensor, concepts: Tensor) -> Float[Tensor, "n c k"]:
        if concepts.ndim != 2 or relevances.shape != (len(concepts), concepts.shape[1] * self.outputs):
            raise MapstoError(
                f"relevances: got {tuple(relevances.shape)} for concepts {tuple(concepts.shape)}, expected rows of "
                f"concepts and of concepts times {self.outputs} outputs."
            )
        return relevances.unflatten(1, (-1, self.outputs)) * concepts[..., None]
