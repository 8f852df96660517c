"""Agreement of attributions with the true ones, for example with exact Shapley values of the same model.

    R²     = 1 − Σ (values − truth)² / Σ (truth − mean truth)²                  over all rows, columns and outputs
    cosine = mean of ⟨values, truth⟩ / (‖values‖·‖truth‖) of one row and output's columns, where ‖truth‖ > 10⁻³

If the true values hardly vary (variance below 10⁻⁴), there is nothing to explain and R² is noise.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ... import checks

_SOMETHING = 1e-3  # of a probability: the norm from which a row's true values have a direction


class Agreement(NamedTuple):
    """Agreement of attributions with the truth, and the variance of the true values."""

    r2: float
    cosine: float  # nan if no row has anything to explain
    variance: float


def agreement(values: Float[np.ndarray, "n d *k"], truth: Float[np.ndarray, "n d *k"]) -> Agreement:
    """Compare attributions with the true ones of `n` rows, `d` columns and, if there are several, `k` outputs.

    Raises:
        MapstoError: if their shapes differ.

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
