"""The parts of the page that are about numbers: quality, rivals, predicted and true outcomes, sentences in short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...figures.predicted import predicted
from ...figures.unit import Amount
from .. import page
from ..words import count, listing
from .number_lines import NAMES, difference, interval, written
from .number_quality import COVERAGE, ERRORS
from .rivals import baseline_name

if TYPE_CHECKING:
    from .number_answer import NumberAnswer

Summary = Mapping[str, Any]
_SHORT = {"r2": "R²", "mae": "Mean absolute error", "rmse": "Root mean squared error"}


def sections(answer: NumberAnswer) -> dict[str, Any]:
    """Return the parts of the page by their names in the template."""
    return {
        "numbers": quality(answer.summary, answer.amount),
        "measured_by": answer.summary["measured"],
        "comparison": comparison(answer.summary, answer.amount),
        "predicted": trust(answer),
    }


def in_short(answer: NumberAnswer) -> list[str]:
    """Say what was predicted, if no outcome is known, and how far predictions are off."""
    s, unit, numbers = answer.summary, answer.amount, answer.numbers
    sentences = []
    if not answer.outcome_count:
        ends = f"{unit.number(numbers.min())} to {unit.amount(numbers.max())}, {unit.number(numbers.mean())} on average"
        sentences.append(f"Predicted {unit.name}: {ends}. The true outcomes of these rows are not known.")
    if s["mae"] is not None:
        between = interval(s, "mae", unit)
        guess = unit.amount(s["baselines"]["median"]["mae"])
        sentences.append(
            f"Measured {answer.how}: predictions are off by {unit.amount(s['mae'])} on average"
            f"{f' (95 % interval {between})' if between else ''}; always giving the median of the training rows is "
            f"off by {guess}."
        )
        held = f"{100 * s['coverage']:.0f} of 100 outcomes lie inside the 90 % interval of their prediction"
        sentences.append(f"{held}, which is {unit.amount(s['interval_width'])} wide on average.")
    return sentences


def quality(summary: Summary, unit: Amount) -> list[dict[str, str]]:
    """Return each measure with its interval and meaning; "–" if it was not measured."""
    mean, median = (summary["baselines"][name] for name in ("mean", "median"))
    share = summary["r2"] or 0.0
    meanings = {
        "r2": f"The predictions account for {100 * share:.0f} % of the variation of the outcome; 0 is guessing."
        if share > 0
        else "The predictions account for nothing of the variation of the outcome.",
        "mae": f"How far predictions are off on average. Always giving the median: {written(median, 'mae', unit)}.",
        "rmse": f"The same, but large mistakes count more. Always giving the mean: {written(mean, 'rmse', unit)}.",
        "coverage": "The share of outcomes inside the 90 % interval of their prediction; 90 % is right.",
        "interval_width": "How wide the 90 % intervals are on average; narrow ones say more, if they hold.",
    }
    cards = [
        {
            "name": name[:1].upper() + name[1:],
            "value": written(summary, key, unit),
            "interval": interval(summary, key, unit),
        }
        for key, name in NAMES.items()
    ]
    cards = [{**card, "meaning": meanings[key]} for key, card in zip(NAMES, cards, strict=True)]
    time = f"{summary['ms_per_row']:.2f} ms"
    meaning = "To predict and explain one row, on this computer."
    return [*cards, {"name": "Time per explained row", "value": time, "interval": "", "meaning": meaning}]


def comparison(summary: Summary, unit: Amount) -> dict[str, Any]:
    """Compare the mapping with the baselines, and mark the best of each measure."""
    heads = [(_SHORT[key], "higher is better" if key == "r2" else "lower is better") for key in ERRORS]
    models = {"this mapping": summary, **{baseline_name(name): s for name, s in summary["baselines"].items()}}
    best = {key: _best(key, [m[key] for m in models.values() if m[key] is not None]) for key in ERRORS}
    rows = [(name, [(written(m, key, unit), m[key] == best[key]) for key in ERRORS]) for name, m in models.items()]
    notes = [[difference(m, key, unit) or interval(m, key, unit) for key in ERRORS] for m in models.values()]
    return {"heads": heads, "rows": rows, "notes": notes}


def _best(key: str, values: list[float]) -> float | None:
    return (max if key == "r2" else min)(values, default=None)


def second_look(summary: Summary, unit: Amount) -> str:
    """Say what a cross-validation gives beside few held-out rows; empty if there was none."""
    if not (other := summary.get("cross_validation")):
        return ""
    parts = [
        f"{NAMES[key]} {written(other, key, unit)} ({interval(other, key, unit)})"
        for key in ERRORS
        if other[key] is not None
    ]
    groups = summary.get("measured_groups")
    rows = count(groups, "group") + " of rows" if groups else count(summary["measured_rows"], "row")
    return f"Only {rows}: the intervals are wide. For comparison, {other['how']}: {listing(parts)}."


def trust(answer: NumberAnswer) -> dict[str, Any] | None:
    """Draw predicted against true outcomes, and say whether the intervals hold."""
    e, unit = answer.evidence, answer.amount
    if e is None:
        return None
    figure, shown = predicted(e.y, e.p, e.low, e.high, unit)
    inside = int(((e.low <= e.y) & (e.y <= e.high)).sum())
    alt = f"Predicted against true {unit.name} of {count(shown, 'row')}. {inside} of {len(e.y)} outcomes lie inside."
    sampled = "" if shown == len(e.y) else f" {shown} of {len(e.y):,} rows are drawn."
    return {"picture": page.picture(figure, alt), "sentences": _held(answer, inside), "sampled": sampled}


def _held(answer: NumberAnswer, inside: int) -> list[str]:
    """Say how many outcomes the intervals hold, and on which side the others lie."""
    e, unit, s = answer.evidence, answer.amount, answer.summary
    assert e is not None
    low, high = s["intervals"]["coverage"]
    right = f"{100 * COVERAGE:.0f} of 100"
    verdict = "too narrow" if high < COVERAGE else "too wide" if low > COVERAGE else "about right"
    above, below = int((e.y > e.high).sum()), int((e.y < e.low).sum())
    bias = float(np.mean(e.p - e.y))
    doubt = ", as far as so few rows can tell" if verdict == "about right" and high - low > 0.2 else ""
    return [
        f"{inside} of {len(e.y):,} outcomes lie inside the 90 % interval of their prediction: "
        f"{100 * s['coverage']:.0f} of 100 (95 % interval {100 * low:.0f} to {100 * high:.0f}). {right} would be "
        f"right, so the intervals are {verdict}{doubt}.",
        f"{count(above, 'outcome')} {'lies' if above == 1 else 'lie'} above and {below} below. The intervals are "
        f"{unit.amount(s['interval_width'])} wide on average.",
        f"On average, predictions are {unit.amount(abs(bias))} too {'high' if bias > 0 else 'low'}.",
    ]
