"""The classes or clusters that an estimator predicts, as scores: 1 for the row's own, and 0 for the others."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def memberships(predict: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the scores of the method `predict` of a classifier or clusterer; any other `predict` as it is."""
    owner = getattr(predict, "__self__", None)
    labelled = np.ndim(_classes(owner)) == 1  # a classifier without probabilities, such as by vote
    return _Memberships(predict, owner) if labelled or _is_clusterer(owner) else predict


def _classes(owner: Any) -> Any:
    """Return the array of an estimator's classes; None if there is none, or a list of arrays for several outputs."""
    classes = getattr(owner, "classes_", None)
    return classes if isinstance(classes, np.ndarray) else None


def _is_clusterer(owner: Any) -> bool:
    base = sys.modules.get("sklearn.base")  # slow to import; whoever has an estimator has imported it
    return base is not None and isinstance(owner, base.BaseEstimator) and base.is_clusterer(owner)


class _Memberships:
    """The method `predict` of a classifier or clusterer, with a score for each class or cluster.

    The score is 1 for the row's own class or cluster, and 0 for the others.
    """

    def __init__(self, predict: Callable[[Any], Any], owner: Any):
        self.predict, self.__self__ = predict, owner

    def __call__(self, rows: Any) -> np.ndarray:
        labels = np.asarray(self.predict(rows))
        return (labels[:, None] == self._labels()).astype(float)

    def _labels(self) -> np.ndarray:
        classes = _classes(self.__self__)
        if classes is not None:
            return classes
        last = self.__self__[-1] if hasattr(self.__self__, "steps") else self.__self__
        return np.unique(last.labels_)
