"""Dates and times as people and programs write them, as days since 1970-01-01; times of day as hours.

Only the order of day and month can be ambiguous (`05/06/2021`); it is decided once for a column.
"""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone

_MONTHS = {
    name: number
    for number, names in enumerate(
        ["jan january januar janvier ene", "feb february februar février fev", "mar march mär märz maerz mrz mars",
         "apr april avril abr", "may mai mayo", "jun june juni juin", "jul july juli juillet", "aug august août ago",
         "sep sept september septembre", "oct october okt oktober octobre", "nov november novembre",
         "dec december dez dezember décembre dic"], 1)
    for name in names.split()
}  # fmt: skip
_CLOCK = r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?\s*([AaPp]\.?[Mm]\.?|Uhr)?"
_ZONE = r"\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?"
_TIME = rf"(?:[T ,]+{_CLOCK}{_ZONE})?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}|\d{{2}}){_TIME}")
_DAY_NAME = re.compile(
    r"(?:[^\W\d]{2,10}\.?,? )?(\d{1,2})(?:st|nd|rd|th)?\.?[-/ ]*([^\W\d_]{3,9})\.?,?[-/ ]*"
    rf"(\d{{4}}|\d{{2}}){_TIME}"
)
_NAME_DAY = re.compile(rf"([^\W\d_]{{3,9}})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}}){_TIME}")
_MONTH = re.compile(r"(\d{4})-(\d{2})|(\d{2})/(\d{4})|([^\W\d_]{3,9})\.?[ -](\d{4})")
_QUARTER = re.compile(r"(\d{4})[ -]?Q([1-4])|Q([1-4])[ -/](\d{4})")
_WEEKS = re.compile(r"(\d{1,2})\s*\+\s*([0-6])")
_SIGNED = re.compile(r"(\d{4})\s?[年년]\s?(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日일]")  # 2021年5月7日
_COMPACT = re.compile(r"(19|20)(\d{2})(\d{2})(\d{2})")
_SERIAL = re.compile(r"[1-9]\d{4}(\.\d+)?")
_HOURS = re.compile(r"(-?)(\d{1,5}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?\s*([AaPp]\.?[Mm]\.?|Uhr)?")
_SPAN = re.compile(r"(-?\d+) days?,?(?: ([+-]?)(\d+):(\d{2}):(\d{2}(?:\.\d+)?))?")
_EPOCH = datetime(1970, 1, 1)
_PIVOT = 30  # 30 means 1930, 29 means 2029


def days(text: str, day_first: bool = True) -> float:
    """Return the days since 1970-01-01 of a date, NaN if the text is none; a time zone is turned into UTC.

    >>> days("1970-01-02T12:00Z"), days("02.01.1970"), days("01/02/1970", day_first=False), days("2-Jan-1970")
    (1.5, 1.0, 1.0, 1.0)
    >>> days("1970年1月2日 12:00")
    1.5
    """
    moment = _moment(_SIGNED.sub(r"\1-\2-\3", " ".join(text.split())), day_first)
    return math.nan if moment is None else (moment - _EPOCH) / timedelta(days=1)


def compact_days(text: str) -> float:
    """Return the days since 1970-01-01 of a date written as eight digits, NaN if the text is none."""
    match = _COMPACT.fullmatch(text)
    moment = _date(int(match[1] + match[2]), int(match[3]), int(match[4])) if match else None
    return math.nan if moment is None else float((moment - _EPOCH).days)


def serial_days(text: str) -> float:
    """Return the days since 1970-01-01 of a day that a spreadsheet has numbered from 1900, NaN if the text is none.

    >>> serial_days("45000"), days("2023-03-15")
    (19431.0, 19431.0)
    """
    return float(text) - 25569 if _SERIAL.fullmatch(text) else math.nan


