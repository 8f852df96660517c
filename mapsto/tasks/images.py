"""Episodes from a folder of pictures with one subfolder for each class."""

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from .. import checks
from ..episodes import Episode
from ..errors import MapstoError
from .classes import Splits, divide, episodes, pick, require, shape
from .sampling import Shots
from .source import Tasks

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class ImageFolder(Tasks):
    """N-way K-shot tasks x `[n, channels, size, size]` in [0, 1] from a folder of pictures.

    `path` is the folder; it has one subfolder of pictures for each class. All pictures are read once and scaled to
    `size` × `size` pixels. They are kept in memory, with one byte for each pixel and channel. `channels` is 1 (grey) or
    3 (colour). The other arguments have the same meaning as in `Arrays`.

    Raises:
        MapstoError: if the folder is missing or empty, a file is not a picture, there are too few classes, or a class
            has too few pictures.
    """

    def __init__(
        self,
        path: str | Path,
        ways: int = 5,
        shots: Shots = 1,
        queries: int = 15,
        size: int = 28,
        channels: int = 1,
        splits: Splits = (0.6, 0.2, 0.2),
        seed: int = 0,
    ):
        self.shape = shape(ways, shots, queries)
        self.pixels, labels = pictures(path, size, channels)
        sizes = Counter(labels)
        self.names, self.sizes = list(sizes), torch.tensor(list(sizes.values()))
        self.starts = self.sizes.cumsum(0) - self.sizes
        self.pools = divide(self.names, splits, seed)
        require(self.names, self.sizes, self.shape, self.pools, f"path {path}")

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes; see `Tasks.draw`. Raises MapstoError if the split has fewer classes than `ways`."""
        chosen = pick(generator, self.pools[self.split], self.shape.ways, count)
        return episodes(generator, chosen, self.starts[chosen], self.sizes[chosen], self.shape, self._look)

    def _look(self, classes: Tensor, rows: Tensor) -> Tensor:
        return (self.pixels.index_select(0, rows.flatten()) / 255).view(*rows.shape, *self.pixels.shape[1:])


def pictures(path: str | Path, size: int, channels: int) -> tuple[UInt8[Tensor, "n channels size size"], list[str]]:
    """Return all pictures of a folder with one subfolder for each class, and the class of each, sorted by class.

    Raises:
        MapstoError: if the folder is missing or empty, or a file is not a picture.
    """
    checks.count(size=size)
    checks.one_of((1, 3), channels=channels)
    files = _files(Path(path))
    pixels = torch.stack([_read(file, size, channels) for of_class in files.values() for file in of_class])
    return pixels, [name for name, of_class in files.items() for _ in of_class]


def _files(path: Path) -> dict[str, list[Path]]:
    """Return the pictures of each class, both in alphabetical order."""
    checks.expect(path.is_dir(), "path", path, "a folder that holds one subfolder of pictures for each class")
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    files = {f.name: sorted(file for file in f.iterdir() if file.suffix.lower() in SUFFIXES) for f in folders}
    pictures = f"pictures in its subfolders ({', '.join(SUFFIXES)})"
    checks.expect(any(files.values()), "path", path, pictures, "put the pictures of each class in one subfolder")
    return {name: of_class for name, of_class in files.items() if of_class}


def _read(file: Path, size: int, channels: int) -> Tensor:
    from PIL import Image  # slow to import; comes with matplotlib

    try:
        with Image.open(file) as opened:
            image = opened.convert("L" if channels == 1 else "RGB").resize((size, size), Image.Resampling.BILINEAR)
            pixels = np.array(image).reshape(size, size, channels)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MapstoError(f"path: {file} cannot be read as a picture ({error}); repair it or remove it.") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)
