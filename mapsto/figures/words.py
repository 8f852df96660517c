"""The numbers of a report in plain words, for a reader who has never met an AUC.

Each function turns numbers into sentences or small tables of text and knows nothing of HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from . import style

Number = float | None

_MEASURES = {  # name, how it is written, what it means (with {0} in hundredths)
    "accuracy": ("Accuracy", "{1:.1f} %", "About {0:.0f} of 100 rows were put in the right class."),
    "auc": (
        "AUC",
        "{0:.3f}",
        "Of 100 pairs of rows from different classes, about {0:.0f} were put in the right order; 50 is guessing.",
    ),
    "calibration_error": (
        "Calibration error",
        "{1:.1f} %",
        "Stated probabilities were off by {0:.1f} percentage points on average; 0 is perfect.",
    ),
    "log_loss": (
        "Log loss",
        "{0:.3f}",
        "Punishes confident mistakes; lower is better. Giving all classes the same probability would score {chance}.",
    ),
    "ms_per_row": ("Time per explained row", "{0:.2f} ms", "To predict and explain one row, on this computer."),
}


def listing(parts: Sequence[str]) -> str:
    """Join parts as a person would.

    >>> listing(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 2 else parts)


def count(number: int, noun: str) -> str:
    """Count things.

    >>> count(1, "row"), count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def quality(summary: Mapping[str, Number], ways: int) -> list[dict[str, str]]:
    """Say each measured number with its meaning; what was not measured is left out."""
    chance = f"{np.log(ways):.3f}"
    present = {key: float(value) for key, value in summary.items() if key in _MEASURES and value is not None}
    return [
        {
            "name": name,
            "value": written.format(present[key], 100 * present[key]),
            "meaning": meaning.format(100 * present[key], chance=chance),
        }
        for key, (name, written, meaning) in _MEASURES.items()
        if key in present
    ]


def comparison(summary: Mapping[str, Number], baselines: Mapping[str, Mapping[str, Number]]) -> dict[str, Any]:
    """Put the mapping beside the baselines, in the measures that any baseline has; marks the best of each."""
    columns = {"auc": ("AUC", "higher is better", max), "accuracy": ("Accuracy", "higher is better", max),
               "log_loss": ("Log loss", "lower is better", min),
               "calibration_error": ("Calibration error", "lower is better", min)}  # fmt: skip
    models = {"this mapping": summary, **{name.replace("_", " "): scores for name, scores in baselines.items()}}
    used = [key for key in columns if sum(scores.get(key) is not None for scores in models.values()) > 1]
    best = {key: columns[key][2](v for m in models.values() if (v := m.get(key)) is not None) for key in used}
    rows = [
        (name, [("–", False) if (v := m.get(key)) is None else (f"{v:.3f}", v == best[key]) for key in used])
        for name, m in models.items()
    ]
    return {"heads": [columns[key][:2] for key in used], "rows": rows}


def agreement(found: Mapping[str, Any]) -> list[str]:
    """Explain the agreement with exact Shapley values."""
    r2, cosine, columns = float(found["r2"]), float(found["cosine"]), int(found["columns"])
    verdict = "close to" if r2 >= 0.95 else "roughly like" if r2 >= 0.8 else "NOT close to"
    combinations = f"{2**columns:,}" if columns <= 20 else f"2 to the power of {columns}"
    return [
        "There is one fair way to divide a prediction among the columns: the Shapley value, which asks what each "
        "column adds in every possible combination of the others. Computing it exactly means asking the same model "
        f"about {combinations} combinations of {count(columns, 'column')} for every row, by leaving cells empty.",
        f"That was done here for {count(int(found['rows']), 'row')}. The explanations on this page, which come from "
        f"one quick pass, were {verdict} the exact ones: they reproduce {100 * r2:.1f} % of the variation "
        f"(R² = {r2:.3f}), and the cosine, which says how far they point in the same direction, is {cosine:.3f}; "
        "1 is perfect.",
        "Anyone can repeat this from outside: empty some cells of a row, ask for the prediction, and compare.",
    ]


def outcome_counts(labels: Int[np.ndarray, " n"], classes: Sequence[str]) -> str:
    """Count the rows of each class.

    >>> outcome_counts(np.array([0, 1, 1]), ["ill", "well"])
    '1 ill and 2 well'
    """
    counts = np.bincount(labels, minlength=len(classes))
    return listing([f"{counts[c]:,} {style.shorten(classes[c], 40)}" for c in range(len(classes)) if counts[c]])


def logged(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the quantities that a run logged as numbers: losses and validation first, steps and seconds left out.

    >>> logged([{"step": 1, "seconds": 0.3, "lr": 0.1, "loss": 0.5}, {"step": 2, "accuracy": 0.7, "validation": 0.6}])
    ['loss', 'validation', 'lr', 'accuracy']
    """
    names = dict.fromkeys(k for line in metrics for k, v in line.items() if style.is_number(v))
    told = [name for name in names if name not in ("step", "seconds")]
    return sorted(told, key=lambda name: ("loss" not in name, "validation" not in name))


