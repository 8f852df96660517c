"""Calibration: whether a predicted probability of 80 % comes true 80 times out of 100.

Rows are put in equal bins by the probability p_i of their predicted class, ŷ_i = argmax p; over the bins

    calibration error = Σ_b share_b · |accuracy_b − confidence_b|

Naeini, Cooper & Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; Guo et al. 2017, "On
Calibration of Modern Neural Networks", eq. 3.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ... import checks


class Reliability(NamedTuple):
    """The bins that hold rows: mean confidence, share of right predictions, and share of all rows."""

    confidence: Float[np.ndarray, " b"]
    accuracy: Float[np.ndarray, " b"]
    share: Float[np.ndarray, " b"]


def reliability(
    p: Float[np.ndarray, "n k"], y: Int[np.ndarray, " n"], w: Float[np.ndarray, " n"] | None = None, bins: int = 15
) -> Reliability:
    """Bin rows by the probability `p` of their most probable class; a bin includes its upper edge.

    `y` are class indices and `w` weights (equal by default; rows of weight 0 are left out).

    Raises:
        MapstoError: if no row has weight, or a probability is NaN.

    >>> reliability(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]), bins=2).accuracy.tolist()
    [0.5]
    """
    w = np.ones(len(p)) if w is None else w
    checks.expect(bool(w.sum() > 0), "p", f"{len(p)} rows with total weight 0", "at least one row with weight")
    lost = int(np.isnan(p).any(1).sum())
    checks.expect(lost == 0, "p", f"NaN in {lost} of {len(p)} rows", "probabilities")
    confidence, right = p.max(1), p.argmax(1) == y
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    mass = np.bincount(index, w, bins)
    used = mass > 0
    mean = [np.bincount(index, w * values, bins)[used] / mass[used] for values in (confidence, right)]
    return Reliability(mean[0], mean[1], mass[used] / w.sum())


def expected_calibration_error(
    p: Float[np.ndarray, "n k"], y: Int[np.ndarray, " n"], w: Float[np.ndarray, " n"] | None = None, bins: int = 15
) -> float:
    """Return the mean gap between confidence and accuracy, over bins weighted by their rows; see `reliability`.

    >>> round(expected_calibration_error(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]), bins=2), 3)
    0.35
    """
    bins_with_rows = reliability(p, y, w, bins)
    return float((bins_with_rows.share * np.abs(bins_with_rows.accuracy - bins_with_rows.confidence)).sum())
