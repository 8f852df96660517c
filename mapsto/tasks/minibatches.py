"""One data set as a source of tasks: each task is a minibatch, whose rows form the query set of an empty support set.

In each epoch, the rows of the training part are shuffled and divided into minibatches that differ in size by at most
one row. The validation and test parts are shuffled once, so that their minibatches, each taken once, contain every
held-out row exactly once.
"""

import functools
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from .. import checks
from ..episodes import Episode, Examples
from .arrays import inputs, missing
from .sampling import divided
from .source import Tasks, stream


class Minibatches(Tasks):
    """Minibatches of one data set in memory, for ordinary training with `learners.Fixed`.

    Each task has an empty support set. Its query set is a minibatch: at most `size` rows of `x` with their targets `y`.
    The rows of each class are divided among train, validation and test in the same proportions. An epoch is a pass over
    the split in which each row occurs once. `len(source)` is the number of minibatches in an epoch, and `evaluate` uses
    at most one epoch. The minibatches of an epoch differ in size by at most one row. The smaller minibatches get one
    more row as padding, with weight 0, so that all minibatches have the same shape.

    Args:
        x: the inputs `[n, ...]`: numbers, or integers such as tokens.
        y: the class of each row, as integers or text; or the numbers to predict, `[n]` or `[n, k]`.
        size: the largest number of rows in a minibatch.
        regression: if True, `y` holds numbers to predict. If False, `y` holds classes, and the attribute `names` lists
            the classes in the order of their indices.
        splits: the fractions of the rows for train, validation and test.
        seed: the random seed of the division into splits.

    Raises:
        MapstoError: if `x` is not an array of numbers, a value is infinite, `y` does not have one entry for each row,
            there is only one class, a split is invalid, or no row is left for training.

    >>> data = Minibatches(np.zeros((100, 4)), np.arange(100) % 2, size=16)
    >>> data.batch(0, count=1).query.x.shape, len(data), len(data.test)
    (torch.Size([1, 14, 4]), 5, 1)
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        size: int = 64,
        regression: bool = False,
        splits: tuple[float, float, float] = (0.7, 0.15, 0.15),
        seed: int = 0,
    ):
        checks.count(size=size)
        self.x, self.size = inputs(x), size
        checks.expect(len(y) == len(self.x), "y", f"{len(y)} entries", f"one for each of the {len(self.x)} rows of x")
        self.y, self.names = targets(y, regression)
        self.rows = divided(self.y if self.names else None, len(self.y), splits, seed)
        for rows in self.rows.values():  # data sets are often sorted by class
            rows.copy_(rows[_shuffled(len(rows), seed % 2**32)])
        checks.expect(len(self.rows["train"]) > 0, "splits", splits, "at least one row for training")

    def __len__(self) -> int:
        """Return the number of minibatches in one epoch of this split."""
        return -(-len(self.rows[self.split]) // self.size)

    def batch(self, index: int, count: int, seed: int = 0) -> Episode:
        """Return minibatches `index · count` to `(index + 1) · count − 1`, numbered from 0 through all epochs.

        For the training split, `seed` and the number of the epoch determine the order of the rows.
        """
        self.generator(index, count, seed)  # checks the arguments
        return self._episode(torch.arange(index * count, (index + 1) * count), seed)

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` minibatches, each from a random epoch; see `Tasks.draw`."""
        return self._episode(torch.randint(2**20, (count,), generator=generator), generator.initial_seed())

    def _episode(self, numbers: Int[Tensor, " t"], seed: int) -> Episode:
        checks.expect(len(self) > 0, "splits", f"no row in {self.split}", "a fraction of the rows above 0")
        rows, w = (torch.stack(part) for part in zip(*(self._minibatch(int(i), seed) for i in numbers), strict=True))
        x, y = self.x[rows], self.y[rows]
        return Episode(Examples(x[:, :0], y[:, :0], w[:, :0]), Examples(x, y, w))

    def _minibatch(self, number: int, seed: int) -> tuple[Int[Tensor, " n"], Tensor]:
        """Return the rows of a minibatch and their weights: 1/rows each, and 0 for padding."""
        rows, (epoch, place) = self.rows[self.split], divmod(number, len(self))
        least, longer = divmod(len(rows), len(self))  # the first `longer` minibatches have one row more
        start, size = place * least + min(place, longer), least + (place < longer)
        places = torch.arange(start, start + least + (longer > 0)) % len(rows)
        if self.split == "train":
            places = _shuffled(len(rows), stream(seed, epoch))[places]
        return rows[places], (torch.arange(len(places)) < size) / size


@functools.lru_cache(maxsize=2)
def _shuffled(count: int, seed: int) -> Int[Tensor, " n"]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def targets(y: Any, regression: bool) -> tuple[Tensor, list[str]]:
    """Return the numbers to predict `[n, k]`, or the class of each row, and the names of the classes.

    Raises:
        MapstoError: if a number is not finite, a label is missing, or there is only one class.
    """
    y = np.asarray(y)
    if regression:
        checks.expect(y.dtype.kind in "biuf", "y", f"{y.dtype}", "numbers, because regression=True")
        numbers = torch.from_numpy(np.ascontiguousarray(y, dtype=np.float32)).reshape(len(y), -1)
        checks.finite("leave those rows out", y=numbers)
        return numbers, []
    checks.shape((len(y),), "pass one class for each row of x", y=y)
    empty = int(missing(y).sum())
    checks.expect(not empty, "y", f"{empty} missing label(s)", "none", "leave those rows out")
    measured = y.dtype.kind == "f" and bool((y % 1).any())
    checks.expect(not measured, "y", "numbers with decimals", "classes", "set regression=True to predict numbers")
    names, codes = np.unique(y, return_inverse=True)
    checks.expect(len(names) > 1, "y", f"one class only ({names[:1].tolist()})", "two or more classes")
    return torch.from_numpy(codes.astype(np.int64)), [str(name) for name in names]
