"""Where episodes come from: a seeded, infinite source, whose every batch is a pure function of (seed, split, index).

Nothing has to be stored to continue an interrupted run at the same numbers: batch 70,000 is batch 70,000.
"""

import copy
from abc import ABC, abstractmethod
from typing import Self

import torch

from ..episodes import Episode

SPLITS = ("train", "validation", "test")


class Tasks(ABC):
    """A distribution over tasks, in three splits that share no task (or no class)."""

    split: str = "train"

    @abstractmethod
    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks of `self.split` as one batch with a leading task axis. All noise comes from `generator`."""

    def batch(self, index: int, count: int, seed: int = 0) -> Episode:
        """Return batch `index` of this split: the same for the same `(seed, split, index, count)`, always."""
        generator = torch.Generator().manual_seed(hash((seed, SPLITS.index(self.split), index)) & (2**63 - 1))
        return self.draw(generator, count)

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