def series(metrics: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int | float], list[float]]:
    """Return the steps at which `name` was logged, and its values."""
    lines = [(i, line) for i, line in enumerate(metrics) if style.is_number(line.get(name))]
    return [line.get("step", i) for i, line in lines], [float(line[name]) for _, line in lines]


def course(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say how a training went, from what it logged."""
    names = logged(metrics)
    if not names:
        return ["Nothing was logged: the training stopped before its first logged step."]
    steps, y = series(metrics, names[0])
    timed = [line["seconds"] for line in metrics if style.is_number(line.get("seconds"))]
    took = f", in {duration(timed[-1])}" if timed else ""
    said = [f"The run logged {count(len(metrics), 'line')}, up to step {max(steps):,}{took}."]
    finite = np.isfinite(y)
    if not finite.all():
        first = f"{steps[int((~finite).argmax())]:,}"
        said.append(f"{names[0]} was not finite at {count(int((~finite).sum()), 'logged step')}, first at {first}.")
    if finite.any():
        best = int(np.nanargmin(np.where(finite, y, np.nan)))
        lowest = f"its lowest was {number(y[best])}, at step {steps[best]:,}"
        said.append(f"{names[0]} was {number(y[0])} at step {steps[0]:,} and {number(y[-1])} at the end; {lowest}.")
    return said


def duration(seconds: float) -> str:
    """Write a duration in the two units that matter.

    >>> duration(42.4), duration(150), duration(7260)
    ('42 s', '2 min 30 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def number(value: float) -> str:
    """Write a number with four significant digits.

    >>> number(0.123456), number(float("inf"))
    ('0.1235', 'inf')
    """
    return format(value, ".4g").replace("-", "−")


def trend(values: Float[np.ndarray, " n"], cells: np.ndarray) -> str:
    """Say which cells raise the probability: by rank correlation for numbers, by mean for categories."""
    x = style.numbers(cells)
    if x is None:
        keys = np.array([str(c) for c in cells])
        kept = np.array([not style.is_missing(c) for c in cells])
        means = {key: values[kept & (keys == key)].mean() for key in np.unique(keys[kept])}
        ends = [max(means, key=means.__getitem__), min(means, key=means.__getitem__)]
        return "; ".join(f"{style.shorten(key, 20)}: {style.points(means[key])}" for key in dict.fromkeys(ends))
    known = ~np.isnan(x)
    if known.sum() < 3 or np.ptp(x[known]) == 0 or np.ptp(values[known]) == 0:
        return "too little to say"
    r = float(np.corrcoef(_ranked(x[known]), _ranked(values[known]))[0, 1])
    return "high raises" if r > 0.4 else "high lowers" if r < -0.4 else "mixed"


def _ranked(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return (np.searchsorted(np.sort(x), x, "left") + np.searchsorted(np.sort(x), x, "right")) / 2
