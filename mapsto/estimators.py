"""The scikit-learn face of the shipped mapping: a small table in, predictions and reasons out, without any training.

`fit` adapts in one forward pass; `predict_proba` of a row with missing cells is the game's value v(S), so anyone can
compute the exact Shapley values (Shapley 1953) of the very same model and hold them against `explain`.
"""

import numbers
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from . import weights
from .attention import fused
from .episodes import Examples, State
from .episodes import examples as make_examples
from .errors import MapstoError
from .explainers.coalitions import design
from .explanation import Explanation
from .joint import SelfExplaining
from .tables.selection import strongest
from .tasks.columns import Columns, refuse_duplicates, reorder
from .tasks.splits import stratified
from .threads import one_thread

T = TypeVar("T")
MAX_ROWS, MAX_CLASSES, MAX_COLUMNS = 1000, 10, 100
_FAR = (
    1e6  # in units of the training cells' largest distance from their median: far enough, and its square stays finite
)
_NUMBERS, _MOST = 2**21, 128  # the size of the largest intermediate, and rows, in flight: changes no result


class TableClassifier(ClassifierMixin, BaseEstimator):
    """Predicts and explains the rows of a small table with 2 to 10 classes.

    Up to 1,000 training rows and 100 columns are read; of a larger table a random sample of the rows, and the columns
    that go most with the outcome (`notes_` says so). Numbers, dates, texts and categories may be mixed, and cells may
    be missing (NaN). A missing cell is an absent column; that it is missing carries no information. What is awkward
    about the training table is said in `notes_`.

    Args:
        members: readings of the training table that are averaged, each calling the classes by other codes. With as
            many as there are classes no class is preferred.

    Set by `fit`: `classes_` [k], `n_features_in_`, `feature_names_in_` (of a DataFrame) and `notes_`; and what adapted,
    `mapping_` to `support_`, which gave `state_`.

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
    columns_: Columns
    used_: np.ndarray
    n_rows_: int
    rows_: np.ndarray
    scale_: "_Scale"
    notes_: list[str]
    mapping_: SelfExplaining
    support_: Examples
    state_: State

    def __init__(self, members: int = 2):
        self.members = members

    def fit(self, X: Any, y: Any) -> Self:
        """Adapt to the rows `X` [n, d] with the labels `y` [n]: one forward pass, no training.

        Raises:
            MapstoError: fewer than 2 classes, or more than 10; an infinite cell; two columns of one name.
        """
        if not isinstance(self.members, numbers.Integral) or self.members < 1:
            raise MapstoError(f"members: got {self.members!r}, expected a whole number from 1; 2 suits most tables.")
        frame = self._frame(X, y, reset=True)
        self.classes_, labels = _classes(y, len(frame))
        self.columns_ = Columns().fit(frame)
        self.notes_ = self.columns_.notes + _single(self.classes_, labels)
        read, informative = self.columns_.transform(frame), np.flatnonzero(self.columns_.informative)
        self.used_ = informative[strongest(read[:, informative], labels, MAX_COLUMNS)]
        self.n_rows_ = len(labels)
        self.rows_ = np.sort(stratified(labels, min(len(labels), MAX_ROWS), seed=0))
        self.notes_ += _left_out(len(labels), len(self.rows_), len(informative), len(self.used_))
        read, labels = read[self.rows_], labels[self.rows_]
        self.scale_ = _Scale.of(read[:, self.used_])
        self.mapping_ = weights.load(ways=len(self.classes_), members=self.members)
        self.support_ = make_examples(self._tensor(read), torch.as_tensor(labels))
        with torch.no_grad(), one_thread(), fused():
            self.state_ = self.mapping_.adapt(self.support_)
        return self

    def predict(self, X: Any) -> Shaped[np.ndarray, " n"]:
        """Return the most probable class of each row of `X` [n, d]."""
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n k"]:
        """Return each row's class probabilities; a NaN cell is an absent column, so this is v(S) of any coalition S.

        Raises:
            MapstoError: the columns differ from those of `fit`, or a cell is infinite.
        """
        x = self._tensor(self._numbers(self._known(X)))
        return torch.cat(self._each(partial(self._probability, self.state_), x)).numpy()

    def explain(self, X: Any) -> Explanation:
        """Return the reasons for `predict_proba(X)`: values [n, d, k] in probability, from the same forward pass.

        `base_values + values.sum(1)` is the prediction; a missing cell, and a column that could teach nothing, have
        exactly 0.

        Raises:
            MapstoError: the columns differ from those of `fit`, or a cell is infinite.
        """
        frame = self._known(X)
        codes = self._numbers(frame)
        x = self._tensor(codes)
        parts = self._each(partial(self.mapping_.explain, self.state_), x)
        values = np.zeros((*codes.shape, len(self.classes_)))
        if len(self.used_):
            given = torch.cat([v for v, _ in parts]).double()
            values[:, self.used_] = given - given.mean(-1, keepdim=True)  # 0 over the classes, but for rounding
        base = _normalised(torch.cat([b for _, b in parts])).numpy()
        numeric = all(column.kind == "number" for column in self.columns_.columns)
        data = codes if numeric else frame.to_numpy(object)
        names = [column.name for column in self.columns_.columns]
        return Explanation(values, base, data, names, list(self.classes_), codes)

    def influence(self, X: Any, among: ArrayLike | None = None) -> Float[np.ndarray, "n n_train k"]:
        """Return how each prediction changes when a training row is deleted: `p(without it) − p(with it)`.

        Exact leave-one-out: the mapping adapts again with that row's weight 0, once a training row, or once for each
        of the positions (or the mask) `among` the training rows. Negative for a class: the row had spoken for it. A
        row that `fit` left out has 0.

        Raises:
            MapstoError: the columns differ from those of `fit`, or a cell is infinite.
        """
        x = self._tensor(self._numbers(self._known(X)))
        w = self.support_.w
        rows = np.arange(self.n_rows_)[slice(None) if among is None else np.asarray(among)]
        read = np.isin(rows, self.rows_)
        deleted = torch.eye(len(w), dtype=w.dtype)[np.searchsorted(self.rows_, rows[read])]

        def predicted(deleted: Tensor) -> Tensor:
            state = self.mapping_.adapt(self.support_._replace(w=w * (1 - deleted)))
            return torch.cat([self._probability(state, part) for part in x.split(self._rows())])

        some = max(1, _NUMBERS // (self._numbers_a_row() * (len(w) + min(len(x), self._rows()))))
        with torch.no_grad(), one_thread():
            without = torch.func.vmap(predicted, chunk_size=some)(deleted)  # [rows read, n, k]
            change = (without - predicted(torch.zeros_like(w))).transpose(0, 1).numpy()
        influence = np.zeros((len(x), len(rows), change.shape[-1]))
        influence[:, read] = change
        return influence

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def _frame(self, X: Any, y: Any = None, reset: bool = False) -> pd.DataFrame:
        """Return `X` as a DataFrame; scikit-learn remembers (`reset`) or checks its width and names."""
        label = {"y": y} if reset else {}
        if isinstance(X, pd.DataFrame):
            refuse_duplicates([str(name) for name in X.columns])
            X = X.set_axis([str(name) for name in X.columns], axis=1)  # names that are numbers are names all the same
            validate_data(self, X, reset=reset, skip_check_array=True, **label)
            return X
        label = {"y": "no_validation"} if not reset or y is not None else {"y": None}
        X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False, **label)
        if X.dtype.kind in "US":  # NumPy writes a missing cell among texts as one of these
            X = np.where(np.isin(X, ("nan", "None", "")), None, X.astype(object))
        return pd.DataFrame(X).infer_objects()

    def _known(self, X: Any) -> pd.DataFrame:
        """Return `X` with the columns of `fit` in the order of `fit`."""
        check_is_fitted(self)
        if isinstance(X, pd.DataFrame) and hasattr(self, "feature_names_in_"):
            X = reorder(X, list(self.feature_names_in_))
        return self._frame(X)

    def _numbers(self, frame: pd.DataFrame) -> np.ndarray:
        return self.columns_.transform(frame)

    def _tensor(self, read: np.ndarray) -> Float[Tensor, "n u"]:
        """Take the informative columns on the scale of the training rows; without any, one absent column."""
        if not len(self.used_):
            return torch.full((len(read), 1), torch.nan, dtype=torch.float32)
        return torch.as_tensor(self.scale_(read[:, self.used_]).clip(-_FAR, _FAR), dtype=torch.float32)

    def _probability(self, state: State, x: Tensor) -> Float[Tensor, "n k"]:
        return _normalised(self.mapping_.predict(state, x).exp())

    def _rows(self) -> int:
        return min(max(1, _NUMBERS // self._numbers_a_row()), _MOST)

    def _numbers_a_row(self) -> int:
        """Bound what a row takes at a time: attention scores over the training rows, or the coalitions of its game."""
        n, d = self.support_.x.shape
        return self.members * max(4 * (n + 1) * (d + 1), d * d, 8 * len(self.classes_) * len(design(d).masks))

    def _each(self, function: Callable[[Tensor], T], x: Tensor) -> list[T]:
        """Return what `function` makes of each chunk of rows, the chunks side by side on the cores."""

        def quickly(rows: Tensor) -> T:
            with torch.no_grad(), fused():
                return function(rows)

        with one_thread() as cores, ThreadPoolExecutor(cores) as pool:
            return list(pool.map(quickly, x.split(self._rows())))


class _Scale(NamedTuple):
    """Where a column's training cells lie: an affine map that changes no answer, but keeps every digit of it finite."""

    size: np.ndarray
    middle: np.ndarray
    reach: np.ndarray

    @classmethod
    def of(cls, read: np.ndarray) -> Self:
        size = np.nanmax(np.abs(read), 0)
        middle = np.nanmedian(read / size, 0)
        return cls(size, middle, np.nanmax(np.abs(read / size - middle), 0))

    def __call__(self, read: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # what overflows is infinitely far, and is moved to `_FAR`
            return (read / self.size - self.middle) / self.reach


def _normalised(p: Tensor) -> Tensor:
    p = p.double()
    return p / p.sum(-1, keepdim=True)


def _classes(y: Any, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes in order and each row's class index."""
    y = column_or_1d(y, warn=True)
    y = pd.Series(y).infer_objects().to_numpy() if y.dtype == object else y
    check_consistent_length(y, np.empty(rows))
    if pd.isna(y).any():
        lacking = pd.isna(y).sum()
        raise MapstoError(f"y: got NaN in {lacking} of {rows} rows, expected a class in each; leave these rows out.")
    assert_all_finite(y, input_name="y")
    try:
        check_classification_targets(y)
    except ValueError as error:
        raise MapstoError(
            f"y: {str(error).partition('. ')[0]}, expected one of 2 to {MAX_CLASSES} classes a row; cut a number into "
            "ranges."
        ) from error
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) == 1:
        raise MapstoError(
            f"y: got one class only ({classes[0]!s}), expected 2 to {MAX_CLASSES}; add rows of another class."
        )
    if len(classes) > MAX_CLASSES:
        raise MapstoError(
            f"y: got {len(classes)} classes, expected 2 to {MAX_CLASSES}; merge rare ones, or cut a number into ranges."
        )
    return classes, labels


def _single(classes: np.ndarray, labels: np.ndarray) -> list[str]:
    alone = [str(c) for c, count in zip(classes, np.bincount(labels), strict=True) if count == 1]
    return [f"class {name!r}: a single training row, so its probabilities rest on one example." for name in alone]


def _left_out(rows: int, kept_rows: int, columns: int, kept_columns: int) -> list[str]:
    notes = []
    if kept_rows < rows:
        notes.append(f"X: {kept_rows} of {rows} training rows are read, a random sample of each class.")
    if kept_columns < columns:
        notes.append(f"X: {kept_columns} of {columns} columns are read, those that go most with the outcome.")
    return notes
