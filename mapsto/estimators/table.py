"""The base of both estimators for tables: read a table, adapt the mapping to it, then predict and explain in chunks.

`fit` adapts in one forward pass. The prediction for a row with missing cells is the game's value v(S), so anyone can
compute exact Shapley values (Shapley 1953) of the same model and compare `explain` with them.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from .. import checks, weights
from ..episodes import Examples
from ..explainers.coalitions import design
from ..explainers.learned.doubt import trust_of
from ..explanation import Explanation
from ..joint import SelfExplaining
from ..tables import doubts
from ..tables.arrays import frame_of
from ..tables.columns import Columns, UnreadCells, refuse_duplicates, reorder
from ..tables.selection import Weighed, left_out, strongest, varies
from ..tables.splits import stratified
from . import chunks, deletions
from .batches import batches, joined, length, slices
from .chunks import Chunk
from .pretrained import PretrainedEstimator, Stored
from .scale import Scale

MAX_ROWS, MAX_COLUMNS = 1000, 100
_FAR = 1e6  # times the largest distance of a training cell from the median; cells are clipped here
_BATCH, _BLOCK = 4096, 2**16  # rows that are read before they are explained, or predicted
_KEPT, _PASSING = 72, 160  # bytes of an explanation, and of the steps towards it, for each of its values


class TableEstimator(PretrainedEstimator, ABC):
    """The base of `TableClassifier` and `TableRegressor`: explanations, influence of training rows, saving and loading.

    Subclasses convert between the scores of the pretrained model and the outcome.
    """

    weights_file = weights.TABLES
    _numbers_of_fit: ClassVar[tuple[str, ...]] = ()  # attributes that a subclass sets in `fit` and needs afterwards

    columns_: Columns
    used_: np.ndarray
    scale_: Scale
    mapping_: SelfExplaining

    def __init__(
        self,
        members: int = 2,
        missing: Sequence[str] = (),
        types: Mapping[str, str] | None = None,
        order: Mapping[str, Sequence[str]] | None = None,
        max_memory: float | None = None,
    ):
        self.members = members
        self.missing, self.types, self.order = missing, types, order
        self.max_memory = max_memory

    def influence(
        self, X: Any, among: ArrayLike | None = None, exact: int | None = None
    ) -> Float[np.ndarray, "n n_train ..."]:
        """Return how each prediction changes when a training row is deleted: `prediction without it − with it`.

        The result has shape [n, number of training rows], or [n, number of training rows, k] for k classes. The
        influence is exact: for each training row, the model adapts again with the weight of this row set to 0. The
        encoding of the columns, which was fitted with the row, stays the same. A row that `fit` did not read has
        influence 0. `among` (row positions or a boolean mask) selects training rows; if None, all are used.

        With many training rows it is much faster to set `exact` to a number: the influence is estimated by a derivative
        (see `deletions`), and for each row of `X`, only so many of the largest estimates are made exact. Estimates are
        rough for more than two classes, because deleting a row can renumber the classes in the model.

        Raises:
            MapstoError: if the columns differ from those of `fit`, a cell is infinite, or `exact` is negative.
        """
        x, rows = self._tensor(self._numbers(self._columns_of_fit(X))), chunks.unbounded(self._numbers_a_row())
        at_once = chunks.readings(len(self.rows_), len(self.used_), int(self.members), self.max_memory)
        return self._influence(x, among, rows, deletions.changes(exact, at_once))

    @abstractmethod
    def outputs(self, X: Any) -> Float[np.ndarray, "n k"]:
        """Return the predictions that `explain` explains: `k` class probabilities, or one number, of each row."""

    @abstractmethod
    def support_outcomes(self) -> Shaped[np.ndarray, " n"]:
        """Return the outcomes of the rows `support_` as `fit` was given them; numbers are in single precision."""

    @abstractmethod
    def _reasons(self, values: Tensor, base: Tensor, errors: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Any]]:
        """Return values and errors `[n, u, ...]` and base `[n, ...]` in the unit of predictions, and class names."""

    def _teach(
        self,
        frame: pd.DataFrame,
        weighed: Weighed,
        y: Tensor,
        strata: Int[np.ndarray, " n"],
        notes: list[str],
        classes: Sequence[str] = (),
    ) -> Self:
        """Read the weighted rows of `frame`, whose outcomes are `y`, and adapt the mapping to them.

        Rows with similar outcomes have the same number in `strata`. `classes` are the names of the outcomes, if any.
        """
        rows, w = weighed
        self.columns_ = Columns(self.missing, self.types, self.order).fit(frame.iloc[rows])
        cells, unread = self.columns_.read(frame.iloc[rows])
        informative = np.flatnonzero(self.columns_.informative)
        chosen = np.sort(stratified(strata, min(len(rows), MAX_ROWS), seed=0))
        varying = varies(cells[np.ix_(chosen, informative)])
        constant = [self.columns_.columns[j].name for j in informative[~varying]]
        informative = informative[varying]
        self.used_ = informative[strongest(cells[:, informative], strata, MAX_COLUMNS)]
        self.notes_ = list(dict.fromkeys([*self.columns_.notes, *unread, *notes]))
        _, first = np.unique(rows, return_index=True)
        self.notes_ += doubts.of_columns(self.columns_.columns, cells[first], y[first].flatten().numpy(), classes)
        self.notes_ += left_out(len(rows), len(chosen), constant, len(informative), len(self.used_))
        self.scale_ = Scale.of(cells[np.ix_(chosen, self.used_)])
        # sorted, so that the order of the rows changes nothing
        chosen = chosen[np.lexsort([*self._tensor(cells[chosen]).T, y[chosen].flatten()])]
        self.n_rows_, self.rows_ = len(frame), rows[chosen]
        share = torch.as_tensor(w[chosen] / w[chosen].sum(), dtype=torch.float32)
        self.mapping_ = self._mapping()
        chunks.refuse_many_cells(len(chosen), len(self.used_), int(self.members), self.max_memory)
        return self._adapt(Examples(self._tensor(cells[chosen]), y[chosen], share))

    def _stored(self) -> Stored:
        tensors = {f"scale.{name}": torch.as_tensor(getattr(self.scale_, name)) for name in Scale._fields}
        tensors["used"] = torch.as_tensor(self.used_)
        tensors["informative"] = torch.as_tensor(self.columns_.informative)
        about = {
            "features": self.n_features_in_,
            "names": [str(name) for name in getattr(self, "feature_names_in_", ())],
            "columns": self.columns_.state(),
            "extra": {name: getattr(self, name) for name in self._numbers_of_fit},
        }
        return Stored(tensors, about)

    def _restore(self, about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.columns_ = Columns.restored(about["columns"], tensors["informative"].numpy())
        self.used_, self.n_features_in_ = tensors["used"].numpy(), about["features"]
        if about["names"]:
            self.feature_names_in_ = np.array(about["names"], object)
        for name in self._numbers_of_fit:
            setattr(self, name, about["extra"][name])
        self.scale_ = Scale(*(tensors[f"scale.{name}"].numpy() for name in Scale._fields))
        self._check(tensors)

    def _check(self, tensors: dict[str, Tensor]) -> None:
        """Raise ValueError if the shape or the type of a stored tensor is not that of a fitted estimator."""
        n, d, columns = len(tensors["rows"]), len(self.used_), len(self.columns_)
        shapes = {"rows": (n,), "used": (d,), "informative": (columns,), "support.w": (n,), "support.x": (n, max(d, 1))}
        shapes |= {f"scale.{name}": (d,) for name in Scale._fields}
        kinds = {"rows": "i", "used": "i", "informative": "b"}
        for name, shape in shapes.items():
            values = tensors[name].numpy()
            if values.shape != shape or values.dtype.kind != kinds.get(name, "f"):
                raise ValueError(f"{name} has the shape {values.shape} and the type {values.dtype}")
        if columns != self.n_features_in_ or (d and not 0 <= self.used_.min() <= self.used_.max() < columns):
            raise ValueError(f"{columns} columns, of {self.n_features_in_}, of which {self.used_} are used")

    def _predictions(self, X: Any) -> Float[np.ndarray, "n ..."]:
        """Return the predictions for the rows `X`; a NaN cell is an absent column, so this is v(S) for any S."""
        check_is_fitted(self)
        return self._asked(X, partial(self._answer, self.state_), self.mapping_.ways).numpy()

    def explain(self, X: Any, looks: int = 0) -> Explanation:
        """Return the `Explanation` of the predictions for the rows `X`, from the same forward pass as the predictions.

        Contributions have the unit of the predictions, and `base_values + values.sum(1)` is the prediction. A missing
        cell has a contribution of exactly 0, and so has every cell of a column that is constant in the training rows.

        `intervals` of the result contain the exact Shapley values, those of `v(S)`, which is the prediction for a row
        of which only the columns S are not missing. `trust` is the expected R² of each row's contributions.

        If `looks` is above 0, the model is asked for so many `v(S)` of each row, which takes as many times the time of
        a prediction. They correct the contributions and narrow the intervals; with 2^columns looks, the contributions
        are exact.

        Raises:
            MapstoError: if the columns differ from those of `fit`, a cell is infinite, `looks` is negative or not
                enough for so many columns, or the explanations do not fit into `max_memory`.
        """
        check_is_fitted(self)
        checks.count(0, looks=looks)
        X = frame_of(X)
        room = chunks.room(self.max_memory, length(X), _KEPT * self._values_a_row(), "call explain_batches")
        by = chunks.chunk(self._numbers_a_row(), room // 2, 1 + looks)
        blocks = self._blocks(X, min(_BATCH, room // (2 * _PASSING * self._values_a_row())))
        return joined([self._explained(frame, codes, looks, by) for frame, codes in blocks])

    def explain_batches(self, rows: Any, looks: int = 0, batch: int = _BATCH) -> Iterator[Explanation]:
        """Yield the explanations of `explain` for at most `batch` rows at a time, so that their number has no bound.

        `rows` is a table, or an iterable of tables such as the row groups of a file. No batch has rows of two tables.

        >>> X = np.random.default_rng(0).normal(size=(9, 2))
        >>> from mapsto import TableRegressor
        >>> [len(e) for e in TableRegressor().fit(X, X[:, 0]).explain_batches(X, batch=4)]
        [4, 4, 1]

        Raises:
            MapstoError: if `batch` is below 1, or in any case in which `explain` raises it.
        """
        check_is_fitted(self)
        checks.count(batch=batch)
        return (self.explain(part, looks) for part in batches(rows, batch))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def _frame(self, X: Any, y: Any = None, reset: bool = False) -> pd.DataFrame:
        """Return `X` as a DataFrame; scikit-learn stores its width and names if `reset`, and else checks them."""
        if isinstance(X := frame_of(X), pd.DataFrame):
            refuse_duplicates(names := [str(name) for name in X.columns])  # a name may be a number
            got = f"{len(X)} rows and {len(names)} columns"
            checks.expect(X.size > 0 or not reset, "X", got, "at least one of each")
            X = X.set_axis(names, axis=1)
            validate_data(self, X, reset=reset, skip_check_array=True, **({"y": y} if reset else {}))
            return X
        label = {"y": "no_validation"} if not reset or y is not None else {"y": None}
        X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False, **label)
        if X.dtype.kind in "US":  # NumPy writes a missing cell in a column of texts as one of these
            X = np.where(np.isin(X, ("nan", "None", "")), None, X.astype(object))
        return pd.DataFrame(X).infer_objects()

    def _columns_of_fit(self, X: Any) -> pd.DataFrame:
        """Return `X` with the columns of `fit` in the order of `fit`."""
        check_is_fitted(self)
        X = frame_of(X)
        if isinstance(X, pd.DataFrame) and hasattr(self, "feature_names_in_"):
            X = reorder(X, list(self.feature_names_in_))
        return self._frame(X)

    def _numbers(self, frame: pd.DataFrame) -> np.ndarray:
        return self.columns_.transform(frame)

    def _tensor(self, cells: np.ndarray) -> Float[Tensor, "n u"]:
        """Return the used columns on the scale of the training rows, or one absent column if none is used."""
        if not len(self.used_):
            return torch.full((len(cells), 1), torch.nan, dtype=torch.float32)
        return torch.as_tensor(self.scale_(cells[:, self.used_]).clip(-_FAR, _FAR), dtype=torch.float32)

    def _numbers_a_row(self) -> int:
        """Return the largest number of intermediate numbers for one row, in attention or in the game's coalitions."""
        n, d = self.support_.x.shape
        return self.members * max(4 * (n + 1) * (d + 1), d * d, 8 * self.mapping_.ways * len(design(d).masks))

    def _values_a_row(self) -> int:
        return max(1, len(self.columns_)) * self.mapping_.ways

    def _blocks(self, X: Any, rows: int) -> Iterator[tuple[pd.DataFrame, Float[np.ndarray, "n d"]]]:
        """Yield the columns of fit of some rows and their numbers, and warn at the end of cells that cannot be read."""
        said: dict[str, None] = {}
        for part in slices(X, max(1, rows)):
            frame = self._columns_of_fit(part)
            codes, sentences = self.columns_.read(frame)
            said |= dict.fromkeys(sentences)
            yield frame, codes
        for sentence in said:
            warnings.warn(sentence, UnreadCells, stacklevel=4)

    def _asked(self, X: Any, function: Callable[[Tensor], Tensor], numbers: int) -> Float[Tensor, "n ..."]:
        """Return `function` of the encoded rows `X`, which has so many `numbers` for each row."""
        X = frame_of(X)
        room = chunks.room(self.max_memory, length(X), 16 * numbers, "pass fewer rows")
        by = chunks.chunk(self._numbers_a_row(), room // 2)
        blocks = self._blocks(X, min(_BLOCK, room // (2 * _PASSING * self._values_a_row())))
        return torch.cat([part for _, codes in blocks for part in chunks.each(function, self._tensor(codes), by)])

    def _explained(self, frame: pd.DataFrame, codes: np.ndarray, looks: int, by: Chunk) -> Explanation:
        """Return the explanations of rows that `_blocks` yields."""
        reasons = partial(self.mapping_.reasons, self.state_, looks=looks)
        parts = list(chunks.each(reasons, self._tensor(codes), by))
        joint = (torch.cat(part).double() for part in zip(*parts, strict=True))
        attributions, base, errors, classes = self._reasons(*joint)
        values, error = np.zeros((2, *codes.shape, *attributions.shape[2:]))
        if len(self.used_):
            values[:, self.used_], error[:, self.used_] = attributions, errors
        numeric = all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in frame.dtypes)
        data = frame.to_numpy(float) if numeric else frame.to_numpy(object)
        names, doubt = [column.name for column in self.columns_.columns], self.mapping_.doubt
        assert doubt is not None  # of the pretrained model
        trust, ratios = trust_of(values, error), doubt.ratios.numpy()
        kinds = [column.kind for column in self.columns_.columns]
        return Explanation(values, base.numpy(), data, names, classes, codes, trust, error, ratios, kinds)
