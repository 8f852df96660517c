"""A mean over tasks with its 95 % confidence interval, as few-shot papers report it.

mean ± 1.96 · s / √T,      s² = Σ_t (value_t − mean)² / (T − 1)      for one value for each of T tasks
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from . import checks

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution


class Estimate(NamedTuple):
    """A mean and half the width of its 95 % confidence interval.

    `interval` is NaN if there is a single task, or if a value is not finite.
    """

    mean: float
    interval: float

    def __str__(self) -> str:
        if math.isnan(self.interval):
            return f"{self.mean:.4f} (one task, so no interval)" if math.isfinite(self.mean) else f"{self.mean:.4f}"
        return f"{self.mean:.4f} ± {self.interval:.4f}"


def estimate(values: Float[np.ndarray, " t"]) -> Estimate:
    """Return the mean of `values` (one for each task) and half the width of its 95 % confidence interval.

    The half-width is NaN if there is only one value or if a value is not finite; in the latter case, the mean is not
    finite either.

    Raises:
        MapstoError: if `values` is empty.

    >>> print(estimate(np.array([0.0, 1.0, 1.0, 1.0])))
    0.7500 ± 0.4900
    """
    checks.expect(len(values) > 0, "values", "none", "one for each task, of at least one task")
    if not np.isfinite(values).all():
        return Estimate(float(values.mean()), math.nan)
    spread = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return Estimate(float(values.mean()), _Z * spread / math.sqrt(len(values)))
