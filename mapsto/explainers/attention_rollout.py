"""Attention rollout: how much of each output comes from each input, if attention is followed through all layers.

    Ã_i = (A_i + 1)/2 · Ã_{i−1},   Ã_0 = 1

`A_i` is the attention matrix of layer i, and 1 is the identity matrix. Abnar & Zuidema 2020, "Quantifying Attention
Flow in Transformers", eq. 1 with the residual connection of §3: half of a layer's output is its own input. Row r of the
result holds the fractions of output r that come from each input; they sum to 1. Only attention is followed: values and
MLPs are assumed to pass on all inputs alike.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks
from .explainer import without_graph


@without_graph()
def attention_rollout(attentions: Float[Tensor, "l r r"] | Iterable[Float[Tensor, "r r"]]) -> Float[Tensor, "r r"]:
    """Return the fraction of each output that comes from each input, by following attention through all layers.

    In each layer, half of output i is assumed to come from the layer's input i, through the residual connection, and
    the other half from all inputs, through attention (Abnar & Zuidema 2020). Row i of the result holds the fractions
    for output i, which sum to 1.

    Args:
        attentions: for each layer, from the first to the last, one matrix `[r, r]` of attention weights, averaged over
            heads. Row i holds the weights of output i for all inputs; they sum to 1. `InContext.attentions` returns
            such matrices.

    Raises:
        MapstoError: if there are no layers, if the matrices are not square or differ in size, or if a row has negative
            weights or does not sum to 1.

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
