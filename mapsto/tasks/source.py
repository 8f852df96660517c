"""A seeded, infinite source of episodes, whose batches are a pure function of (seed, split, index).

An interrupted run can therefore continue with the same numbers without stored state.

`torch`'s CPU generator reads only the low 32 bits of its seed. These bits come from a keyed bijection,
`mix(mix(3·index + split) XOR key(seed))`. With the same seed, no two batches of any splits get the same stream (for
indices below 2³²/3), and two seeds have unrelated streams. `mix` is the 32-bit finaliser of MurmurHash3 (Appleby,
2011), computed in integers only, so that it is the same on every machine and in every version of Python.
"""

import copy
from abc import ABC, abstractmethod
from typing import Self

import torch

from .. import checks
from ..episodes import Episode

SPLITS = ("train", "validation", "test")
_BATCHES = 2**32 // 3


class Tasks(ABC):
    """The base of all sources of tasks: a distribution over tasks, divided into train, validation and test."""

    split: str = "train"

    @abstractmethod
    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks of the split `self.split`, with random numbers from `generator`.

        The tasks are returned as one `Episode`, whose tensors have a leading task axis.
        """

    def batch(self, index: int, count: int, seed: int = 0) -> Episode:
        """Return batch number `index` of this split: `count` tasks as one `Episode` with a leading task axis.

        The same `(seed, split, index, count)` always gives the same batch.

        Raises:
            MapstoError: if `index` is not from 0 to 2³²/3, or `count` is below 1.
        """
        return self.draw(self.generator(index, count, seed), count)

    def generator(self, index: int, count: int = 1, seed: int = 0) -> torch.Generator:
        """Return a new random generator in the state from which `batch(index, count, seed)` draws its tasks."""
        inside = 0 <= index < _BATCHES
        checks.expect(inside, "index", index, f"0 to {_BATCHES - 1}", "use another seed for further batches")
        checks.count(count=count)
        return torch.Generator().manual_seed(stream(seed, 3 * index + SPLITS.index(self.split)))

    def of(self, split: str) -> Self:
        """Return a copy of this source for another split: "train", "validation" or "test"."""
        checks.one_of(SPLITS, split=split)
        other = copy.copy(self)
        other.split = split
        return other

    @property
    def validation(self) -> Self:
        """A copy of this source for the validation split, for choosing among models."""
        return self.of("validation")

    @property
    def test(self) -> Self:
        """A copy of this source for the test split, for reported results."""
        return self.of("test")


def stream(seed: int, counter: int) -> int:
    """Return a 32-bit seed: a bijection of `counter` (0 … 2³²−1) for each `seed`, unrelated between seeds.

    >>> stream(0, 0) == stream(0, 1), stream(0, 1) == stream(1, 1)
    (False, False)
    """
    return _mix(_mix(counter) ^ _key(seed))


def _key(seed: int) -> int:
    """Reduce an integer of any size and sign to 32 bits."""
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
