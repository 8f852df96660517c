"""Attention rollout: the share of each input in each output, if attention is followed through all layers.

    Ã_i = (A_i + 1)/2 · Ã_{i−1},   Ã_0 = 1

Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers", eq. 1 with the residual connection of §3 (half of a
layer's output is its input). Row r of the result holds the shares of the inputs in output r; rows sum to 1. Attention
alone is followed: values and MLPs are assumed to pass on all inputs alike.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks


def attention_rollout(attentions: Float[Tensor, "l r r"] | Iterable[Float[Tensor, "r r"]]) -> Float[Tensor, "r r"]:
    """Return the share of each input in each output, from the layers' attention (means over heads) in order.

    `InContext.attentions` returns the layers' matrices of a learner that attends to its teaching examples.

    Raises:
        MapstoError: if there are no layers, or the attentions are not square matrices of one size whose rows are
            shares.

    >>> looks_at_first = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> attention_rollout([looks_at_first, looks_at_first])
    tensor([[1.0000, 0.0000],
            [0.7500, 0.2500]])
    """
    layers = list(attentions)
    shapes = [tuple(layer.shape) for layer in layers]
    square = len(set(shapes)) == 1 and len(shapes[0]) == 2 and shapes[0][0] == shapes[0][1]
    expected = "one square matrix [r, r] for each layer, all of one size, averaged over heads"
    checks.expect(square, "attentions", f"matrices of shapes {shapes}", expected)
    for layer in layers:
        if checks.readable(layer):
            shares = bool((layer >= 0).all() and ((layer.sum(-1) - 1).abs() < 1e-3).all())
            checks.expect(shares, "attentions", "rows that are no shares", "numbers from 0 that add up to 1")
    rollout = same = torch.eye(len(layers[0]), dtype=layers[0].dtype, device=layers[0].device)
    for layer in layers:
        rollout = (layer + same) / 2 @ rollout
    return rollout
