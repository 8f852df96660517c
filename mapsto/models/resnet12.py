"""ResNet-12, the deep image network of the few-shot literature: four residual blocks of three convolutions.

    y = pool(activation(norm(W₃ · h) + norm(W · x))),   h = x after two layers of convolution, norm and activation

Oreshkin et al. 2018, "TADAM", §4 and appendix; Lee et al. 2019, "Meta-Learning with Differentiable Convex
Optimization", §4.1 (widths 64, 160, 320, 640; leaky ReLU of slope 0.1). Their DropBlock is left out, because with
DropBlock the same task would give a different model each time.
"""

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from .. import checks
from .activations import Activation, activate
from .convolution import Convolution
from .norms import Norm, normalise, started


class ResNet12(nn.Module):
    """ResNet-12, the deep image network of the few-shot literature: residual blocks of three convolutions.

    The network maps images `[n, channels, size, size]` to `[n, outputs]`, or to embeddings `[n, widths[-1]]` if
    `outputs` is None. Each block halves the image by max pooling, unless the image is one pixel wide. The embedding is
    the mean over the remaining pixels. `widths` are the numbers of channels of the blocks. `norm` and `activation` take
    the same values as in `Conv4`.

    Raises:
        MapstoError: if there is no block, a width or `size` is below 1, or `norm` or `activation` is unknown.

    >>> import torch
    >>> ResNet12(widths=(4, 8), outputs=5)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (64, 160, 320, 640),
        outputs: int | None = None,
        size: int = 28,
        activation: Activation = "leaky_relu",
        norm: Norm = "batch",
    ):
        super().__init__()
        checks.expect(min(widths, default=0) > 0, "widths", tuple(widths), "one or more whole numbers from 1")
        checks.count(size=size)
        sides = [size // 2**i for i in range(len(widths))]
        self.blocks = nn.Sequential(
            *(
                Residual(before, width, activation, norm, pooled=side > 1)
                for (before, width), side in zip(pairwise((channels, *widths)), sides, strict=True)
            )
        )
        self.readout = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.width = widths[-1]
        self.head = nn.Identity() if outputs is None else nn.Linear(self.width, outputs)

    def forward(self, x: Float[Tensor, "n channels size size"]) -> Float[Tensor, "n k"]:
        """Return the scores of `n` images, or their embeddings if `outputs` is None."""
        return self.head(self.readout(self.blocks(x)))


class Residual(nn.Module):
    """A residual block: three convolutions plus a linear shortcut, followed by activation and pooling."""

    def __init__(self, inputs: int, outputs: int, activation: Activation, norm: Norm, pooled: bool):
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(3):
            convolution = Convolution(outputs if i else inputs, outputs, 3, padding=1, bias=False)
            layers += [started(convolution, norm), normalise(norm, outputs)]
            layers += [activate(activation)] if i < 2 else []
        self.way = nn.Sequential(*layers)
        self.shortcut = nn.Sequential(
            started(Convolution(inputs, outputs, 1, bias=False), norm), normalise(norm, outputs)
        )
        self.end = nn.Sequential(activate(activation), nn.MaxPool2d(2) if pooled else nn.Identity())

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d ..."]:
        """Return the sum of both branches after activation and pooling."""
        return self.end(self.way(x) + self.shortcut(x))
