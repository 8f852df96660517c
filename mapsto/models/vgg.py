"""VGG for small images: pairs of 3×3 convolutions between poolings, with twice as many channels after each pooling.

Simonyan & Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition", §2.1, adapted to
few-shot images: one pooling for each width, a single linear layer at the end, and norms, which the paper does not have.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from .. import checks
from .activations import Activation, activate
from .convolution import Convolution
from .norms import Norm, normalise, started


class VGG(nn.Sequential):
    """VGG for small images: stages of 3×3 convolutions, each of which ends in a 2×2 max pooling.

    The network maps images `[n, channels, size, size]` to `[n, outputs]`. If `outputs` is None, it returns embeddings,
    whose size is the attribute `width`. `widths` are the numbers of channels of the stages, and each stage has `depth`
    convolutions. `norm` and `activation` take the same values as in `Conv4`.

    Raises:
        MapstoError: if there is no stage, a width or `depth` is below 1, `depth` is above 1000, images are too small
            for the poolings, or `norm` or `activation` is unknown.

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
        checks.expect(min(widths, default=0) > 0, "widths", tuple(widths), "one or more whole numbers from 1")
        checks.layers(depth=depth)
        checks.count(2 ** len(widths), size=size)
        side = size // 2 ** len(widths)
        self.stages = nn.Sequential(
            *(_stage(inputs, width, depth, activation, norm) for inputs, width in pairwise((channels, *widths)))
        )
        self.readout = nn.Flatten()
        self.width = widths[-1] * side**2
        self.head = nn.Identity() if outputs is None else nn.Linear(self.width, outputs)


def _stage(inputs: int, width: int, depth: int, activation: Activation, norm: Norm) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(depth):
        convolution = started(Convolution(width if i else inputs, width, 3, padding=1), norm)
        layers += [convolution, normalise(norm, width), activate(activation)]
    return nn.Sequential(*layers, nn.MaxPool2d(2))
