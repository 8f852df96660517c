"""Conv3, the image network of continual learning, which normalises each image by itself.

Beaulieu et al. 2020, "Learning to Continually Learn", §3: three blocks of 3×3 convolution without padding,
normalisation and ReLU, with 2×2 max pooling after the first two. Their batch norm sees one image at a time, which is
the same as the group norm here, with one channel in each group.
"""

from collections import OrderedDict
from typing import Literal

from torch import nn

from .. import checks
from .activations import Activation, activate
from .convolution import Convolution

SMALLEST = 22  # pixels; smaller images leave one pixel in each channel, which the norm sets to 0


class Conv3(nn.Sequential):
    """Conv3, the image network of continual learning: three convolutional blocks that normalise each image by itself.

    The network maps images `[n, channels, size, size]` to `[n, outputs]`, or to features `[n, width]` if `outputs` is
    None. Each block has `hidden` channels; `pooling` is "max" or "average"; `activation` takes the same values as in
    `Conv4`. The attribute `width` is the number of features before the head, 9 · `hidden` for 28×28 images.

    In the paper on ANML, the prediction network has 256 channels. The gate, called the neuromodulatory network, has 112
    channels and one output for each feature of the prediction network.

    Raises:
        MapstoError: if `size` is below 22 pixels, `hidden` is below 1, or `pooling` or `activation` is unknown.

    >>> import torch
    >>> Conv3(hidden=8)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 72])
    """

    def __init__(
        self,
        channels: int = 1,
        hidden: int = 256,
        outputs: int | None = None,
        size: int = 28,
        activation: Activation = "relu",
        pooling: Literal["max", "average"] = "max",
    ):
        super().__init__()
        checks.one_of(("max", "average"), pooling=pooling)
        checks.count(SMALLEST, size=size)
        checks.count(hidden=hidden)
        side = ((size - 2) // 2 - 2) // 2 - 2
        pools = [nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2) for _ in range(2)]
        first, *others = (_block(inputs, hidden, activation) for inputs in (channels, hidden, hidden))
        self.blocks = nn.Sequential(first, pools[0], others[0], pools[1], others[1])
        self.readout = nn.Flatten()
        self.width = hidden * side**2
        self.head = nn.Identity() if outputs is None else nn.Linear(self.width, outputs)


def _block(inputs: int, hidden: int, activation: Activation) -> nn.Module:
    layers = OrderedDict(
        conv=Convolution(inputs, hidden, 3), norm=nn.GroupNorm(hidden, hidden), activation=activate(activation)
    )
    return nn.Sequential(layers)
