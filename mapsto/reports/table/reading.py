"""How each column of a table was read, in texts: its kind, its range or levels, its missing cells, or why it is unused.

The page, the terminal and `--json` show the same readings; nothing here knows of HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from ...tables import cells, words
from ...tables.column import Column
from ...tables.columns import described
from ...tables.remarks import listing
from ..words import count
from .base import TableAnswer, ordered

if TYPE_CHECKING:
    from ...estimators.table import TableEstimator


class Reading(NamedTuple):
    """How one column was read.

    Attributes:
        name: the name of the column.
        kind: "number", "date", "category", "ordered", "pair" (read as two columns), "absent" or "unused".
        unit: the unit of its numbers, empty if there is none.
        values: its range or its levels, empty if there are none.
        missing: the number of its cells that are empty or stand for a missing value.
        unread: the number of its other cells that could not be read, such as levels that no training row has.
        rows: the number of rows in which they were counted.
        why: a sentence about why the column is not used or is not used as it is; empty if it is used.
        dropped: whether the column is not used for predicting.
    """

    name: str
    kind: str
    unit: str
    values: str
    missing: int
    unread: int
    rows: int
    why: str
    dropped: bool

    @property
    def share(self) -> str:
        """The missing cells with their percentage, and those not read, such as "7 (12 %), 2 not read"; "–" if none."""
        percent = 100 * self.missing / max(self.rows, 1)
        written = "<1" if percent < 1 else ">99" if 99 < percent < 100 else f"{percent:.0f}"
        parts = [f"{self.missing:,} ({written} %)"] * bool(self.missing) + [f"{self.unread:,} not read"] * bool(
            self.unread
        )
        return ", ".join(parts) or "–"


def readings(answer: TableAnswer) -> list[Reading]:
    """Return how each column was read, in the order of the table; the outcome is not among them.

    The list is empty if the answer does not know its estimator.
    """
    if answer.classifier is None:
        return []
    rows, why = _all_rows(answer), _reasons(answer.classifier)
    read = {name: _read(column, rows[name], why[name]) for name, column in answer.readers.items()}
    given = [] if answer.question.source is None else _given(answer, read)
    return [*given, *(reading for name, reading in read.items() if name not in {part.name for part in given})]


def as_dicts(columns: Sequence[Reading]) -> list[dict[str, Any]]:
    """Return the readings as `--json` prints them."""
    return [
        {"name": c.name, "kind": c.kind, "unit": c.unit, "dropped": c.dropped, "why": c.why or None,
         "missing": c.missing, "unread": c.unread, "rows": c.rows, "values": c.values}
        for c in columns
    ]  # fmt: skip


def sentences(answer: TableAnswer) -> list[str]:
    """Say how many columns and rows there are, what the outcome is, and how to change the reading."""
    columns = readings(answer)
    if not columns:
        return []
    used = sum(not column.dropped and column.kind != "pair" for column in columns)
    target = "" if answer.question.source is None else f" The outcome is {answer.question.source.target!r}."
    python = answer.question.source is None
    options = ("missing=[...]", "types={...}", "order={...}") if python else _OPTIONS
    return [
        f"{count(used, 'column')} of {len(columns)} {'is' if used == 1 else 'are'} used for predicting.{target} "
        "Ranges and levels are those of the training rows. Missing cells, and apart from them cells that cannot be "
        f"read, such as levels that no training row has, are counted in {count(columns[0].rows, 'row')}: the training "
        "rows and the predicted rows.",
        f"If a column was read wrongly, say how it is meant: {', '.join(options)}.",
    ]


_OPTIONS = ("--type COLUMN=KIND", "--missing COLUMN=WORD", "--order 'COLUMN=A<B<C'", "--drop COLUMN", "--id COLUMN")


def _all_rows(answer: TableAnswer) -> pd.DataFrame:
    question, names = answer.question, list(answer.readers)
    parts = [ordered(part, names) for part in (question.train, question.rows, question.others) if len(part)]
    return pd.concat([part.set_axis(names, axis=1).astype(object) for part in parts], ignore_index=True)


def _read(column: Column, values: pd.Series, why: str) -> Reading:
    name, kind, unit, levels, _ = described(column)
    numbers, _ = column.read(values)
    unread = int(column.unread(values).sum())
    missing = _empty(values) if kind == "absent" else int(np.isnan(numbers).sum()) - unread
    return Reading(name, kind, unit, levels, missing, unread, len(values), why, bool(why))


def _reasons(estimator: TableEstimator) -> dict[str, str]:
    """Say of each column why it is not used; the reason is empty if it is used."""
    columns, types = estimator.columns_, estimator.types or {}
    return {
        column.name: "" if j in estimator.used_ else _why(column, bool(varies), types.get(column.name) == "absent")
        for j, (column, varies) in enumerate(zip(columns, columns.informative, strict=True))
    }


def _why(column: Column, informative: bool, chosen: bool) -> str:
    said = next((note for note in column.notes if "left out" in note), "")
    if said:
        return _sentence(said.removeprefix(f"column {column.name!r}:"))
    if informative:
        return "Not read: there are more columns than are read, and others go more with the outcome."
    if chosen:
        return "Left out, as --type or types says."
    if not column.codes and np.isnan(column.low):
        return "Every training cell is empty."
    return "The same value in every training row."


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _given(answer: TableAnswer, read: dict[str, Reading]) -> list[Reading]:
    """Return the readings of the columns of the training table's file; a column of pairs comes before its two parts."""
    source = answer.question.source
    table = source.train.table if source is not None else pd.DataFrame()
    found = []
    for j, name in enumerate(map(str, table.columns)):
        parts = [part for part in (f"{name} (1)", f"{name} (2)") if part in read and part not in table.columns]
        if name in read:
            found.append(read[name])
        elif source is not None and name != source.target:
            found.append(_unused(answer, name, table.iloc[:, j], parts))
        found += [read[part] for part in parts if name not in read]
    return found


def _unused(answer: TableAnswer, name: str, values: pd.Series, parts: list[str]) -> Reading:
    """Return the reading of a column that a person leaves out, or that is read as two columns."""
    choices, missing = answer.question.choices, _empty(values)
    if parts:
        why = f"It holds pairs of numbers, read as two columns: {listing(parts)}."
        return Reading(name, "pair", "", "", missing, 0, len(values), why, False)
    roles = {choices.id: "It names the rows (--id).", choices.group: "Its groups of rows stay together (--group)."}
    why = "Left out by --drop." if name in choices.drop else roles.get(name, "It is not used for predicting.")
    return Reading(name, "unused", "", "", missing, 0, len(values), why, True)


def _empty(values: pd.Series) -> int:
    return sum(cell is None or (isinstance(cell, str) and words.is_missing(cell)) for cell in cells.cells(values))
