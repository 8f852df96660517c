"""The parts of the page that tell of all rows: the summary, the columns that moved the predictions, the reliability."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...figures import numbers, style
from ...figures.beeswarm import beeswarm, ranking, reach
from ...figures.reliability import reliability, reliability_bins
from .. import page
from ..words import count, listing
from . import words
from .answer import Answer


def overview(answer: Answer) -> list[str]:
    """Say the whole page in a few sentences."""
    n, d, _ = answer.reasons.values.shape
    classes = words.outcome_counts(answer.labels, answer.classes)
    learned = f"The model learned from {count(len(answer.labels), 'row')} with a known outcome ({classes})"
    sentences = [f"{learned} and then predicted {count(n, 'other row')} from {count(d, 'column')}."]
    if not answer.outcome_count:
        counts = words.outcome_counts(answer.probabilities.argmax(1), answer.classes)
        sentences.append(f"Most probable outcomes: {counts}. The true outcomes of these rows are not known.")
    if answer.summary["accuracy"] is not None:
        commonest = answer.classes[int(np.bincount(answer.labels, minlength=len(answer.classes)).argmax())]
        sentences.append(words.right(answer.summary, _measured(answer), commonest))
    return [*sentences, _strongest_columns(answer)]


def _measured(answer: Answer) -> str:
    """Begin the sentence about the rows on which the quality was measured."""
    if answer.evidence and answer.evidence.measured == "cross-validation":
        return f"{answer.evidence.how.capitalize()}: about {{0}} of 100 rows"
    every = answer.outcome_count == len(answer.probabilities)
    return f"About {{0}} of 100 {'predicted rows' if every else 'rows with a known outcome'} that it had not seen"


def _strongest_columns(answer: Answer) -> str:
    means = np.abs(answer.reasons.values[:, :, answer.targets]).mean((0, 2))
    strong = [j for j in np.argsort(-means, kind="stable")[:3] if means[j] > 0]
    if not strong:
        return "No column moved any prediction: every row was given the starting value."
    columns = listing([f"{style.shorten(answer.columns[j], 40)} ({100 * means[j]:.1f})" for j in strong])
    return (
        f"The predictions were moved most by {columns}; in brackets, by how many percentage points of "
        "probability on average, up or down."
    )


def swarms(answer: Answer) -> list[dict[str, Any]]:
    """Draw the beeswarm of each class, all to one scale and in one order of columns."""
    values = answer.reasons.values
    limits = reach(values[:, :, answer.targets])
    order = ranking(np.abs(values).mean(2))
    return [_swarm(answer, c, limits, order) for c in answer.targets]


def _swarm(answer: Answer, c: int, limits: tuple[float, float], order: np.ndarray) -> dict[str, Any]:
    name, values = style.shorten(answer.classes[c], 60), answer.reasons.values[:, :, c]
    figure = beeswarm(values, answer.shades, answer.columns, answer.classes[c], limits=limits, order=order)
    means = 100 * np.abs(values).mean(0)
    first = listing([f"{style.shorten(answer.columns[j], 40)} {means[j]:.1f}" for j in order[:3]])
    alt = (
        f"Beeswarm: contributions of {count(len(answer.columns), 'column')} to the probability of {name} in "
        f"{count(len(values), 'row')}. Mean movement in percentage points: {first}."
    )
    return {"heading": f"What moved the probability of {name}", "picture": page.picture(figure, alt)}


def moved(answer: Answer) -> dict[str, Any]:
    """Tabulate the mean movement of every column, with its direction if there are two classes."""
    two, values = len(answer.classes) == 2, answer.reasons.values
    rows = [
        {
            "name": answer.columns[j],
            "means": [float(np.abs(values[:, j, c]).mean()) for c in answer.targets],
            "trend": words.trend(values[:, j, answer.positive], answer.shades[:, j]) if two else "",
        }
        for j in ranking(np.abs(values).mean(2))
    ]
    return {"classes": [answer.classes[c] for c in answer.targets], "rows": rows, "trends": two}


def trust(answer: Answer) -> dict[str, Any] | None:
    """Draw the reliability curve: of the positive class of two, of the most probable class of more."""
    p, y = answer.test_probabilities, answer.truth
    if not len(y) and answer.evidence:
        p, y = answer.evidence.p, answer.evidence.y
    if not len(y):
        return None
    if len(answer.classes) == 2:
        c = answer.positive
        predicted, event, name = p[:, c], y == c, answer.classes[c]
    else:
        predicted, event, name = p.max(1), y == p.argmax(1), "the most probable class"
    parts = reliability_bins(predicted, event)
    fields = ("predicted", "frequency", "low", "high", "rows")
    bins = [dict(zip(fields, values, strict=True)) for values in zip(*parts[:5], strict=True)]
    fullest = bins[int(parts.rows.argmax())]
    alt = (
        f"Reliability curve over {count(len(bins), 'bin')}. In the fullest, {fullest['rows']} rows, "
        f"{numbers.percent(fullest['predicted'])} was predicted and {numbers.percent(fullest['frequency'])} came true."
    )
    return {"picture": page.picture(reliability(predicted, event, name), alt), "bins": bins, "what": name}
