"""A numeric outcome: its numbers, read like those of any column, its unit, and what is said about its cells.

A bound such as <5 teaches as the number 5 itself: anything further would be invented. A span of time is counted in
days, hours or minutes, whichever suits most cells.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import checks
from . import cells, percents, spelling
from .column import Column
from .outcome import Outcome
from .remarks import AMONG, BEYOND, counted, listing, unread_sentence

_TIMES = {"days": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0}
_IN_BRACKETS = re.compile(r"\s*[(\[]([^()\[\]]*[^\W\d][^()\[\]]*|[%‰])[)\]]\s*$")
_WORDS = (
    *("days", "weeks", "months", "years", "hours", "minutes", "seconds", "hrs", "min", "mins", "yrs", "tage", "jahre"),
    *("mmhg", "kpa", "bpm", "kg", "mg", "cm", "mm", "km", "ml", "mg/l", "mg/dl", "g/l", "g/dl", "mmol/l", "µmol/l"),
    *("umol/l", "u/l", "iu/l", "kg/m2", "percent", "%", "usd", "eur", "euro", "euros", "dollars", "points"),
)
_AT_END = re.compile(rf"(?:,\s*|[\s_]+in[\s_]+|[\s_]+)({'|'.join(map(re.escape, _WORDS))})$", re.IGNORECASE)


@dataclass(frozen=True)
class Amounts:
    """How a numeric outcome is read.

    Attributes:
        column: how its cells are read.
        factor: the numbers of the column are divided by it; 1 unless they are spans of time.
        time: the unit of a span of time, else empty.
    """

    column: Column
    factor: float = 1.0
    time: str = ""

    @classmethod
    def of(cls, column: Column, y: pd.Series) -> Amounts:
        """Return how to read the cells `y`, whose column was decided."""
        if column.kind != "number" or column.style != "span":
            return cls(column)
        numbers, _ = column.read(y)
        middle = float(np.nanmedian(np.abs(numbers))) if not np.isnan(numbers).all() else 0.0
        time = next((name for name, size in _TIMES.items() if middle >= size), "s")
        return cls(column, _TIMES[time], time)

    @property
    def name(self) -> str:
        """The name of the column."""
        return self.column.name

    @property
    def unit(self) -> str:
        """The unit of the numbers: of the cells, or in the name of the column; empty if it is not known."""
        return self.time or self.column.unit or unit_of_name(self.name)[1]

    def numbers(self, y: pd.Series) -> Float[np.ndarray, " n"]:
        """Return the numbers of the cells, NaN for missing ones; a bound is the number itself."""
        numbers, _ = self.column.read(y)
        if cells.kind_of(y) == "cells" and self.column.style == "plain" and not self.column.shift:
            column = enumerate(cells.cells(y))
            bounds = {i: part for i, cell in column if not np.isnan(numbers[i]) and (part := _bound(cell))}
            for i, part in bounds.items():
                numbers[i] = spelling.value(part, self.column.decimal)
        return numbers / self.factor + self.column.shift

    def read(self, y: pd.Series) -> Outcome:
        """Return the numbers of the cells, and sentences about how they were read.

        Raises:
            MapstoError: if an outcome is infinite.
        """
        numbers = self.numbers(y)
        infinite = [str(name) for name in y.index[np.isinf(numbers)]]
        got = f"an infinite outcome in row {', '.join(infinite[:5])} of {self.name!r}"
        checks.expect(not infinite, "target", got, "finite numbers", "empty these cells or leave the rows out")
        return Outcome(pd.Series(numbers, y.index, dtype=float, name=y.name), self._notes(y))

    def refuse_texts(self, y: pd.Series) -> None:
        """Raise MapstoError if most cells are no numbers."""
        present = [cell for cell in cells.cells(y) if cell is not None and not self.column.is_missing(cell)]
        readable = int((~np.isnan(self.numbers(y))).sum()) if self.column.kind == "number" else 0
        some = listing([cells.as_text(cell) for cell in dict.fromkeys(present)], 3)
        fits = not present or 2 * readable > len(present)
        got = f"{some} in {self.name!r}"
        checks.expect(fits, "outcome", got, "numbers", "pass --outcome classes")

    def _notes(self, y: pd.Series) -> list[str]:
        column, name = self.column, f"target {self.name!r}:"
        bounds: Counter[cells.Cell] = Counter(cell for cell in cells.cells(y) if _bound(cell))
        notes = [note for note in column.notes if not note.endswith((BEYOND, AMONG))]
        if bounds and column.style == "plain":
            notes.append(
                f"{name} {counted(bounds)} read as the bound itself, though the outcome lies beyond it. Leave these "
                "rows out if they are many."
            )
        if self.time:
            notes.append(f"{name} spans of time are counted in {self.time}.")
        _, unread = column.read(y)
        notes += [unread_sentence(column, unread)] if unread else []
        doubt = percents.doubt(column, y)
        return list(dict.fromkeys([*notes, doubt] if doubt else notes))


def unit_of_name(name: str) -> tuple[str, str]:
    """Return the name of a column without its unit, and the unit, empty if the name has none.

    >>> unit_of_name("stay (days)"), unit_of_name("weight_kg"), unit_of_name("price")
    (('stay', 'days'), ('weight', 'kg'), ('price', ''))
    """
    match = _IN_BRACKETS.search(name) or _AT_END.search(name)
    return (name[: match.start()].strip(), match[1].strip()) if match and match.start() else (name, "")


def _bound(cell: cells.Cell) -> spelling.Parts | None:
    part = spelling.parts(cell) if isinstance(cell, str) else None
    return part if part is not None and part.bound else None
