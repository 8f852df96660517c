"""An explanation as the table that a notebook shows: HTML without scripts, in the colours of the page around it.

Rows are predictions; columns stand in the order of their importance. Orange raised a prediction and blue lowered it,
the more opaque the more; the largest contribution of a row is bold. A contribution whose 90 % interval contains 0 is
followed by "?".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from .explanation import Explanation

_ROWS, _COLUMNS, _LETTERS = 20, 12, 24  # that are shown
_UP, _DOWN = "217,114,11", "33,102,172"


class _Part(NamedTuple):
    """What the table says of each row: the contributions to one prediction, such as the probability of one class."""

    predictions: Float[np.ndarray, " n"]
    bases: Float[np.ndarray, " n"]
    values: Float[np.ndarray, "n d"]
    reach: Float[np.ndarray, "n d"]  # half the width of the 90 % intervals; 0 if they are not known
    classes: Int[np.ndarray, " n"] | None  # the class of each row; None if a number is predicted


def table(e: Explanation) -> str:
    """Return the table of at most 20 rows and 12 columns of an explanation, and a line about the others."""
    part = _part(e)
    order = np.argsort(-np.abs(part.values).sum(0), kind="stable")[:_COLUMNS].tolist()
    several = len(e.class_names) > 2
    heads = ["", *["class"] * several, "prediction", "base value", *(e.feature_names[j] for j in order)]
    heads += ["R²"] * (e.trust is not None)
    lines = [_line(e, part, i, order) for i in range(min(len(e), _ROWS))]
    told = escape(" ".join([_what(e), *_notes(e, part)]))
    head = "".join(f'<th title="{escape(str(name))}">{_short(name)}</th>' for name in heads)
    body = f'<table style="white-space:nowrap"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    return f'<div style="overflow-x:auto">{body}<p>{told}</p></div>'


def _part(e: Explanation) -> _Part:
    """Choose what is shown of each row: the number, or of two classes the second, of more classes the predicted one."""
    known = e.errors is not None and bool(np.isfinite(e.errors).all())
    reach = e.intervals(0.9)[1] - e.values if known else np.zeros_like(e.values)
    k, rows = len(e.class_names), np.arange(len(e))
    if not k:
        return _Part(e.predictions, e.base_values, e.values, reach, None)
    classes = e.predictions.argmax(1) if k > 2 else np.full(len(e), k - 1)
    predictions, bases, values, reach = (
        part[rows, ..., classes] for part in (e.predictions, e.base_values, e.values, reach)
    )
    return _Part(predictions, bases, values, reach, classes)


def _line(e: Explanation, part: _Part, i: int, order: list[int]) -> str:
    write, most = _writer(e), np.abs(part.values[:_ROWS]).max(initial=0) or 1.0
    largest = int(np.abs(part.values[i]).argmax()) if order else -1
    named = [] if part.classes is None or len(e.class_names) <= 2 else [_short(e.class_names[part.classes[i]])]
    percent = " %" if e.of_probabilities else ""
    ends = [f"{write(number, '')}{percent}" for number in (part.predictions[i], part.bases[i])]
    texts = "".join(f"<td>{text}</td>" for text in (str(i), *named, f"<b>{ends[0]}</b>", ends[1]))
    cells = "".join(_cell(part.values[i, j], part.reach[i, j], e.data[i, j], most, write, j == largest) for j in order)
    trust = "" if e.trust is None else f"<td>{e.trust[i]:.2f}</td>"
    return f"<tr>{texts}{cells}{trust}</tr>"


def _cell(value: float, reach: float, cell: Any, most: float, write: Callable[[float, str], str], bold: bool) -> str:
    """Write a contribution with its interval, over the cell that made it."""
    half = write(reach, "")
    known = any(digit in half for digit in "123456789")
    text = write(value, "+") + (f" ± {half}" if known else "") + (" ?" if reach > abs(value) else "")
    colour = f"rgba({_UP if value > 0 else _DOWN},{0.4 * abs(value) / most:.2f})"
    weight = ";font-weight:bold" if bold and value else ""
    return f'<td style="background:{colour}{weight}">{text}<br><small>{_short(_read(cell))}</small></td>'


def _writer(e: Explanation) -> Callable[[float, str], str]:
    """Return how numbers are written: in per cent, or with about two digits of the largest contribution."""
    largest = float(np.abs(e.values).max(initial=0)) or 1.0
    factor, form = 1.0, ".2e"
    if e.of_probabilities:
        factor, form = 100.0, ".1f"
    elif 1e-6 < largest < 1e9:
        form = f",.{max(0, 1 - math.floor(math.log10(largest / 3)))}f"

    def write(value: float, sign: str) -> str:
        text = f"{factor * value:{sign}z{form}}".replace("-", "−")
        return text if any(digit in text for digit in "123456789") else text.removeprefix("+")

    return write


def _what(e: Explanation) -> str:
    """Say what the contributions are, and in which unit."""
    k = len(e.class_names)
    which = "the predicted class" if k > 2 else _cut(e.class_names[-1]) if k else ""
    what = f"the {'probability' if e.of_probabilities else 'score'} of {which}" if k else "the predicted number"
    unit = ", in percentage points" if e.of_probabilities else ""
    added = f"Base value plus the contributions of all {plural(e.noun)} is the prediction."
    return f"Contributions to {what}{unit}; below each, the cell. {added}"


def plural(noun: str) -> str:
    """Return the plural of a noun.

    >>> plural("column"), plural("patch")
    ('columns', 'patches')
    """
    return f"{noun}es" if noun.endswith("ch") else f"{noun}s"


def _notes(e: Explanation, part: _Part) -> list[str]:
    n, d = e.values.shape[:2]
    notes = []
    if part.reach.any():
        notes.append("± is half the width of the 90 % interval; “?” marks a sign that is not certain.")
    if e.trust is not None:
        notes.append("R²: the expected agreement of the contributions with exact Shapley values.")
    if n > _ROWS or d > _COLUMNS:
        rows = f"{min(n, _ROWS)} of {n:,} rows"
        columns = f"the {min(d, _COLUMNS)} most important of {d:,} {plural(e.noun)}"
        notes.append(f"Shown: {rows}, {columns}.")
    return notes


def _read(cell: Any) -> str:
    """Write a cell of a table."""
    import pandas as pd

    if np.ndim(cell) == 0 and pd.isna(cell):
        return "missing"
    if not isinstance(cell, float | np.floating):
        return str(cell).removesuffix(" 00:00:00")  # the day of a date
    number = float(cell)
    whole = number.is_integer() and abs(number) < 1e15  # such as the number of a person
    return format(number, ".0f" if whole else ".5g").replace("-", "−")


def _cut(text: Any) -> str:
    """Cut a text in its middle: names of many columns begin alike."""
    whole = " ".join(str(text).split())
    return whole if len(whole) <= _LETTERS else f"{whole[: _LETTERS // 2 - 1]}…{whole[-_LETTERS // 2 :]}"


def _short(text: Any) -> str:
    """Cut a text, and escape what HTML would read in it."""
    return escape(_cut(text))
