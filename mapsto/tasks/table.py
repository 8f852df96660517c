"""Episodes from one table: support and query of each task are rows drawn at random.

The rows are divided among train, validation and test, class by class, so that no row of the test was trained on.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .. import checks
from ..episodes import Episode
from .sampling import Shots, bounds, divided, episode, orders, weights
from .source import Tasks

if TYPE_CHECKING:
    import pandas as pd

    from ..tables.columns import Column


class Table(Tasks):
    """Tasks x `[n, columns]` ↦ y `[n]` whose rows are sampled from one table, a DataFrame or a text file.

    Each episode has `shots` support rows and `queries` query rows; no row is in both sets. If `shots` is a pair (low,
    high), each task has a random number of shots; the remaining support rows, up to `high`, are padding with weight 0.
    If the number of shots is at least the number of classes, every class has a support row. `splits` holds the
    fractions of the rows for train, validation and test; `seed` is the random seed of this division. `target` is the
    name of the column to predict. If this column holds classes, the attribute `names` lists the classes in the order of
    their indices. If `regression` is True, the number in the column is predicted, and y has shape `[n, 1]`. Texts and
    dates become numbers, and missing cells become NaN (see `mapsto.tables.columns`). Rows without a value of `target`
    are left out.

    Raises:
        MapstoError: if the file is not a table, there is no column `target`, the column has only one class, or there
            are too few rows.

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
        checks.count(queries=queries)
        self.shots, self.queries = bounds("shots", shots), queries
        frame, outcome = rows_with_outcome(table, target, "the table")
        self.y, self.names = numbers(target, outcome) if regression else classes(target, outcome)
        self.rows = divided(None if regression else self.y, len(self.y), splits, seed)
        columns, self.x = features(frame, self.rows["train"])
        self.columns = [column.name for column in columns]
        self._require_rows(max(len(rows) for rows in self.rows.values()))

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes; see `Tasks.draw`. Raises MapstoError if the split has too few rows for an episode."""
        rows, most = self.rows[self.split], self.shots[1]
        self._require_rows(len(rows))
        x, y = self.x[rows], self.y[rows]
        keys = torch.rand(count, len(rows), generator=generator, dtype=torch.float64)
        keys = one_of_each(keys, y) if self.names else keys
        sample = keys.argsort(1)[:, : most + self.queries]  # [T, n]
        shuffle = orders(generator, count, most)
        sample = torch.cat([sample[:, :most].gather(1, shuffle), sample[:, most:]], 1)
        return episode(x[sample], y[sample], weights(generator, count, self.shots).gather(1, shuffle))

    def _require_rows(self, rows: int) -> None:
        least = self.shots[1] + self.queries
        remedy = "lower shots or queries, or give the split a larger fraction"
        checks.expect(
            rows >= least, "table", f"{rows} row(s) in the split", f"at least shots + queries = {least}", remedy
        )


def rows_with_outcome(table: "str | Path | pd.DataFrame", target: str, name: str) -> "tuple[pd.DataFrame, pd.Series]":
    """Return the other columns and the column `target` of those rows that have a value of it.

    Raises:
        MapstoError: if the table, which messages call `name`, has no such column, or no value in it.
    """
    from ..tables.tablefile import outcomes, read_table  # pandas is slow to import

    frame = read_table(table) if isinstance(table, str | Path) else table
    listed = ", ".join(str(column) for column in frame.columns[:8])
    checks.expect(target in frame.columns, "target", repr(target), f"a column of {name}, such as {listed}")
    y = outcomes(frame, target, name)
    present = y.notna()
    remedy = "fill it in for the rows to use"
    checks.expect(bool(present.any()), "target", f"no value of {target!r} in {name}", "at least one", remedy)
    return frame.loc[present].drop(columns=target), y[present]


def features(frame: "pd.DataFrame", train: Tensor) -> "tuple[list[Column], Tensor]":
    """Return the columns that vary, and their numbers `[n, columns]`.

    The conversion of texts and dates to numbers is fitted to the rows `train` only.

    Raises:
        MapstoError: if no column varies.
    """
    from ..tables.columns import Columns

    columns = Columns().fit(frame.iloc[train.numpy()])
    others = f"{frame.shape[1]} column(s) besides the target"
    checks.expect(bool(columns.informative.any()), "table", others, "at least one that varies")
    numbers = columns.transform(frame)[:, columns.informative]
    kept = [column for column, keep in zip(columns.columns, columns.informative, strict=True) if keep]
    return kept, torch.from_numpy(numbers.astype(np.float32))


MOST_MEASURED = 20  # a column with more different numbers and with decimals does not hold classes


def classes(target: str, y: "pd.Series") -> tuple[Tensor, list[str]]:
    """Return the class of each row, numbered in sorted order, and the names of the classes.

    Raises:
        MapstoError: if there are fewer than two classes, or the values look like measured numbers.
    """
    import pandas as pd

    codes, names = pd.factorize(y, sort=True)
    values = pd.to_numeric(y, errors="coerce").to_numpy(float, na_value=np.nan)
    measured = len(names) > MOST_MEASURED and np.isfinite(values).all() and (values % 1).any()
    different = f"{len(names)} different numbers in {target!r}"
    checks.expect(not measured, "target", different, "classes", "set regression=True to predict numbers")
    checks.expect(len(names) > 1, "target", f"one class only in {target!r} ({names[0]!r})", "two or more")
    return torch.from_numpy(codes.astype(np.int64)), [str(name) for name in names]


def numbers(target: str, y: "pd.Series") -> tuple[Tensor, list[str]]:
    """Return the numbers `[n, 1]`, and no names of classes.

    Raises:
        MapstoError: if a value is not a finite number.
    """
    import pandas as pd

    numbers = pd.to_numeric(y, errors="coerce").to_numpy(np.float32, na_value=np.nan)
    wrong = y[~np.isfinite(numbers)]
    checks.expect(wrong.empty, "target", f"{next(iter(wrong), None)!r} in {target!r}", "finite numbers")
    return torch.from_numpy(numbers)[:, None], []


def one_of_each(keys: Tensor, y: Tensor) -> Tensor:
    """Lower the smallest key of each class below all other keys, so that sorting puts one row of each class first."""
    first = torch.cat([torch.where(y == c, keys, 2).argmin(1, keepdim=True) for c in y.unique()], 1)  # [T, k]
    return keys.scatter_add(1, first, -torch.ones_like(keys)[:, : first.shape[1]])
