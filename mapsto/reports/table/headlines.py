"""What a reader must know first: that a rival predicts clearly better, or that the predictions are worth nothing.

Clearly better means that the 95 % interval of the paired difference excludes 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .rivals import baseline_name

Summary = Mapping[str, Any]
GUESSES = ("majority", "base_rates")
"""Baselines that know nothing of a row."""

ROWS = 10
"""The least number of rows on which two models are compared."""

_OTHERS = 4.5  # the commonest class is that of the training rows, so that its share is no whole number
_UNCERTAIN = "It is uncertain whether these predictions are better than"


def headlines(summary: Summary) -> list[str]:
    """Return sentences that stand above everything else; usually none."""
    rivals = {name: scores for name, scores in summary["baselines"].items() if name not in GUESSES}
    better = [name for name, scores in rivals.items() if _told(summary) and _clearly_better(summary, scores)]
    best = max(better, key=lambda name: _lead(rivals[name]), default=None)
    return [
        *_worthless(summary),
        *([_rival(summary, baseline_name(best), rivals[best])] if best else []),
    ]


def interval_text(low: float | None, high: float | None, digits: int = 3) -> str:
    """Write the ends of an interval; nothing if they are unknown.

    >>> interval_text(0.05, 0.2149), interval_text(-0.1, 0.25, digits=2)
    ('0.050 to 0.215', '−0.10 to 0.25')
    """
    known = [end for end in (low, high) if end is not None and math.isfinite(end)]
    return " to ".join(number(end, digits) for end in known) if len(known) == 2 else ""


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """Write a number with so many digits after its point, never as −0, with a plus sign if `signed`.

    >>> number(0.1304), number(-0.0001), number(0.5, 2, signed=True)
    ('0.130', '0.000', '+0.50')
    """
    rounded = round(float(value), digits) or 0.0
    return f"{rounded:{'+' if signed and rounded else ''}.{digits}f}".replace("-", "−")


def _told(summary: Summary) -> bool:
    """Return whether there are enough rows to compare models: ten, and five outside of the commonest class."""
    rows = summary.get("measured_rows") or 0
    commonest = (summary["baselines"].get("majority") or {}).get("accuracy") or 0.0
    return rows >= ROWS and rows * (1 - commonest) >= _OTHERS


def _clearly_better(summary: Summary, scores: Summary) -> bool:
    """Return whether a rival ranks clearly better, or has clearly better probabilities that beat the base rates."""
    base = (summary["baselines"].get("base_rates") or {}).get("log_loss")
    useful = None in (base, scores.get("log_loss")) or scores["log_loss"] < base
    return ahead(scores, "auc") == 1 or (ahead(scores, "log_loss") == 1 and useful)


def _lead(scores: Summary) -> tuple[int, float]:
    """Order rivals that are clearly better: by the AUC if it is clearly higher, else by the log loss."""
    ranks = ahead(scores, "auc") == 1
    return int(ranks), scores["difference"]["auc"]["value"] if ranks else -scores["difference"]["log_loss"]["value"]


def ahead(scores: Summary, measure: str) -> int:
    """Return 1 if a baseline is clearly better in a measure, −1 if it is clearly worse, and else 0.

    Ends are rounded as they are written, so that the printed interval excludes 0 too.
    """
    difference = (scores.get("difference") or {}).get(measure)
    if difference is None:
        return 0
    sign = -1 if measure == "log_loss" else 1
    ends = sorted(round(sign * difference[end], 3) for end in ("low", "high"))
    return 1 if ends[0] > 0 else -1 if ends[1] < 0 else 0


def _rival(summary: Summary, name: str, scores: Summary) -> str:
    ranks, rates = ahead(scores, "auc"), ahead(scores, "log_loss")
    if ranks == 1:
        sentence = f"On these rows {name} ranks clearly better: {_against('AUC', 'auc', summary, scores)}"
        other = f", though its probabilities are worse ({_against('log loss', 'log_loss', summary, scores)}" + ")"
        worse = rates == -1
    else:
        how = _against("a lower log loss,", "log_loss", summary, scores)
        sentence = f"On these rows {name} gives clearly better probabilities: {how}"
        other = f", though it ranks worse ({_against('AUC', 'auc', summary, scores)}" + ")"
        worse = ranks == -1
    return f"{sentence}{other}." if worse else f"{sentence}. Consider using it."


def _against(label: str, measure: str, summary: Summary, scores: Summary) -> str:
    apart = scores["difference"][measure]
    difference = f"difference {number(apart['value'])}, 95 % interval {interval_text(apart['low'], apart['high'])}"
    return f"{label} {number(scores[measure])} against {number(summary[measure])} ({difference})"


def _worthless(summary: Summary) -> list[str]:
    """Say that the predictions are worse than the base rates, or that it is uncertain whether they are better."""
    scores = summary["baselines"].get("base_rates") or {}
    if scores.get("log_loss") is None or summary["log_loss"] is None or ahead(scores, "log_loss") == -1:
        return []
    losses = f"log loss {number(summary['log_loss'])} against {number(scores['log_loss'])}, less is better"
    low = ((summary.get("intervals") or {}).get("auc") or [0.0])[0]
    worse = summary["log_loss"] >= scores["log_loss"]
    if low > 0.5:
        ranks = f"They do rank rows better than chance (AUC {number(summary['auc'])})."
        return [f"The probabilities are worse than the base rates ({losses}). {ranks}"] if worse else []
    verdict = "These predictions are worse than" if worse else _UNCERTAIN
    return [f"{verdict} always giving the base rates ({losses}). Do not rely on them."]
