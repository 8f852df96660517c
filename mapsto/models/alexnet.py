"""AlexNet for small images: five convolutions (pooling follows the first, second and last) and two wide layers.

Krizhevsky, Sutskever & Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks", §3.5, with
kernels for small images (sizes 5, 5, 3, 3 and 3, without strides). A norm replaces the paper's response normalisation.
Dropout is left out, because with dropout the same task would give a different model each time.
"""

from torch import nn

from .. import checks
from .activations import Activation, activate
from .convolution import Convolution
from .norms import Norm, normalise, started

SMALLEST = 8  # pixels, because there are three poolings


class AlexNet(nn.Sequential):
    """AlexNet for small images: five convolutions and two wide linear layers.

    The network maps images `[n, channels, size, size]` to `[n, outputs]`, or to embeddings `[n, width]` if `outputs` is
    None. The convolutions have 2, 4, 6, 6 and 4 times `hidden` channels, roughly in proportion to the paper's 96, 256,
    384, 384 and 256. Each of the two wide layers has `width` features. `norm` and `activation` take the same values as
    in `Conv4`.

    Raises:
        MapstoError: if `hidden` or `width` is below 1, `size` is below 8 pixels, or `norm` or `activation` is unknown.

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
        checks.count(hidden=hidden, width=width)
        checks.count(SMALLEST, size=size)
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
    convolution = started(Convolution(inputs, outputs, kernel, padding=kernel // 2), norm)
    return [convolution, normalise(norm, outputs), activate(activation)]
