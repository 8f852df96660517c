"""The groups of a table's rows, such as the patients of visits, by the cells of one column."""

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from .. import checks
from . import cells, words
from .remarks import listing


def group_names(table: pd.DataFrame, column: str, name: str) -> Shaped[np.ndarray, " n"]:
    """Return the group of each row of the table `name`; a row whose cell is empty is a group of its own.

    Raises:
        MapstoError: if there is no such column.

    >>> group_names(pd.DataFrame({"pid": ["P1", "p1 ", None]}), "pid", "the table").tolist()
    ['p1', 'p1', '(no group, row 3)']
    """
    there = listing([str(other) for other in table.columns], 8)
    checks.expect(column in table.columns, "group", f"{column!r}, which is no column of {name}", f"one of {there}")
    read = cells.cells(table[column])
    empty = [cell is None or (isinstance(cell, str) and words.fold(cell) in words.SIGNS) for cell in read]
    names = [
        f"(no group, row {i + 1})" if none else words.fold(cells.as_text(cell))
        for i, (cell, none) in enumerate(zip(read, empty, strict=True))
    ]
    return np.array(names, object)


def divided_note(column: str, train: Shaped[np.ndarray, " n"], test: Shaped[np.ndarray, " m"]) -> str:
    """Return a sentence about the number of groups used for training and for testing."""
    tested = f", {len(set(test))} others for testing" if len(test) else ""
    return f"rows with the same {column!r} stay together: {len(set(train))} groups are used for training{tested}."


def shared_note(column: str, train: Shaped[np.ndarray, " n"], other: Shaped[np.ndarray, " m"], name: str) -> list[str]:
    """Return a sentence about the rows of the table `name` whose group has training rows too."""
    known = set(train)
    rows = sum(group in known for group in other)
    shared = f"{rows} of {len(other)} rows of {name} have a {column!r} that training rows have too"
    return [f"{shared}; so they are easier to predict than rows of new groups."] if rows else []
