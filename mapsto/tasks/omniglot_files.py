"""Find the drawings of Omniglot on disk, or download, check and unpack them.

1,623 characters of 50 alphabets, each drawn by 20 people: Lake, Salakhutdinov & Tenenbaum 2015, "Human-level concept
learning through probabilistic program induction", Science 350. The folder is `$MAPSTO_DATA/omniglot`. If that variable
is not set, it is `omniglot` in the cache (`$XDG_CACHE_HOME/mapsto`, else `~/.cache/mapsto`), which is filled on first
use from the authors' repository. Characters are always in the same order: background alphabets, then evaluation
alphabets, each sorted by name.
"""

import hashlib
import io
import os
import urllib.request
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from .. import checks
from ..errors import MapstoError
from ..files import atomically

DRAWERS, PIXELS = 20, 105
_LAKE = "https://github.com/brendenlake/omniglot/raw/master/python"
_SNELL = "https://raw.githubusercontent.com/jakesnell/prototypical-networks/master/data/omniglot/splits/vinyals"
# SHA-256 sums: for the zips as published by TensorFlow Datasets, for the lists (Snell et al. 2017) from copies.
SOURCES = {
    "images_background.zip": (_LAKE, "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640"),
    "images_evaluation.zip": (_LAKE, "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee"),
    "train.txt": (_SNELL, "984522c194c30fb678ce53304a160a42faf5403ad4f9a67010f32dd3a35738e0"),
    "val.txt": (_SNELL, "11f99e54faee3e26f53d3231c1cceac5bf7b8730e9be31cb6dab256551dc0c1a"),
    "test.txt": (_SNELL, "845264cc5c156180828ccf17915668b17ee21424d0170df6e7d81676aa5d1204"),
}


class Drawings(NamedTuple):
    """All `c` characters, each drawn by 20 people."""

    images: UInt8[Tensor, "c 20 size size"]  # ink from 0 (none) to 255
    alphabet: Tensor  # [c] index of the alphabet
    background: Tensor  # [c] True for the authors' background set
    names: tuple[str, ...]  # "Alphabet/characterNN"


def folder() -> Path:
    """Return the folder of the files: `$MAPSTO_DATA/omniglot`, else the one in the cache."""
    data = os.environ.get("MAPSTO_DATA")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mapsto"
    return (Path(data) if data else cache) / "omniglot"


def drawings(size: int = 28, grey: bool = True) -> Drawings:
    """Return every drawing at `size` × `size` pixels.

    If `grey`, the original drawings of 105 × 105 bits are shrunk with antialiasing; otherwise `omniglot{size}.npz` is
    read, which has one bit for each pixel.

    Raises:
        MapstoError: if a file is missing, corrupt, or cannot be downloaded.
    """
    checks.count(size=size)
    return _drawings(folder(), size, grey)


def vinyals() -> dict[str, list[str]]:
    """Return the character names ("Alphabet/characterNN") of the three splits of Vinyals et al. 2016."""
    return {split: _names(_file(folder(), f"vinyals/{file}.txt")) for split, file in _VINYALS.items()}


_VINYALS = {"train": "train", "validation": "val", "test": "test"}


