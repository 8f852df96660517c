"""How every number is written, in pictures, on pages and in the terminal.

    points(p) = 100 * p        one percentage point of probability is one in a hundred

A cell of a table is written as it came: digits are never grouped (`2139` may be a zip code), and a number is rounded
only after its point.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from . import style

_LONG = 1e15  # beyond it, floating-point numbers no longer hold every whole number


def points(probability: float) -> str:
    """Write a change of probability in percentage points, with its sign.

    >>> points(0.123), points(-0.0401), points(-0.0000001)
    ('+12.3', '−4.0', '0.0')
    """
    rounded = round(100 * float(probability), 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "−")


def percent(probability: float) -> str:
    """Write a probability in per cent.

    >>> percent(0.9784)
    '97.8 %'
    """
    return f"{100 * float(probability):.1f} %"


def hundredths(value: float) -> str:
    """Write a number with two digits after its point.

    >>> hundredths(-55.467), hundredths(3.0), hundredths(-0.001)
    ('−55.47', '3.00', '0.00')
    """
    return f"{float(value):z.2f}".replace("-", "−")


def significant(value: float, digits: int = 4, signed: bool = False) -> str:
    """Write a number with so many significant digits, with a plus sign if `signed`.

    >>> significant(0.123456), significant(-2.0), significant(0.5, signed=True), significant(float("inf"))
    ('0.1235', '−2', '+0.5', 'inf')
    """
    return format(float(value), f"{'+' if signed else ''}.{digits}g").replace("-", "−")


def cell(value: Any, limit: int = 24) -> str:
    """Write a table's cell as it came: a text as it is, a number without separators, `missing` if it is empty.

    A number with four or more digits before its point, or nothing but zeros after it, is written as a whole number, any
    other one with four significant digits.

    >>> cell(2139.0), cell("02139"), cell(1234.56), cell(0.000123456), cell(-7.0)
    ('2139', '02139', '1235', '0.0001235', '−7')
    >>> cell(float("nan")), cell("never smoked")
    ('missing', 'never smoked')
    """
    if is_missing(value):
        return "missing"
    if not is_number(value):
        return style.shorten(str(value).removesuffix(" 00:00:00"), limit)  # the day of a date
    if isinstance(value, int | np.integer):
        return str(value).replace("-", "−")
    number = float(value)
    whole = number.is_integer() or abs(number) >= 1000
    return format(number, ".0f").replace("-", "−") if whole and abs(number) < _LONG else significant(number)


def levels(values: Iterable[Any], limit: int) -> list[str]:
    """Write different cells, shortened so that no two look alike; a word "missing" is no missing cell.

    >>> levels(["missing", None, "north", 2.0], 14)
    ['missing', '(missing)', 'north', '2']
    """
    texts = [None if is_missing(value) else cell(value, 99) for value in values]
    lost = missing_name(texts)
    return [
        style.label(text, limit) for text in style.distinct([lost if text is None else text for text in texts], limit)
    ]


def missing_name(words: Iterable[str | None]) -> str:
    """Return what missing cells are called beside these words."""
    return "(missing)" if "missing" in words else "missing"


def ticks(places: Sequence[float] | np.ndarray) -> list[str]:
    """Write the marks of an axis with as few digits as tell them apart; whole numbers without an exponent.

    >>> ticks([1.7e9, 1.7000005e9]), ticks([0.0, 2.5e29]), ticks([-0.123451, -0.123452])
    (['1700000000', '1700000500'], ['0', '2.5e+29'], ['−0.123451', '−0.123452'])
    """
    places = [float(place) + 0.0 for place in places]  # −0 is 0
    if all(place.is_integer() and abs(place) < _LONG for place in places):
        return [cell(place) for place in places]
    written = ([significant(place, digits) for place in places] for digits in range(4, 18))  # 17 tell all floats apart
    return next(labels for labels in written if len(set(labels)) == len(set(places)))


def days(places: Sequence[float] | np.ndarray) -> list[str]:
    """Write days since 1970 as dates, with the time if it is not midnight, and seconds if they tell times apart.

    >>> days([19783.0, 19783.25]), days([19783.0, 19783.0002])
    (['2024-03-01', '2024-03-01 06:00'], ['2024-03-01', '2024-03-01 00:00:17'])
    """
    written: list[str] = []
    for unit, in_a_day in (("m", 1440), ("s", 86400), ("ms", 86400000)):
        moments = [str(np.array(round(in_a_day * float(place))).astype(f"datetime64[{unit}]")) for place in places]
        written = [re.sub(r" 00:00(:00(\.0+)?)?$", "", moment.replace("T", " ")) for moment in moments]
        if len(set(written)) == len(set(places)):
            break
    return written


def is_number(value: object) -> bool:
    """Return whether a cell holds a number; a truth value is a category."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)


def is_missing(value: Any) -> bool:
    """Return whether a cell is empty: `None`, NaN, NaT or `pandas.NA`."""
    import pandas as pd

    return bool(pd.isna(value)) if np.ndim(value) == 0 else False


def as_floats(column: Sequence[Any] | np.ndarray) -> np.ndarray | None:
    """Return a column as floats with NaN for missing cells, or None if it holds categories."""
    if not all(is_number(value) or is_missing(value) for value in column):
        return None
    return np.array([math.nan if is_missing(value) else float(value) for value in column])
