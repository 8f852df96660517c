"""Episodes from your own labelled examples in memory."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import checks
from ..episodes import Episode
from .classes import Splits, divide, episodes, pick, require, shape
from .sampling import Shots
from .source import Tasks


class Arrays(Tasks):
    """N-way K-shot tasks from examples `x` `[n, ...]` in memory, with labels `y` `[n]` (integers or text).

    Each episode has `ways` classes, with `shots` support examples and `queries` query examples of each class. If
    `shots` is a pair (low, high), each task has a random number of shots; the remaining support rows, up to `high` for
    each class, are padding with weight 0. `splits` holds the fractions of the classes for train, validation and test;
    the classes are divided at random with the seed `seed`. Alternatively, `splits` is a dict with the classes of each
    split: `{"train": ["cat", ...], "test": [...]}`. If the learner can read missing cells, `x` may contain NaN.

    Inputs of type int64 are tokens and stay whole numbers, for example for a body that begins with `nn.Embedding`. All
    other inputs become float32.

    Raises:
        MapstoError: if a value is infinite, a label is missing, there are too few classes, or a class has too few
            examples.

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
        x, y = inputs(x), np.asarray(y)
        checks.shape((len(x),), "pass one label for each row of x", y=y)
        empty = int(missing(y).sum())
        checks.expect(not empty, "y", f"{empty} missing label(s)", "none", "leave those rows out")
        names, codes, sizes = np.unique(y, return_inverse=True, return_counts=True)
        self.names = names.tolist()
        self.sizes = torch.from_numpy(sizes)
        self.starts = self.sizes.cumsum(0) - self.sizes
        self.x = x[torch.from_numpy(np.argsort(codes, kind="stable"))]  # groups the rows by class
        self.pools = divide(self.names, splits, seed)
        require(self.names, self.sizes, self.shape, self.pools, "y")

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes; see `Tasks.draw`. Raises MapstoError if the split has fewer classes than `ways`."""
        chosen = pick(generator, self.pools[self.split], self.shape.ways, count)
        return episodes(generator, chosen, self.starts[chosen], self.sizes[chosen], self.shape, self._look)

    def _look(self, classes: Tensor, rows: Tensor) -> Tensor:
        return self.x.index_select(0, rows.flatten()).view(*rows.shape, *self.x.shape[1:])


def inputs(x: Any) -> Tensor:
    """Return the inputs `[n, ...]` as a tensor; raise MapstoError if they are not numbers, or one is infinite."""
    x = np.asarray(x.detach() if isinstance(x, Tensor) else x)
    numeric = x.dtype.kind in "biuf" and x.ndim >= 2
    checks.expect(numeric, "x", f"{x.dtype} of shape {x.shape}", "numbers of shape [n, ...], one row for each example")
    infinite = int(np.isinf(x).sum())
    checks.expect(not infinite, "x", f"{infinite} infinite value(s)", "finite numbers, or NaN if missing")
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.int64 if x.dtype == np.int64 else np.float32))


def missing(y: np.ndarray) -> np.ndarray:
    """Return True for each label that is None or NaN (the only value that differs from itself)."""
    return np.array([label is None or label != label for label in y.tolist()], dtype=bool)
