"""Columns that hold pairs of numbers, such as a blood pressure of 166/58, as two columns."""

import re
from typing import Any

import pandas as pd

from . import cells, dates, words

PAIR = re.compile(r"(\d+(?:[.,]\d+)?)\s*/\s*(\d+(?:[.,]\d+)?)(\s?mm\s?hg)?", re.IGNORECASE)
_SHARE = 0.9  # of the cells that are not missing


def pair_columns(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return the columns of pairs, and the names of the two columns that each becomes.

    >>> pair_columns(pd.DataFrame({"bp": ["166/58", "120/80", None], "age": [61, 48, 50]}))
    {'bp': ['bp (1)', 'bp (2)']}
    """
    names = [str(name) for name in frame.columns]
    pairs = [name for j, name in enumerate(names) if _holds_pairs(frame.iloc[:, j])]
    return {name: [f"{name} (1)", f"{name} (2)"] for name in pairs if f"{name} (1)" not in names}


def with_pairs_split(frame: pd.DataFrame, pairs: dict[str, list[str]]) -> pd.DataFrame:
    """Return a table in which each column of `pairs` is two columns; a cell that is no pair is read in neither."""
    if not pairs:
        return frame
    columns: dict[Any, pd.Series] = {}
    for j, name in enumerate(frame.columns):
        values = frame.iloc[:, j]
        if str(name) in pairs:
            both = [_split(cell) for cell in cells.cells(values)]
            for place, part in enumerate(pairs[str(name)]):
                columns[part] = pd.Series([two[place] for two in both], frame.index, dtype=object)
        else:
            columns[name] = values
    split = pd.DataFrame(columns, index=frame.index)
    split.attrs.update(frame.attrs)
    return split


def _holds_pairs(values: pd.Series) -> bool:
    if cells.kind_of(values) != "cells":
        return False
    present = [c for c in cells.cells(values) if c is not None and not (isinstance(c, str) and words.is_missing(c))]
    matches = [c for c in present if isinstance(c, str) and PAIR.fullmatch(c) and dates.days(c) != dates.days(c)]
    return bool(present) and len(matches) >= _SHARE * len(present)


def _split(cell: cells.Cell) -> tuple[cells.Cell, cells.Cell]:
    if cell is None or (isinstance(cell, str) and words.is_missing(cell)):
        return None, None
    match = PAIR.fullmatch(cells.as_text(cell))
    alone = f"{cells.as_text(cell)} (no pair)"  # no number, so that a note names it
    return (match[1], match[2]) if match else (alone, alone)
