"""Minibatches of a folder of pictures, for ordinary training."""

from pathlib import Path

from .images import pictures
from .minibatches import Minibatches


class ImageMinibatches(Minibatches):
    """Minibatches of a folder of pictures with one subfolder for each class, for ordinary training.

    `path`, `pixels` and `channels` have the meaning of `path`, `size` and `channels` in `ImageFolder`: the images are
    `[n, channels, pixels, pixels]` in [0, 1]. The other arguments have the same meaning as in `Minibatches`.

    Raises:
        MapstoError: if the folder is missing or empty, a file is not a picture, or in any case in which `Minibatches`
            raises it.
    """

    def __init__(
        self,
        path: str | Path,
        size: int = 64,
        pixels: int = 28,
        channels: int = 1,
        splits: tuple[float, float, float] = (0.7, 0.15, 0.15),
        seed: int = 0,
    ):
        images, labels = pictures(path, pixels, channels)
        super().__init__(images / 255, labels, size, False, splits, seed)
