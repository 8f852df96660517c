"""Tables of named columns that are no DataFrames: dictionaries of columns, lists of dictionaries, record arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .. import checks
from ..errors import MapstoError
from .remarks import listing


def of_columns(X: Mapping[Any, Any]) -> pd.DataFrame:
    """Return a dictionary of columns as a DataFrame.

    Raises:
        MapstoError: if a value is no column, or the columns differ in length.

    >>> of_columns({"age": [61, 48], "ward": ("north", "south")}).shape
    (2, 2)
    """
    columns = {name: _column(name, values) for name, values in X.items()}
    lengths = {len(column) for column in columns.values()}
    got = f"columns of {' and '.join(map(str, sorted(lengths)))} cells" if lengths else "a dictionary without columns"
    checks.expect(len(lengths) == 1, "X", got, "equally long columns", "write None for a missing cell")
    return pd.DataFrame(columns)


def of_rows(X: Sequence[Any]) -> pd.DataFrame:
    """Return a list of dictionaries, one a row, as a DataFrame; columns stand as in the first row.

    Raises:
        MapstoError: if an entry is no dictionary, or the keys differ.

    >>> of_rows([{"age": 61, "ward": "north"}, {"ward": "south", "age": 48}])["age"].tolist()
    [61, 48]
    """
    for i, row in enumerate(X):
        if not isinstance(row, Mapping):
            raise MapstoError(
                f"X: got a {type(row).__name__} in row {i} beside dictionaries, expected the same in all."
            )
        apart = [str(name) for name in {**X[0], **row} if (name in row) != (name in X[0])]
        got = f"{listing(apart)} in only one of rows 0 and {i}"
        checks.expect(not apart, "X", got, "the same keys in each row", "write None for a missing cell")
    return of_columns({name: [row[name] for row in X] for name in X[0]})


def of_fields(X: np.ndarray) -> pd.DataFrame:
    """Return a record array as a DataFrame.

    Raises:
        MapstoError: if it has more than one axis, or a field has.
    """
    checks.expect(X.ndim == 1, "X", f"a record array of shape {X.shape}", "one record for each row")
    return of_columns({name: X[name] for name in X.dtype.names or ()})


def _column(name: Any, values: Any) -> pd.Series:
    """Return a column of single cells; row names that it may have are left out."""
    kept = isinstance(values, list | tuple | pd.Series | pd.Index | pd.api.extensions.ExtensionArray)
    values = values if kept else np.asanyarray(values)
    fits = kept or (values.ndim == 1 and values.dtype.kind != "V")
    column = pd.Series(values if fits else [values]).reset_index(drop=True)
    single = column.dtype != object or not column.map(pd.api.types.is_list_like).any()
    got = f"no cells, or several to a row, in column {str(name)!r}"
    checks.expect(fits and single, "X", got, "one cell for each row", "a single row is a list of one dictionary")
    return column
