"""A mean over tasks with its 95 % confidence interval, as few-shot papers report it.

mean ± t · s / √T,      s² = Σ_t (value_t − mean)² / (T − 1)      for one value for each of T tasks

t is the 97.5 % quantile of Student's t with T − 1 degrees of freedom: 3.18 for 4 tasks, 1.96 for very many.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from . import checks


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
    0.7500 ± 0.7956
    """
    checks.expect(len(values) > 0, "values", "none", "one for each task, of at least one task")
    if not np.isfinite(values).all():
        return Estimate(float(values.mean()), math.nan)
    if len(values) == 1:
        return Estimate(float(values[0]), math.nan)
    spread = float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(float(values.mean()), student(len(values)) * spread)


def student(count: float) -> float:
    """Return the 97.5 % quantile of Student's t with `count − 1` degrees of freedom, for the mean of `count` values.

    >>> round(student(4), 2), round(student(1000), 2)
    (3.18, 1.96)
    """
    from scipy.special import stdtrit  # slow to import

    return float(stdtrit(count - 1, 0.975))
