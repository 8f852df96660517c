"""The multi-layer perceptron: linear layers with nonlinearities between them."""

import itertools
from collections.abc import Sequence

from torch import nn

from .. import checks
from .activations import Activation, activate


class MLP(nn.Sequential):
    """A multi-layer perceptron: linear layers with nonlinearities between them.

    The network maps `[n, sizes[0]]` to `[n, sizes[-1]]`, and the sizes in between are the widths of the hidden layers.
    Inputs with more axes are flattened. `MLP(1, 40, 40, 1)` is the sinusoid regressor of Finn et al. 2017, §5.1. For
    finite differences and second derivatives, choose a smooth activation ("tanh" or "softplus"). In configuration
    files, give the sizes as the list `widths`.

    Raises:
        MapstoError: if there are fewer than two sizes, a size is below 1, or the activation is unknown.

    >>> import torch
    >>> MLP(2, 8, 3)(torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    """

    def __init__(self, *sizes: int, activation: Activation = "relu", widths: Sequence[int] = ()):
        sizes = sizes or tuple(widths)
        valid = len(sizes) > 1 and min(sizes) > 0
        checks.expect(valid, "sizes", sizes, "at least two sizes from 1, inputs first and outputs last")
        layers: list[nn.Module] = [nn.Flatten()]
        for width, following in itertools.pairwise(sizes):
            layers += [nn.Linear(width, following), activate(activation)]
        super().__init__(*layers[:-1])
