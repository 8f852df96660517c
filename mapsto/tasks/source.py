"""Where episodes come from: a seeded, infinite source, whose every batch is a pure function of (seed, split, index).

Nothing has to be stored to continue an interrupted run at the same numbers: batch 70,000 is batch 70,000.

`torch`'s CPU generator reads only the low 32 bits of its seed, so these are made by a keyed bijection,
`mix(mix(3·index + split) XOR key(seed))`: with one seed no two batches, of one split or of two, ever get the same
stream (for indices below 2³²/3), and two seeds have unrelated streams. `mix` is MurmurHash3's 32-bit finaliser
(Appleby, 2011), in integers only: the same on every machine and every version of Python.
"""

import copy
from abc import ABC, abstractmethod
from typing import Self

import torch

from ..episodes import Episode

SPLITS = ("train", "validation", "test")
_BATCHES = 2**32 // 3


class Tasks(ABC):
    """A distribution over tasks, in three splits that share no task (or no class)."""

    split: str = "train"

    @abstractmethod
    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks of `self.split` as one batch with a leading task axis; `generator` makes all the noise."""

    def batch(self, index: int, count: int, seed: int = 0) -> Episode:
        """Return batch `index` of this split: the same for the same `(seed, split, index, count)`, always.

        Raises ValueError where `index` is outside 0 … 2³²/3 or `count` is below 1.
        """
        return self.draw(self.generator(index, count, seed), count)

    def generator(self, index: int, count: int = 1, seed: int = 0) -> torch.Generator:
        """Return the fresh generator that `batch(index, count, seed)` draws from."""
        if not 0 <= index < _BATCHES:
            raise ValueError(f"index: got {index}, expected 0 to {_BATCHES - 1}; start another seed beyond that.")
        if count < 1:
            raise ValueError(f"count: got {count}, expected at least 1 task in a batch.")
        return torch.Generator().manual_seed(stream(seed, 3 * index + SPLITS.index(self.split)))

    def of(self, split: str) -> Self:
        """Return this source restricted to `split`."""
        if split not in SPLITS:
            raise ValueError(f"split: got {split!r}, expected one of {', '.join(SPLITS)}.")
        other = copy.copy(self)
        other.split = split
        return other

    @property
    def validation(self) -> Self:
        """The tasks to choose on."""
        return self.of("validation")

    @property
    def test(self) -> Self:
        """The tasks to report on."""
        return self.of("test")


def stream(seed: int, counter: int) -> int:
    """Return a 32-bit seed: for a fixed `seed` a bijection of `counter` (0 … 2³²−1), unrelated between seeds.

    >>> stream(0, 0) == stream(0, 1), stream(0, 1) == stream(1, 1)
    (False, False)
    """
    return _mix(_mix(counter) ^ _key(seed))


def _key(seed: int) -> int:
    """Fold an integer of any size and sign to 32 bits."""
    key = 0x9E3779B9 if seed >= 0 else 0x7F4A7C15
    rest = abs(seed)
    while True:
        key, rest = _mix(key + (rest & 0xFFFFFFFF)), rest >> 32
        if not rest:
            return key


def _mix(word: int) -> int:
    word &= 0xFFFFFFFF
    word = ((word ^ (word >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    word = ((word ^ (word >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return word ^ (word >> 16)
