"""The interface to a classifier that rules, surrogate trees and counterfactuals explain.

A classifier is a function from rows `[n, d]` to class indices `[n]` or scores `[n, k]`:
`TableClassifier.predict_proba`, the `predict_proba` of a random forest, or `torch.func.vmap(view)` of a view without a
target. The result of `views.model` without a target, which is a function of one row, is accepted too. The answer for a
row must not depend on the other rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ... import checks
from ...games import Placed
from ...tables.background import Background

Classifier = Callable[[Any], Any]
FEW = 32  # rows evaluated twice: random answers of two classes are all the same only once in 2³² times


class TableExplainer(ABC):
    """An explainer that asks a classifier about rows of a table and returns a result such as a rule.

    Args:
        background: rows of the table, from which the rows for the classifier are made: a tensor or array `[n, d]` of
            numbers, or a DataFrame. The classifier is called with rows in the same form.
        names: the names of the columns. If None, they are the column names of the DataFrame or, for other backgrounds,
            x0, x1, ...
        categorical: the names or positions of the columns whose numbers are mere labels.
        seed: the random seed.
        chunk_size: the largest number of rows in one call of the classifier.
    """

    def __init__(
        self,
        background: Any,
        names: Sequence[str] | None = None,
        categorical: Sequence[str | int] = (),
        seed: int = 0,
        chunk_size: int = 8192,
    ):
        checks.count(chunk_size=chunk_size)
        self.background = Background(background, names, categorical)
        checks.count(0, seed=seed)
        self.seed, self.chunk_size = seed, chunk_size

    @abstractmethod
    def __call__(self, classifier: Classifier, *args: Any, **kwargs: Any) -> Any:
        """Explain `classifier`."""


def steady(argument: str, function: Any, ask: Callable[[], np.ndarray]) -> None:
    """Raise MapstoError if `function` is not callable, or if two calls of `ask()` return different answers.

    `ask` returns the answers of `function` for a few rows.
    """
    name = type(function).__name__
    checks.expect(callable(function), argument, f"a {name}", "a function of rows", "pass its predict_proba")
    first, again = ask(), ask()
    same = first.shape == again.shape and np.allclose(first, again, rtol=1e-4, atol=1e-6)  # up to rounding
    remedy = "call eval() on a network with dropout, and fix other seeds"
    checks.expect(same, argument, "different answers for the same rows", "a function without randomness", remedy)


class Answers(NamedTuple):
    """The classifier's answers for `n` rows; `scores` is None if it returns class indices."""

    classes: Int[np.ndarray, " n"]
    scores: Float[np.ndarray, "n k"] | None

    def score(self, label: int) -> Float[np.ndarray, " n"]:
        """Return the scores of class `label`; if there are no scores, 1 for rows of this class and 0 for others."""
        return (self.classes == label).astype(np.float64) if self.scores is None else self.scores[:, label]


class Inquiry:
    """A classifier to ask about rows of numbers, `chunk_size` rows at a time.

    `evaluations` counts the rows so far. `seen` holds the known classes: one for each score, or, if the classifier
    returns class indices, those returned so far.

    Raises:
        MapstoError: if the classifier is not callable, answers the same rows differently, or is the result of
            `views.model` and the background is a DataFrame.
    """

    def __init__(self, classifier: Classifier, background: Background, chunk_size: int):
        self.classifier = _of_rows(classifier, background) if isinstance(classifier, Placed) else classifier
        self.background, self.chunk_size, self.evaluations = background, chunk_size, 0
        self.seen: set[int] = set()
        few = np.resize(background.values, (FEW, len(background.names)))
        steady("classifier", classifier, lambda: self._answers(few))

    def __call__(self, values: Float[np.ndarray, "n d"]) -> Answers:
        """Return the answers for rows `[n, d]`, at least one.

        Raises:
            MapstoError: if the classifier returns NaN, or neither class indices `[n]` nor scores `[n, k]`.
        """
        answers = self._answers(values)
        if answers.ndim == 1:
            self.seen |= set(np.unique(answers).astype(int).tolist())
            return Answers(answers.astype(np.int64), None)
        self.seen = set(range(answers.shape[1]))
        return Answers(answers.argmax(1), answers.astype(np.float64))

    def _answers(self, values: Float[np.ndarray, "n d"]) -> np.ndarray:
        self.evaluations += len(values)
        parts = np.split(values, range(self.chunk_size, len(values), self.chunk_size))
        return np.concatenate([self._ask(part) for part in parts])

    def _ask(self, values: Float[np.ndarray, "n d"]) -> np.ndarray:
        with torch.no_grad():
            answers = self.classifier(self.background.form.decode(values))
        if isinstance(answers, Tensor):
            answers = answers.detach().cpu()
            answers = answers.double() if answers.is_floating_point() else answers
        answers = np.asarray(answers)
        _check_answers(answers, len(values))
        return answers


def _of_rows(view: Placed, background: Background) -> Classifier:
    """Return the function from a tensor or array of rows `[n, d]` to the scores of each under the view of one row."""
    checks.expect(
        isinstance(background.form.like, Tensor | np.ndarray), "classifier", "the view of a row of numbers",
        "a function of a DataFrame, as the background is one",
        "pass the model's own predict_proba, or the background as an array",
    )  # fmt: skip
    return lambda rows: torch.func.vmap(view)(torch.as_tensor(rows))


def _check_answers(answers: np.ndarray, n: int) -> None:
    indices = answers.shape == (n,) and answers.dtype.kind in "biu"
    scores = answers.ndim == 2 and answers.shape[0] == n and answers.shape[1] >= 2 and answers.dtype.kind in "biuf"
    checks.expect(
        indices or scores,
        "classifier",
        f"{answers.dtype} of shape {answers.shape} for {n} rows",
        f"class indices [{n}] or scores [{n}, k] of k classes",
        "pass predict_proba, or torch.func.vmap of a view without a target",
    )
    lost = scores and bool(np.isnan(answers).any())
    checks.expect(not lost, "classifier", "NaN scores", "numbers", "does it read missing cells?")
