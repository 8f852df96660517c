"""The quality of predictions about texts if classes are known, beside two well-known methods on the same texts."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ..table.quality import auc

RIVALS = ("tf_idf_and_logistic_regression", "tf_idf_and_nearest_class_mean")
UNKNOWN = {
    **dict.fromkeys(("auc", "accuracy", "log_loss", "calibration_error")),
    "baselines": {name: {"auc": None, "accuracy": None} for name in RIVALS},
}
"""The quality of predictions if no class is known."""


def quality(
    p: Float[np.ndarray, "m k"],
    y: Int[np.ndarray, " m"],
    tested: list[str],
    train: list[str],
    labels: Int[np.ndarray, " n"],
) -> dict[str, Any]:
    """Measure the probabilities `p` of the texts `tested` of the classes `y`, and the rivals on the same texts."""
    from ...measures.evaluation.calibration import expected_calibration_error

    if not len(p):
        return dict(UNKNOWN)
    likelihood = np.maximum(p[np.arange(len(y)), y], np.finfo(float).tiny)
    rivals = {
        name: {"auc": auc(q, y), "accuracy": _accuracy(q, y)} for name, q in _rivals(tested, train, labels).items()
    }
    return {
        "auc": auc(p, y),
        "accuracy": _accuracy(p, y),
        "log_loss": float(-np.log(likelihood).mean()),
        "calibration_error": expected_calibration_error(p, y),
        "baselines": rivals,
    }


def _accuracy(p: Float[np.ndarray, "m k"], y: Int[np.ndarray, " m"]) -> float:
    return float((p.argmax(1) == y).mean())


def _rivals(tested: list[str], train: list[str], labels: Int[np.ndarray, " n"]) -> dict[str, Float[np.ndarray, "m k"]]:
    """Return the scores of the classes by each rival: word frequencies with a linear model or the nearest mean."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectors = TfidfVectorizer(token_pattern=r"(?u)\S+")
    x = vectors.fit_transform(train)
    new = vectors.transform(tested)
    classes = np.arange(int(labels.max()) + 1)
    means = np.stack([np.asarray(x[labels == c].mean(0))[0] for c in classes])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    linear = LogisticRegression(C=10.0, max_iter=1000).fit(x, labels).predict_proba(new)
    return dict(zip(RIVALS, (linear, np.asarray(new @ means.T)), strict=True))
