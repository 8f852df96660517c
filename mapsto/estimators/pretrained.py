"""The base of the estimators: a pretrained mapping that adapts to training rows in one forward pass.

Deleting a training row sets its weight to 0 and adapts again; see `deletions`.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .. import checks
from ..attention import fused
from ..episodes import Examples, State
from ..threads import one_thread
from . import deletions, storage


class Stored(NamedTuple):
    """The parts of a fitted estimator that only its own class knows: tensors, and values that JSON can hold."""

    tensors: dict[str, Tensor]
    about: dict[str, Any]


class PretrainedEstimator(BaseEstimator, ABC):
    """The base of the estimators for tables, images and texts: influence of training rows, saving and loading."""

    weights_file: ClassVar[Path]  # the weights of the mapping
    rows_are: ClassVar[str] = "rows"

    notes_: list[str]
    n_rows_: int  # training rows, including those that the mapping does not read
    rows_: np.ndarray  # the position of each row that the mapping reads among the training rows
    mapping_: Any
    support_: Examples
    state_: State

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator, including its training rows, to a safetensors file.

        Raises:
            MapstoError: if the classes are neither texts, numbers nor booleans, or if the file cannot be written.
        """
        check_is_fitted(self)
        _refuse_no_path(path)
        storage.write(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the estimator that `save` wrote to a file; it makes the same predictions.

        Raises:
            MapstoError: if the file is missing or damaged, or was saved by another estimator class or with other
                weights of the pretrained model.
        """
        _refuse_no_path(path)
        return storage.read(cls, path)  # type: ignore[return-value]

    @abstractmethod
    def _mapping(self) -> Any:
        """Return the shipped mapping for this outcome."""

    @abstractmethod
    def _answer(self, state: State, x: Tensor) -> Float[Tensor, "n ..."]:
        """Return the predictions of encoded rows in float64, in the unit of their explanations."""

    def _parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments in a form that JSON can hold."""
        return self.get_params()

    @abstractmethod
    def _stored(self) -> Stored:
        """Return everything that a file must hold in addition to parameters, notes, classes and training rows."""

    @abstractmethod
    def _restore(self, about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Set the attributes that `_stored` described."""

    def _adapt(self, support: Examples) -> Self:
        """Adapt the mapping to the encoded training rows."""
        self.support_ = support
        with torch.no_grad(), one_thread(), fused():
            self.state_ = self.mapping_.adapt(support)
        return self

    def _influence(
        self, x: Float[Tensor, "n ..."], among: ArrayLike | None, rows: int, changes: deletions.Changes
    ) -> Float[np.ndarray, "n n_train ..."]:
        """Return the predictions of encoded rows `x` without each training row, minus the predictions with it.

        At most `rows` rows are predicted at a time; `changes` is a function of `deletions`.
        """
        chosen = self._chosen(among)
        read = np.isin(chosen, self.rows_)
        deleted = torch.as_tensor(self.rows_ == chosen[read][:, None]).to(self.support_.w)  # [rows read, n_support]

        def predict(w: Tensor, x: Tensor) -> Tensor:
            state = self.mapping_.adapt(self.support_._replace(w=w))
            return torch.cat([self._answer(state, part) for part in x.split(rows)])

        with torch.no_grad():
            shape = self._answer(self.state_, x[:1]).shape[1:]
        influence = np.zeros((len(x), len(chosen), *shape))
        if read.any():
            influence[:, read] = changes(predict, self.support_.w, deleted, x).transpose(0, 1).numpy()
        return influence

    def _chosen(self, among: ArrayLike | None) -> np.ndarray:
        """Return the positions of the selected training rows; of all rows if `among` is None."""
        rows = np.arange(self.n_rows_)
        if among is None:
            return rows
        chosen = np.asarray(among)
        if chosen.dtype == object and all(isinstance(value, bool | np.bool_) for value in chosen.flat):
            chosen = chosen.astype(bool)  # a mask of pandas' own type
        if not chosen.size:
            return rows[:0]
        expected = f"positions from 0 to {self.n_rows_ - 1}, or a mask of {self.n_rows_} booleans"
        if chosen.dtype == bool:
            checks.expect(chosen.shape == rows.shape, "among", f"a mask of shape {chosen.shape}", expected)
            return rows[chosen]
        checks.expect(chosen.dtype.kind in "iu", "among", f"{among!r:.60}", expected)
        inside = bool((chosen >= -self.n_rows_).all() and (chosen < self.n_rows_).all())
        checks.expect(inside, "among", f"{among!r:.60}", expected)
        return rows[chosen]


def _refuse_no_path(path: Any) -> None:
    checks.expect(isinstance(path, str | Path), "path", repr(path), "the path of a file, such as 'fitted.safetensors'")
