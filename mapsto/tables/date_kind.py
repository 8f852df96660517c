"""Columns of dates: whether the day or the month comes first is decided once for a column."""

import math
import shlex
from collections.abc import Sequence

import pandas as pd

from . import dates
from .cells import as_text
from .column import Column
from .evidence import Evidence

_LIFETIME = 80 * 365
_DATES = 0.2  # the least share of dates beside a spreadsheet's numbers of days


def stored_dates(column: Column, values: pd.Series) -> Column:
    """Return `column`, absent if none of its stored values is there."""
    column.empty = int(values.isna().sum())
    if column.empty == len(values):
        column.kind = "absent"
    return column


def day_first(texts: Sequence[str]) -> bool | None:
    """Return whether the day comes first in dates such as 13/05/2021, None if both orders fit."""
    pairs = [(first, second) for first, second, sign in dates.slashed(texts) if sign != "."]
    day, month = (sum(pair[place] > 12 for pair in pairs) for place in (0, 1))
    return None if day == month else day > month


def date_column(evidence: Evidence) -> Column | None:
    """Return how to read a column of dates; None if its cells are none."""
    texts = evidence.texts
    if texts and len(texts) == len(evidence.rest) and not any(math.isnan(dates.compact_days(text)) for text in texts):
        note = evidence.said(f"eight digits such as {texts[0]!r} are read as a date (year, month, day).")
        return Column(evidence.name, "date", missing=evidence.own, style="compact", notes=[note])
    first, note_of_order = _order(evidence)
    read = [text for text in texts if not math.isnan(dates.days(text, first))]
    column = Column(evidence.name, "date", missing=evidence.own, day_first=first, notes=note_of_order)
    known = [dates.days(text, first) for text in read]
    column.low, column.high = min(known, default=math.nan), max(known, default=math.nan)
    others = set(evidence.rest).difference(read) if evidence.share(read) > _DATES else set()
    rest = [cell for cell in evidence.rest if cell in others]
    serial = [cell for cell, day in zip(rest, column.numbers(rest)[0], strict=True) if not math.isnan(day)]
    if not read or (evidence.kind is None and not evidence.enough([*read, *serial])):
        return None
    if serial:
        day = column.write(column.numbers(serial[:1])[0][0])
        column.notes.append(
            evidence.said(f"numbers such as {as_text(serial[0])} are read as days of a spreadsheet ({day}).")
        )
    if dates.short_years(texts):
        column.notes.append(evidence.said("years of two digits are read as 1930 to 2029."))
    column.notes += _far_dates(evidence, read, first)
    return column


def _far_dates(evidence: Evidence, read: Sequence[str], first: bool) -> list[str]:
    """Say that a date such as 9999-12-31 lies a lifetime from the others."""
    days = sorted((dates.days(text, first), text) for text in read)
    far = [days[0][1]] if len(days) > 2 and days[1][0] - days[0][0] > _LIFETIME else []
    far += [days[-1][1]] if len(days) > 2 and days[-1][0] - days[-2][0] > _LIFETIME else []
    return [
        evidence.said(
            f"{text!r} lies far from all other dates; if it means missing, pass --missing "
            f"{shlex.quote(f'{evidence.name}={text}')}."
        )
        for text in far
    ]


def _order(evidence: Evidence) -> tuple[bool, list[str]]:
    """Return whether the day comes first, and a sentence if the dates are written with slashes or hyphens."""
    slashed = [(text, sign) for text in evidence.texts for *_, sign in dates.slashed([text]) if sign != "."]
    if not slashed:
        return True, []
    sure, habit = day_first(evidence.texts), evidence.habits.day_first
    guess = habit if habit is not None else slashed[0][1] == "-"
    first = guess if sure is None else sure
    doubt = "; its cells alone leave the order open" if sure is None else ""
    order = "day" if first else "month"
    return first, [evidence.said(f"dates such as {slashed[0][0]!r} are read with the {order} first{doubt}.")]
