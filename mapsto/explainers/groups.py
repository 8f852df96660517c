"""Divisions of an image into parts that are hidden together: the players of `views.game(view, image, groups=...)`.

    patches:      a grid of squares
    superpixels:  k-means of pixels in (colour, place), after SLIC (Achanta et al. 2012, Algorithm 1)

There are three departures from SLIC. Colours are used as given, without conversion to CIELAB. Every pixel is compared
with every centre, which is exact, and cheap for small images. And pixels of a superpixel that lie apart from the rest
of it are not given to another superpixel.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import checks


def patches(shape: tuple[int, ...], size: int) -> Int[Tensor, "..."]:
    """Divide an image into square patches, and return, for each entry, the index of its patch.

    The patches are those of Zeiler & Fergus 2014. They are numbered row by row, and are the same for all channels. If
    `size` does not divide the height or width, the patches at the lower or right edge are smaller.

    Args:
        shape: the shape of the image, `(..., h, w)`. The result has the same shape.
        size: the side of a patch, in pixels.

    Raises:
        MapstoError: if `shape` has fewer than two axes, or `size` is below 1.

    >>> patches((2, 4), size=2)
    tensor([[0, 0, 1, 1],
            [0, 0, 1, 1]])
    """
    fits = len(shape) >= 2 and size >= 1
    checks.expect(fits, "shape, size", f"{tuple(shape)} and {size}", "(..., height, width) and a number from 1")
    rows, columns = (torch.arange(length) // size for length in shape[-2:])
    across = -(-shape[-1] // size)
    return (rows[:, None] * across + columns).expand(shape).contiguous()


def bands(length: int, count: int) -> Int[Tensor, " length"]:
    """Divide the pixels along one side of an image into `count` bands, and return the index of each pixel's band.

    The bands are as equal as possible, as in `numpy.array_split`: if `count` does not divide `length`, the first bands
    have one pixel more than the others.

    >>> bands(10, 4)
    tensor([0, 0, 0, 1, 1, 1, 2, 2, 3, 3])
    """
    sizes = torch.tensor([len(part) for part in torch.arange(length).tensor_split(count)])
    return torch.arange(count).repeat_interleave(sizes)


def shared(values: Float[Tensor, "n p"], groups: Int[Tensor, "..."]) -> Float[Tensor, "n ..."]:
    """Split the value of each part evenly among its entries, so that the entries of a part add up to its value.

    `values` holds the value of each of `p` parts, for `n` images; `groups` holds the part number of each entry.

    >>> shared(torch.tensor([[1.0, 6.0]]), torch.tensor([0, 1, 1]))
    tensor([[1., 3., 3.]])
    """
    sizes = torch.bincount(groups.flatten()).to(values)
    return (values / sizes)[:, groups]


def superpixels(
    image: Float[Tensor, "c h w"], count: int, compactness: float = 0.1, steps: int = 10
) -> Int[Tensor, "c h w"]:
    """Divide an image into about `count` regions of similar pixels; return, for each entry, the index of its region.

    The regions come from k-means on the colours and positions of the pixels; they are the same for all channels. The
    distance between two pixels is `√(colour² + (compactness·place / spacing)²)`. Here `colour` is the distance between
    the two colours, in the unit of the image; `place` is the distance between the two positions, in pixels; and
    `spacing` is `√(h·w/count)`. The k-means centres start on a regular grid, so the result is deterministic. A region
    that loses all its pixels is dropped.

    Args:
        image: the image, `[c, h, w]`.
        count: the approximate number of regions.
        compactness: the weight of position relative to colour. With a smaller number, regions follow edges more
            closely; with a larger number, they stay closer to squares.
        steps: the number of k-means steps.

    Raises:
        MapstoError: if the image is not `[c, h, w]` or not finite, `count` is not a number from 1 to h·w, or
            `compactness` is not above 0.

    >>> image = torch.zeros(1, 4, 6)
    >>> image[..., 3:] = 1.0
    >>> superpixels(image, count=2)[0, 0]
    tensor([0, 0, 0, 1, 1, 1])
    """
    checks.shape(("c", "h", "w"), image=image)
    checks.finite(image=image)
    _, h, w = image.shape
    checks.between(1, h * w, count=count)
    checks.above(0, compactness=compactness)
    places = _places(h, w).to(image.device)
    pixels = torch.cat([image.flatten(1).float(), places * compactness * (count / (h * w)) ** 0.5]).T  # [h·w, c + 2]
    centres = pixels[_grid(h, w, count)]  # [r, c + 2]
    for _ in range(steps):
        nearest = torch.cdist(pixels, centres).argmin(1)
        members = torch.nn.functional.one_hot(nearest, len(centres)).to(pixels)  # [h·w, r]
        size = members.sum(0)[:, None]
        centres = torch.where(size > 0, members.T @ pixels / size.clamp(min=1), centres)
    labels = torch.cdist(pixels, centres).argmin(1).unique(return_inverse=True)[1]
    return labels.reshape(h, w).expand(image.shape).contiguous()


def _places(h: int, w: int) -> Float[Tensor, "2 hw"]:
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack([rows.flatten(), columns.flatten()]).float()


def _grid(h: int, w: int, count: int) -> Int[Tensor, " r"]:
    """Return the indices of the pixels in the middle of about `count` equal cells."""
    down = min(h, max(1, round((count * h / w) ** 0.5)))
    across = min(w, max(1, round(count / down)))
    rows, columns = ((torch.arange(n) * 2 + 1) * length // (2 * n) for n, length in ((down, h), (across, w)))
    return (rows[:, None] * w + columns).flatten()
