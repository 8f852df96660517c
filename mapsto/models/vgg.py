"""VGG for small images: pairs of 3×3 convolutions between poolings, the number of channels doubling.

Simonyan & Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition", §2.1, at the size of
few-shot images: as many poolings as there are widths, one linear layer behind them, and norms, which the paper had not.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from ..errors import MapstoError
from .activations import Activation, activate
from .norms import Norm, normalise, started


class VGG(nn.Sequential):
    """Images `[n, channels, size, size] ↦ [n, outputs]`, or embeddings `[n, width]` without `outputs`.

    `widths` are the channels of the stages, each of `depth` convolutions and a 2×2 max pooling; `norm` as in `Conv4`.

    Raises:
        MapstoError: no stage, a width or `depth` below 1, images too small to be halved so often, an unknown `norm` or
            activation.

    >>> import torch
    >>> VGG(channels=3, widths=(4, 8), outputs=5, size=32)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256),
        outputs: int | None = None,
        size: int = 28,
        depth: int = 2,
        activation: Activation = "relu",
        norm: Norm = "batch",
    ):
        super().__init__()
        if min((*widths, depth), default=0) < 1 or not widths:
            raise MapstoError(f"widths, depth: got {tuple(widths)} and {depth}, expected whole numbers from 1.")
        side = size // 2 ** len(widths)
        if side < 1:
            raise MapstoError(
                f"size: got {size}, expected at least {2 ** len(widths)} pixels for {len(widths)} stages."
            )
        self.stages = nn.Sequential(
            *(_stage(inputs, width, depth, activation, norm) for inputs, width in pairwise((channels, *widths)))
        )
        self.readout = nn.Flatten()
        self.width = widths[-1] * side**2
        self.head = nn.Identity() if outputs is None else nn.Linear(self.width, outputs)


def _stage(inputs: int, width: int, depth: int, activation: Activation, norm: Norm) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(depth):
        convolution = started(nn.Conv2d(width if i else inputs, width, 3, padding=1), norm)
        layers += [convolution, normalise(norm, width), activate(activation)]
    return nn.Sequential(*layers, nn.MaxPool2d(2))
