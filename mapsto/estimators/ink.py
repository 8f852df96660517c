"""From images to the input of the model: one channel of ink on an empty background, at the model's size.

    ink = (b − x) / b if strokes are dark, else (x − b) / (1 − b), and at least 0;   b = brightness of the background

Each patch of the 4 × 4 grid is resized by itself, to size/4 × size/4 pixels, each of which is the mean of the area that
it covers. Therefore, a patch of the input depends on the same patch of the image only. If one pixel of a patch is NaN,
the whole patch is hidden: all its pixels are NaN in the input.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..explainers.groups import bands

GRID = 4
_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


class Ink(NamedTuple):
    """A map from images `[n, c, h, w]` to inputs of the model, `[n, 1, size, size]`.

    `background` is the brightness of the background, and `dark` says whether the strokes are darker than it.
    """

    background: float
    dark: bool
    size: int

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 s s"]:
        """Return the ink of each image, from 0 to 1; hidden patches are NaN."""
        rows, columns = (areas(length, self.size) for length in images.shape[2:])
        small = rows @ self._ink(grey(images).nan_to_num(0.0)) @ columns.mT
        side = self.size // GRID
        hidden = hidden_patches(images).repeat_interleave(side, 1).repeat_interleave(side, 2)
        return small.masked_fill(hidden, torch.nan)[:, None]

    def _ink(self, brightness: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
        b = self.background
        return ((b - brightness) / b if self.dark else (brightness - b) / (1 - b)).clamp(min=0)


def background(images: Float[Tensor, "n c h w"], w: Float[Tensor, " n"]) -> float:
    """Return the brightness of the background: the weighted median of the pixels at the border of the images.

    Pixels of hidden patches do not count. If they cover all borders, all other pixels count instead.
    """
    h, width = images.shape[2:]
    row, column = bands(h, GRID), bands(width, GRID)
    seen = ~hidden_patches(images)[:, row][:, :, column]  # [n, h, w]
    border = torch.ones(h, width, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    counted = seen & border if bool((seen & border).any()) else seen
    brightness, order = grey(images)[counted].sort()
    mass = w[:, None, None].double().expand(seen.shape)[counted][order].cumsum(0)
    return float(brightness[int((mass < mass[-1] / 2).sum())])


def dark_share(images: Float[Tensor, "n c h w"], background: float) -> Float[Tensor, " n"]:
    """Return the share of each image's distance from the background that lies on the dark side; ½ if it has none.

    >>> dark_share(torch.tensor([0.25, 0.75, 0.5]).expand(1, 1, 28, 3), 0.5)
    tensor([0.5000])
    """
    away = (grey(images) - background).masked_fill(images.isnan().any(1), 0.0)
    dark, light = (side.clamp(min=0).sum((1, 2)) for side in (-away, away))
    return torch.where(dark + light > 0, dark / (dark + light).clamp(min=1e-12), 0.5)


def grey(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w"]:
    """Return the brightness of each pixel: the channel, or the luminance of three channels."""
    if images.shape[1] == 1:
        return images[:, 0]
    return torch.einsum("nchw,c->nhw", images, images.new_tensor(_LUMINANCE))


def hidden_patches(images: Float[Tensor, "n c h w"]) -> Bool[Tensor, "n 4 4"]:
    """Return which patches have a pixel that is NaN."""
    missing = images.isnan().any(1)
    row, column = (torch.nn.functional.one_hot(bands(length, GRID)).float() for length in images.shape[2:])
    return row.mT @ missing.float() @ column > 0


def areas(length: int, size: int) -> Float[Tensor, "s l"]:
    """Return the matrix that resizes `length` pixels to `size` pixels, each of the four bands of pixels by itself."""
    return torch.block_diag(*(_mean(int(count), size // GRID) for count in bands(length, GRID).bincount()))


def _mean(length: int, size: int) -> Float[Tensor, "s l"]:
    """Return the matrix that divides `length` pixels into `size` equal intervals, and averages each interval."""
    start, pixel = torch.arange(size)[:, None] * length / size, torch.arange(length)
    overlap = torch.minimum(start + length / size, pixel + 1) - torch.maximum(start, pixel)
    return overlap.clamp(min=0) * size / length
