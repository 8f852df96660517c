"""The numbers of a table's page in plain words, for a reader who has never met an AUC.

Each function turns numbers into sentences or small tables of text and knows nothing of HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ...figures import numbers, style
from ...figures.unit import Probability, Unit
from ..words import count, listing
from .headlines import ahead, interval_text, number
from .rivals import baseline_name

Number = float | None
_PROBABILITY = Probability("")

_MEASURES = {  # name, how it is written, what it means (with {0} in hundredths)
    "accuracy": ("Accuracy", "{1:.1f} %", "About {0:.0f} of 100 rows were put in the right class{majority}."),
    "auc": (
        "AUC",
        "{0:.3f}",
        "Of 100 pairs of rows from different classes, about {0:.0f} were put in the right order; 50 is guessing.",
    ),
    "calibration_error": (
        "Calibration error",
        "{1:.1f} %",
        "Stated probabilities were off by {0:.1f} percentage points on average; 0 is perfect{luck}.",
    ),
    "log_loss": (
        "Log loss",
        "{0:.3f}",
        "Punishes confident mistakes; lower is better. "
        "Giving all classes the same probability would score {chance}{base}.",
    ),
    "ms_per_row": ("Time per explained row", "{0:.2f} ms", "To predict and explain one row, on this computer."),
}


def quality(summary: Mapping[str, Any], ways: int) -> list[dict[str, str]]:
    """Return each measured number with its interval and meaning; one that was not measured (None) is left out."""
    majority, base = _baseline(summary, "majority", "accuracy"), _baseline(summary, "base_rates", "log_loss")
    chance = {
        "luck": _luck(summary),
        "chance": f"{np.log(ways):.3f}",
        "majority": "" if majority is None else f"; always naming the commonest class gets {100 * majority:.0f}",
        "base": "" if base is None else f", always giving the base rates {base:.3f}. {_beside_base_rates(summary)}",
    }
    present = {key: float(value) for key, value in summary.items() if key in _MEASURES and value is not None}
    return [
        {
            "name": name,
            "value": written.format(present[key], 100 * present[key]),
            "interval": interval(summary, key, percent="%" in written),
            "meaning": meaning.format(100 * present[key], **chance),
        }
        for key, (name, written, meaning) in _MEASURES.items()
        if key in present
    ]


def _luck(summary: Mapping[str, Any]) -> str:
    """Say that even perfect probabilities could have the measured calibration error, if its interval begins at 0."""
    ends = (summary.get("intervals") or {}).get("calibration_error")
    return ", but chance alone may cause this much" if ends and abs(ends[0]) < 5e-4 else ""


def _beside_base_rates(summary: Mapping[str, Any]) -> str:
    rates = summary["baselines"]["base_rates"]
    if summary["log_loss"] > rates["log_loss"]:
        return "These predictions are worse"
    clearly = "" if ahead(rates, "log_loss") == -1 else "not clearly "
    return f"These predictions are {clearly}better"


def interval(summary: Mapping[str, Any], measure: str, percent: bool = False) -> str:
    """Write the 95 % interval of a measure, such as `0.62 to 0.93`, in per cent if asked; empty if there is none."""
    if (ends := (summary.get("intervals") or {}).get(measure)) is None:
        return ""
    low, high = ends
    return f"{interval_text(100 * low, 100 * high, 0)} %" if percent else interval_text(low, high, 2)


def difference(scores: Mapping[str, Any], measure: str) -> str:
    """Write the difference of a baseline from the mapping with its interval, such as `+0.061 (−0.08 to 0.23)`."""
    if (apart := (scores.get("difference") or {}).get(measure)) is None:
        return ""
    between = interval_text(apart["low"], apart["high"], 2)
    return number(apart["value"], signed=True) + (f" ({between})" if between else "")


def right(summary: Mapping[str, Any], start: str, commonest: str) -> str:
    """Say how many of 100 rows were put in the right class, with the interval, beside naming the commonest class.

    `start` is the first half of the sentence, with {0} in place of the number of rows.
    """
    sentence = f"{start.format(round(100 * summary['accuracy']))} were put in the right class"
    if ends := (summary.get("intervals") or {}).get("accuracy"):
        sentence += f" (95 % interval {interval_text(100 * ends[0], 100 * ends[1], 0)})"
    if (majority := _baseline(summary, "majority", "accuracy")) is not None:
        gets = round(100 * majority)
        sentence += f"; always naming {style.shorten(commonest, 40)}, the commonest class, gets {gets}"
    return f"{sentence}."


def _baseline(summary: Mapping[str, Any], name: str, measure: str) -> Number:
    return (summary.get("baselines") or {}).get(name, {}).get(measure)


def comparison(summary: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Number]]) -> dict[str, Any]:
    """Compare the mapping with the baselines, in the measures that any baseline has, and mark the best of each."""
    columns = {"auc": ("AUC", "higher is better", max), "accuracy": ("Accuracy", "higher is better", max),
               "log_loss": ("Log loss", "lower is better", min),
               "calibration_error": ("Calibration error", "lower is better", min)}  # fmt: skip
    models = {"this mapping": summary, **{baseline_name(name): scores for name, scores in baselines.items()}}
    used = [key for key in columns if sum(scores.get(key) is not None for scores in models.values()) > 1]
    best = {key: columns[key][2](v for m in models.values() if (v := m.get(key)) is not None) for key in used}
    rows = [
        (name, [("–", False) if (v := m.get(key)) is None else (f"{v:.3f}", v == best[key]) for key in used])
        for name, m in models.items()
    ]
    notes = [[_beside(scores, key) for key in used] for scores in models.values()]
    return {"heads": [columns[key][:2] for key in used], "rows": rows, "notes": notes}


def _beside(scores: Mapping[str, Any], measure: str) -> str:
    """Return the interval of a measure of the mapping, or the difference of a baseline from it."""
    return difference(scores, measure) or interval(scores, measure)


_SHARES = {  # name, which rows it is a share of, what happened to them
    "sensitivity": ("Sensitivity", "{0} rows that are {1}", "were called {1}", "true_positives", "false_negatives"),
    "specificity": (
        "Specificity",
        "{0} rows that are not {1}",
        "were not called {1}",
        "true_negatives",
        "false_positives",
    ),
    "ppv": ("Positive predictive value", "{0} rows called {1}", "are {1}", "true_positives", "false_positives"),
    "npv": ("Negative predictive value", "{0} rows not called {1}", "are not {1}", "true_negatives", "false_negatives"),
}


def decisions(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the two by two table of a threshold and its shares, None if there are not two classes with outcomes."""
    cells = summary.get("confusion")
    if not cells:
        return None
    name = str(summary["positive"])
    shares = []
    for key, (title, among, what, hit, miss) in _SHARES.items():
        rows = cells[hit] + cells[miss]
        value = "–" if summary[key] is None else numbers.percent(summary[key])
        meaning = (
            f"{cells[hit]:,} of {among.format(f'{rows:,}', name)} {what.format(rows, name)}" if rows else "no such row"
        )
        shares.append({"name": title, "value": value, "interval": interval(summary, key, True), "meaning": meaning})
    true, rows = cells["true_positives"] + cells["false_negatives"], sum(cells.values())
    return {
        "cells": cells,
        "positive": name,
        "threshold": f"{100 * summary['threshold']:.0f} %",
        "shares": shares,
        "common": f"{true:,} of {rows:,}",
    }


