"""Sentences about cells of a column of percents that may be shares, such as 0.45 in place of 45 %."""

import math

import pandas as pd

from . import cells, spelling
from .cells import Cell
from .column import Column


def as_percent(column: Column, cell: Cell) -> str:
    """Say that cells without a percent sign are read as percent."""
    text = cells.as_text(cell)
    return (
        f"column {column.name!r}: cells without a sign, such as {text!r}, are read as percent too ({text} %); if they "
        "are shares, multiply them by 100."
    )


def doubt(column: Column, values: pd.Series) -> str:
    """Return a sentence about later cells of a column of percents that may be shares, or the reverse, or ""."""
    if column.unit != "%":
        return ""
    bare, signed = _numbers(column, values)
    if _are_shares(column, list(bare.values())):
        return as_percent(column, next(iter(bare)))
    large = [cell for cell, number in signed.items() if number > 1]
    if not large or "%" in column.spellings or not 0 <= column.low <= column.high <= 1:
        return ""
    return (
        f"column {column.name!r}: cells with a sign, such as {large[0]!r}, are read as {signed[large[0]]:g}, beyond "
        f"the training rows ({column.low:g} to {column.high:g}); if those are shares, divide these by 100."
    )


def _are_shares(column: Column, bare: list[float]) -> bool:
    """Return whether cells without a sign would be like the training rows if they were multiplied by 100."""
    if not bare or not 0 < min(bare) <= max(bare) <= 1 < column.high:
        return False
    return 100 * min(bare) <= column.high and ("%" in column.spellings or max(bare) < column.low)


def _numbers(column: Column, values: pd.Series) -> tuple[dict[Cell, float], dict[Cell, float]]:
    """Return the different numbers without and with a percent sign by their cells; zeros and bounds are left out."""
    bare, signed = dict[Cell, float](), dict[Cell, float]()
    for cell in dict.fromkeys(cells.cells(values)):
        part = spelling.parts(cell) if isinstance(cell, str) else None
        number = column.numbers([cell])[0].item()
        if math.isfinite(number) and number and not (part and part.bound):
            (signed if part and part.unit == "%" else bare)[cell] = number
    return bare, signed
