"""Conv3, the image network of continual learning: each image is normalised by itself, as if it came alone.

Beaulieu et al. 2020, "Learning to Continually Learn", §3: three blocks of 3×3 convolution without padding,
normalisation, ReLU, of which the first two are followed by 2×2 max pooling. Their batch norm sees one image at a time,
and so is the group norm of one channel a group that stands here.
"""

from collections import OrderedDict
from typing import Literal

from torch import nn

from ..errors import MapstoError
from .activations import Activation, activate

SMALLEST = 22  # pixels a side; fewer leave one pixel a channel, which its norm makes 0


class Conv3(nn.Sequential):
    """Images `[n, channels, size, size] ↦ [n, outputs]`, or features `[n, width]` without `outputs`.

    `width` is the number of features before the head: 9 · `hidden` for 28×28 images. The paper's prediction network has
    256 channels, its neuromodulatory network 112 and as many outputs as the other has features.

    Raises:
        MapstoError: images too small, `hidden` below 1, an unknown `pooling` or activation.

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
        if pooling not in ("max", "average"):
            raise MapstoError(f"pooling: got {pooling!r}, expected 'max' or 'average'.")
        if size < SMALLEST or hidden < 1:
            raise MapstoError(
                f"size, hidden: got {size} and {hidden}, expected at least {SMALLEST} pixels and 1 channel."
            )
        side = ((size - 2) // 2 - 2) // 2 - 2
        pools = [nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2) for _ in range(2)]
        first, *others = (_block(inputs, hidden, activation) for inputs in (channels, hidden, hidden))
        self.blocks = nn.Sequential(first, pools[0], others[0], pools[1], others[1])
        self.readout = nn.Flatten()
        self.width = hidden * side**2
        self.head = nn.Identity() if outputs is None else nn.Linear(self.width, outputs)


def _block(inputs: int, hidden: int, activation: Activation) -> nn.Module:
    layers = OrderedDict(
        conv=nn.Conv2d(inputs, hidden, 3), norm=nn.GroupNorm(hidden, hidden), activation=activate(activation)
    )
    return nn.Sequential(layers)
