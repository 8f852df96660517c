"""The parts of the page that are about classes: quality, decisions, reliability, and the sentences in short."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...figures import numbers
from ...figures.reliability import reliability, reliability_bins
from .. import page
from ..words import count
from . import words

if TYPE_CHECKING:
    from .class_answer import Answer


def sections(answer: Answer) -> dict[str, Any]:
    """Return the parts of the page by their names in the template."""
    summary = answer.summary
    return {
        "numbers": words.quality(summary, len(answer.classes)),
        "measured_by": summary.get("measured"),
        "intervals": summary.get("intervals"),
        "decisions": words.decisions(summary),
        "each_class": words.each_class(summary),
        "measured": any(summary[key] is not None for key in ("accuracy", "auc", "log_loss")),
        "comparison": words.comparison(summary, summary["baselines"]),
        "reliability": trust(answer),
    }


def in_short(answer: Answer) -> list[str]:
    """Say what was predicted, if no outcome is known, and how often the predictions are right."""
    sentences = []
    if not answer.outcome_count:
        counts = words.outcome_counts(answer.probabilities.argmax(1), answer.classes)
        sentences.append(f"Most probable outcomes: {counts}. The true outcomes of these rows are not known.")
    if answer.summary["accuracy"] is not None:
        commonest = answer.classes[int(np.bincount(answer.labels, minlength=len(answer.classes)).argmax())]
        sentences.append(words.right(answer.summary, _measured(answer), commonest))
    return sentences


def _measured(answer: Answer) -> str:
    """Begin the sentence about the rows on which the quality was measured."""
    if answer.evidence and answer.evidence.measured == "cross-validation":
        return f"{answer.evidence.how.capitalize()}: about {{0}} of 100 rows"
    every = answer.outcome_count == len(answer.probabilities)
    return f"About {{0}} of 100 {'predicted rows' if every else 'rows with a known outcome'} that it had not seen"


def trust(answer: Answer) -> dict[str, Any] | None:
    """Draw the reliability curve: of the positive class of two, of the most probable class of more."""
    p, y, groups = answer.test_probabilities, answer.truth, None
    if answer.evidence:
        p, y, groups = answer.evidence.p, answer.evidence.y, answer.evidence.groups
    if not len(y):
        return None
    if len(answer.classes) == 2:
        c = answer.positive
        predicted, event, name = p[:, c], y == c, answer.classes[c]
    else:
        predicted, event, name = p.max(1), y == p.argmax(1), "the most probable class"
    parts = reliability_bins(predicted, event, groups=groups)
    fields = ("predicted", "frequency", "low", "high", "rows")
    bins = [dict(zip(fields, values, strict=True)) for values in zip(*parts[:5], strict=True)]
    fullest = bins[int(parts.rows.argmax())]
    alt = (
        f"Reliability curve over {count(len(bins), 'bin')}. In the fullest, {fullest['rows']} rows, "
        f"{numbers.percent(fullest['predicted'])} was predicted and {numbers.percent(fullest['frequency'])} came true."
    )
    return {
        "picture": page.picture(reliability(predicted, event, name, groups=groups), alt),
        "bins": bins,
        "what": name,
    }
