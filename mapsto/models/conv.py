"""Conv4, the image network of the few-shot literature: four blocks of convolution, norm, nonlinearity, pooling.

Vinyals et al. 2016, §4.1; Snell et al. 2017, §3.1 (max pooling, flattened); Finn et al. 2017, §5.2 on Omniglot
(strided convolutions, mean over what is left).
"""

from collections import OrderedDict
from typing import Literal

from torch import nn

from ..errors import MapstoError
from .activations import Activation, activate
from .norms import Norm, normalise, started


class Conv4(nn.Sequential):
    """Images `[n, channels, size, size] ↦ [n, outputs]`, or embeddings `[n, width]` without `outputs`.

    `norm`: "batch", for which a learner supplies the statistics of the support set, "layer", each image by itself, or
    "none". `pooling` halves the image in every block: "max" or "average" by 2×2 windows, "stride" by the convolution
    itself. `readout` flattens the last block's image or averages over it. `width` is the number of features before the
    head: 64 for 28×28 images.

    Raises:
        MapstoError: `channels` or `hidden` below 1, an unknown `norm`, `pooling`, `readout` or activation, or images
            too small to be halved four times.

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
        _check(channels, hidden, size, pooling, readout)
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
        conv=started(nn.Conv2d(inputs, hidden, 3, stride=2 if pooling == "stride" else 1, padding=1), norm),
        norm=normalise(norm, hidden),
        activation=activate(activation),
    )
    if pooling != "stride":
        layers["pool"] = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
    if pooling == "max" and activation == "relu":
        layers.move_to_end("activation")  # the larger of two, then above 0: the same at a quarter of the cost
    return nn.Sequential(layers)


def _check(channels: int, hidden: int, size: int, pooling: str, readout: str) -> None:
    if min(channels, hidden) < 1:
        raise MapstoError(f"channels, hidden: got {channels} and {hidden}, expected whole numbers from 1.")
    if pooling not in ("max", "average", "stride"):
        raise MapstoError(f"pooling: got {pooling!r}, expected 'max', 'average' or 'stride'.")
    if readout not in ("flatten", "mean"):
        raise MapstoError(f"readout: got {readout!r}, expected 'flatten' or 'mean'.")
    if size < 16 and pooling != "stride":
        raise MapstoError(f"size: got {size}, expected at least 16 pixels to halve four times; use pooling='stride'.")
