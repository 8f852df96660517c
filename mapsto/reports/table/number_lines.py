"""The quality of predicted numbers in short lines, as the terminal prints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...figures.unit import Amount
from ..words import count
from .number_headlines import between_text
from .rivals import baseline_name

Summary = Mapping[str, Any]
NAMES = {
    "r2": "R²",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "coverage": "90 % intervals that hold",
    "interval_width": "mean width of intervals",
}


def quality_lines(summary: Summary, unit: Amount) -> list[tuple[str, str, str]]:
    """Return each measure with its value and its interval, or the difference from the mapping."""
    agreement = summary["agreement"]
    checked = f"with exact Shapley values, {count(agreement['rows'], 'row')} × {count(agreement['columns'], 'column')}"
    return [
        *((name, written(summary, key, unit), interval(summary, key, unit)) for key, name in NAMES.items()),
        *_baselines(summary, unit),
        ("agreement R²", _three(agreement["r2"]), checked),
        ("agreement cosine", _three(agreement["cosine"]), ""),
        ("exact values in 90 % intervals", _three(agreement["covered"]), ""),
        ("ms per explained row", f"{summary['ms_per_row']:.2f}", ""),
    ]


def written(scores: Summary, key: str, unit: Amount) -> str:
    """Write a measure: R² with three digits, a share in per cent, an error in the unit of the outcome."""
    return "–" if (value := scores.get(key)) is None else _value(value, key, unit, unit.amount)


def interval(scores: Summary, key: str, unit: Amount) -> str:
    """Write the 95 % interval of a measure; empty if it is not known."""
    low_high = (scores.get("intervals") or {}).get(key)
    if low_high is None or not all(abs(end) < float("inf") for end in low_high):
        return ""
    return " to ".join(_value(end, key, unit, unit.number) for end in low_high)


def difference(scores: Summary, key: str, unit: Amount) -> str:
    """Write the difference of a baseline from the mapping with its interval; empty if it is not known."""
    if (apart := (scores.get("difference") or {}).get(key)) is None:
        return ""
    if key == "r2":
        value, low, high = (f"{apart[end]:+.3f}".replace("-", "−") for end in ("value", "low", "high"))
        return f"{value} ({low} to {high})"
    return f"{unit.change(apart['value'])} ({between_text(apart, unit)})"


def _baselines(summary: Summary, unit: Amount) -> list[tuple[str, str, str]]:
    keys = {"mean": ("rmse",), "median": ("mae",)}
    return [
        (f"{NAMES[key]} of {baseline_name(name)}", written(scores, key, unit), difference(scores, key, unit))
        for name, scores in summary["baselines"].items()
        for key in keys.get(name, ("mae", "rmse"))
    ]


def _value(value: float, key: str, unit: Amount, write: Any) -> str:
    if key == "r2":
        return _three(value)
    return f"{100 * value:.0f} %" if key == "coverage" else write(value)


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "−")
