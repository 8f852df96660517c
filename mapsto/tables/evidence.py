"""The evidence from which the kind of a column is decided: its cells, the person's choices, the table's habits."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from .. import checks
from . import cells, words
from .column import KINDS, Column
from .remarks import listing

STRAY = 0.1  # a column with at most this share of other cells ("haemolysed") still holds numbers, or dates
MANY = 10  # different numbers or dates that outweigh strays of up to a third of the cells
Counts = Counter[Any]  # different cells, and how often each occurs


@dataclass(frozen=True)
class Reading:
    """A person's choices for the columns: words for a missing cell, kinds, and orders of words.

    A word "999" is missing in every column, a word "crp=999" in the column crp only.
    """

    missing: Sequence[str] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    order: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def check(self, names: Sequence[str]) -> None:
        """Raise MapstoError if a column or a kind is unknown."""
        for argument, columns in (("types", self.types), ("order", self.order)):
            unknown = [name for name in columns if name not in names]
            expected = f"columns of the table ({listing(list(names))})"
            checks.expect(not unknown, argument, f"{listing(unknown)}, which is no column", expected)
        wrong = sorted({str(kind) for kind in self.types.values() if kind not in KINDS})
        checks.expect(not wrong, "types", listing(wrong), f"one of {', '.join(KINDS)}")

    def words_of(self, name: str, names: Sequence[str]) -> list[str]:
        """Return the words that stand for a missing cell in the column `name`."""
        split = [word.partition("=") for word in map(str, self.missing)]
        own = [word for column, sign, word in split if sign and column == name]
        everywhere = ["".join(part) for part in split if not (part[1] and part[0] in names)]
        return sorted(words.folded([*own, *everywhere]))


@dataclass(frozen=True)
class Habits:
    """The habits of a table, which decide if the cells of one column allow two readings.

    Attributes:
        decimal: the decimal mark of columns in which only one is possible, None if there are none.
        day_first: whether the day comes before the month in columns in which only one order is possible.
        missing: the words that stand for a missing number or date in some column.
    """

    decimal: str | None = None
    day_first: bool | None = None
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Evidence:
    """The evidence about one column.

    Attributes:
        name: the name of the column.
        counts: its cells, without empty ones and without those that the person calls missing.
        own: the words that the person calls missing, folded.
        kind: the kind that the person says, None if nothing was said.
        habits: the habits of the table.
    """

    name: str
    counts: Counts
    own: list[str]
    kind: str | None
    habits: Habits

    @cached_property
    def missing(self) -> set[str]:
        """The words that would stand for a missing cell among numbers."""
        return {cell for cell in self.counts if isinstance(cell, str) and words.is_missing(cell)}

    @cached_property
    def signs(self) -> set[str]:
        """The signs, such as ?, that stand for a missing cell in any column."""
        return {cell for cell in self.missing if words.fold(cell) in words.SIGNS}

    @cached_property
    def rest(self) -> Counts:
        """The cells that are no word for a missing cell."""
        return Counter({cell: n for cell, n in self.counts.items() if cell not in self.missing})

    @cached_property
    def texts(self) -> list[str]:
        """The texts among `rest`."""
        return [cell for cell in self.rest if isinstance(cell, str)]

    @property
    def says_nothing(self) -> bool:
        """Whether no cell says anything; several words such as None and unknown are categories."""
        kept = {words.fold(text) for text in self.missing} & words.KEPT
        return not self.rest and len(kept) < 2

    def share(self, chosen: Iterable[Any]) -> float:
        """Return the share of the cells `chosen` in `rest`."""
        return sum(self.rest[cell] for cell in chosen) / max(self.rest.total(), 1)

    def most(self, chosen: Iterable[Any]) -> bool:
        """Return whether nearly all cells of `rest` are among `chosen`."""
        return bool(self.rest) and self.share(chosen) >= 1 - STRAY

    def enough(self, read: Collection[Any]) -> bool:
        """Return whether nearly all cells can be read, or many different ones beside at most a third of strays."""
        return bool(read) and (self.most(read) or (len(read) >= MANY and self.share(read) > 2 / 3))

    def said(self, sentence: str) -> str:
        """Return a sentence about this column."""
        return f"column {self.name!r}: {sentence}"


def count(values: pd.Series) -> Counts:
    """Count the different cells of a column, without empty ones."""
    counted: Counts = Counter(cells.cells(values))
    counted.pop(None, None)
    return counted


def without(counts: Counts, own: list[str]) -> Counts:
    """Return the cells without those that the person calls missing."""
    if not own:
        return counts
    column = Column("", "category", missing=own)
    return Counter({cell: n for cell, n in counts.items() if not column.is_missing(cell)})


def texts_of(counts: Iterable[Any]) -> set[str]:
    """Return different cells as texts."""
    return {cells.as_text(cell) for cell in counts}


def commonest_first(counts: Counts, texts: Collection[str]) -> list[str]:
    """Return texts in the order of their frequency; equally frequent ones in the order of the numbers inside them."""
    frequency: Counter[str] = Counter()
    for cell, n in counts.items():
        frequency[cells.as_text(cell)] += n
    return sorted(texts, key=lambda text: (-frequency[text], words.natural(text)))
