"""The section on trust: the measures of each method beside those of baselines that know nothing of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...estimate import Estimate
from ...figures.numbers import significant
from ...figures.trusted import trusted
from ...measures.faithfulness.trust import Trust
from .. import page
from ..words import listing
from .verdicts import verdict

_BASELINES = {"random": "random values", "magnitude": "size of the input"}
_MEASURES = {
    "gap": ("Insertion − deletion", "larger is better", "area between the two curves (larger is better)"),
    "infidelity": ("Infidelity", "smaller is better", "squared error (smaller is better)"),
    "max-sensitivity": ("Max-sensitivity", "smaller is better", ""),
}


def trust(methods: Mapping[str, Mapping[str, Trust]], queries: int) -> dict[str, Any] | None:
    """Return the pictures and words of the section, None if there is no method."""
    if not methods:
        return None
    return {
        "heads": [(title, better) for title, better, _ in _MEASURES.values()],
        "rows": _table(methods),
        "pictures": [_picture(methods, measure) for measure in ("gap", "infidelity")],
        "verdicts": [verdict(name, measures) for name, measures in methods.items()],
        "queries": queries,
    }


def _picture(methods: Mapping[str, Mapping[str, Trust]], measure: str) -> tuple[str, Any]:
    title, _, unit = _MEASURES[measure]
    values = "; ".join(f"{name} {measures[measure].explainer.mean:.3g}" for name, measures in methods.items())
    first = next(iter(methods.values()))[measure]
    pairs = (("random values", first.random), ("the size of the input", first.magnitude))
    beside = [f"{label} {baseline.mean:.3g}" for label, baseline in pairs if baseline is not None]
    alt = f"{title} of each method, {unit}: {values}; for comparison {listing(beside)}."
    return title, page.picture(trusted(methods, measure, unit), alt)


def _table(methods: Mapping[str, Mapping[str, Trust]]) -> list[tuple[str, list[str]]]:
    rows = [(name, [_number(measures[key].explainer) for key in _MEASURES]) for name, measures in methods.items()]
    first = next(iter(methods.values()))
    for baseline, label in _BASELINES.items():
        if getattr(first["gap"], baseline) is not None:
            rows.append((f"({label})", [_number(getattr(first[key], baseline)) for key in _MEASURES]))
    return rows


def _number(value: Estimate | None) -> str:
    if value is None:
        return "–"
    interval = "" if np.isnan(value.interval) else f" ± {significant(value.interval, 2)}"
    return significant(value.mean, 3) + interval
