"""What a reader of predicted numbers must know first: clearly better rivals, worthless predictions, false intervals.

Clearly better means that the 95 % interval of the paired difference excludes 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...figures.unit import Amount
from .headlines import ROWS
from .number_quality import COVERAGE
from .rivals import NUMBER_RIVALS, baseline_name

Summary = Mapping[str, Any]
_UNCERTAIN = "It is uncertain whether these predictions are better than"
_NAMES = {"rmse": "root mean squared error", "mae": "mean absolute error"}


def headlines(summary: Summary, unit: Amount) -> list[str]:
    """Return sentences that stand above everything else; usually none."""
    return [*_worthless(summary, unit), *_rival(summary, unit), *_intervals(summary)]


def ahead(scores: Summary, measure: str) -> int:
    """Return 1 if a baseline has a clearly smaller error, −1 if a clearly larger one, and else 0."""
    difference = (scores.get("difference") or {}).get(measure)
    if difference is None:
        return 0
    return 1 if difference["high"] < 0 else -1 if difference["low"] > 0 else 0


def _worthless(summary: Summary, unit: Amount) -> list[str]:
    """Say that the predictions are not clearly better than the mean, nor than the median, of the training rows."""
    guesses = {"rmse": summary["baselines"].get("mean") or {}, "mae": summary["baselines"].get("median") or {}}
    if summary["rmse"] is None or any(ahead(scores, key) == -1 for key, scores in guesses.items()):
        return []
    scores = guesses["rmse"]
    errors = f"{_NAMES['rmse']} {unit.amount(summary['rmse'])} against {unit.amount(scores['rmse'])}, less is better"
    worse = summary["rmse"] >= scores["rmse"]
    verdict = "These predictions are worse than" if worse else _UNCERTAIN
    return [f"{verdict} always giving the mean of the training rows ({errors}). Do not rely on them."]


def _rival(summary: Summary, unit: Amount) -> list[str]:
    """Name the rival with the smallest error among those that are clearly better, if there are rows enough to tell."""
    if (summary.get("measured_rows") or 0) < ROWS:
        return []
    for measure in ("rmse", "mae"):
        better = {
            name: scores
            for name in NUMBER_RIVALS
            if ahead(scores := summary["baselines"].get(name) or {}, measure) == 1
        }
        if better:
            name = min(better, key=lambda name: better[name][measure])
            return [_better(summary, unit, name, measure)]
    return []


def _better(summary: Summary, unit: Amount, name: str, measure: str) -> str:
    scores = summary["baselines"][name]
    apart = scores["difference"][measure]
    against = f"{_NAMES[measure]} {unit.amount(scores[measure])} against {unit.amount(summary[measure])}"
    between = f"difference {unit.change(apart['value'])}, 95 % interval {between_text(apart, unit)}"
    sentence = f"On these rows {baseline_name(name)} predicts clearly better: {against} ({between})"
    other = "mae" if measure == "rmse" else "rmse"
    if ahead(scores, other) == -1:
        return f"{sentence}, though its {_NAMES[other]} is clearly larger."
    return f"{sentence}. Consider using it."


def between_text(apart: Summary, unit: Amount) -> str:
    """Write the interval of a difference.

    >>> between_text({"low": -1.25, "high": 0.5}, Amount("stay", "days", 4.0))
    '−1.2 to +0.5'
    """
    return " to ".join(unit.change(apart[end]) for end in ("low", "high"))


def _intervals(summary: Summary) -> list[str]:
    """Say that the 90 % intervals hold clearly fewer outcomes than they should."""
    low_high = (summary.get("intervals") or {}).get("coverage")
    if not low_high or low_high[1] >= COVERAGE:
        return []
    share = f"{100 * summary['coverage']:.0f} of 100 outcomes"
    between = f"95 % interval {100 * low_high[0]:.0f} to {100 * low_high[1]:.0f}"
    return [f"The 90 % intervals are too narrow: only {share} lie inside ({between})."]
