"""Rows of means and sums below or inside a table, which are no rows of it."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from . import spelling, words
from .grid import Row

# the words for a summary, and what it is of a column of numbers
_SUMMARIES: list[tuple[set[str], Callable[[list[float]], float]]] = [
    ({"total", "totals", "sum", "grand total", "subtotal", "summe", "gesamt", "insgesamt", "total général", "somme",
      "合计", "总计"}, math.fsum),
    ({"mean", "average", "avg", "mittelwert", "mw", "durchschnitt", "moyenne", "media", "promedio", "平均", "平均值"},
     statistics.fmean),
    ({"median"}, statistics.median),
    ({"sd", "std", "stdev", "std dev", "standard deviation", "standardabweichung"}, statistics.stdev),
    ({"min", "minimum"}, min),
    ({"max", "maximum"}, max),
    ({"count", "anzahl"}, len),
    ({"mean (sd)", "mean±sd", "range", "iqr"}, lambda numbers: math.nan),
]  # fmt: skip
_WORDS = {word: summary for some, summary in _SUMMARIES for word in some}


def without_sums(rows: list[Row]) -> tuple[list[Row], list[tuple[int, str]]]:
    """Return the rows without summaries, and the line and the first word of each summary.

    A summary stands at the end, or anywhere if the first column holds no other texts.
    """
    kept, sums = list(rows), []
    while len(kept) > 1 and _is_sum(kept[-1], kept[:-1]):
        sums.append(kept.pop())
    inside = [row for row in kept if _is_sum(row, kept)] if _first_is_number(kept) else []
    lines = {row.line for row in inside}
    found = [(row.line, str(row.filled[0])) for row in [*inside, *sums[::-1]]]
    return [row for row in kept if row.line not in lines], found


def _first_is_number(rows: Sequence[Row]) -> bool:
    first = [row.cells[0] for row in rows if row.cells and row.cells[0] is not None]
    return len(first) > 2 and sum(_number(cell) is not None for cell in first) > 0.7 * len(first)


def _is_sum(row: Row, others: Sequence[Row]) -> bool:
    if not row.filled:
        return False
    place = next(j for j, cell in enumerate(row.cells) if cell is not None)
    if not isinstance(row.cells[place], str) or place > 1 or _word(row.cells[place]) not in _WORDS:
        return False
    same = sum(_word(other.cells[place]) == _word(row.cells[place]) for other in others if other is not row)
    if same > 0.1 * len(others):
        return False
    plain = len(row.filled) == len(row.cells) == 2
    return not plain or _first_is_number(others) or _sums_up(row, [other.cells[1] for other in others])


def _word(cell: Any) -> str:
    return words.fold("" if cell is None else str(cell)).rstrip(":. ")


def _number(cell: Any) -> float | None:
    """Return the number of a cell, whichever decimal mark it has; None if it is no number."""
    if not isinstance(cell, str):
        return cell
    part = spelling.parts(cell)
    if part is None:
        return None
    values = [spelling.value(part, mark) for mark in (".", ",")]
    return next((value for value in values if not math.isnan(value)), None)


def _sums_up(row: Row, column: Sequence[Any]) -> bool:
    """Return whether the second cell is the sum, mean or other summary of a column that the first one names.

    In a table of two columns the word alone does not tell: `Total` may be the name of a row.
    """
    value, numbers = _number(row.cells[1]), [number for c in column if (number := _number(c)) is not None]
    if value is None:
        return False
    if 2 * len(numbers) < len(column):  # a number below words counts them
        return True
    digits = len(str(row.cells[1]).replace(",", ".").partition(".")[2].rstrip("% "))
    summary = _WORDS[_word(row.cells[0])](numbers) if len(numbers) > 1 else math.nan
    return abs(value - summary) <= 0.51 * 10**-digits
