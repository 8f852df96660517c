"""Convolutions that compute with the channels of an image innermost in memory, where this is faster on the CPU."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

_functorch: Any = torch._C._functorch


class Convolution(nn.Conv2d):
    """A convolution whose input and output have their channels innermost in memory on the CPU; the numbers are alike.

    Norms, activations and pooling keep the layout, so all layers of an image network have it: max pooling is then ten
    times as fast. A body with layers of its own gets it by `body.to(memory_format=torch.channels_last)`, unless its
    images have one channel.
    """

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d ..."]:
        """Return the convolved images."""
        return super().forward(channels_last(x, self.weight.numel()))


def channels_last(x: Float[Tensor, "n c h w"], weights: int = 0) -> Float[Tensor, "n c h w"]:
    """Return the images with their channels innermost in memory if they are on the CPU, also if they have one channel.

    If the convolution has more `weights` than the images have numbers, the channels are outermost: most time would be
    spent on bringing the weights into the order of the images. Under `vmap`, where norms do not know the layout, and in
    compiled code, the images stay as they are.

    >>> import torch
    >>> channels_last(torch.zeros(2, 3, 4, 5)).stride()
    (60, 1, 15, 3)
    """
    if torch.compiler.is_compiling() or x.device.type != "cpu" or _mapped():
        return x
    if x.numel() < weights:
        return x.contiguous()
    if x.stride(1) == 1:
        return x
    return x.permute(0, 2, 3, 1).flatten(1).unflatten(1, (*x.shape[2:], x.shape[1])).permute(0, 3, 1, 2)


def _mapped() -> bool:
    """Return whether the code runs under `vmap`."""
    transforms = _functorch.get_interpreter_stack() or []
    return any(transform.key() == _functorch.TransformType.Vmap for transform in transforms)
