"""The quality of a table's predictions with 95 % intervals, beside rivals, the commonest class and the base rates.

Each baseline predicts the same rows as the mapping, so they are compared by paired differences, baseline − mapping.
If there are two classes, a row is called positive if its probability of the positive class is above 0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from ...measures.evaluation import intervals
from ...measures.evaluation.calibration import calibration_interval
from ...measures.evaluation.intervals import Interval
from ...measures.evaluation.ranking import Ranking, difference, interval, ranking
from ...tables.outcome import positive
from .evidence import Evidence, cross_validated, held_out
from .question import Question
from .rivals import RIVALS

if TYPE_CHECKING:
    from ...estimators import TableClassifier

THRESHOLD = 0.5
_BASELINES = (*RIVALS, "majority", "base_rates")
MEASURES = ("auc", "accuracy", "log_loss", "calibration_error")
_SHARES = ("sensitivity", "specificity", "ppv", "npv")
UNKNOWN = {
    **dict.fromkeys(MEASURES),
    "baselines": {name: dict.fromkeys(("auc", "accuracy", "log_loss", "difference")) for name in _BASELINES},
    **dict.fromkeys(("intervals", *_SHARES, "threshold", "positive", "confusion", "per_class", "measured")),
    "measured_rows": 0,
    "measured_groups": None,
}
"""The quality of predictions if it cannot be measured."""


def quality(classifier: TableClassifier, question: Question, p: Float[np.ndarray, "m k"]) -> dict[str, Any]:
    """Measure the probabilities `p` of the rows `question.test_rows`; if there are none, cross-validate."""
    evidence = held_out(classifier, question, p) if len(p) else cross_validated(classifier, question)
    return measures(evidence, classifier.classes_, question)


def measures(
    evidence: Evidence | None, classes: Shaped[np.ndarray, " k"], question: Question | None = None
) -> dict[str, Any]:
    """Return all measures of the evidence, as numbers, texts, lists and dictionaries of them.

    `intervals` maps each measure to the ends of its interval, `baselines` each baseline to its measures and to
    `difference`, and `per_class` each of three or more classes to its recall and precision. A measure that needs rows
    which are not there, such as the positive predictive value if no row is called positive, is None.
    """
    if evidence is None:
        return dict(UNKNOWN)
    y, p = evidence.y, evidence.p
    ranks, losses = ranking(p, y, evidence.folds), loss(p, y)
    found: dict[str, Interval | None] = {
        "auc": None if ranks is None else interval(ranks, evidence.groups),
        "accuracy": intervals.share(p.argmax(1) == y, evidence.groups),
        "log_loss": _not_negative(intervals.mean(losses, evidence.groups)),
        "calibration_error": calibration_interval(p, y, evidence.groups),
    }
    two = len(classes) == 2
    chosen = _positive(classes, question) if two else None
    found |= dict.fromkeys(_SHARES) if chosen is None else _shares(p.argmax(1) == chosen, y == chosen, evidence.groups)
    return {
        **{name: None if measure is None else measure.value for name, measure in found.items()},
        "intervals": {name: ends(measure) for name, measure in found.items()},
        "threshold": THRESHOLD if two else None,
        "positive": None if chosen is None else str(classes[chosen]),
        "confusion": None if chosen is None else _confusion(p.argmax(1) == chosen, y == chosen),
        "per_class": None if two else _per_class(evidence, classes),
        "measured": evidence.measured,
        "measured_rows": len(y),
        "measured_groups": None if evidence.groups is None else len(np.unique(evidence.groups)),
        "baselines": _baselines(evidence, ranks, losses),
    }


def auc(
    p: Float[np.ndarray, "n k"], y: Int[np.ndarray, " n"], strata: Int[np.ndarray, " n"] | None = None
) -> float | None:
    """Return the area under the ROC curve, averaged over the classes that can be judged; None if there are none.

    >>> auc(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1]))
    1.0
    """
    ranks = ranking(p, y, strata)
    return None if ranks is None else ranks.auc


def loss(p: Float[np.ndarray, "n k"], y: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the log loss of each row; as in scikit-learn, no probability is below the precision of a number."""
    return -np.log(np.maximum(p[np.arange(len(y)), y], np.finfo(float).eps))


def ends(measure: Interval | None) -> list[float] | None:
    """Return the ends of an interval as a list, None if there are none; an infinite end means that it is unknown."""
    return None if measure is None else [measure.low, measure.high]


def _positive(classes: Shaped[np.ndarray, " k"], question: Question | None) -> int:
    labels, choice = (None, None) if question is None else (question.labels, question.choices.positive)
    counts = [0] * len(classes) if labels is None else [int((labels == name).sum()) for name in classes]
    return positive(classes.tolist(), counts, choice)


def _not_negative(measure: Interval) -> Interval:
    return measure._replace(low=max(0.0, measure.low))


def _shares(
    called: Bool[np.ndarray, " n"], true: Bool[np.ndarray, " n"], groups: intervals.Groups
) -> dict[str, Interval | None]:
    return {
        "sensitivity": _share(called, true, groups),
        "specificity": _share(~called, ~true, groups),
        "ppv": _share(true, called, groups),
        "npv": _share(~true, ~called, groups),
    }


def _share(events: Bool[np.ndarray, " n"], among: Bool[np.ndarray, " n"], groups: intervals.Groups) -> Interval | None:
    return intervals.share(events[among], None if groups is None else groups[among])


def _confusion(called: Bool[np.ndarray, " n"], true: Bool[np.ndarray, " n"]) -> dict[str, int]:
    parts = {
        "true_positives": called & true,
        "false_positives": called & ~true,
        "false_negatives": ~called & true,
        "true_negatives": ~called & ~true,
    }
    return {name: int(part.sum()) for name, part in parts.items()}


def _per_class(evidence: Evidence, classes: Shaped[np.ndarray, " k"]) -> dict[str, dict[str, Any]]:
    """Return of each class: its rows, how many were called so, its recall and its precision with their intervals."""
    result = {}
    for c, name in enumerate(classes.tolist()):
        called, true = evidence.p.argmax(1) == c, evidence.y == c
        recall, precision = (_share(a, b, evidence.groups) for a, b in ((called, true), (true, called)))
        result[str(name)] = {
            "rows": int(true.sum()),
            "predicted": int(called.sum()),
            "recall": None if recall is None else recall.value,
            "precision": None if precision is None else precision.value,
            "intervals": {"recall": ends(recall), "precision": ends(precision)},
        }
    return result


def _baselines(evidence: Evidence, mine: Ranking | None, losses: Float[np.ndarray, " n"]) -> dict[str, dict[str, Any]]:
    """Return the measures of each baseline, and the difference baseline − mapping on the same rows."""
    commonest = np.eye(evidence.base.shape[1])[evidence.base.argmax(1)]
    models = {**evidence.rivals, "majority": commonest, "base_rates": evidence.base}
    result = {}
    for name, p in models.items():
        ranks = ranking(p, evidence.y, evidence.folds)
        other = None if name == "majority" else loss(p, evidence.y)  # a mere class has no probabilities to judge
        apart = {
            "auc": None if mine is None or ranks is None else difference(ranks, mine, evidence.groups),
            "log_loss": None if other is None else intervals.mean(other - losses, evidence.groups),
        }
        result[name] = {
            "auc": None if ranks is None else ranks.auc,
            "accuracy": float((p.argmax(1) == evidence.y).mean()),
            "log_loss": None if other is None else float(other.mean()),
            "difference": {key: None if part is None else part._asdict() for key, part in apart.items()},
        }
    return result
