"""Handwritten characters of 50 alphabets: the classic few-shot images.

A class is a character, or a character turned by a multiple of 90°. Lake et al. 2015 (the drawings); Vinyals et al.
2016, "Matching Networks", §4.1.1 (rotations as classes); Snell et al. 2017, §3.1 (1,200 characters to train); Finn et
al. 2017, "MAML", §5.2 (random rotations).
"""

from typing import Literal

import torch
from torch import Tensor

from ..episodes import Episode
from ..errors import MapstoError
from . import omniglot_files as files
from .classes import episodes, pick, require, shape
from .sampling import Shots
from .source import SPLITS, Tasks

Scheme = Literal["vinyals", "snell", "background", "random"]
Rotations = Literal["classes", "random", "none"]


class Omniglot(Tasks):
    """N-way K-shot tasks x `[n, 1, size, size]`, ink 1 on 0; `ways`, `shots` and `queries` as in `Arrays`.

    `scheme` divides the characters: "vinyals" (1,028 / 172 / 423, alphabets shared), "snell" (the same, but those to
    validate are trained on: 1,200 / 0 / 423), "background" (the authors': 20 evaluation alphabets to test, every sixth
    of the 30 background alphabets to validate), "random" (MAML's 1,100 / 100 / 423, shuffled by a fixed seed).
    `rotations`: "classes" makes four classes of each character, "random" turns each class of each task once at random,
    at test too, "none" leaves them upright. `within_alphabet` takes the classes of a task from one alphabet (and
    rotation), which is harder. `grey=False` reads the one-bit drawings of `omniglot{size}.npz` instead of shrinking
    the original 105 × 105. Files: see `omniglot_files`.
    """

    def __init__(
        self,
        ways: int = 5,
        shots: Shots = 1,
        queries: int = 15,
        scheme: Scheme = "vinyals",
        rotations: Rotations = "classes",
        size: int = 28,
        grey: bool = True,
        within_alphabet: bool = False,
    ):
        self.shape = shape(ways, shots, queries)
        if rotations not in ("classes", "random", "none"):
            raise MapstoError(f"rotations: got {rotations!r}, expected classes, random or none.")
        drawings = files.drawings(size, grey)
        self.rotations, self.characters = rotations, len(drawings.names)
        self.images = drawings.images.flatten(0, 1)  # [c·20, size, size]
        turns = 4 if rotations == "classes" else 1
        self.pools = {
            split: _groups(characters, turns, drawings, within_alphabet)
            for split, characters in _SCHEMES[_known(scheme)](drawings).items()
        }
        drawn = torch.full((turns * self.characters,), files.DRAWERS)
        require(
            [f"{n} turned by {90 * t}°" for t in range(turns) for n in drawings.names],
            drawn,
            self.shape,
            self.pools,
            "scheme",
        )

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes; see `Tasks.draw`. Raises MapstoError where the split has fewer classes than `ways`."""
        chosen = pick(
            generator, self.pools[self.split], self.shape.ways, count
        )  # character + characters · quarter turns
        if self.rotations == "random":
            chosen = chosen + self.characters * torch.randint(4, chosen.shape, generator=generator)
        starts = chosen % self.characters * files.DRAWERS
        return episodes(generator, chosen, starts, torch.full_like(chosen, files.DRAWERS), self.shape, self._look)

    def _look(self, classes: Tensor, rows: Tensor) -> Tensor:
        turns = (classes // self.characters).flatten()  # [T·n]
        order = turns.argsort()
        upright = self.images.index_select(0, rows.flatten()[order]).split(torch.bincount(turns, minlength=4).tolist())
        turned = torch.cat([torch.rot90(images, turn, (-2, -1)) for turn, images in enumerate(upright)])
        return (turned.index_select(0, order.argsort()) / 255).view(*rows.shape, 1, *turned.shape[1:])


def _known(scheme: str) -> str:
    if scheme not in _SCHEMES:
        raise MapstoError(f"scheme: got {scheme!r}, expected one of {', '.join(_SCHEMES)}.")
    return scheme


def _groups(characters: Tensor, turns: int, drawings: files.Drawings, within_alphabet: bool) -> list[Tensor]:
    """Return the classes of a split, `character + len(names) · turn`: one group, or one for each alphabet and turn."""
    turned = [characters + len(drawings.names) * turn for turn in range(turns)]
    if not within_alphabet:
        return [torch.cat(turned)]
    of = drawings.alphabet[characters]
    return [classes[of == alphabet] for classes in turned for alphabet in of.unique()]


def _vinyals(drawings: files.Drawings) -> dict[str, Tensor]:
    lists, index = files.vinyals(), {name: i for i, name in enumerate(drawings.names)}
    strange = [name for names in lists.values() for name in names if name not in index]
    if strange:
        raise MapstoError(f"scheme: {files.folder()}/vinyals names {strange[0]!r}, which is no character of Omniglot.")
    return {split: torch.tensor([index[name] for name in names]) for split, names in lists.items()}


def _snell(drawings: files.Drawings) -> dict[str, Tensor]:
    lists = _vinyals(drawings)
    train = torch.cat([lists["train"], lists["validation"]])
    return {"train": train, "validation": train[:0], "test": lists["test"]}


def _background(drawings: files.Drawings) -> dict[str, Tensor]:
    validates = drawings.background & (drawings.alphabet % 6 == 5)
    masks = (drawings.background & ~validates, validates, ~drawings.background)
    return {split: mask.nonzero()[:, 0] for split, mask in zip(SPLITS, masks, strict=True)}


def _random(drawings: files.Drawings) -> dict[str, Tensor]:
    order = torch.randperm(len(drawings.names), generator=torch.Generator().manual_seed(0))
    return dict(zip(SPLITS, (order[:1100], order[1100:1200], order[1200:]), strict=True))


_SCHEMES = {"vinyals": _vinyals, "snell": _snell, "background": _background, "random": _random}
