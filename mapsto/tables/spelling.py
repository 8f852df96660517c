"""Numbers as people write them: with units, currencies, percent signs, thousands, decimal commas and bounds.

A column has one decimal mark. With the mark ".", a comma groups thousands; with the mark ",", a dot does.
"""

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from .cells import DIGITS

_BLANK = " \u00a0\u2009\u202f'’"
_BLANKS = re.compile(f"[{_BLANK}]")
_NUMBER = rf"\d{{1,3}}(?:[{_BLANK}]\d{{3}})+(?:[.,]\d+)?(?![\d.,])|\d+(?:[.,]\d+)*[.,]?|[.,]\d+"
_UNITS = [
    "%",
    "‰",
    r"°\s?[CF]",
    r"[xX×*]?\s?10(?:\^|\*\*)?[⁰-⁹\d]+\s?/\s?\w+",  # 10^9/l
    r"/?\s?[^\W\d_][^\d<>=,;:+]{0,14}\d?(?:/[^\d]{0,8})?(?:/1[.,]73\s?m[2²])?",  # mg/l, kg/m2, ml/min/1.73 m2
    r"[$€£¥]",
    r"[*!↑↓]{1,2}",  # a laboratory's flags
]
_UNIT = f"(?:{'|'.join(_UNITS)})"
_CELL = re.compile(
    rf"(?P<bound><=?|>=?|≤|≥|=<|=>|~|≈)?\s*(?P<before>[$€£¥]|(?:USD|EUR|GBP|CHF|JPY|CNY)\s)?\s*(?P<sign>[+\-−–])?\s*"
    rf"(?P<money>[$€£¥])?\s*(?P<number>{_NUMBER})(?P<power>[eE][+-]?\d+)?(?P<plus>\+)?\s*(?P<unit>\(?{_UNIT}\)?)?"
)
_GROUPED = {
    ".": re.compile(r"[1-9]\d{0,2}(,\d{3})+(\.\d*)?|[1-9]\d?(,\d{2})+,\d{3}(\.\d*)?"),
    ",": re.compile(r"[1-9]\d{0,2}(\.\d{3})+(,\d*)?"),
}
_PLAIN = {".": re.compile(r"\d*\.?\d*"), ",": re.compile(r"\d*,?\d*")}
_FLAGS = {"h", "l", "hh", "ll", "*", "**", "!", "!!", "(h)", "(l)", "↑", "↓", "(*)"}
_NEGATIVE = re.compile(r"\(\s*([$€£¥]?\s*\d[\d.,]*)\s*\)|((?!0-)\d[\d.,]*)-")  # 0- is a blood group
_INFINITE = re.compile(r"\s*[+-]?(inf|infinity|∞)\s*", re.IGNORECASE)


class Parts(NamedTuple):
    """The parts of a cell: its digits (with marks), unit, and whether it is a bound (-1: below, 1: above, 0: none)."""

    digits: str
    sign: float
    power: str
    unit: str
    bound: int


@lru_cache(2**17)  # a column is read several times
def parts(text: str) -> Parts | None:
    """Return the parts of a cell that holds a number, None if it holds none.

    >>> parts("12,5 mg/l")
    Parts(digits='12,5', sign=1.0, power='', unit='mg/l', bound=0)
    >>> parts("<0.01").bound, parts("$5").unit, parts("A1"), parts("166/58"), parts("2021-05-03")
    (-1, '$', None, None, None)
    """
    if _INFINITE.fullmatch(text):
        return Parts("inf", -1.0 if "-" in text else 1.0, "", "", 0)
    text = text.strip()
    negative = _NEGATIVE.fullmatch(text)  # (5.10) or 5.10-, as accountants write it
    match = _CELL.fullmatch(negative[1] or negative[2] if negative else text)
    if match is None:
        return None
    sign = -1.0 if negative or (match["sign"] and match["sign"] != "+") else 1.0
    bound = {"<": -1, "≤": -1, ">": 1, "≥": 1}.get((match["bound"] or "").replace("=", ""), 0)
    unit = (match["before"] or match["money"] or match["unit"] or "").strip()
    return Parts(match["number"], sign, match["power"] or "", unit, bound or (1 if match["plus"] else 0))


def value(cell: Parts, decimal: str) -> float:
    """Return the number of a cell, NaN if its marks do not fit the decimal mark.

    >>> value(parts("1.250,50"), ","), value(parts("1,234"), "."), value(parts("1,234"), ",")
    (1250.5, 1234.0, 1.234)
    """
    if cell.digits == "inf":
        return cell.sign * math.inf
    digits = _BLANKS.sub("", cell.digits)
    if not (_PLAIN[decimal].fullmatch(digits) or _GROUPED[decimal].fullmatch(digits)):
        return math.nan
    plain = digits.replace("," if decimal == "." else ".", "").replace(",", ".")
    return cell.sign * float(plain + cell.power)