@lru_cache(maxsize=2)
def _drawings(folder: Path, size: int, grey: bool) -> Drawings:
    path = _file(folder, "omniglot105_bits.npz" if grey else f"omniglot{size}.npz")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            packed, alphabets, alphabet = file["packed"], file["alphabet_names"], file["alphabet_id"]
            background, characters, stored = file["is_background"], file["character_name"], int(file["size"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise MapstoError(f"Omniglot: {path} is corrupt ({error}); delete it, and put or download it again.") from error
    complete = packed.shape == (len(characters), DRAWERS, -(-stored * stored // 8))
    checks.expect(complete, "Omniglot", f"drawings of shape {packed.shape} in {path}", "[characters, 20, bytes]")
    names = tuple(f"{alphabets[a]}/{c}" for a, c in zip(alphabet, characters, strict=True))
    images = torch.stack([_shrink(character, stored, size) for character in packed])
    return Drawings(images, torch.from_numpy(alphabet.astype(np.int64)), torch.from_numpy(background), names)


def _shrink(packed: np.ndarray, stored: int, size: int) -> Tensor:
    bits = np.unpackbits(packed, axis=-1, count=stored * stored).reshape(-1, 1, stored, stored)
    ink = torch.from_numpy(bits).float()
    if size != stored:
        ink = F.interpolate(ink, (size, size), mode="bilinear", antialias=True)
    return (ink * 255).round().clamp(0, 255).to(torch.uint8)[:, 0]


def _names(path: Path) -> list[str]:
    """Read lines "Alphabet/character/rotNNN" and return the name of each character once."""
    return list(dict.fromkeys(line.rpartition("/")[0] for line in path.read_text().split()))


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if path.is_file():
        return path
    unset = not os.environ.get("MAPSTO_DATA")
    remedy = f"put {name} there, or unset MAPSTO_DATA to download Omniglot"
    checks.expect(unset, "MAPSTO_DATA", f"a folder without {path}", "the data of Omniglot in it", remedy)
    if name == "omniglot105_bits.npz":
        return _write(path, _packed(*(_download(f"images_{part}.zip") for part in ("background", "evaluation"))))
    if name.startswith("vinyals/"):
        return _write(path, _download(Path(name).name))
    raise MapstoError(
        f"grey: got False, but {path} does not exist and is not published; put it there, or use grey=True."
    )


def _download(name: str) -> bytes:
    where, expected = SOURCES[name]
    try:
        with urllib.request.urlopen(f"{where}/{name}", timeout=60) as answer:
            content = answer.read()
    except OSError as error:
        raise MapstoError(
            f"Omniglot: could not download {where}/{name} ({error}); connect to the internet, or set MAPSTO_DATA to a "
            "folder that holds omniglot/omniglot105_bits.npz and omniglot/vinyals."
        ) from error
    got = hashlib.sha256(content).hexdigest()
    sums = f"{where}/{name} with SHA-256 {got}", expected
    checks.expect(got == expected, "Omniglot", *sums, "download it again: it changed or was cut short")
    return content


def _packed(background: bytes, evaluation: bytes) -> bytes:
    """Pack the two zips of PNG files as `omniglot105_bits.npz`."""
    parts = enumerate((background, evaluation))
    drawings = [(part, *drawing) for part, content in parts for drawing in _unzip(content)]
    drawings.sort(key=lambda drawing: drawing[:4])
    first = drawings[::DRAWERS]
    alphabets = list(dict.fromkeys(alphabet for _, alphabet, *_ in first))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        packed=np.stack([bits for *_, bits in drawings]).reshape(len(first), DRAWERS, -1),
        size=np.int64(PIXELS),
        alphabet_names=np.array(alphabets),
        alphabet_id=np.array([alphabets.index(alphabet) for _, alphabet, *_ in first], dtype=np.int16),
        character_name=np.array([character for _, _, character, *_ in first]),
        character_code=np.array([int(file[:4]) for *_, file, _ in first], dtype=np.int16),
        is_background=np.array([part == 0 for part, *_ in first]),
    )
    return buffer.getvalue()


def _unzip(content: bytes) -> list[tuple[str, str, str, np.ndarray]]:
    """Return (alphabet, character, file, packed ink) of each PNG."""
    from PIL import Image  # slow to import; comes with matplotlib

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        paths = [p for p in archive.namelist() if p.endswith(".png") and not p.startswith("__MACOSX")]
        images = [np.array(Image.open(io.BytesIO(archive.read(p))).convert("1")) for p in paths]
    parts = [p.split("/") for p in paths]
    return [(p[-3], p[-2], p[-1], np.packbits(~image.reshape(-1))) for p, image in zip(parts, images, strict=True)]


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomically(path, lambda temporary: temporary.write_bytes(content))
    return path
