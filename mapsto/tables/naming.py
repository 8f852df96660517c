"""The names of a table's columns: nameless columns, and a first column that only numbers the rows."""

import re
from collections.abc import Sequence
from typing import Any

from .grid import Row

_ROW_NAMES = re.compile(r"Unnamed: ?\d+(_level_\d+)?|index|row\.?names?|", re.IGNORECASE)


def whole(cell: Any) -> Any:
    """Return 4.0 as 4, because files of other programs store whole numbers as floats."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def named(names: Sequence[str], rows: Sequence[Row], notes: Sequence[str]) -> tuple[list[str], list[Row], list[str]]:
    """Leave out empty columns without a name and a first column that counts rows; name the others by their place."""
    kept, new, said = [], [], list(notes)
    for j, name in enumerate(names):
        column = [row.cells[j] for row in rows]
        nameless = not name or name.startswith("Unnamed:")
        if nameless and all(cell is None for cell in column):
            said += [f"column {j + 1} has neither a name nor cells; left out."] if rows else []
            continue
        if j == 0 and _ROW_NAMES.fullmatch(name) and _counts(column, nameless):
            said.append("column 1 numbers the rows; left out.")
            continue
        if nameless:
            said.append(f"column {j + 1} has no name; it is called 'column {j + 1}'.")
        kept.append(j)
        new.append(f"column {j + 1}" if nameless else name)
    return new, [Row(row.line, [row.cells[j] for j in kept]) for row in rows], said


def _counts(column: Sequence[Any], nameless: bool) -> bool:
    """Return whether a first column names rows: all different, and counting up if the column has a name."""
    if None in column or len(set(column)) < len(column):
        return False
    numbers = [int(str(whole(cell))) if str(whole(cell)).isdecimal() else None for cell in column]
    steps = len(numbers) > 1 and None not in numbers
    if nameless:
        return None not in numbers
    return bool(steps and numbers == list(range(numbers[0] or 0, (numbers[0] or 0) + len(numbers))))
