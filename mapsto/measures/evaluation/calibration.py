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
from .intervals import Groups, Interval, independent

_SAMPLES = 400  # of tables that are drawn for each candidate


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


def calibration_interval(p: Float[np.ndarray, "n k"], y: Int[np.ndarray, " n"], groups: Groups = None) -> Interval:
    """Return the expected calibration error with its 95 % interval.

    The error of a sample is above the true one, all the more for few rows: a perfectly calibrated model of 30 rows has
    an error of about 0.1. So candidates are tested. In a candidate, the gaps of all bins are `λ` times those measured,
    for λ from 0 to 2. The interval holds the true errors of all candidates under which the measured error is neither
    among the lowest nor among the highest 2.5 % of 400 samples. It begins at 0 if a perfectly calibrated model could
    have given the measured error. Its ends are infinite if no candidate could have given it.

    Args:
        p: the predicted probabilities of `k` classes.
        y: the true classes, as indices.
        groups: the number of each row's group, from 0. If None, all rows are independent.
    """
    bins = reliability(p, y)
    measured = expected_calibration_error(p, y)
    rows = len(y) * independent((p.argmax(1) == y) - p.max(1), groups)
    count = np.maximum(np.round(bins.share * rows), 1).astype(int)
    gaps = np.linspace(0, 2, 81)[:, None] * (bins.accuracy - bins.confidence)
    accuracy = np.clip(bins.confidence + gaps, 0, 1)  # [candidates, b]
    hits = np.random.default_rng(0).binomial(count, accuracy[:, None], (len(gaps), _SAMPLES, len(count)))
    errors = np.abs(hits / count - bins.confidence) @ bins.share  # [candidates, samples]
    likely = np.minimum((errors <= measured + 1e-9).mean(1), (errors >= measured - 1e-9).mean(1)) >= 0.025
    if not likely.any():
        return Interval(measured, -np.inf, np.inf)
    true = np.append((np.abs(accuracy - bins.confidence) @ bins.share)[likely], measured)
    return Interval(measured, float(true.min()), float(true.max()))
