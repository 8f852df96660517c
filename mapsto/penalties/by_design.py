"""Penalties on models that are readable by design: soft decision trees and self-explaining networks.

    balance   = −Σ_i decay^depth(i)·(½·log α_i + ½·log(1 − α_i)),   α_i = Σ_x w·P_i(x)·p_i(x) / Σ_x w·P_i(x)
    stability = Σ_x w·‖∇_x scores − θ(x)ᵀ·J_h(x)‖²

`balance` is for a soft decision tree. P_i(x) is the probability that row x reaches inner node i, and p_i(x) the
probability that it goes right there, so α_i is the fraction of rows at this node that go right. Frosst & Hinton 2017,
"Distilling a Neural Network Into a Soft Decision Tree", eq. 4 and 5; their λ is the `weight` of `Regularised`.

`stability` is for a self-explaining network with concepts h, their Jacobian J_h, and relevances θ. Alvarez-Melis &
Jaakkola 2018, their L_θ, squared so that it has a derivative at 0. If there is a body below the self-explaining head, x
is the input of the body. Penalties find features by name, so they work with every learner.
"""

from collections.abc import Callable, Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap

from .. import checks
from ..errors import MapstoError
from .penalty import AdaptedModel, Penalty


@final
class Balance(Penalty):
    """A penalty, for `Regularised`, on a soft decision tree whose nodes send nearly all rows to one side.

    The penalty of a node is multiplied by `decay` at each level of depth, because fewer rows reach deeper nodes. A node
    has the lowest penalty if it sends half of its rows to each side. The lowest penalty of the root is log 2.

    Args:
        decay: the multiplier for each level, above 0 and at most 1.

    Raises:
        MapstoError: if `decay` is not in (0, 1].
    """

    def __init__(self, decay: float = 0.5):
        checks.above(0, decay=decay)
        checks.expect(decay <= 1, "decay", decay, "a number up to 1")
        self.decay = decay

    def __call__(self, model: AdaptedModel, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the penalty for rows `x` with weights `w`, summed over all soft decision trees in the body.

        Raises:
            MapstoError: if the body has no `SoftDecisionTree`.
        """
        paths = [value for name, value in model(x).items() if name.rpartition(".")[2] == "paths"]
        checks.expect(bool(paths), "penalty", "Balance for a body without a SoftDecisionTree", "one as the body's head")
        return torch.stack([balance(reach, w, self.decay) for reach in paths]).sum()


@final
class ConceptStability(Penalty):
    """A penalty, for `Regularised`, on a self-explaining network whose relevances change faster than its concepts.

    Alvarez-Melis & Jaakkola 2018, their L_θ, squared.
    """

    def __call__(self, model: AdaptedModel, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return Σ w·‖∇_x scores − θᵀ·J_h‖² over rows `x`, for relevances θ and the Jacobian J_h of the concepts.

        Raises:
            MapstoError: if the body has no `SENN`.
        """

        def parts(row: Tensor) -> tuple[Tensor, Tensor]:
            features = model(row[None])
            concepts, relevances = (_named(features, name)[0] for name in ("concepts", "relevances"))
            return concepts, relevances.unflatten(0, (len(concepts), -1))  # [c], [c, k]

        return w @ vmap(lambda row: _gap(parts, row))(x)


def balance(reach: Float[Tensor, "n nodes"], w: Float[Tensor, " n"], decay: float = 0.5) -> Float[Tensor, ""]:
    """Return −Σ_i decay^depth(i)·(½·log α_i + ½·log(1 − α_i)), given the log-probabilities of reaching each node.

    α_i is the fraction of the rows at inner node i that go right.

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
