"""Agreement of attributions with the true ones, for example with exact Shapley values of the same model.

    R²     = 1 − Σ (values − truth)² / Σ (truth − mean truth)²                  over all rows, columns and outputs
    cosine = mean of ⟨values, truth⟩ / (‖values‖·‖truth‖) over rows and outputs with ‖truth‖ > 10⁻³

A vector of the cosine holds the attributions of all columns, for one row and one output.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ... import checks

_SOMETHING = 1e-3  # of a probability: the norm from which a row's true values have a direction


class Agreement(NamedTuple):
    """How closely attributions agree with the true ones.

    `r2` is 1 if all attributions are true, 0 if their squared error is as large as that of the mean of the true
    attributions, and negative if it is larger. `cosine` is the mean cosine similarity of a row's attributions to its
    true attributions. `variance` is the variance of the true attributions. If it is below 10⁻⁴, for attributions in
    probability, the true attributions hardly vary, and `r2` is noise.
    """

    r2: float  # NaN if the true attributions are all equal
    cosine: float  # NaN if the true attributions of every row are nearly 0
    variance: float


def agreement(values: Float[np.ndarray, "n d *k"], truth: Float[np.ndarray, "n d *k"]) -> Agreement:
    """Return two measures of agreement with the true attributions: R² and the mean cosine similarity.

    The true attributions may be, for example, exact Shapley values of the same model. R² is 1 if `values` equals
    `truth`. It is 0 if the squared error of `values` is as large as that of a constant, the mean of all entries of
    `truth`; it is negative if the error is larger, and NaN if all entries of `truth` are equal. The cosine similarity
    compares a row's attributions with the row's true attributions. The field `variance` of the result is the variance
    of `truth`. `values` and `truth` have shape `[n, d]` for n rows and d columns, or `[n, d, k]` for k outputs.

    Raises:
        MapstoError: if the shapes of `values` and `truth` differ.

    >>> agreement(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]]))
    Agreement(r2=1.0, cosine=1.0, variance=0.25)
    """
    checks.shape(values.shape, "the shape of values", truth=truth)
    error, spread = np.square(values - truth).sum(), np.square(truth - truth.mean()).sum()
    r2 = float(1 - error / spread) if spread > 0 else math.nan
    return Agreement(r2, _cosine(_vectors(values), _vectors(truth)), float(truth.var()))


def _vectors(a: np.ndarray) -> np.ndarray:
    return np.moveaxis(a, 1, -1).reshape(-1, a.shape[1])  # [n·k, d]


def _cosine(u: np.ndarray, v: np.ndarray) -> float:
    something = np.linalg.norm(v, axis=1) > _SOMETHING
    u, v = u[something], v[something]
    if not len(v):
        return math.nan
    return float(((u * v).sum(1) / np.maximum(np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1), 1e-12)).mean())
