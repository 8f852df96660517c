"""AlexNet for small images: five convolutions, of which the first, second and last are pooled, and two wide layers.

Krizhevsky, Sutskever & Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks", §3.5, with
kernels for small images (5, 5, 3, 3, 3, none strided). A norm stands where the paper normalised responses; dropout, by
which the same task would give another model each time, is left out.
"""

from torch import nn

from ..errors import MapstoError
from .activations import Activation, activate
from .norms import Norm, normalise, started

SMALLEST = 8  # pixels a side, for three poolings


class AlexNet(nn.Sequential):
    """Images `[n, channels, size, size] ↦ [n, outputs]`, or embeddings `[n, width]` without `outputs`.

    `hidden` is the unit of its widths: the convolutions have 2, 4, 6, 6 and 4 times as many channels, as 96, 256, 384,
    384 and 256 of the paper about are, and the two layers behind them `width` features; `norm` as in `Conv4`.

    Raises:
        MapstoError: `hidden` or `width` below 1, images below 8 pixels, an unknown `norm` or activation.

    >>> import torch
    >>> AlexNet(hidden=2, width=16, outputs=5)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        channels: int = 1,
        hidden: int = 32,
        outputs: int | None = None,
        size: int = 28,
        width: int = 256,
        activation: Activation = "relu",
        norm: Norm = "batch",
    ):
        super().__init__()
        if min(hidden, width) < 1 or size < SMALLEST:
            raise MapstoError(
                f"hidden, width, size: got {hidden}, {width} and {size}, expected whole numbers from 1 and at least "
                f"{SMALLEST} pixels."
            )
        self.width = width
        self.convolutions = nn.Sequential(
            *_layer(channels, 2 * hidden, 5, activation, norm), nn.MaxPool2d(2),
            *_layer(2 * hidden, 4 * hidden, 5, activation, norm), nn.MaxPool2d(2),
            *_layer(4 * hidden, 6 * hidden, 3, activation, norm),
            *_layer(6 * hidden, 6 * hidden, 3, activation, norm),
            *_layer(6 * hidden, 4 * hidden, 3, activation, norm), nn.MaxPool2d(2),
        )  # fmt: skip
        self.readout = nn.Sequential(
            nn.Flatten(), nn.Linear(4 * hidden * (size // 8) ** 2, width), activate(activation),
            nn.Linear(width, width), activate(activation),
        )  # fmt: skip
        self.head = nn.Identity() if outputs is None else nn.Linear(width, outputs)


def _layer(inputs: int, outputs: int, kernel: int, activation: Activation, norm: Norm) -> list[nn.Module]:
    convolution = started(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), norm)
    return [convolution, normalise(norm, outputs), activate(activation)]
