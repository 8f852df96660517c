"""Conditions on one column ("age > 57"), and rules that join conditions with "and"."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ...tables.background import Background

Sign = Literal["<=", ">", "="]


class Predicate(NamedTuple):
    """A condition on one column of a table, such as "age > 57".

    `value` is the number to compare the column with, and `text` is the wording for a reader. A missing cell meets the
    condition "= NaN", and any condition whose `missing` is True.

    >>> print(Predicate(0, ">", 57.0, "age > 57"))
    age > 57
    """

    column: int
    sign: Sign
    value: float
    text: str
    missing: bool = False

    def __str__(self) -> str:
        return self.text

    def holds(self, values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Return which values of the column meet the condition."""
        if self.sign == "=":
            return np.isnan(values) if np.isnan(self.value) else values == self.value
        met = values <= self.value if self.sign == "<=" else values > self.value
        return met | np.isnan(values) if self.missing else met


def predicate(background: Background, column: int, sign: Sign, value: float, missing: bool = False) -> Predicate:
    """Return a condition with its text, in which values are written as in the background's table."""
    name, shown = background.names[column], background.text(column, value)
    text = f"{name} is missing" if np.isnan(value) else f"{name} {sign} {shown}"
    if background.kinds[column] == "category" and sign != "=":  # a tree splits categories by rank
        seen = [v for v in background.observed(column) if (v <= value) == (sign == "<=")]
        among = ", ".join(background.text(column, float(v)) for v in seen)
        text = f"{name} in {{{among}}}" if len(seen) > 1 else f"{name} = {among}"
    return Predicate(column, sign, value, f"({text} or missing)" if missing else text, missing)


def matches(rule: Sequence[Predicate], values: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
    """Return which rows meet every condition of the rule; a rule without conditions is met by all rows."""
    met = np.ones(len(values), bool)
    for condition in rule:
        met = met & condition.holds(values[:, condition.column])
    return met


def sentence(rule: Sequence[Predicate]) -> str:
    """Return a rule as a sentence: its conditions in the order of the columns, joined by "and".

    >>> sentence([Predicate(1, "<=", 22.1, "bmi <= 22.1"), Predicate(0, ">", 57.0, "age > 57")])
    'age > 57 and bmi <= 22.1'
    """
    return " and ".join(condition.text for condition in sorted(rule, key=lambda c: (c.column, c.sign != ">")))


def conditions(background: Background, row: Float[np.ndarray, " d"], bins: int) -> list[Predicate]:
    """Return all conditions that `row` meets: bounds for numbers, equality for categories, or "is missing".

    The bounds of a column are its `bins − 1` quantiles in the background, which are observed values. A column of at
    most `bins` different values gets an equality condition instead.
    """
    return [p for j in range(len(row)) for p in _of_column(background, j, float(row[j]), bins)]


def _of_column(background: Background, column: int, value: float, bins: int) -> list[Predicate]:
    seen = background.observed(column)
    if np.isnan(value) or background.kinds[column] == "category" or len(seen) <= bins:
        return [predicate(background, column, "=", value)]
    present = background.values[:, column][~np.isnan(background.values[:, column])]
    cuts = np.unique(np.quantile(present, np.arange(1, bins) / bins, method="inverted_cdf"))
    cuts = cuts[cuts < seen[-1]]  # all values lie below the largest
    return [predicate(background, column, "<=" if value <= cut else ">", float(cut)) for cut in cuts]
