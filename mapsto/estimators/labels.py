"""The labels of training rows: their sorted classes, and the index of the class of each row."""

import warnings
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from ..errors import MapstoError
from ..tables.outcome import merged, merged_notes


def classes(
    labels: Any, read: Int[np.ndarray, " m"], rows: int, name: str = "y", most: int | None = None
) -> tuple[Shaped[np.ndarray, " k"], Int[np.ndarray, " m"]]:
    """Return the sorted classes of the rows at the positions `read`, and the class index of each of these rows.

    Args:
        labels: the label of each of the `rows` training rows.
        read: the positions of the rows that are read.
        rows: the number of training rows.
        name: the name of the argument `labels` in messages.
        most: the largest number of classes; if None, there is no limit.

    Raises:
        MapstoError: if a label is missing or is a number with decimals, the labels cannot be sorted, or there are fewer
            than 2 or too many classes.
    """
    labels = _whole(labels, rows, name)
    _refuse_numbers(labels, name, most)
    different, indices = np.unique(labels[read], return_inverse=True)
    if len(different) == 1:
        raise MapstoError(
            f"{name}: got one class only ({different[0]!s}), expected {_range(most)}; add rows of another class."
        )
    if most is not None and len(different) > most:
        raise MapstoError(
            f"{name}: got {len(different)} classes, expected {_range(most)}; merge rare ones, or cut a number into "
            "ranges (TableRegressor predicts numbers)."
        )
    return different, indices


def one_spelling(labels: Any, name: str = "y") -> tuple[Any, list[str]]:
    """Return labels whose spellings of one word (Yes, yes, "YES ") are joined under the commonest, and a note if so.

    >>> one_spelling(["yes", "Yes", "yes", "no"])
    (array(['yes', 'yes', 'yes', 'no'], dtype=object), ["y: 'Yes', 'yes' are read as one class, 'yes'."])
    """
    texts = np.asarray(_plain(labels))
    if texts.ndim != 1 or texts.dtype.kind not in "UO" or not all(isinstance(text, str) for text in texts):
        return labels, []
    spelling_of = merged(texts.tolist())
    notes = merged_notes(spelling_of, name)
    return (np.array([spelling_of[text] for text in texts], object), notes) if notes else (labels, [])


def _whole(labels: Any, rows: int, name: str) -> np.ndarray:
    """Return the labels as an array, or raise MapstoError if one is missing."""
    labels = column_or_1d(_plain(labels), warn=True)
    labels = pd.Series(labels).infer_objects().to_numpy() if labels.dtype == object else labels
    check_consistent_length(labels, np.empty(rows))
    if pd.isna(labels).any():
        lacking = pd.isna(labels).sum()
        raise MapstoError(
            f"{name}: got NaN in {lacking} of {rows} rows, expected a class in each; leave these rows out."
        )
    assert_all_finite(labels, input_name=name)
    return labels


def _plain(labels: Any) -> Any:
    """Return labels of a type of pandas' own as those of NumPy: whole numbers and booleans keep their type."""
    if isinstance(labels, list | tuple):
        return _listed(labels)
    if not isinstance(labels, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        return labels
    dtype = labels.dtype
    if isinstance(dtype, np.dtype) or pd.isna(labels).any():
        return labels
    if isinstance(dtype, pd.CategoricalDtype):
        return _plain(pd.Series(list(labels)))
    tests = {
        bool: pd.api.types.is_bool_dtype,
        np.int64: pd.api.types.is_integer_dtype,
        float: pd.api.types.is_float_dtype,
    }
    kind = next((kind for kind, holds in tests.items() if holds(dtype)), object)
    return np.asarray(labels, dtype=kind)


def _listed(labels: list[Any] | tuple[Any, ...]) -> Any:
    """Return a list of labels of which some are texts or bytes as objects: NumPy would write numbers as texts."""
    objects = np.asarray(labels, object)
    texts = [isinstance(label, str) for label in objects.flat]
    mixed = any(texts) or any(isinstance(label, bytes) for label in objects.flat)
    return objects if mixed and not all(texts) else labels


def _refuse_numbers(labels: np.ndarray, name: str, most: int | None) -> None:
    """Raise MapstoError if the labels are measured numbers instead of classes, bytes, or cannot be sorted."""
    if labels.dtype.kind in "SO" and any(isinstance(label, bytes) for label in labels):
        raise MapstoError(
            f"{name}: got bytes, expected texts or numbers; decode them, as in [label.decode() for label in {name}]."
        )
    if labels.dtype == object and not all(isinstance(label, str) for label in labels):
        _refuse_mixed(labels, name)
        return
    try:
        # many classes with one row each are no mistake, nor are numbers beyond the integers that are tried
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            check_classification_targets(labels)
    except TypeError as error:
        raise _unsortable(labels, name) from error
    except ValueError as error:
        raise MapstoError(
            f"{name}: {str(error).partition('. ')[0]}, expected one of {_range(most)} a row; cut a number into ranges."
        ) from error


def _refuse_mixed(labels: np.ndarray, name: str) -> None:
    """Raise MapstoError if labels that are neither texts nor numbers of one type cannot be sorted."""
    texts = sum(isinstance(label, str) for label in labels)
    booleans = sum(isinstance(label, bool | np.bool_) for label in labels)
    if 0 < booleans < len(labels) - texts:
        raise MapstoError(f"{name}: mixes numbers and booleans, expected labels of one type; True is 1 otherwise.")
    if texts > 0 and any(isinstance(label, Number) for label in labels):
        raise MapstoError(f"{name}: mixes numbers and texts, expected labels of one type; write all of them as texts.")
    try:
        sorted(set(labels.tolist()))
    except TypeError as error:
        raise _unsortable(labels, name) from error


def _unsortable(labels: np.ndarray, name: str) -> MapstoError:
    kinds = " and ".join(sorted({type(label).__name__ for label in labels}))
    return MapstoError(f"{name}: got {kinds}, which cannot be sorted, expected labels of one type.")


def _range(most: int | None) -> str:
    return "at least 2 classes" if most is None else f"2 to {most} classes"
