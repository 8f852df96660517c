"""Conv4, the image network of the few-shot literature: four blocks of convolution, norm, nonlinearity and pooling.

Vinyals et al. 2016, §4.1; Snell et al. 2017, §3.1 (max pooling, flattened); Finn et al. 2017, §5.2 on Omniglot
(strided convolutions, then the mean over the image).
"""

from collections import OrderedDict
from typing import Literal

from torch import nn

from .. import checks
from .activations import Activation, activate
from .convolution import Convolution
from .norms import Norm, normalise, started


class Conv4(nn.Sequential):
    """Conv4, the usual few-shot image network: four blocks of convolution, norm, nonlinearity and pooling.

    The network maps images `[n, channels, size, size]` to `[n, outputs]`, or to embeddings `[n, width]` if `outputs` is
    None. The attribute `width` is the number of features before the head, 64 by default.

    Args:
        channels: the number of channels of an image.
        hidden: the number of channels in each block.
        outputs: the number of outputs; if None, the network returns embeddings.
        size: the height and width of an image in pixels.
        activation: the name or class of the nonlinearity.
        pooling: how each block halves the image: by 2×2 "max" or "average" pooling, or by "stride", a convolution of
            stride 2.
        readout: how the output of the last block becomes a vector: "flatten", or "mean" over the pixels.
        norm: "batch" for batch norm (in a learner, with the statistics of the support set), "layer" to normalise each
            image by itself, or "none".

    Raises:
        MapstoError: if `channels` or `hidden` is below 1, `norm`, `pooling`, `readout` or `activation` is unknown, or
            images are too small to be halved four times.

    >>> import torch
    >>> Conv4(channels=1, hidden=8, outputs=5)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        channels: int = 1,
        hidden: int = 64,
        outputs: int | None = None,
        size: int = 28,
        activation: Activation = "relu",
        pooling: Literal["max", "average", "stride"] = "max",
        readout: Literal["flatten", "mean"] = "flatten",
        norm: Norm = "batch",
    ):
        super().__init__()
        checks.count(channels=channels, hidden=hidden)
        checks.one_of(("max", "average", "stride"), pooling=pooling)
        checks.one_of(("flatten", "mean"), readout=readout)
        large = size >= 16 or pooling == "stride"
        checks.expect(large, "size", size, "at least 16 pixels to halve four times", "use pooling='stride'")
        side, blocks = size, []
        for inputs in (channels, hidden, hidden, hidden):
            blocks.append(_block(inputs, hidden, activation, pooling, norm))
            side = (side + 1) // 2 if pooling == "stride" else side // 2
        self.blocks = nn.Sequential(*blocks)
        self.readout = nn.Flatten() if readout == "flatten" else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.width = hidden * side**2 if readout == "flatten" else hidden
        self.head = nn.Identity() if outputs is None else nn.Linear(self.width, outputs)


def _block(inputs: int, hidden: int, activation: Activation, pooling: str, norm: Norm) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=started(Convolution(inputs, hidden, 3, stride=2 if pooling == "stride" else 1, padding=1), norm),
        norm=normalise(norm, hidden),
        activation=activate(activation),
    )
    if pooling != "stride":
        layers["pool"] = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
    if pooling == "max" and activation == "relu":
        layers.move_to_end("activation")  # ReLU and maximum commute, and this order costs a quarter
    return nn.Sequential(layers)
