"""The training rows of a fitted estimator, read back from its support set.

An estimator keeps the rows it read as numbers on a scale of their own, in single precision:

    number = (x · reach + middle) · size        rounded to the digits that single precision holds

A rank becomes its category again and a number of days its date. Columns that were not read are empty.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

if TYPE_CHECKING:
    from ...estimators.table import TableEstimator
    from ...tables.columns import Column

_EPSILON = 2.0**-22  # relative error of a number that was rounded twice to single precision


def training_rows(estimator: "TableEstimator") -> tuple[pd.DataFrame, Shaped[np.ndarray, " n"]]:
    """Return the rows that an estimator has read, named by their number among the rows of `fit`, and their outcomes.

    >>> from mapsto import TableClassifier
    >>> table = pd.DataFrame({"age": [61.0, 48.5, 50.0], "ward": ["north", "south", "north"]})
    >>> rows, labels = training_rows(TableClassifier().fit(table, [1, 0, 1]))
    >>> rows.to_numpy().tolist(), labels.tolist()
    ([[61.0, 'north'], [48.5, 'south'], [50.0, 'north']], [1, 0, 1])
    """
    places, first = np.unique(estimator.rows_, return_index=True)
    support, scale = estimator.support_, estimator.scale_
    index = [str(place + 1) for place in places]
    rows = pd.DataFrame(index=index, columns=[column.name for column in estimator.columns_.columns], dtype=object)
    for j, place in enumerate(estimator.used_.tolist()):
        x = support.x[first, j].double().numpy()
        numbers = (x * scale.reach[j] + scale.middle[j]) * scale.size[j]
        digits = -math.ceil(math.log10(_EPSILON * abs(scale.reach[j] * scale.size[j])))
        cells = _cells(estimator.columns_.columns[place], np.round(numbers, digits))
        rows[rows.columns[place]] = pd.Series(cells, index, dtype=float if cells.dtype == float else object)
    return rows, estimator.support_outcomes()[first]


def _cells(column: "Column", numbers: Float[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Return the cells that a column reads as `numbers`; a missing one is None, or NaN among numbers."""
    if column.kind == "number":
        return numbers + column.shift
    return np.array([column.write(number) for number in numbers], object)
