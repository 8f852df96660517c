"""The quality of a table's predictions if outcomes are known: of the mapping and of its rivals on the same rows.

AUC = mean over the classes of P(a row of the class has a higher probability of it than a row of another class)
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from .question import Question
from .rivals import RIVALS, rival_probabilities

if TYPE_CHECKING:
    from ...estimators import TableClassifier

UNKNOWN = {
    **dict.fromkeys(("auc", "accuracy", "log_loss", "calibration_error")),
    "baselines": {name: {"auc": None} for name in RIVALS},
}
"""The quality of predictions if no outcome is known."""


def quality(classifier: "TableClassifier", question: Question, p: Float[np.ndarray, "m k"]) -> dict[str, Any]:
    """Measure the probabilities `p` of the rows `question.test_rows`, and the rivals on the same rows."""
    from ...measures.evaluation.calibration import expected_calibration_error

    if not len(p):
        return dict(UNKNOWN)
    y = np.searchsorted(classifier.classes_, question.truth)
    likelihood = np.maximum(p[np.arange(len(y)), y], np.finfo(float).tiny)
    rivals = rival_probabilities(classifier, question.train, question.labels, question.test_rows, question.seed)
    return {
        "auc": auc(p, y),
        "accuracy": float((p.argmax(1) == y).mean()),
        "log_loss": float(-np.log(likelihood).mean()),
        "calibration_error": expected_calibration_error(p, y),
        "baselines": {name: {"auc": auc(q, y)} for name, q in rivals.items()},
    }


def auc(p: Float[np.ndarray, "n k"], y: Int[np.ndarray, " n"]) -> float | None:
    """Return the area under the ROC curve, averaged over the classes that can be judged; None if there are none.

    >>> auc(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1]))
    1.0
    """
    from sklearn.metrics import roc_auc_score

    both = [c for c in range(p.shape[1]) if 0 < (y == c).sum() < len(y)]
    areas = [float(roc_auc_score(y == c, p[:, c])) for c in both]
    return math.fsum(areas) / len(areas) if areas else None
