"""Generalised least squares: a trend in numbers whose deviations from it are correlated.

    u = trend @ β + e,   e ~ N(0, C),   C = root @ rootᵀ

Multiplied by root⁻¹ (whitened), the deviations are independent and equally large, so that ordinary least squares
applies (Aitken 1936). Nothing needs the inverse of C, which would take three times as long as its root.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class Whitened(NamedTuple):
    """A trend of q coefficients in n numbers; arrays of NumPy, or tensors."""

    root: Any  # [n, n]: lower triangular
    trend: Any  # [n, q]: root⁻¹ @ trend
    inner: Any  # [q, q]: the covariance of the coefficients β
    logarithm: Any  # of the determinants, for the restricted likelihood


def whitened(covariance: Any, trend: Any) -> Whitened:
    """Return the whitened trend, given a positive definite covariance `[n, n]`; NaN gives NaN."""
    of: Any = torch if isinstance(covariance, Tensor) else np
    root = torch.linalg.cholesky_ex(covariance)[0] if of is torch else np.linalg.cholesky(covariance)
    white = whiten(root, trend)
    inner = of.linalg.inv(white.T @ white)
    return Whitened(root, white, inner, 2 * of.log(root.diagonal()).sum() - of.linalg.slogdet(inner)[1])


def fitted(system: Whitened, u: Any) -> tuple[Any, Any]:
    """Return the coefficients `[q, k]`, and what they leave of `u [n, k]`, whitened."""
    white = whiten(system.root, u)
    slopes = system.inner @ (system.trend.T @ white)
    return slopes, white - system.trend @ slopes


def whiten(root: Any, right: Any, transposed: bool = False) -> Any:
    """Return root⁻¹ @ right, or rootᵀ⁻¹ @ right."""
    if isinstance(root, Tensor):
        return torch.linalg.solve_triangular(root.mT if transposed else root, right, upper=transposed)
    from scipy.linalg import solve_triangular  # slow to import

    return solve_triangular(root, right, trans=int(transposed), lower=True)
