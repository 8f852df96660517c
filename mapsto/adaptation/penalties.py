"""Penalties on the features of an adapted model, for `Regularised`.

    balance   = −Σ_i decay^depth(i)·(½·log α_i + ½·log(1 − α_i)),   α_i = Σ_x w·P_i(x)·p_i(x) / Σ_x w·P_i(x)
    stability = Σ_x w·‖∇_x scores − θ(x)ᵀ·J_h(x)‖²

`balance` is for a soft tree, with the probabilities P_i of reaching inner node i and p_i of going right there: Frosst &
Hinton 2017, "Distilling a Neural Network Into a Soft Decision Tree", eq. 4 and 5, where λ is `Regularised`'s weight.
`stability` is for a self-explaining network with concepts h and relevances θ: Alvarez-Melis & Jaakkola 2018, their L_θ,
squared so that it has a derivative at 0. If there is a body below the head, x is the body's input, and by the chain
rule the penalty is the same gap at that input. Penalties find features by name, so learners need not know the network.
"""

from collections.abc import Callable, Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap

from .. import checks
from ..errors import MapstoError

Read = Callable[[Tensor], Mapping[str, Tensor]]
"""Rows ↦ the adapted model's features, see `Learner.features`."""
Penalty = Callable[[Read, Tensor, Tensor], Tensor]
"""(read, x, w) ↦ the penalty, a sum over rows x with weights w."""


@final
class Balance:
    """The penalty of a tree that sends all rows the same way; for `Regularised`.

    It is multiplied by `decay` at each level, because fewer rows reach deeper nodes. It is least, log 2 at the root, if
    every node halves its rows.
    """

    def __init__(self, decay: float = 0.5):
        checks.above(0, decay=decay)
        checks.expect(decay <= 1, "decay", decay, "a number up to 1")
        self.decay = decay

    def __call__(self, read: Read, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the penalty on rows x with weights w, summed over the trees among the features."""
        paths = [value for name, value in read(x).items() if name.rpartition(".")[2] == "paths"]
        checks.expect(bool(paths), "penalty", "Balance for a body without a SoftDecisionTree", "one as the body's head")
        return torch.stack([balance(reach, w, self.decay) for reach in paths]).sum()


@final
class ConceptStability:
    """The penalty of relevances that change faster than the concepts; for `Regularised`."""

    def __call__(self, read: Read, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return Σ w·‖∇_x scores − θᵀ·J_h‖² over rows x with weights w.

        Raises MapstoError if the learner's body has no SENN.
        """

        def parts(row: Tensor) -> tuple[Tensor, Tensor]:
            features = read(row[None])
            concepts, relevances = (_named(features, name)[0] for name in ("concepts", "relevances"))
            return concepts, relevances.unflatten(0, (len(concepts), -1))  # [c], [c, k]

        return w @ vmap(lambda row: _gap(parts, row))(x)


def balance(reach: Float[Tensor, "n nodes"], w: Float[Tensor, " n"], decay: float = 0.5) -> Float[Tensor, ""]:
    """Return −Σ_i decay^depth(i)·(½·log α_i + ½·log(1 − α_i)), given the log-probabilities of reaching each node.

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


def _named(features: Mapping[str, Tensor], name: str) -> Tensor:
    for key, value in features.items():
        if key.rpartition(".")[2] == name:
            return value
    raise MapstoError(f"penalty: got a body without a SENN (no feature {name!r}), expected one as the body's head.")
