"""Episodes from a folder of tables, one file for each hospital, season or sensor.

The files are divided among train, validation and test, so that results are for tables that were never trained on, such
as for other hospitals.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import checks
from ..episodes import Episode
from .classes import Splits, divide
from .sampling import Shots, bounds, episode, orders, weights
from .source import Tasks
from .table import classes, features, numbers, one_of_each, rows_with_outcome

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")


class TableFamily(Tasks):
    """Tasks x `[n, columns]` ↦ y `[n]` from a folder of tables; all rows of one task come from the same file.

    Columns are matched by name. If a file lacks a column, this column is missing (NaN) in all rows of the file. Texts
    become numbers as in `Table`; only the training files determine which text becomes which number. The attribute
    `names` lists the classes of all files; the values 1, 1.0 and "1" count as the same class. The attribute `left_out`
    lists the files that have too few rows for an episode.

    Args:
        folder: the path of the folder.
        target: the name of the column to predict.
        shots: the number of support rows; see `Table`.
        queries: the number of query rows.
        regression: if True, the number in `target` is predicted instead of a class.
        splits: the fractions of the files for train, validation and test. Alternatively, `splits` is a dict with the
            file names of each split, without extensions: `{"train": ["rome", ...], "test": [...]}`.
        seed: the random seed for the division of the files if `splits` holds fractions.

    Raises:
        MapstoError: if the folder does not exist, has fewer than two tables, or has two tables with the same name; if a
            file is not a table or lacks the target; or if there is only one class or no training file has enough rows.
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

        checks.count(queries=queries)
        self.shots, self.queries = bounds("shots", shots), queries
        paths = _files(Path(folder))
        tables = [rows_with_outcome(path, target, path.name) for path in paths]
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
        least = f"one with shots + queries = {self.shots[1] + self.queries} rows that have an outcome"
        remedy = "lower shots or queries, or give training a larger fraction"
        checks.expect(len(self.rows["train"]) > 0, "folder", f"no such training table in {folder}", least, remedy)
        frame = pd.concat([frame for frame, _ in tables], ignore_index=True)
        columns, self.x = features(frame, torch.cat(self.rows["train"]))
        self.columns = [column.name for column in columns]

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes; see `Tasks.draw`. Raises MapstoError if the split has no table."""
        tables = self.rows[self.split]
        remedy = "give it a larger fraction, or add files"
        checks.expect(len(tables) > 0, "splits", f"no table for {self.split}", "at least one", remedy)
        chosen = torch.randint(len(tables), (count,), generator=generator).tolist()
        rows = torch.stack([self._draw_rows(generator, tables[i]) for i in chosen])  # [T, n]
        shuffle = orders(generator, count, self.shots[1])
        rows = torch.cat([rows[:, : self.shots[1]].gather(1, shuffle), rows[:, self.shots[1] :]], 1)
        return episode(self.x[rows], self.y[rows], weights(generator, count, self.shots).gather(1, shuffle))

    def _draw_rows(self, generator: torch.Generator, rows: Tensor) -> Tensor:
        """Draw the rows of an episode from one table, first one row of each class that the table has."""
        keys = torch.rand(1, len(rows), generator=generator, dtype=torch.float64)
        keys = one_of_each(keys, self.y[rows]) if self.names else keys
        return rows[keys[0].argsort()[: self.shots[1] + self.queries]]


def _files(folder: Path) -> list[Path]:
    checks.expect(folder.is_dir(), "folder", folder, "a folder that holds the tables")
    files = sorted(path for path in folder.iterdir() if path.name.lower().endswith(ENDINGS))
    checks.expect(
        len(files) > 1, "folder", f"{len(files)} table(s) in {folder}", f"two or more ({', '.join(ENDINGS)})",
        "for one table use Table",
    )  # fmt: skip
    names = [_name(path) for path in files]
    for file, name in zip(files, names, strict=True):
        checks.expect(names.count(name) == 1, "folder", f"{file.name} and another {name!r}", "different names")
    return files


def _name(path: Path) -> str:
    return path.name[: -len(next(end for end in sorted(ENDINGS, key=len)[::-1] if path.name.lower().endswith(end)))]


def _labels(outcomes: "list[pd.Series]") -> "pd.Series":
    """Join the outcomes of the tables as texts, because a class may be a number in one table and a text in another."""
    import pandas as pd

    from ..tables.columns import as_texts

    y = pd.concat([as_texts(part) for part in outcomes], ignore_index=True)
    value = pd.to_numeric(y, errors="coerce")
    order = y[value.argsort(kind="stable")] if value.notna().all() else y.sort_values()
    return y.astype(pd.CategoricalDtype(order.unique()))
