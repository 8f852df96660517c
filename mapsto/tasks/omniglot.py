"""Omniglot: handwritten characters of 50 alphabets, the classic few-shot images.

A class is a character, or a character turned by a multiple of 90°. Lake et al. 2015 (the drawings); Vinyals et al.
2016, "Matching Networks", §4.1.1 (rotations as classes); Snell et al. 2017, §3.1 (1,200 characters to train); Finn et
al. 2017, "MAML", §5.2 (random rotations).
"""

import itertools
from typing import Literal, get_args

import torch
from torch import Tensor

from .. import checks
from ..episodes import Episode
from . import omniglot_files as files
from .classes import episodes, pick, require, shape
from .sampling import Shots
from .source import SPLITS, Tasks

Scheme = Literal["vinyals", "snell", "background", "random"]
Rotations = Literal["classes", "random", "none"]


class Omniglot(Tasks):
    """N-way K-shot tasks of handwritten characters, x `[n, 1, size, size]` with ink 1 on background 0.

    The module `mapsto.tasks.omniglot_files` describes where the files are stored and how they are downloaded.

    Args:
        ways: the number of classes in a task.
        shots: the number of support examples of each class, or a pair (low, high) as in `Arrays`.
        queries: the number of query examples of each class.
        scheme: the division of the 1,623 characters among train / validation / test. "vinyals" has 1,028 / 172 / 423
            characters, and its splits may share alphabets. "snell" has 1,200 / 0 / 423: the validation characters of
            "vinyals" belong to train. "background" follows the data set's own division of alphabets: test has the 20
            evaluation alphabets, validation has every sixth of the 30 background alphabets, and train has the other
            background alphabets. "random" has 1,100 / 100 / 423, as in the experiments with MAML; its division is
            random, with a fixed seed.
        rotations: "classes" treats each rotation by 90° as a class of its own. "random" rotates each class of each task
            by a random multiple of 90°, in all splits. "none" leaves the characters upright.
        size: the height and width of an image, in pixels.
        grey: if True, the original 105 × 105 drawings are shrunk to grey images. If False, the black-and-white images
            of the file `omniglot{size}.npz` are read.
        within_alphabet: if True, all classes of a task come from the same alphabet, at the same rotation. This makes
            the tasks harder.

    Raises:
        MapstoError: if an argument is out of range or unknown, or if a file is missing or corrupt.
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
        checks.one_of(get_args(Rotations), rotations=rotations)
        checks.one_of(get_args(Scheme), scheme=scheme)
        drawings = files.drawings(size, grey)
        self.rotations, self.characters = rotations, len(drawings.names)
        self.images = drawings.images.flatten(0, 1)  # [c·20, size, size]
        turns = 4 if rotations == "classes" else 1
        self.pools = {
            split: _groups(characters, turns, drawings, within_alphabet)
            for split, characters in _SCHEMES[scheme](drawings).items()
        }
        names = [f"{name} turned by {90 * turn}°" for turn in range(turns) for name in drawings.names]
        require(names, torch.full((len(names),), files.DRAWERS), self.shape, self.pools, "scheme")

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes; see `Tasks.draw`. Raises MapstoError if the split has fewer classes than `ways`."""
        chosen = pick(generator, self.pools[self.split], self.shape.ways, count)  # character + characters · turns
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


def _groups(characters: Tensor, turns: int, drawings: files.Drawings, within_alphabet: bool) -> list[Tensor]:
    """Return the classes `character + len(names) · turn` of a split, in one group or one for each alphabet and turn."""
    turned = [characters + len(drawings.names) * turn for turn in range(turns)]
    if not within_alphabet:
        return [torch.cat(turned)]
    alphabets = drawings.alphabet[characters]
    return [classes[alphabets == alphabet] for classes in turned for alphabet in alphabets.unique()]


def _vinyals(drawings: files.Drawings) -> dict[str, Tensor]:
    lists, index = files.vinyals(), {name: i for i, name in enumerate(drawings.names)}
    for name in itertools.chain(*lists.values()):
        checks.expect(name in index, "scheme", f"{name!r} in {files.folder()}/vinyals", "a character of Omniglot")
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
