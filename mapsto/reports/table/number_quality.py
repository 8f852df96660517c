"""The quality of predicted numbers with 95 % intervals, beside rivals and the mean and median of the training rows.

    MAE = mean |e|,   RMSE = √mean e²,   R² = 1 − mean e² / mean (y − mean y)²,   e = y − prediction

Every measure is a mean of one number for each row, or close to one: RMSE and R² are replaced by their tangents, so that
their intervals and paired differences, baseline − mapping, are those of means.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from ...measures.evaluation import intervals
from ...measures.evaluation.intervals import Groups, Interval
from .number_evidence import NumberEvidence
from .quality import ends
from .rivals import NUMBER_RIVALS

MEASURES = ("r2", "mae", "rmse", "coverage", "interval_width")
ERRORS = ("r2", "mae", "rmse")
COVERAGE = 0.9
_BASELINES = (*NUMBER_RIVALS, "mean", "median")
UNKNOWN: dict[str, Any] = {
    **dict.fromkeys(MEASURES),
    "baselines": {name: dict.fromkeys((*ERRORS, "difference")) for name in _BASELINES},
    **dict.fromkeys(("intervals", "measured")),
    "measured_rows": 0,
    "measured_groups": None,
}
"""The quality of predictions if it cannot be measured."""

Row = Float[np.ndarray, " m"]


def measures(evidence: NumberEvidence | None) -> dict[str, Any]:
    """Return all measures of the evidence.

    `intervals` maps each measure to the ends of its interval, and `baselines` each baseline to its errors and to
    `difference`. R² is None if all outcomes are equal.
    """
    if evidence is None:
        return dict(UNKNOWN)
    y, groups = evidence.y, evidence.groups
    mine = _tangents(y, evidence.p)
    inside = (evidence.low <= y) & (y <= evidence.high)
    found: dict[str, Interval | None] = {
        **{name: _bounded(name, _mean(mine[name], groups)) for name in ERRORS},
        "coverage": intervals.share(inside, groups),
        "interval_width": _bounded("mae", intervals.mean(evidence.high - evidence.low, groups)),
    }
    return {
        **{name: None if measure is None else measure.value for name, measure in found.items()},
        "intervals": {name: ends(measure) for name, measure in found.items()},
        "measured": evidence.measured,
        "measured_rows": len(y),
        "measured_groups": None if evidence.groups is None else len(np.unique(evidence.groups)),
        "baselines": {
            name: _baseline(_tangents(y, p), mine, groups)
            for name, p in {**evidence.rivals, **evidence.guesses}.items()
        },
    }


def _tangents(y: Row, p: Row) -> dict[str, Row | None]:
    """Return one number for each row and error measure; its mean is the measure."""
    error, away = np.square(y - p), np.square(y - y.mean())
    mse, spread = error.mean(), away.mean()
    root = np.sqrt(mse)
    ratio = mse / spread if spread > 0 else np.nan
    return {
        "r2": 1 - ratio - (error - ratio * away) / spread if spread > 0 else None,
        "mae": np.abs(y - p),
        "rmse": root / 2 + error / (2 * root) if root > 0 else np.zeros(len(y)),
    }


def _mean(rows: Row | None, groups: Groups) -> Interval | None:
    return None if rows is None else intervals.mean(rows, groups)


def _bounded(name: str, measure: Interval | None) -> Interval | None:
    """Cut the interval of an error at 0, and that of R² at 1."""
    if measure is None:
        return None
    return (
        measure._replace(high=min(1.0, measure.high)) if name == "r2" else measure._replace(low=max(0.0, measure.low))
    )


def _baseline(theirs: dict[str, Row | None], mine: dict[str, Row | None], groups: Groups) -> dict[str, Any]:
    pairs = {name: (theirs[name], mine[name]) for name in ERRORS}
    apart = {
        name: None if a is None or b is None else intervals.mean(a - b, groups)._asdict()
        for name, (a, b) in pairs.items()
    }
    values = {name: None if rows is None else float(rows.mean()) for name, rows in theirs.items()}
    return {**values, "difference": apart}
