"""Episodes from a person's own labelled examples in memory."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..episodes import Episode
from ..errors import MapstoError
from .classes import Splits, divide, episodes, pick, require, shape
from .sampling import Shots
from .source import Tasks


class Arrays(Tasks):
    """N-way K-shot tasks from examples `x` `[n, ...]` with labels `y` `[n]` (integers or text), classes split in three.

    Each episode has `ways` classes, `shots` examples of each to learn from (a pair draws their number anew for each
    task, padding the rest) and `queries` of each to be judged on. `splits` gives the shares of the classes for train,
    validation and test, shuffled by `seed`, or the classes themselves: `{"train": ["cat", ...], "test": [...]}`.
    `x` may hold NaN, for learners that know missing cells. Raises MapstoError for infinite values, missing labels, too
    few classes, or a class with too few examples.

    >>> x, y = np.random.default_rng(0).normal(size=(60, 4)), np.repeat(np.arange(6), 10)
    >>> tasks = Arrays(x, y, ways=2, shots=3, queries=4, splits=(0.34, 0.33, 0.33))
    >>> tasks.test.batch(0, count=5).support.x.shape
    torch.Size([5, 6, 4])
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        ways: int = 5,
        shots: Shots = 1,
        queries: int = 15,
        splits: Splits = (0.6, 0.2, 0.2),
        seed: int = 0,
    ):
        self.shape = shape(ways, shots, queries)
        x, y = _inputs(x), np.asarray(y)
        if y.shape != (len(x),):
            raise MapstoError(f"y: got shape {y.shape}, expected ({len(x)},): one label for each row of x.")
        if _missing(y).any():
            raise MapstoError(f"y: got {int(_missing(y).sum())} missing label(s), expected none; leave those rows out.")
        names, codes, sizes = np.unique(y, return_inverse=True, return_counts=True)
        self.names = names.tolist()
        self.sizes = torch.from_numpy(sizes)
        self.starts = self.sizes.cumsum(0) - self.sizes
        self.x = x[torch.from_numpy(np.argsort(codes, kind="stable"))]  # rows of a class stand together
        self.pools = divide(self.names, splits, seed)
        require(self.names, self.sizes, self.shape, self.pools, "y")

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes; see `Tasks.draw`. Raises MapstoError where the split has fewer classes than `ways`."""
        chosen = pick(generator, self.pools[self.split], self.shape.ways, count)
        return episodes(generator, chosen, self.starts[chosen], self.sizes[chosen], self.shape, self._look)

    def _look(self, classes: Tensor, rows: Tensor) -> Tensor:
        return self.x.index_select(0, rows.flatten()).view(*rows.shape, *self.x.shape[1:])


def _inputs(x: Any) -> Tensor:
    x = np.asarray(x)
    if x.dtype.kind not in "biuf" or x.ndim < 2:
        raise MapstoError(f"x: got {x.dtype} of shape {x.shape}, expected numbers of shape [n, ...], a row an example.")
    if np.isinf(x).any():
        raise MapstoError(
            f"x: got {int(np.isinf(x).sum())} infinite value(s), expected finite numbers, or NaN if missing."
        )
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


def _missing(y: np.ndarray) -> np.ndarray:
    """Return where a label is None or NaN: the only values that differ from themselves, or are nothing."""
    return np.array([label is None or label != label for label in y.tolist()], dtype=bool)
