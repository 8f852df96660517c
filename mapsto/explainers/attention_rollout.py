"""Attention rollout: how much of each input is in each output, when attention is followed through all layers.

    Ã_i = (A_i + 1)/2 · Ã_{i−1},   Ã_0 = 1

Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers", eq. 1 with the residual connection of §3 (half of
what a layer hands on is its input). Row r of the result says what output r was made of; rows sum to 1. What attention
cannot see stays unseen: values and MLPs are taken to pass on all inputs alike.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from ..checks import readable
from ..errors import MapstoError


def attention_rollout(attentions: Float[Tensor, "l r r"] | Iterable[Float[Tensor, "r r"]]) -> Float[Tensor, "r r"]:
    """Return what each output is made of, from each layer's attention (averaged over heads), the first layer first.

    `InContext.attentions` makes the layers' matrices of a learner that attends to its teaching examples.

    Raises:
        MapstoError: no layers, or attention that is not square matrices of one size, whose rows are shares.

    >>> looks_at_first = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> attention_rollout([looks_at_first, looks_at_first])
    tensor([[1.0000, 0.0000],
            [0.7500, 0.2500]])
    """
    layers = list(attentions)
    shapes = {tuple(layer.shape) for layer in layers}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 2 or shape[0] != shape[1]:
        raise MapstoError(
            f"attentions: got matrices of shapes {[tuple(layer.shape) for layer in layers]}, expected one square "
            "matrix [r, r] for each layer, all of one size, averaged over heads."
        )
    for layer in layers:
        if readable(layer) and not ((layer >= 0).all() and ((layer.sum(-1) - 1).abs() < 1e-3).all()):
            raise MapstoError("attentions: got rows that are no shares, expected numbers from 0 that add up to 1.")
    made_of = same = torch.eye(len(layers[0]), dtype=layers[0].dtype, device=layers[0].device)
    for layer in layers:
        made_of = (layer + same) / 2 @ made_of
    return made_of
