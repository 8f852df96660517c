"""Episodes from a folder of pictures: one subfolder a class."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..episodes import Episode
from ..errors import MapstoError
from .classes import Splits, divide, episodes, pick, require, shape
from .sampling import Shots
from .source import Tasks

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class ImageFolder(Tasks):
    """N-way K-shot tasks x `[n, channels, size, size]` in [0, 1] from pictures, classes split as in `Arrays`.

    `path` holds one subfolder a class; its pictures are read once, scaled to `size` × `size` pixels and kept in memory
    as bytes. `channels` is 1 (grey) or 3 (colour). Raises MapstoError for a missing or empty folder, a file that is no
    picture, too few classes, or a class with too few pictures.
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
        if size < 1 or channels not in (1, 3):
            raise MapstoError(
                f"size, channels: got {size}, {channels}, expected at least 1 pixel, and 1 or 3 channels."
            )
        files = _files(Path(path))
        self.names = list(files)
        self.sizes = torch.tensor([len(of_class) for of_class in files.values()])
        self.starts = self.sizes.cumsum(0) - self.sizes
        self.pools = divide(self.names, splits, seed)
        require(self.names, self.sizes, self.shape, self.pools, f"path {path}")
        self.pixels = torch.stack([_read(file, size, channels) for of_class in files.values() for file in of_class])

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes; see `Tasks.draw`. Raises MapstoError where the split has fewer classes than `ways`."""
        chosen = pick(generator, self.pools[self.split], self.shape.ways, count)
        return episodes(generator, chosen, self.starts[chosen], self.sizes[chosen], self.shape, self._look)

    def _look(self, classes: Tensor, rows: Tensor) -> Tensor:
        return (self.pixels.index_select(0, rows.flatten()) / 255).view(*rows.shape, *self.pixels.shape[1:])


def _files(path: Path) -> dict[str, list[Path]]:
    """Return the pictures of each class, both in alphabetical order."""
    if not path.is_dir():
        raise MapstoError(
            f"path: got {path}, which is no folder; give one that holds one subfolder of pictures a class."
        )
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    files = {f.name: sorted(file for file in f.iterdir() if file.suffix.lower() in SUFFIXES) for f in folders}
    if not any(files.values()):
        raise MapstoError(
            f"path: got {path}, whose subfolders hold no picture ({', '.join(SUFFIXES)}); "
            "put the pictures of each class in one subfolder."
        )
    return {name: of_class for name, of_class in files.items() if of_class}


def _read(file: Path, size: int, channels: int) -> Tensor:
    from PIL import Image  # slow to import; comes with matplotlib

    try:
        with Image.open(file) as opened:
            image = opened.convert("L" if channels == 1 else "RGB").resize((size, size), Image.Resampling.BILINEAR)
            pixels = np.array(image).reshape(size, size, channels)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MapstoError(f"path: {file} cannot be read as a picture ({error}); repair it or take it away.") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)
