"""Episodes from a folder of tables: each file is a task family of its own, a hospital, a season, a sensor.

The files are divided among train, validation and test, so that what is reported comes from tables that were never seen:
what was learned from some hospitals is asked in others.
"""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..episodes import Episode
from ..errors import MapstoError
from .classes import Splits, divide
from .sampling import Shots, bounds, episode, orders, weights, whole
from .source import Tasks
from .table import classes, features, known, numbers, one_of_each

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")


class TableFamily(Tasks):
    """Tasks x `[n, columns]` ↦ y `[n]` from the text files of a folder, each task's rows all from one file.

    Columns are matched by name; those that a file lacks are missing cells there (NaN), as are cells without a value.
    Texts become numbers as in `Table`, by what the files to train on hold; classes are those of all files (`names`), by
    what is written: 1, 1.0 and the text "1" are one. `shots`, `queries` and `regression` are as in `Table`. `splits`
    gives the shares of the files for train, validation and test, shuffled by `seed`, or names them: `{"train": ["rome",
    ...], "test": [...]}`, a file's name without its ending. A file with too few rows for an episode is left out
    (`left_out`).

    Raises:
        MapstoError: no such folder, fewer than two tables in it or two of one name, a file that is no table or lacks
            the target, one class only, or no file to train on with enough rows.
    """

    def __init__(
        self,
        folder: str | Path,
        target: str,
        shots: Shots = 16,
        queries: int = 16,
        regression: bool = False,
        splits: Splits = (0.6, 0.2, 0.2),
        seed: int = 0,
    ):
        import pandas as pd

        self.shots, self.queries = bounds("shots", shots), whole("queries", queries)
        paths = _files(Path(folder))
        tables = [known(path, target, path.name) for path in paths]
        self.tables = [_name(path) for path in paths]
        outcomes, sizes = [y for _, y in tables], [len(y) for _, y in tables]
        if regression:
            self.y, self.names = numbers(target, pd.concat(outcomes, ignore_index=True))
        else:
            self.y, self.names = classes(target, _labels(outcomes))
        short = {i for i, size in enumerate(sizes) if size < self.shots[1] + self.queries}
        self.left_out = [self.tables[i] for i in sorted(short)]
        every = torch.arange(len(self.y)).split(sizes)
        self.rows = {
            split: [every[i] for i in pools[0].tolist() if i not in short]
            for split, pools in divide(self.tables, splits, seed).items()
        }
        if not self.rows["train"]:
            raise MapstoError(
                f"folder: no table of {folder} to train on has shots + queries = {self.shots[1] + self.queries} rows "
                "with an outcome; lower shots or queries, or give training a larger share."
            )
        frame = pd.concat([frame for frame, _ in tables], ignore_index=True)
        self.columns, self.x = features(frame, torch.cat(self.rows["train"]))

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes; see `Tasks.draw`. Raises MapstoError where the split has no table."""
        tables = self.rows[self.split]
        if not tables:
            raise MapstoError(f"splits: no table to draw {self.split} tasks from; give it a larger share or add files.")
        chosen = torch.randint(len(tables), (count,), generator=generator).tolist()
        rows = torch.stack([self._drawn(generator, tables[i]) for i in chosen])  # [T, n]
        shuffle = orders(generator, count, self.shots[1])
        rows = torch.cat([rows[:, : self.shots[1]].gather(1, shuffle), rows[:, self.shots[1] :]], 1)
        return episode(self.x[rows], self.y[rows], weights(generator, count, self.shots).gather(1, shuffle))

    def _drawn(self, generator: torch.Generator, rows: Tensor) -> Tensor:
        """Draw an episode's rows of one table, one of each class that it has first."""
        keys = torch.rand(1, len(rows), generator=generator, dtype=torch.float64)
        keys = one_of_each(keys, self.y[rows]) if self.names else keys
        return rows[keys[0].argsort()[: self.shots[1] + self.queries]]


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise MapstoError(f"folder: got {folder}, which is no folder; name the one that holds the tables.")
    found = sorted(path for path in folder.iterdir() if path.name.lower().endswith(ENDINGS))
    if len(found) < 2:
        raise MapstoError(
            f"folder: {folder} holds {len(found)} table(s) ({', '.join(ENDINGS)}), expected two or more: some to train "
            "on and others to test on; for one table use Table."
        )
    for one, other in itertools.combinations(found, 2):
        if _name(one) == _name(other):
            raise MapstoError(f"folder: got {one.name} and {other.name}, expected a name of its own for each table.")
    return found


def _name(path: Path) -> str:
    return path.name[: -len(next(end for end in sorted(ENDINGS, key=len)[::-1] if path.name.lower().endswith(end)))]


def _labels(outcomes: "list[pd.Series]") -> "pd.Series":
    """Join the tables' outcomes as texts, for the same class is a number in one table and a word in another."""
    import pandas as pd

    from ..tables.columns import as_texts

    y = pd.concat([as_texts(part) for part in outcomes], ignore_index=True)
    value = pd.to_numeric(y, errors="coerce")
    order = y[value.argsort(kind="stable")] if value.notna().all() else y.sort_values()
    return y.astype(pd.CategoricalDtype(order.unique()))