def each_class(summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the recall and the precision of each of three or more classes, with their intervals."""
    return [
        {
            "name": name,
            "rows": f"{scores['rows']:,}",
            **{key: "–" if scores[key] is None else numbers.percent(scores[key]) for key in ("recall", "precision")},
            **{f"{key}_interval": interval(scores, key, True) for key in ("recall", "precision")},
        }
        for name, scores in (summary.get("per_class") or {}).items()
    ]


def second_look(summary: Mapping[str, Any]) -> str:
    """Say what a cross-validation gives beside few held-out rows; empty if there was none."""
    if not (other := summary.get("cross_validation")):
        return ""
    parts = [
        f"{label} {value} ({interval(other, key)})"
        for key, label in (("auc", "AUC"), ("accuracy", "accuracy"), ("log_loss", "log loss"))
        if other[key] is not None and (value := number(other[key]))
    ]
    groups = summary.get("measured_groups")
    rows = count(groups, "group") + " of rows" if groups else count(summary["measured_rows"], "row")
    return f"Only {rows}: the intervals are wide. For comparison, {other['how']}: {listing(parts)}."


def agreement(measures: Mapping[str, Any]) -> list[str]:
    """Explain the agreement with exact Shapley values: `r2, cosine, covered, rows, columns`."""
    r2, cosine, columns = float(measures["r2"]), float(measures["cosine"]), int(measures["columns"])
    verdict = "close to" if r2 >= 0.95 else "roughly like" if r2 >= 0.8 else "NOT close to"
    combinations = f"{2**columns:,}" if columns <= 20 else f"2 to the power of {columns}"
    return [
        "There is one fair way to divide a prediction among the columns: the Shapley value, which asks what each "
        "column adds in every possible combination of the others. Computing it exactly means asking the same model "
        f"about {combinations} combinations of {count(columns, 'column')} for every row, by leaving cells empty.",
        f"That was done here for {count(int(measures['rows']), 'row')}. The explanations on this page, which come from "
        f"one quick pass, were {verdict} the exact ones: they reproduce {100 * r2:.1f} % of the variation "
        f"(R² = {r2:.3f}), and the cosine, which says how far they point in the same direction, is {cosine:.3f}; "
        f"1 is perfect. {100 * float(measures['covered']):.0f} % of the exact values lie within the 90 % intervals.",
        "Anyone can repeat this from outside: empty some cells of a row, ask for the prediction, and compare.",
    ]


def outcome_counts(labels: Int[np.ndarray, " n"], classes: Sequence[str]) -> str:
    """Count the rows of each class.

    >>> outcome_counts(np.array([0, 1, 1]), ["ill", "well"])
    '1 ill and 2 well'
    """
    counts = np.bincount(labels, minlength=len(classes))
    return listing([f"{counts[c]:,} {style.shorten(classes[c], 40)}" for c in range(len(classes)) if counts[c]])


def trend(values: Float[np.ndarray, " n"], cells: np.ndarray, unit: Unit = _PROBABILITY) -> str:
    """Say which cells raise the prediction: by rank correlation for numbers, by mean for categories."""
    x = numbers.as_floats(cells)
    if x is None:
        keys = np.array([str(c) for c in cells])
        there = np.array([not numbers.is_missing(c) for c in cells])
        means = {key: values[there & (keys == key)].mean() for key in np.unique(keys[there])}
        ends = [max(means, key=means.__getitem__), min(means, key=means.__getitem__)]
        return "; ".join(f"{key}: {unit.change(means[key])}" for key in dict.fromkeys(ends))
    there = ~np.isnan(x)
    if there.sum() < 3 or np.ptp(x[there]) == 0 or np.ptp(values[there]) == 0:
        return "too little to say"
    r = float(np.corrcoef(_ranked(x[there]), _ranked(values[there]))[0, 1])
    return "high raises" if r > 0.4 else "high lowers" if r < -0.4 else "mixed"


def _ranked(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return (np.searchsorted(np.sort(x), x, "left") + np.searchsorted(np.sort(x), x, "right")) / 2
