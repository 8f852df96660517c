"""Episodes from one table: each task teaches with some of its rows and judges on others, all drawn at random.

The rows are divided among train, validation and test, class by class, so that what is reported was never trained on.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..episodes import Episode
from ..errors import MapstoError
from .sampling import Shots, bounds, episode, orders, shares, weights, whole
from .source import SPLITS, Tasks

if TYPE_CHECKING:
    import pandas as pd


class Table(Tasks):
    """Tasks x `[n, columns]` ↦ y `[n]` from a table: a data frame, or the path of a text file.

    Each episode draws `shots` rows to learn from (a pair draws their number anew for each task, padding the rest), at
    least one of each class where as many are drawn, and `queries` others to be judged on. `splits` gives the shares of
    the rows for train, validation and test, drawn by `seed`. Classes are numbered in sorted order (`names`); with
    `regression`, y `[n, 1]` is the target as it stands. Texts and dates become numbers, missing cells NaN (see
    `Columns`); rows without a target are left out. Raises MapstoError for a file that is no table, no such target, one
    class only, or too few rows.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": range(20), "ward": ["a", "b"] * 10, "ill": [False, True] * 10})
    >>> tasks = Table(frame, target="ill", shots=4, queries=3)
    >>> tasks.batch(0, count=2).support.x.shape, tasks.names
    (torch.Size([2, 4, 2]), ['False', 'True'])
    """

    def __init__(
        self,
        table: "str | Path | pd.DataFrame",
        target: str,
        shots: Shots = 16,
        queries: int = 16,
        regression: bool = False,
        splits: tuple[float, float, float] = (0.6, 0.2, 0.2),
        seed: int = 0,
    ):
        self.shots, self.queries = bounds("shots", shots), whole("queries", queries)
        frame, target_column = known(table, target, "the table")
        self.y, self.names = numbers(target, target_column) if regression else classes(target, target_column)
        codes = torch.zeros(len(self.y), dtype=torch.long) if regression else self.y
        part = torch.bucketize(_quantile(codes, seed), shares(splits), right=True)
        self.rows = {name: (part == i).nonzero()[:, 0] for i, name in enumerate(SPLITS)}
        self.columns, self.x = features(frame, self.rows["train"])
        if all(len(rows) < self.shots[1] + self.queries for rows in self.rows.values()):
            raise MapstoError(self._short(max(len(rows) for rows in self.rows.values())))

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes; see `Tasks.draw`. Raises MapstoError where the split has too few rows for one."""
        rows, most = self.rows[self.split], self.shots[1]
        if len(rows) < most + self.queries:
            raise MapstoError(self._short(len(rows)))
        x, y = self.x[rows], self.y[rows]
        keys = torch.rand(count, len(rows), generator=generator, dtype=torch.float64)
        keys = one_of_each(keys, y) if self.names else keys
        drawn = keys.argsort(1)[:, : most + self.queries]  # [T, n]
        shuffle = orders(generator, count, most)
        drawn = torch.cat([drawn[:, :most].gather(1, shuffle), drawn[:, most:]], 1)
        return episode(x[drawn], y[drawn], weights(generator, count, self.shots).gather(1, shuffle))

    def _short(self, rows: int) -> str:
        return (
            f"table: {rows} row(s) in the split, expected at least shots + queries = {self.shots[1] + self.queries}; "
            "lower shots or queries, or give the split a larger share."
        )


def known(table: "str | Path | pd.DataFrame", target: str, name: str) -> "tuple[pd.DataFrame, pd.Series]":
    """Return the columns and the target of the rows of the table `name` that have one."""
    from ..tables.tablefile import outcomes, read_table  # pandas is slow to import

    frame = read_table(table) if isinstance(table, str | Path) else table
    if target not in frame.columns:
        listed = ", ".join(str(column) for column in frame.columns[:8])
        raise MapstoError(f"target: got {target!r}, which is no column of {name} (it has {listed}); name one of these.")
    y = outcomes(frame, target, name)
    there = y.notna()
    if not there.any():
        raise MapstoError(f"target: no row of {name} has a value in {target!r}; fill it in for the rows to use.")
    return frame.loc[there].drop(columns=target), y[there]


def features(frame: "pd.DataFrame", train: Tensor) -> tuple[list[str], Tensor]:
    """Return the columns that can teach, and their numbers; how to read them is learned from the rows `train` alone."""
    from ..tables.columns import Columns

    columns = Columns().fit(frame.iloc[train.numpy()])
    if not columns.informative.any():
        raise MapstoError(f"table: got {frame.shape[1]} column(s) beside the target, expected one that varies.")
    numbers = columns.transform(frame)[:, columns.informative]
    names = [column.name for column, keep in zip(columns.columns, columns.informative, strict=True) if keep]
    return names, torch.from_numpy(numbers.astype(np.float32))


MOST_MEASURED = 20  # numbers with decimals that may name classes


def classes(target: str, y: "pd.Series") -> tuple[Tensor, list[str]]:
    """Return class numbers in sorted order, and the classes' names."""
    import pandas as pd

    codes, names = pd.factorize(y, sort=True)
    read = pd.to_numeric(y, errors="coerce").to_numpy(float, na_value=np.nan)
    if len(names) > MOST_MEASURED and np.isfinite(read).all() and (read % 1).any():
        raise MapstoError(f"target: {target!r} has {len(names)} different numbers, no classes; set regression=True.")
    if len(names) < 2:
        raise MapstoError(f"target: {target!r} has one class only ({names[0]!r}), expected two or more.")
    return torch.from_numpy(codes.astype(np.int64)), [str(name) for name in names]


def numbers(target: str, y: "pd.Series") -> tuple[Tensor, list[str]]:
    """Return targets as they stand, `[n, 1]`, and no names."""
    import pandas as pd

    numbers = pd.to_numeric(y, errors="coerce").to_numpy(np.float32, na_value=np.nan)
    if not np.isfinite(numbers).all():
        raise MapstoError(f"target: {target!r} holds {y[~np.isfinite(numbers)].iloc[0]!r}, expected finite numbers.")
    return torch.from_numpy(numbers)[:, None], []


def _quantile(codes: Tensor, seed: int) -> Tensor:
    """Return each row's place among those of its class, shuffled, as (rank + ½) / size: cutting it cuts every class."""
    shuffled = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))
    order = shuffled[codes[shuffled].argsort(stable=True)]  # by class, at random within
    sizes = torch.bincount(codes)
    rank = torch.arange(len(codes)) - (sizes.cumsum(0) - sizes)[codes[order]]
    return torch.zeros(len(codes), dtype=torch.float64).scatter(0, order, (rank + 0.5) / sizes[codes[order]].double())


def one_of_each(keys: Tensor, y: Tensor) -> Tensor:
    """Lower the smallest key of each class below every other key, so that sorting puts one row of each class first."""
    first = torch.cat([torch.where(y == c, keys, 2).argmin(1, keepdim=True) for c in y.unique()], 1)  # [T, k]
    return keys.scatter_add(1, first, -torch.ones_like(keys)[:, : first.shape[1]])
