"""Asking any classifier about rows of a table: what is explained by rules, trees and counterfactuals.

A classifier is a function rows `[n, d]` ↦ class indices `[n]` or scores `[n, k]`: `TableClassifier.predict_proba`, a
random forest's, or `torch.func.vmap(view)` of a view without a target. Each row must be judged by itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...errors import MapstoError
from ...tables.background import Background

Classifier = Callable[[Any], Any]
FEW = 32  # rows that a classifier is asked about twice: two random classes are found out but once in 2³² times


class TableExplainer(ABC):
    """(classifier, what about it) ↦ a finding that is no attribution, such as a rule.

    `background` holds the rows that everything else is drawn from: a tensor or array `[n, d]` of numbers, or a
    DataFrame; the classifier is asked with rows of the same form. `names` are the columns' (default: the DataFrame's,
    or x0, x1, ...), `categorical` lists those whose numbers are mere labels, `chunk_size` bounds the rows of a call.
    """

    def __init__(
        self,
        background: Any,
        names: Sequence[str] | None = None,
        categorical: Sequence[str | int] = (),
        seed: int = 0,
        chunk_size: int = 8192,
    ):
        whole(("chunk_size", chunk_size, 1))
        self.background = Background(background, names, categorical)
        self.seed, self.chunk_size = seed, chunk_size

    @abstractmethod
    def __call__(self, classifier: Classifier, *args: Any, **kwargs: Any) -> Any:
        """Explain `classifier`."""


def at_least(*settings: tuple[str, float, float]) -> None:
    """Refuse a setting, (name, value, least), that is too small or NaN."""
    for name, value, least in settings:
        if not value >= least:
            raise MapstoError(f"{name}: got {value}, expected at least {least}.")


def whole(*settings: tuple[str, int, int]) -> None:
    """Refuse a setting, (name, value, least), that is no whole number or too small."""
    for name, value, least in settings:
        if not isinstance(value, Integral) or value < least:
            raise MapstoError(f"{name}: got {value}, expected at least {least}, a whole number.")


def steady(argument: str, function: Any, ask: Callable[[], np.ndarray]) -> None:
    """Refuse a `function` of rows that is none, or whose answers to a few, `ask()`, change when it is asked again."""
    if not callable(function):
        raise MapstoError(
            f"{argument}: got a {type(function).__name__}, expected a function of rows; pass its predict_proba."
        )
    first, again = ask(), ask()
    if first.shape != again.shape or not np.allclose(first, again, rtol=1e-4, atol=1e-6):  # rounding may differ
        raise MapstoError(
            f"{argument}: got other answers for the same rows when asked again, expected a function that draws nothing "
            "at random; call eval() on a network with dropout, and fix other seeds."
        )


class Answers(NamedTuple):
    """What the classifier says of `n` rows; scores are 0 and 1 where it names classes only."""

    classes: Int[np.ndarray, " n"]
    scores: Float[np.ndarray, "n k"] | None

    def score(self, label: int) -> Float[np.ndarray, " n"]:
        """Return the scores of one class."""
        return (self.classes == label).astype(np.float64) if self.scores is None else self.scores[:, label]


class Inquiry:
    """Asks one classifier about rows given as numbers, some at a time, and counts them (`asked`).

    `known` are its classes: one for each score, or those that it has named so far.

    Raises:
        MapstoError: the classifier is no function, or answers at random.
    """

    def __init__(self, classifier: Classifier, background: Background, chunk_size: int):
        self.classifier, self.background, self.chunk_size, self.asked = classifier, background, chunk_size, 0
        self.known: set[int] = set()
        few = np.resize(background.values, (FEW, len(background.names)))
        steady("classifier", classifier, lambda: self._told(few))

    def __call__(self, values: Float[np.ndarray, "n d"]) -> Answers:
        """Return the answers for rows `[n, d]`, at least one.

        Raises:
            MapstoError: the classifier returns anything but class indices `[n]` or scores `[n, k]`, or NaN.
        """
        told = self._told(values)
        if told.ndim == 1:
            self.known |= set(np.unique(told).astype(int).tolist())
            return Answers(told.astype(np.int64), None)
        self.known = set(range(told.shape[1]))
        return Answers(told.argmax(1), told.astype(np.float64))

    def _told(self, values: Float[np.ndarray, "n d"]) -> np.ndarray:
        self.asked += len(values)
        parts = np.split(values, range(self.chunk_size, len(values), self.chunk_size))
        return np.concatenate([self._ask(part) for part in parts])

    def _ask(self, values: Float[np.ndarray, "n d"]) -> np.ndarray:
        with torch.no_grad():
            told = self.classifier(self.background.form.decode(values))
        told = told.detach().cpu() if isinstance(told, Tensor) else told
        told = told.double().numpy() if isinstance(told, Tensor) and told.is_floating_point() else np.asarray(told)
        _refuse(told, len(values))
        return told


def _refuse(told: np.ndarray, n: int) -> None:
    indices = told.shape == (n,) and told.dtype.kind in "biu"
    scores = told.ndim == 2 and told.shape[0] == n and told.shape[1] >= 2 and told.dtype.kind in "biuf"
    if not indices and not scores:
        raise MapstoError(
            f"classifier: got {told.dtype} of shape {told.shape} for {n} rows, expected class indices [{n}] or scores "
            f"[{n}, k] of k classes; pass predict_proba, or torch.func.vmap of a view without a target."
        )
    if scores and np.isnan(told).any():
        raise MapstoError("classifier: got NaN scores, expected numbers; does it read missing cells?")
