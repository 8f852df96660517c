"""What an adapted model should be like, read off its features: penalties for `Regularised`.

    balance   = −Σ_i decay^depth(i)·(½·log α_i + ½·log(1 − α_i)),   α_i = Σ_x w·P_i(x)·p_i(x) / Σ_x w·P_i(x)
    stability = Σ_x w·‖∇_x scores − θ(x)ᵀ·J_h(x)‖²

Of a soft tree, with P_i the probability of reaching inner node i and p_i of going right there: Frosst & Hinton 2017,
"Distilling a Neural Network Into a Soft Decision Tree", eq. 4 and 5, λ being `Regularised`'s weight. Of a
self-explaining network, with concepts h and relevances θ: Alvarez-Melis & Jaakkola 2018, their L_θ, squared so that it
has a slope at 0; with a body below the head, x is the body's input, and the chain rule makes it the same gap seen from
there. Penalties know features by name, so that learners need not know which network they adapt.
"""

from collections.abc import Callable, Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap

from ..errors import MapstoError

Read = Callable[[Tensor], Mapping[str, Tensor]]
"""Rows ↦ the adapted model's features, see `Learner.features`."""
Penalty = Callable[[Read, Tensor, Tensor], Tensor]
"""(read, x, w) ↦ a number to be small, a sum over rows x of weights w."""


@final
class Balance:
    """The penalty of a tree that sends all rows one way; for `Regularised`.

    `decay` lowers it by so much a level, since fewer rows come by. It is least, log 2 at the root, where every
    node halves its rows.
    """

    def __init__(self, decay: float = 0.5):
        if not 0 < decay <= 1:
            raise MapstoError(f"decay: got {decay}, expected above 0 and up to 1.")
        self.decay = decay

    def __call__(self, read: Read, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the penalty on rows x of weights w, of every tree that the features speak of."""
        paths = [value for name, value in read(x).items() if name.rpartition(".")[2] == "paths"]
        if not paths:
            raise MapstoError("penalty: the learner's body has no SoftDecisionTree to balance; give it one as a head.")
        return torch.stack([balance(reach, w, self.decay) for reach in paths]).sum()


@final
class ConceptStability:
    """The penalty of relevances that change faster than the concepts; for `Regularised`."""

    def __call__(self, read: Read, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return Σ w·‖∇_x scores − θᵀ·J_h‖² over rows x of weights w.

        Raises MapstoError where the learner's body has no SENN.
        """

        def parts(row: Tensor) -> tuple[Tensor, Tensor]:
            found = read(row[None])
            concepts, relevances = (_named(found, name)[0] for name in ("concepts", "relevances"))
            return concepts, relevances.unflatten(0, (len(concepts), -1))  # [c], [c, k]

        return w @ vmap(lambda row: _gap(parts, row))(x)


def balance(reach: Float[Tensor, "n nodes"], w: Float[Tensor, " n"], decay: float = 0.5) -> Float[Tensor, ""]:
    """Return −Σ_i decay^depth(i)·(½·log α_i + ½·log(1 − α_i)), of the log-probabilities of reaching each node.

    >>> balance(torch.tensor([[1.0, 0.25, 0.75]]).log(), torch.ones(1))  # −½·log(0.25) − ½·log(0.75)
    tensor(0.8370)
    """
    inner = reach.shape[1] // 2
    mass = w @ reach.exp()  # [nodes]
    some = mass[:inner] > 0
    share = torch.where(some, mass[2::2], 0.5) / torch.where(some, mass[:inner], 1.0)  # α, of the right child 2i + 2
    share = share.clamp(1e-6, 1 - 1e-6)
    factor = torch.cat([reach.new_full((2**d,), decay**d) for d in range(inner.bit_length())])  # [i]
    return -(factor * (share.log() + (1 - share).log())).sum() / 2


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
