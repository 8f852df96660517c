"""A scikit-learn classifier for texts that learns from a few sentences of each class and explains its predictions.

    p(class c | text) = softmax_c(sharpness · cos(f(text), mean of f over the training texts of c))

f is an encoder, by default the shipped one. Snell et al. 2017, "Prototypical Networks for Few-shot Learning", with the
cosine in place of the squared distance, so that classes with few and with many training texts are on equal terms.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from .. import checks, weights
from ..episodes import Examples
from ..explainers import coalitions, kriging
from ..learners import PrototypicalNetwork
from ..learners.prototypical import Prototypes
from ..tables.selection import weigh
from ..texts.reading import read_texts
from ..texts.remarks import refuse_empty, remarks
from ..texts.scripts import other_scripts
from ..threads import one_thread
from . import deletions
from .embedder import Asked, Embedder, Shipped
from .labels import classes, one_spelling
from .pretrained import PretrainedEstimator, Stored
from .text_explanation import Reasons, TextExplanation, padded
from .text_parts import Unit, parts_of, unit_of

_EXACT = 10  # parts of a text of which all selections are asked about
_ROWS = 256  # texts at a time; results do not change


class TextClassifier(ClassifierMixin, PretrainedEstimator):
    """Predict and explain the class of each text, given a few training texts of each class.

    The shipped encoder was trained on short English sentences to assistants and services. It compares words by what it
    learned about them and by their spelling, so rare words, names, and other languages with spaces work too, by their
    spelling. Pass a function as `encoder` to compare texts by another model.

    A word is a piece of text between spaces. A hidden word is removed: the prediction without some words is
    `predict_proba` of the text without them. Therefore, anyone can compute exact Shapley values of the same model, and
    compare `explain` with them. The prediction for an empty text is 1/k for each of k classes.

    `fit` sets `classes_` [k], `notes_` (remarks on the training texts), `support_` (the embeddings of the training
    texts), `state_` (the means of the classes) and `sharpness_` (the multiplier on cosines before the softmax).

    Args:
        encoder: a function from a list of n texts to an array `[n, f]`, such as `model.encode` of
            sentence-transformers. If None, the shipped encoder is used.
        looks: the number of versions of a text about which an explanation asks if the text has more than 10 parts.

    >>> clf = TextClassifier().fit(["my card is lost", "what time is it"], ["card", "time"])
    >>> clf.predict(["I lost my credit card", "tell me the time"]).tolist()
    ['card', 'time']
    >>> e = clf.explain(["I lost my credit card"])
    >>> e.parts[0], e.values.shape
    (['I', 'lost', 'my', 'credit', 'card'], (1, 5, 2))
    """

    weights_file = weights.TEXTS
    rows_are = "texts as embeddings"

    classes_: np.ndarray
    embedder_: Embedder
    sharpness_: float
    own_: bool
    first_: str  # the first training text, by which `load` knows an encoder again

    def __init__(self, encoder: Callable[[list[str]], Any] | None = None, looks: int = 1024):
        self.encoder, self.looks = encoder, looks

    def fit(self, texts: Any, labels: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the classes of training texts `[n]` with labels `[n]`, without training the encoder.

        Labels may be texts, whole numbers or booleans, and there must be at least two classes. Texts that differ only
        in case and blanks are one label. One text of each class is enough. `sample_weight` [n] holds the weights of the
        texts, of which only the ratios matter. A text of weight 0 is left out. If `sample_weight` is None, all texts
        have equal weights.

        Raises:
            MapstoError: if `texts` is not a list of texts, a text is missing or has no word, the number of labels is
                not n, a label is missing, labels mix texts and numbers, there are fewer than two classes, a weight is
                negative, infinite or missing, or the encoder does not return numbers `[n, f]`.
        """
        checks.count(16, looks=self.looks)
        every, labels = read_texts(texts), _with_types(labels)
        checks.shape((len(every),), "one label for each text", labels=np.asarray(labels))
        rows, weight = weigh(sample_weight, len(every), most=0)
        refuse_empty(every, rows)
        labels, spellings = one_spelling(labels, "labels")
        self.classes_, indices = classes(labels, rows, len(every), name="labels")
        self.n_rows_, self.rows_ = len(every), rows
        chosen = [every[i] for i in rows]
        self.notes_ = [*spellings, *remarks(chosen, indices)]
        self.notes_ += other_scripts(chosen, "training text") if self.encoder is None else []
        self.mapping_ = self._mapping()
        y, share = torch.as_tensor(indices), torch.as_tensor(weight / weight.sum(), dtype=torch.float32)
        self.embedder_, self.first_ = self._embedder(), chosen[0]
        with torch.no_grad(), one_thread():
            x = self.embedder_.texts(chosen)
        self.sharpness_ = self.embedder_.sharpness(x, y, share)
        return self._adapt(Examples(x, y, share))

    def predict(self, texts: Any) -> Shaped[np.ndarray, " n"]:
        """Return the most probable class of each text."""
        best = self.predict_proba(texts).argmax(1)
        return self.classes_[best]

    def predict_proba(self, texts: Any) -> Float[np.ndarray, "n k"]:
        """Return the class probabilities [n, k] of each text.

        Raises:
            MapstoError: if `texts` is not a list of texts, or a text is missing.
        """
        check_is_fitted(self)
        every, embedder = read_texts(texts), self.embedder_
        groups = [every[i : i + _ROWS] for i in range(0, len(every), _ROWS)]
        with torch.no_grad(), one_thread():
            return torch.cat([self._answer(self.state_, embedder.texts(group)) for group in groups]).numpy()

    def explain(self, texts: Any, players: Unit | None = None) -> TextExplanation:
        """Return the contributions of the words, or of the sentences, of each text to its class probabilities.

        `base_values + values.sum(1)` is `predict_proba(texts)`, and `base_values` is 1/k, the prediction for an empty
        text. The values are Shapley values: exact if a text has at most 10 parts, and else estimated from
        about `looks` versions of the text, with standard errors in `errors`.

        Args:
            texts: the texts.
            players: "words" or "sentences". If None, texts with more than 50 words and at least 4 sentences are
                explained by their sentences, and others by their words; `units` of the result says which.

        Raises:
            MapstoError: in any case in which `predict_proba` raises it, or if a text has more than 400 words and
                `players` is "words".
        """
        check_is_fitted(self)
        checks.one_of((None, "words", "sentences"), players=players)
        every = read_texts(texts)
        units = [players or unit_of(text) for text in every]
        parts = [parts_of(text, unit) for text, unit in zip(every, units, strict=True)]
        with torch.no_grad(), one_thread():
            reasons = [self._reasons(of_text) for of_text in parts]
        return padded(parts, units, reasons, self.classes_.tolist())

    def influence(self, texts: Any, among: ArrayLike | None = None) -> Float[np.ndarray, "n n_train k"]:
        """Return the change of each probability if a training text is deleted, `[n, number of training texts, k]`.

        The change is the probability without the training text minus the probability with it, so it is negative if the
        text raised the probability. The influence is exact: for each training text, the class means are computed again
        with the weight of this text set to 0. `among` (positions of training texts or a boolean mask) selects training
        texts; if None, all are used.

        Raises:
            MapstoError: in any case in which `predict_proba` raises it.
        """
        check_is_fitted(self)
        with torch.no_grad(), one_thread():
            x = self.embedder_.texts(read_texts(texts))
        return self._influence(x, among, _ROWS, partial(deletions.mapped, at_once=16))

    @classmethod
    def load(cls, path: str | Path, encoder: Callable[[list[str]], Any] | None = None) -> Self:
        """Return the estimator that `save` wrote to a file; it makes the same predictions.

        A function cannot be saved, so pass the `encoder` again if the estimator had one. To know it again, the file
        then holds the first training text.

        Raises:
            MapstoError: if the file is missing or damaged, or was saved by another estimator class, with other weights
                of the shipped encoder, or with another encoder than `encoder`.
        """
        fitted = super().load(path)
        own = "an encoder of your own" if fitted.own_ else "the shipped encoder"
        remedy = "pass it to `load` again" if fitted.own_ else "leave `encoder` out"
        got = f"{'None' if encoder is None else 'a function'}, but {path} was fitted with {own}"
        checks.expect(fitted.own_ == (encoder is not None), "encoder", got, "the same encoder", remedy)
        if encoder is not None:
            fitted.encoder, fitted.embedder_ = encoder, Asked(encoder)
            probe, known = fitted.embedder_.texts([fitted.first_])[0], fitted.support_.x[0]
            same = probe.shape == known.shape and torch.allclose(probe, known, atol=1e-3)
            checks.expect(same, "encoder", "a function with other embeddings", "the encoder that was fitted")
        return fitted

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        return tags

    def _embedder(self) -> Embedder:
        return Shipped(weights.load_texts()) if self.encoder is None else Asked(self.encoder)

    def _mapping(self) -> PrototypicalNetwork:
        return PrototypicalNetwork(nn.Identity(), ways=len(self.classes_))

    def _answer(self, state: Prototypes, x: Tensor) -> Float[Tensor, "n k"]:  # type: ignore[override]
        cosines = F.normalize(x.double(), dim=1) @ F.normalize(state.means.double(), dim=1).T
        return torch.where(state.mass > 0, self.sharpness_ * cosines, -torch.inf).softmax(-1)

    def _reasons(self, parts: Sequence[str]) -> Reasons:
        """Return the contributions of the parts of a text."""
        p, few = len(parts), len(parts) <= _EXACT
        looks = max(self.looks, 4 * p)
        design = coalitions.exact(p, torch.float64) if few else kriging.design(p, looks, dtype=torch.float64)
        v = self._answer(self.state_, self.embedder_.subsets(parts, design.masks))  # [c, k]
        errors = torch.zeros(p, v.shape[1]) if few else kriging.error(p, looks, 0, v)
        return Reasons((design.weights @ v).numpy(), errors.double().numpy(), v[0].numpy(), len(v))

    def _parameters(self) -> dict[str, Any]:
        return {"encoder": None, "looks": self.looks}  # a function cannot be saved

    def _stored(self) -> Stored:
        own = self.encoder is not None
        return Stored({}, {"sharpness": self.sharpness_, "own": own, "first": self.first_ if own else ""})

    def _restore(self, about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.sharpness_, self.own_, self.first_ = about["sharpness"], about["own"], about["first"]
        self.embedder_ = Shipped(weights.load_texts())


def _with_types(labels: Any) -> Any:
    """Return labels; those in a list become an array of objects, because NumPy would turn numbers into texts."""
    return pd.Series(list(labels), dtype=object).to_numpy() if isinstance(labels, list | tuple) else labels
