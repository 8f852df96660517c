"""Tables of other libraries as DataFrames or arrays: polars, pyarrow and others, masked arrays, sparse matrices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .. import checks
from . import records

_MOST = 10**8  # cells of a sparse matrix that is made dense


def frame_of(X: Any) -> Any:
    """Return a table of another library as a DataFrame; masked cells become missing, and sparse ones zeros.

    So are a dictionary of columns, a list of dictionaries and a record array; other arrays and lists are returned as
    they are.

    Raises:
        MapstoError: if `X` is no table, or is a sparse matrix that is too large to be made dense.

    >>> frame_of(np.ma.array([[1.0, 2.0]], mask=[[False, True]]))
    array([[ 1., nan]])
    """
    if isinstance(X, pd.DataFrame):
        return _dense(X)
    if isinstance(X, np.ndarray) and X.dtype.names:
        return records.of_fields(X)
    if isinstance(X, np.ma.MaskedArray):
        return _unmasked(X)
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        cells = int(np.prod(X.shape))
        remedy = "select fewer columns or rows"
        checks.expect(cells <= _MOST, "X", f"a sparse matrix of {cells:,} cells", f"at most {_MOST:,}", remedy)
        return X.toarray()
    if isinstance(X, Mapping):
        return records.of_columns(X)
    if isinstance(X, list | tuple) and any(isinstance(row, Mapping) for row in X):
        return records.of_rows(X)
    if isinstance(X, np.ndarray | list | tuple):
        return X
    return _foreign(X)


def _unmasked(X: np.ma.MaskedArray) -> np.ndarray:
    mask = np.ma.getmaskarray(X)
    if not mask.any():
        return np.asarray(X.data)
    if X.dtype.kind in "iuf":
        return np.where(mask, np.nan, X.data.astype(float))
    cells = X.data.astype(object)
    cells[mask] = None
    return cells


def _dense(X: pd.DataFrame) -> pd.DataFrame:
    sparse = [name for name, dtype in zip(X.columns, X.dtypes, strict=True) if isinstance(dtype, pd.SparseDtype)]
    return X.sparse.to_dense() if len(sparse) == X.shape[1] > 0 else X


def _foreign(X: Any) -> Any:
    """Return a table that narwhals knows as a DataFrame; its cells become Python's own objects."""
    try:
        import narwhals as nw
    except ImportError:
        return _array_like(X)
    table = nw.from_native(X, eager_only=True, pass_through=True)
    if not isinstance(table, nw.DataFrame):
        return _array_like(X)
    columns = {name: pd.Series(table[name].to_list(), dtype=object).infer_objects() for name in table.columns}
    return pd.DataFrame(columns)


def _array_like(X: Any) -> Any:
    """Return `X` if NumPy can make an array of it; raise MapstoError if it is no table, such as None."""
    fits = hasattr(X, "__array__") or (isinstance(X, Sequence) and not isinstance(X, str | bytes))
    got = "None" if X is None else f"a {type(X).__name__}"
    checks.expect(fits, "X", got, "a table", "pass a DataFrame, an array [n, d], or a dictionary of columns")
    return X
