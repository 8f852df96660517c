"""A scikit-learn classifier for small tables that predicts and explains without training."""

from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from torch import Tensor

from .. import checks, weights
from ..episodes import State
from ..tables import doubts
from ..tables.selection import weigh
from .labels import classes, one_spelling
from .table import MAX_ROWS, TableEstimator

MAX_CLASSES = 10


class TableClassifier(ClassifierMixin, TableEstimator):
    """Predict and explain the class of each row of a small table with 2 to 10 classes.

    The pretrained model reads up to 1,000 training rows and 100 columns. From a larger table, it reads the columns most
    related to the outcome and a random sample of the rows. Columns may hold numbers, dates, texts or categories. Cells
    may be missing (NaN). A missing cell is treated as if the row had no such column, so the fact that it is missing
    carries no information. `notes_` lists remarks on the training table, such as columns that are not
    read, that look like an identifier, or that tell the outcome alone.

    Args:
        members: the number of predictions to average. Each prediction numbers the classes differently, because this
            numbering affects the model slightly. With as many members as classes, no class is favoured.
        missing: words that stand for a missing cell: "999" in every column, "crp=999" in the column crp only. An empty
            cell and words such as NA, ? or unknown in a column of numbers are always missing.
        types: the kind of a column ("number", "date", "category", "ordered" or "absent"), by its name. Kinds are
            decided from the cells if None; `columns_` says how.
        order: the levels of an ordered column from low to high, by its name.
        max_memory: the memory in gigabytes that `fit`, `predict` and `explain` may take, beside the table itself; the
            work takes longer if this is little. If None, a quarter of the memory of the machine or of its container.

    `fit` sets `classes_` [k], `n_features_in_`, `feature_names_in_` (if `X` is a DataFrame), `notes_`, `columns_`
    (how each column is read), `mapping_` (the pretrained model), `support_` (the training rows that the model reads)
    and `state_` (the state of the model after adapting to these rows).

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = TableClassifier().fit(X[::5], y[::5])
    >>> reasons = clf.explain(X[:2])
    >>> reasons.values.shape
    (2, 4, 3)
    >>> bool(np.allclose(reasons.predictions, clf.predict_proba(X[:2])))
    True
    """

    classes_: np.ndarray

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Adapt the model to the rows `X` [n, d] with the labels `y` [n], by one forward pass without training.

        If the weights `sample_weight` [n] are whole numbers with a sum of at most 1,000, they are repeat counts: a row
        of weight 3 counts as three identical rows. Otherwise, only the ratios of the weights matter. A row of weight 0
        is left out. If `sample_weight` is None, all rows have equal weights.

        Raises:
            MapstoError: if there are fewer than 2 or more than 10 classes, a label is missing, a cell is infinite, two
                columns have the same name, a weight is negative, infinite or missing, or all weights are 0.
        """
        checks.count(members=self.members)
        frame = self._frame(X, y, reset=True)
        weighed = weigh(sample_weight, len(frame), MAX_ROWS)
        y, notes = one_spelling(y)
        self.classes_, labels = classes(y, weighed.rows, len(frame), most=MAX_CLASSES)
        names = [str(name) for name in self.classes_]
        notes = [*notes, *doubts.of_classes(names, labels)]
        return self._teach(frame, weighed, torch.as_tensor(labels), labels, notes, names)

    def predict(self, X: Any) -> Shaped[np.ndarray, " n"]:
        """Return the most probable class of each row of `X` [n, d]."""
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n k"]:
        """Return the class probabilities [n, k] of each row; a missing (NaN) cell is treated as an absent column.

        Raises:
            MapstoError: if the columns differ from those of `fit`, or a cell is infinite.
        """
        return self._predictions(X)

    def outputs(self, X: Any) -> Float[np.ndarray, "n k"]:
        """Return `predict_proba(X)`."""
        return self.predict_proba(X)

    def support_outcomes(self) -> Shaped[np.ndarray, " n"]:
        """Return the labels of the rows `support_`."""
        return self.classes_[self.support_.y.numpy()]

    def influence(
        self, X: Any, among: ArrayLike | None = None, exact: int | None = None
    ) -> Float[np.ndarray, "n n_train k"]:
        """Return the change of each probability if a training row is deleted, `[n, number of training rows, k]`.

        The change is the probability without the training row minus the probability with the row, so it is negative if
        the row raised the probability. `among` (row positions or a boolean mask) selects the training rows; if None,
        all are used. If `exact` is a number, only so many of the largest estimates are made exact. See also
        `TableEstimator.influence`.
        """
        return super().influence(X, among, exact)

    def _mapping(self) -> Any:
        return weights.load(ways=len(self.classes_), members=int(self.members))

    def _answer(self, state: State, x: Tensor) -> Float[Tensor, "n k"]:
        return _normalised(self.mapping_.predict(state, x).exp())

    def _reasons(self, values: Tensor, base: Tensor, errors: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Any]]:
        balanced = values - values.mean(-1, keepdim=True)  # the sum over classes is 0 up to rounding
        return balanced, _normalised(base), errors, list(self.classes_)


def _normalised(p: Tensor) -> Tensor:
    p = p.double()
    return p / p.sum(-1, keepdim=True)
