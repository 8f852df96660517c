"""A list of texts from whatever holds them, or one sentence that says which text cannot be read."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from ..errors import MapstoError


def read_texts(texts: Any, name: str = "texts") -> list[str]:
    """Return texts as a list of `str`: from a list, an array `[n]`, or a column of a table.

    Raises:
        MapstoError: if there is no text, `texts` is a single text or has another shape, or a text is missing or of
            another type.
    """
    if isinstance(texts, str | bytes | Mapping | Set) or not isinstance(texts, Iterable):
        raise MapstoError(f"{name}: got {_kind(texts)}, expected a list of texts; write [text] for a single one.")
    shape = tuple(getattr(texts, "shape", (0,)))
    column = len(shape) == 2 and shape[1] == 1  # a table of one column
    if len(shape) != 1 and not column:
        raise MapstoError(f"{name}: got shape {shape}, expected [n]; pass the column that holds the texts.")
    every = np.asarray(texts, object)[:, 0].tolist() if column else list(texts)
    if not every:
        raise MapstoError(f"{name}: got no text, expected at least one.")
    for i, text in enumerate(every):
        if not isinstance(text, str):
            _refuse(text, i, name)
    return [str(text) for text in every]


def _refuse(text: Any, i: int, name: str) -> None:
    place = f"at position {i}"
    if text is None or _is_missing(text):
        remedy = "leave it out, or pass '' for an empty text"
        raise MapstoError(f"{name}: got a missing text ({text!r}) {place}, expected a text; {remedy}.")
    remedy = "decode it" if isinstance(text, bytes) else "write it as a text"
    raise MapstoError(f"{name}: got {_kind(text)} {place}, expected a text; {remedy}.")


def _is_missing(text: Any) -> bool:
    """Return whether a value is NaN, `pandas.NA` or NaT: none of them is known to equal itself."""
    try:
        return not bool(text == text)
    except (TypeError, ValueError):
        return type(text).__name__ == "NAType"


def _kind(value: Any) -> str:
    return "a single text" if isinstance(value, str) else f"{type(value).__name__} {value!r:.40}"
