"""Episodes from a person's own recorded demonstrations: some of a task teach, others of the same task judge.

The tasks are divided among train, validation and test, so that results are for tasks that training never saw.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ... import checks
from ...episodes import Episode
from ...tables.columns import refuse_duplicates
from ...tables.tablefile import read
from ..answer_log import texts_of
from ..classes import Splits, divide
from ..sampling import each_once
from ..source import Tasks
from .recorded import Recorded


class DemonstrationLog(Tasks):
    """Tasks x `[n, observations]` ↦ y `[n, actions]` from a log of demonstrations, as those of `Demonstrations`.

    A row of the log is one step of a demonstration: what was observed, and the action that was taken; the steps of a
    demonstration stand in their order. Episodes hold whole demonstrations, each with the same weight, and steps of
    weight 0 as padding. There is no environment to play in, so an evaluation compares actions with the recorded ones.
    The attribute `columns` lists the observations, and `notes` says how the log was read.

    Args:
        log: the log, as a DataFrame or as the path of a table.
        actions: the names of the columns that hold the components of the action.
        observations: the names of the columns that hold the observation; by default, all other columns.
        shots: the number of demonstrations in the support set.
        queries: the number of demonstrations in the query set.
        task: the name of the column that names the task.
        episode: the name of the column that names the demonstration; two tasks may use the same name.
        splits: the fractions of the tasks for train, validation and test, or the names of the tasks of each split.
        seed: the random seed for the division of the tasks.

    Raises:
        MapstoError: if the log cannot be read, a column is missing or used twice, a cell is empty or no finite number,
            a task has fewer than shots + queries demonstrations, or there is no training task.

    >>> import pandas as pd
    >>> steps = [(task, demo, t, 2 * t) for task in range(5) for demo in "abc" for t in range(4)]
    >>> log = pd.DataFrame(steps, columns=["task", "episode", "angle", "torque"])
    >>> tasks = DemonstrationLog(log, actions=["torque"], shots=2)
    >>> tasks.batch(0, count=3).support.x.shape
    torch.Size([3, 8, 1])
    """

    def __init__(
        self,
        log: str | Path | pd.DataFrame,
        actions: Sequence[str],
        observations: Sequence[str] | None = None,
        shots: int = 5,
        queries: int = 1,
        task: str = "task",
        episode: str = "episode",
        splits: Splits = (0.6, 0.2, 0.2),
        seed: int = 0,
    ):
        checks.count(shots=shots, queries=queries)
        file = read(log) if isinstance(log, str | Path) else None
        table: Any = file.table if file else log
        checks.expect(isinstance(table, pd.DataFrame), "log", type(log).__name__, "a DataFrame or the path of a table")
        checks.expect(len(table) > 0, "log", "no row", "one for each step of a demonstration")
        refuse_duplicates([str(column) for column in table.columns])
        self.shots, self.queries, self.notes = shots, queries, file.notes if file else []
        _refuse_others(actions=actions, observations=() if observations is None else observations)
        others = [column for column in table.columns if column not in (task, episode, *actions)]
        self.columns = others if observations is None else list(observations)
        _refuse_columns(table, task=[task], episode=[episode], actions=actions, observations=self.columns)
        x, y = (_numbers(table, name, of) for name, of in (("observations", self.columns), ("actions", actions)))
        of_task, of_episode = _names(table, "task", task), _names(table, "episode", episode)
        self.names = sorted(set(of_task))
        self.recorded = _recorded(x, y, self.names, of_task, of_episode)
        self._refuse_few()
        self.pools = {split: pools[0] for split, pools in divide(self.names, splits, seed).items()}
        remedy = "give training a larger fraction"
        checks.expect(len(self.pools["train"]) > 0, "splits", "no training task", "at least one", remedy)

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks; see `Tasks.draw`. Raises MapstoError if the split has no task."""
        pool = self.pools[self.split]
        checks.expect(len(pool) > 0, "splits", f"no task for {self.split}", "at least one", "give it more")
        chosen = pool[each_once(generator, len(pool), count)]
        return self.recorded.draw(generator, chosen, self.shots, self.queries)

    def _refuse_few(self) -> None:
        counts = self.recorded.alive.any(-1).sum(-1)
        fewest, least = int(counts.argmin()), self.shots + self.queries
        got = f"{counts[fewest]} demonstration(s) of task {self.names[fewest]!r}"
        remedy = "lower shots or queries, or leave the task out"
        checks.expect(counts[fewest] >= least, "log", got, f"at least shots + queries = {least}", remedy)


def _refuse_others(**roles: Any) -> None:
    """Raise MapstoError if an argument is no list of names, such as the name of the only column."""
    for name, columns in roles.items():
        listed = isinstance(columns, Collection) and not isinstance(columns, str)
        checks.expect(listed, name, repr(columns), "a list with the name of at least one column")


def _refuse_columns(table: pd.DataFrame, **roles: Sequence[str]) -> None:
    """Raise MapstoError if a column is missing, or has two roles."""
    there = ", ".join(map(repr, table.columns[:8]))
    used = [column for columns in roles.values() for column in columns]
    for name, columns in roles.items():
        checks.expect(len(columns) > 0, name, repr(columns), "a list with the name of at least one column")
        for column in columns:
            checks.expect(column in table.columns, name, repr(column), "a column of the log", f"it has {there}")
            checks.expect(used.count(column) == 1, name, f"{column!r} twice", "each column once", "name it once")


def _numbers(table: pd.DataFrame, name: str, columns: Sequence[str]) -> Float[Tensor, "n columns"]:
    cells = table[[*columns]].apply(_number).to_numpy(np.float64, na_value=np.nan)
    numbers = torch.tensor(cells).float()  # an infinite number if it is too large
    for i, j in (~numbers.isfinite()).nonzero()[:1].tolist():
        got = f"{table[columns[j]].astype(object).iloc[i]!r} in row {i + 1} of {columns[j]!r}"
        checks.expect(False, name, got, "a finite number", "mend the cell, or leave the column out")
    return numbers


def _number(column: pd.Series) -> pd.Series:
    """Return the cells as numbers, NaN if they are none: dates are none, nor are complex numbers."""
    return pd.to_numeric(column.astype(str) if column.dtype.kind in "mMc" else column, errors="coerce")


def _names(table: pd.DataFrame, name: str, column: str) -> list[str]:
    names = texts_of(table[column])
    empty = [i for i, text in enumerate(names) if text is None]
    checks.expect(not empty, name, f"an empty cell in row {[*empty, 0][0] + 1}", "a name in every row", "fill it in")
    return [str(text) for text in names]


def _recorded(x: Tensor, y: Tensor, names: Sequence[str], tasks: Sequence[str], episodes: Sequence[str]) -> Recorded:
    """Return the demonstrations of each task, padded to the same number and the same length."""
    rows: dict[str, dict[str, list[int]]] = {name: {} for name in names}
    for i, (task, episode) in enumerate(zip(tasks, episodes, strict=True)):
        rows[task].setdefault(episode, []).append(i)
    most = max(len(of) for of in rows.values())
    longest = max(len(steps) for of in rows.values() for steps in of.values())
    place = torch.full((len(names), most, longest), -1)
    for t, of in enumerate(rows.values()):
        for d, steps in enumerate(of.values()):
            place[t, d, : len(steps)] = torch.tensor(steps)
    alive = place >= 0
    observation, action = (torch.where(alive[..., None], part[place], 0.0) for part in (x, y))
    return Recorded(observation, action, alive)
