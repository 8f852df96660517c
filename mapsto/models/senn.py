"""A network that is its own explanation: concepts, and how much each of them counts here.

    scores_k = Σ_c θ(x)_ck · h(x)_c                                                  (eq. 2 and 3, g the sum)
    stability = Σ_x w·‖∇_x scores − θ(x)ᵀ·J_h(x)‖²                                   (eq. 4, squared)

Alvarez-Melis & Jaakkola 2018, "Towards Robust Interpretability with Self-Explaining Neural Networks". θ may be as deep
as any network; the penalty makes it change slowly where the concepts do, so that near a point the scores are linear in
the concepts with coefficients θ(x), and `θ·h` may be read as what each concept adds.

Where we depart: the aggregation g is the sum, the paper's experiments' own choice; the norm is squared, which has a
slope at 0; and with a body below, x is the body's input, which the chain rule makes the same penalty seen from there.
Grounding of the concepts (the paper's autoencoder, §3.2) is left to the body.
"""

from collections.abc import Callable, Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import jacrev, vmap

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


@final
class ConceptStability:
    """The penalty of relevances that change faster than the concepts; for `learners.Regularised`."""

    def __call__(self, read: Callable[[Tensor], Mapping[str, Tensor]], x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return Σ w·‖∇_x scores − θᵀ·J_h‖² over rows x of weights w.

        Raises MapstoError where the learner's body has no SENN.
        """

        def parts(row: Tensor) -> tuple[Tensor, Tensor]:
            found = read(row[None])
            concepts, relevances = (_named(found, name)[0] for name in ("concepts", "relevances"))
            return concepts, relevances.unflatten(0, (len(concepts), -1))  # [c], [c, k]

        return w @ vmap(lambda row: _gap(parts, row))(x)


def _gap(parts: Callable[[Tensor], tuple[Tensor, Tensor]], row: Tensor) -> Tensor:
    """Return ‖∇ Σ_c θ_c·h_c − Σ_c θ_c·∇h_c‖², that is ‖Σ_c h_c·∇θ_c‖², at one row."""
    relevance = parts(row)[1]
    slope = jacrev(lambda x: torch.einsum("c,ck->k", *parts(x)))(row).flatten(1)  # [k, x]
    concept = jacrev(lambda x: parts(x)[0])(row).flatten(1)  # [c, x]
    return (slope - relevance.T @ concept).square().sum()


def _named(found: Mapping[str, Tensor], name: str) -> Tensor:
    for key, value in found.items():
        if key.rpartition(".")[2] == name:
            return value
    raise MapstoError(f"penalty: the learner's body has no SENN (no feature called {name!r}); give it one as a head.")
