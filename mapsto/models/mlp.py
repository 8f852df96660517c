"""The multi-layer perceptron: linear layers with a nonlinearity between them."""

import itertools
from collections.abc import Sequence

from torch import nn

from ..errors import MapstoError
from .activations import Activation, activate


class MLP(nn.Sequential):
    """Fully connected network `[n, sizes[0]] ↦ [n, sizes[-1]]`; inputs with more axes are flattened.

    `MLP(1, 40, 40, 1)` is the sinusoid regressor of Finn et al. 2017, §5.1. Smooth activations ("tanh", "softplus")
    suit finite differences and second derivatives. `widths` are the sizes as one list, as configurations write them.

    Raises:
        MapstoError: fewer than two sizes, a size below 1, or an unknown activation.

    >>> import torch
    >>> MLP(2, 8, 3)(torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    """

    def __init__(self, *sizes: int, activation: Activation = "relu", widths: Sequence[int] = ()):
        sizes = sizes or tuple(widths)
        if len(sizes) < 2 or min(sizes) < 1:
            raise MapstoError(f"sizes: got {sizes}, expected at least two positive widths, inputs first, outputs last.")
        layers: list[nn.Module] = [nn.Flatten()]
        for width, following in itertools.pairwise(sizes):
            layers += [nn.Linear(width, following), activate(activation)]
        super().__init__(*layers[:-1])