def exact(cell: Parts, decimal: str) -> int | None:
    """Return a whole number with all of its digits; None if it is not whole, or has more than 300 digits."""
    digits = re.sub(f"[{_BLANK}]|{'[,]' if decimal == '.' else '[.]'}", "", cell.digits)
    return int(cell.sign) * int(digits) if digits.isdecimal() and len(digits) <= DIGITS and not cell.power else None


class Mark(NamedTuple):
    """The decimal mark of a column, whether only one fits its cells, and if not, whether their spread tells."""

    mark: str
    sure: bool
    spread: bool = False


def decimal_mark(cells: Iterable[Parts]) -> Mark | None:
    """Return the decimal mark by which a column's cells are numbers; None if no cell has a mark.

    If both marks fit, such as for 950, 1.200, 12.400, three digits that end with 0 are thousands beside numbers without
    a mark, and else the numbers with the smaller spread are taken. If no cell is without a mark, the mark is ".".

    >>> decimal_mark(map(parts, ["5,2", "61"])), decimal_mark(map(parts, ["950", "1.200", "12.400"]))
    (Mark(mark=',', sure=True, spread=False), Mark(mark=',', sure=False, spread=True))
    """
    cells = [cell for cell in cells if cell.digits != "inf"]
    marked = [cell for cell in cells if _has_mark(cell)]
    if not marked:
        return None
    read = {mark: [value(cell, mark) for cell in marked] for mark in ".,"}
    fits = {mark: sum(not math.isnan(v) for v in values) for mark, values in read.items()}
    if fits["."] != fits[","]:
        return Mark(max(fits, key=fits.__getitem__), True)
    plain = [value(cell, ".") for cell in cells if not _has_mark(cell)]
    if not plain:
        return Mark(".", False)
    if max(map(abs, plain)) >= 1000:  # a number of four digits without a mark: none are grouped
        return Mark("," if all("," in cell.digits for cell in marked) else ".", True)
    if any(cell.digits.endswith("0") for cell in marked):  # whoever writes 5 writes 1.2 and not 1.200
        return Mark("," if all("." in cell.digits for cell in marked) else ".", False, True)
    spread = {mark: _spread([*plain, *values]) for mark, values in read.items()}
    return Mark(min(spread, key=spread.__getitem__), False, True)


def _has_mark(cell: Parts) -> bool:
    return "." in cell.digits or "," in cell.digits


def common_unit(units: Mapping[str, int], bare: int, least: float = 0.7) -> tuple[str, set[str]] | None:
    """Return a column's unit, and the spellings that belong to it; None if fewer than the share `least` have one unit.

    `units` counts the cells of each unit, `bare` those without one. A laboratory's flags (H, L, *) are no units.

    >>> common_unit({"mg/l": 9, "MG/L": 1}, 0)[0], common_unit({"a": 1, "b": 1}, 1), common_unit({"H": 2, "L": 1}, 9)[0]
    ('mg/l', None, '')
    """
    folded: dict[str, int] = {}
    for unit, count in units.items():
        folded[_folded(unit)] = folded.get(_folded(unit), 0) + count
    flags = {unit for unit in folded if unit in _FLAGS}
    if flags and 2 * sum(folded[unit] for unit in flags) < bare + sum(folded.values()):
        folded = {unit: count for unit, count in folded.items() if unit not in flags}
    else:
        flags = set()
    if not folded:
        return "", {"", *flags}
    best = max(folded, key=folded.__getitem__)
    if folded[best] < least * sum(folded.values()):
        return None
    name = max((unit for unit in units if _folded(unit) == best), key=units.__getitem__)
    return name, {best, "", *flags}


def unit_of(text: str) -> str:
    """Return the unit of a cell that holds a number; empty if it has none, or holds no number."""
    part = parts(text)
    return part.unit if part else ""


def belongs(unit: str, spellings: Iterable[str]) -> bool:
    """Return whether a cell's unit is one of a column's spellings."""
    return _folded(unit) in spellings


def is_flag(unit: str) -> bool:
    """Return whether a unit is a laboratory's flag, such as H for high."""
    return _folded(unit) in _FLAGS


@lru_cache(2**10)
def _folded(unit: str) -> str:
    return re.sub(r"\s+", "", unit).replace("µ", "μ").casefold().rstrip(".")


def _spread(values: list[float]) -> float:
    sizes = [abs(v) for v in values if v]
    return math.log(max(sizes) / min(sizes)) if sizes else 0.0
