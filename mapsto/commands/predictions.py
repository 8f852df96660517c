"""The predictions as a table: each explained row as it was given, then its prediction and its reasons.

base + Σ_column because of column = probability of the predicted class, or the predicted number
"""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ..tables import spelling
from .sheet import Sheet, sheet

if TYPE_CHECKING:
    from ..reports.table.base import TableAnswer
    from ..tables.column import Column


_CODE = re.compile(r"\s*0\d")


def predictions(answer: "TableAnswer", form: str = "csv") -> Sheet:
    """Return the table of predictions, to be written in the format `form`.

    The columns are `row`, `line` (of the file), the table's own columns, `prediction`, `probability of CLASS` (or the
    ends of the 90 % interval, `lower` and `upper`, if numbers are predicted), `base`, `because of COLUMN` of each
    column that is used, `trust`, and `margin of COLUMN`: half the width of the 90 % interval of `because of COLUMN`. A
    column of the table that has the name of another one is called `NAME (given)`.

    Raises:
        MapstoError: if `form` is "xlsx" and a sheet cannot hold so many rows or columns.
    """
    given = _given(answer)
    if form != "csv":  # a spreadsheet that expects decimal commas would take 12.5 for the twelfth of May
        given = {name: _as_numbers(answer, name, cells) for name, cells in given.items()}
    return sheet(columns(answer, given), form)


def form_of(answer: "TableAnswer") -> str:
    """Return the format in which the table itself is written: "csv;" has semicolons and decimal commas.

    A table that is no text file, or has decimal points between semicolons, gives "csv".
    """
    source, numbers = answer.question.source, [column for column in answer.readers.values() if column.kind == "number"]
    semicolons = source is not None and source.file.table.attrs.get("decimal") == ","
    return "csv;" if semicolons and all(column.decimal == "," for column in numbers) else "csv"


def columns(answer: "TableAnswer", given: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of the table of predictions, with those that were `given` between the others."""
    first, last = _names_of_rows(answer), _predicted(answer)
    return {**first, **_renamed(given, [*first, *last]), **last}


def _names_of_rows(answer: "TableAnswer") -> dict[str, Sequence[Any]]:
    question = answer.question
    columns: dict[str, Sequence[Any]] = {"row": question.rows.index.tolist()}
    if question.source is not None and question.places is not None:
        columns["line"] = [question.source.file.lines[i] for i in question.places]
    return columns


def _predicted(answer: "TableAnswer") -> dict[str, Sequence[Any]]:
    trust, errors = answer.reasons.trust, answer.reasons.errors
    trusted = {} if trust is None else {"trust": trust.tolist()}
    margins = {} if errors is None else _of_columns("margin of", answer, answer.reach)
    return {**answer.predictions(), **_of_columns("because of", answer, answer.values), **trusted, **margins}


def _of_columns(what: str, answer: "TableAnswer", parts: Float[np.ndarray, "n d k"]) -> dict[str, Sequence[Any]]:
    """Return the parts of each row's prediction, one column for each column that is used."""
    predicted = [answer.predicted(i) for i in range(len(parts))]
    of_rows = parts[np.arange(len(parts)), :, predicted]
    return {f"{what} {answer.columns[j]}": of_rows[:, j].tolist() for j in answer.used}


def _given(answer: "TableAnswer") -> dict[str, Sequence[Any]]:
    """Return the columns as they were given, those that are not used for predicting too."""
    question = answer.question
    table = question.rows
    if question.source is not None and question.places is not None:
        table = question.source.file.table.iloc[question.places]
    return {str(name): table.iloc[:, j].tolist() for j, name in enumerate(table.columns)}


def _as_numbers(answer: "TableAnswer", name: str, cells: Sequence[Any]) -> Sequence[Any]:
    """Return the cells of a column of numbers as numbers; one with a unit, a bound or a leading 0 stays a text."""
    column = answer.readers.get(name)
    return cells if column is None or column.kind != "number" else [_as_number(column, cell) for cell in cells]


def _as_number(column: "Column", cell: Any) -> Any:
    part = spelling.parts(cell) if isinstance(cell, str) and column.style == "plain" else None
    number = math.nan if part is None or part.unit or part.bound else spelling.value(part, column.decimal)
    code = isinstance(cell, str) and _CODE.match(cell)
    return number if math.isfinite(number) and not code else cell


def _renamed(columns: dict[str, Any], taken: Sequence[str]) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for name, cells in columns.items():
        while name in taken or name in names:
            name += " (given)"
        names[name] = cells
    return names