def hours(text: str) -> float:
    """Return a time of day (or a duration) as hours, NaN if the text is none.

    >>> hours("20:15"), hours("8:30 pm"), hours("-30:15"), hours("20:75")
    (20.25, 20.5, -30.25, nan)
    """
    match = _HOURS.fullmatch(text.strip())
    if not match:
        return math.nan
    minute, second = int(match[3]), float((match[4] or "0").replace(",", "."))
    if minute > 59 or second >= 60:
        return math.nan
    hour = _half(int(match[2]), match[5]) + minute / 60 + second / 3600
    return -hour if match[1] else hour


def weeks(text: str) -> float:
    """Return weeks and days as midwives write them (38+2) in weeks, NaN if the text is none."""
    match = _WEEKS.fullmatch(text.strip())
    return int(match[1]) + int(match[2]) / 7 if match else math.nan


def seconds(text: str) -> float:
    """Return a span of time as pandas writes it (`1 days 02:00:00`) in seconds, NaN if the text is none."""
    match = _SPAN.fullmatch(text.strip())
    if not match:
        return math.nan
    clock = 3600 * int(match[3] or 0) + 60 * int(match[4] or 0) + float(match[5] or 0)
    return 86400.0 * int(match[1]) + (-clock if match[2] == "-" else clock)


def slashed(texts: Iterable[str]) -> list[tuple[int, int, str]]:
    """Return the first two numbers, and the sign between them, of each date whose day or month comes first."""
    matches = (_YEAR_LAST.fullmatch(" ".join(text.split())) for text in texts)
    return [(int(match[1]), int(match[3]), match[2]) for match in matches if match]


def short_years(texts: Iterable[str]) -> bool:
    """Return whether a date has a year of two digits."""
    matches = (_YEAR_LAST.fullmatch(" ".join(text.split())) for text in texts)
    return any(match and len(match[4]) == 2 for match in matches)


def _moment(text: str, day_first: bool) -> datetime | None:
    if match := _YEAR_FIRST.fullmatch(text):
        return _date(int(match[1]), int(match[3]), int(match[4]), match.groups()[4:])
    if match := _YEAR_LAST.fullmatch(text):
        day, month = (match[1], match[3]) if day_first else (match[3], match[1])
        return _date(_year(match[4]), int(month), int(day), match.groups()[4:])
    if match := _DAY_NAME.fullmatch(text):
        return _date(_year(match[3]), _named(match[2]), int(match[1]), match.groups()[3:])
    if match := _NAME_DAY.fullmatch(text):
        return _date(int(match[3]), _named(match[1]), int(match[2]), match.groups()[3:])
    if match := _MONTH.fullmatch(text):
        month = int(match[2] or match[3] or _named(match[5] or ""))
        return _date(int(match[1] or match[4] or match[6]), month, 1)
    if match := _QUARTER.fullmatch(text):
        return _date(int(match[1] or match[4]), 3 * int(match[2] or match[3]) - 2, 1)
    return None


def _date(year: int, month: int, day: int, clock: tuple[str | None, ...] = ()) -> datetime | None:
    try:
        moment = datetime(year, month, day)
        if clock and clock[0]:
            hour, minute, second, fraction, half, zone = clock
            moment = moment.replace(hour=_half(int(hour or 0), half), minute=int(minute or 0), second=int(second or 0))
            moment = moment + timedelta(microseconds=int(f"{fraction or '0':0<6.6}"))
            moment = moment.replace(tzinfo=_zone(zone)).astimezone(UTC).replace(tzinfo=None)
        return moment
    except (ValueError, OverflowError):
        return None


def _half(hour: int, half: str | None) -> int:
    if not half or half == "Uhr":
        return hour
    return hour % 12 + (12 if half[0] in "pP" else 0)


def _zone(text: str | None) -> timezone:
    if not text or text[0] not in "+-":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _named(month: str) -> int:
    return _MONTHS.get(month.casefold(), 0)


def _year(digits: str) -> int:
    if len(digits) == 4:
        return int(digits)
    return int(digits) + (1900 if int(digits) >= _PIVOT else 2000)
