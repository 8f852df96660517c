"""The scale on which the pretrained models for tables read the cells of a column."""

from typing import NamedTuple, Self

import numpy as np


class Scale(NamedTuple):
    """An affine map of each column that keeps intermediate numbers finite; predictions do not depend on it."""

    size: np.ndarray
    middle: np.ndarray
    reach: np.ndarray

    @classmethod
    def of(cls, cells: np.ndarray) -> Self:
        """Fit the map to the columns of `cells` [n, d]."""
        size = np.nanmax(np.abs(cells), 0)
        middle = np.nanmedian(cells / size, 0)
        return cls(size, middle, np.nanmax(np.abs(cells / size - middle), 0))

    def __call__(self, cells: np.ndarray) -> np.ndarray:
        """Return the cells on the scale."""
        with np.errstate(over="ignore"):  # a cell that overflows is clipped to `_FAR`
            return (cells / self.size - self.middle) / self.reach
