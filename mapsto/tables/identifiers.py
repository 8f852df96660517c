"""Columns that look like an identifier of the rows: numbers that never repeat although chance would repeat them.

Among n values of a measurement in whole numbers, some are equal by chance. With the density of rows around a value i
(rows per whole number) written ρᵢ, the number of equal pairs is about Poisson with mean λ = Σᵢ ρᵢ / 2, so that values
without a repetition have the probability e^−λ. Numbers of patients have none, however dense they lie.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.stats import poisson

from . import cells, key_names
from .column import Column

_CHANCE = 1e-4  # a measurement has so few repetitions less often than this
_REPEATS = 0.05  # the share of rows that may repeat another one's number
_LEAST, _DIGITS = 8, 7  # rows; digits beyond those of any measurement
_NAMED = 5  # rows, if the column has the name of an identifier
_WIDTH = 5  # neighbours on each side, from which the density is estimated


def looks_like(column: Column, values: Float[np.ndarray, " n"]) -> str | None:
    """Return what makes a column look like an identifier of the rows, such as "80 different whole numbers"; else None.

    `values` are the column's numbers in the order of the rows, NaN for a missing cell.
    """
    present = values[~np.isnan(values)]
    if column.kind not in ("number", "date") or len(present) < max(_NAMED, 0.5 * len(values)):
        return None
    rises = _rises(present)
    if column.kind == "date":
        dated = len(present) >= _LEAST and rises
        return f"{len(present)} different dates in the order of the rows" if dated else None
    if not (present % 1 == 0).all():
        even = len(present) >= _LEAST and rises and np.ptp(np.diff(present)) < 1e-6 * np.ptp(present)
        return f"numbers {_ends(column, present)} that count up in equal steps from row to row" if even else None
    different = len(np.unique(present))
    if not _is_key(column, present, different, rises):
        return None
    order = ", in the order of the rows" if rises else ""
    return f"{different} different whole numbers {_ends(column, present)} in {len(present)} rows{order}"


def _is_key(column: Column, values: Float[np.ndarray, " n"], different: int, rises: bool) -> bool:
    repeats = len(values) - different
    if repeats > _REPEATS * len(values):
        return False
    if key_names.is_key(column.name):
        return True
    if len(values) < _LEAST:
        return False
    digits = {len(cells.as_text(column.write(value)).lstrip("-")) for value in (values.min(), values.max())}
    exact = digits == {max(digits)} and max(digits) >= _DIGITS and (values % 10 == 0).mean() < 0.3
    if exact or (rises and (np.ptp(np.diff(values)) == 0 or max(digits) >= _DIGITS - 2)):
        return True
    return bool(poisson.cdf(repeats, _equal_pairs(np.unique(values))) < _CHANCE)


def _equal_pairs(values: Float[np.ndarray, " n"]) -> float:
    """Return the expected number of equal pairs among rows as dense as the sorted different `values`.

    >>> _equal_pairs(np.arange(20.0)), round(_equal_pairs(10 * np.arange(20.0)), 9)
    (10.0, 10.0)
    """
    step = math.gcd(*np.diff(values).astype(int).tolist())
    places, last = np.arange(len(values)), len(values) - 1
    low, high = np.maximum(places - _WIDTH, 0), np.minimum(places + _WIDTH, last)
    return float(((high - low) / (values[high] - values[low])).sum() * step / 2)


def _rises(values: Float[np.ndarray, " n"]) -> bool:
    """Return whether the values rise, or fall, from each row to the next."""
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())


def _ends(column: Column, values: Float[np.ndarray, " n"]) -> str:
    low, high = (cells.as_text(column.write(value)) for value in (values.min(), values.max()))
    return f"from {low} to {high}"
