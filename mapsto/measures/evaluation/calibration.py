"""Calibration: whether a predicted probability of 80 % comes true 80 times out of 100.

The probability of a row's predicted class is its confidence. Rows are sorted into bins of equal width by confidence,
and

    calibration error = Σ_b share_b · |accuracy_b − confidence_b|

where share_b is the fraction of all rows that bin b holds, and accuracy_b the fraction of its rows predicted right.

Naeini, Cooper & Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; Guo et al. 2017, "On
Calibration of Modern Neural Networks", eq. 3.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ... import checks


class Reliability(NamedTuple):
    """A reliability diagram: for each bin of rows, its mean confidence, its accuracy and its size.

    Confidence is the probability of the predicted class. Bins without rows are left out.
    """

    confidence: Float[np.ndarray, " b"]  # mean probability of the predicted class
    accuracy: Float[np.ndarray, " b"]  # fraction of right predictions
    share: Float[np.ndarray, " b"]  # fraction of all rows that are in the bin


def reliability(
    p: Float[np.ndarray, "n k"], y: Int[np.ndarray, " n"], w: Float[np.ndarray, " n"] | None = None, bins: int = 15
) -> Reliability:
    """Return a reliability diagram: the accuracy of predictions at each level of confidence.

    The confidence of a row is the probability of its most probable class. Rows are sorted by confidence into bins of
    equal width. A bin includes its upper edge, and empty bins are left out.

    Args:
        p: the predicted probabilities of `k` classes, `[n, k]`.
        y: the true classes, as indices.
        w: the weights of the rows. If None, all rows have equal weight.
        bins: the number of bins from 0 to 1.

    Raises:
        MapstoError: if the weights sum to 0, or a probability is NaN.

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
    """Return the mean gap between confidence and accuracy over bins, weighted by their rows; see `reliability`.

    >>> round(expected_calibration_error(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]), bins=2), 3)
    0.35
    """
    bins_with_rows = reliability(p, y, w, bins)
    return float((bins_with_rows.share * np.abs(bins_with_rows.accuracy - bins_with_rows.confidence)).sum())
