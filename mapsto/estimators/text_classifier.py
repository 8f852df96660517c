"""A scikit-learn classifier for texts that learns from a few sentences of each class and explains its predictions.

    p(class c | text) = softmax_c(sharpness · cos(f(text), mean of f over the training texts of c))

f is an encoder, by default the shipped one. Snell et al. 2017, "Prototypical Networks for Few-shot Learning", with the
cosine in place of the squared distance, so that classes with few and with many training texts are on equal terms.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from .. import checks, weights
from ..episodes import Examples, State
from ..explainers import coalitions
from ..learners import PrototypicalNetwork
from ..learners.prototypical import Prototypes
from ..tables.selection import weigh
from ..texts.reading import read_texts
from ..texts.scripts import other_scripts
from ..texts.words import join, sentences, words
from ..threads import one_thread
from .embedder import Asked, Embedder, Shipped
from .labels import classes
from .pretrained import PretrainedEstimator, Stored
from .text_explanation import TextExplanation

LONG = 50  # words; a longer text is explained by its sentences
_SENTENCES = 4  # a text with fewer sentences is explained by its words
_EXACT = 10  # parts of a text of which all selections are asked about
_MOST = 400  # parts of a text
_ROWS = 256  # texts at a time; results do not change
_PROBE = "is this still the same encoder"


class TextClassifier(ClassifierMixin, PretrainedEstimator):
    """Predict and explain the class of each text, given a few training texts of each class.

    The shipped encoder was trained on short English sentences to assistants and services. It compares words by what it
    learned about them and by their spelling, so rare words, names, and other languages with spaces work too, by their
    spelling. Pass a function as `encoder` to compare texts by another model.

    A word is a piece of text between spaces. A hidden word is removed: the prediction without some words is
    `predict_proba` of the text without them. Therefore, anyone can compute exact Shapley values of the same model, and
    compare `explain` with them. The prediction for an empty text is 1/k for each of k classes.

    `fit` sets `classes_` [k], `notes_` (remarks on the training texts), `support_` (the embeddings of the training texts),
    `state_` (the means of the classes) and `sharpness_` (the multiplier on cosines before the softmax).

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
    probe_: Tensor | None

    def __init__(self, encoder: Callable[[list[str]], Any] | None = None, looks: int = 1024):
        self.encoder, self.looks = encoder, looks

    def fit(self, texts: Any, labels: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the classes of training texts `[n]` with labels `[n]`, without training the encoder.

        Labels may be texts, whole numbers or booleans, and there must be at least two classes. One text of each class
        is enough. `sample_weight` [n] holds the weights of the texts, of which only the ratios matter. A text of weight
        0 is left out. If `sample_weight` is None, all texts have equal weights.

        Raises:
            MapstoError: if `texts` is not a list of texts, a text is missing or has no word, the number of labels is not
                n, a label is missing, labels mix texts and numbers, there are fewer than two classes, a weight is
                negative, infinite or missing, or the encoder does not return numbers `[n, f]`.
        """
        checks.count(16, looks=self.looks)
        every = read_texts(texts)
        checks.shape((len(every),), "one label for each text", labels=np.asarray(labels))
        rows, weight = weigh(sample_weight, len(every), most=0)
        _refuse_empty(every, rows)
        self.classes_, indices = classes(labels, rows, len(every), name="labels")
        self.n_rows_, self.rows_ = len(every), rows
        chosen = [every[i] for i in rows]
        self.notes_ = _notes(chosen, indices, self.encoder is None)
        self.mapping_ = self._mapping()
        y, share = torch.as_tensor(indices), torch.as_tensor(weight / weight.sum(), dtype=torch.float32)
        self.embedder_ = self._embedder()
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

    def explain(self, texts: Any, players: Literal["words", "sentences"] | None = None) -> TextExplanation:
        """Return the contributions of the words, or of the sentences, of each text to its class probabilities.

        `base_values + values.sum(1)` is `predict_proba(texts)`, and `base_values` is 1/k, the prediction for an empty
        text. The values are Shapley values: exact if a text has at most 10 parts, and else estimated by KernelSHAP from
        about `looks` versions of the text, with standard errors in `errors`.

        Args:
            texts: the texts.
            players: "words" or "sentences". If None, texts with more than 50 words and at least 4 sentences are
                explained by their sentences, and others by their words; `units` of the result says which.

        Raises:
            MapstoError: in any case in which `predict_proba` raises it, or if a text has more than 400 parts.
        """
        check_is_fitted(self)
        checks.one_of((None, "words", "sentences"), players=players)
        every = read_texts(texts)
        units = [players or _unit(text) for text in every]
        parts = [(words if unit == "words" else _sentences)(text) for text, unit in zip(every, units, strict=True)]
        for i, of_text in enumerate(parts):
            few = len(of_text) <= _MOST
            checks.expect(few, "players", f"{len(of_text)} words of text {i}", f"at most {_MOST}", "pass 'sentences'")
        with torch.no_grad(), one_thread():
            reasons = [self._reasons(of_text) for of_text in parts]
        return self._explanation(parts, units, reasons)

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
        return self._influence(x, among, _ROWS, 16)

    @classmethod
    def load(cls, path: str | Path, encoder: Callable[[list[str]], Any] | None = None) -> Self:
        """Return the estimator that `save` wrote to a file; it makes the same predictions.

        A function cannot be saved, so pass the `encoder` again if the estimator had one.

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
            probe = fitted.embedder_.texts([_PROBE])
            same = probe.shape == fitted.probe_.shape and torch.allclose(probe, fitted.probe_, atol=1e-3)
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

    def _reasons(self, parts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor, int]:
        """Return the values `[p, k]` of the parts of a text, their standard errors, the base `[k]`, and the looks."""
        p, few = len(parts), len(parts) <= _EXACT
        looks = max(self.looks, 4 * p)
        design = coalitions.exact(p, torch.float64) if few else coalitions.kernel(p, looks, dtype=torch.float64)
        v = self._answer(self.state_, self.embedder_.subsets(parts, design.masks))  # [c, k]
        errors = torch.zeros(p, v.shape[1]).double() if few else coalitions.kernel_error(design, looks, v)
        return design.weights @ v, errors, v[0], len(v)

    def _explanation(
        self, parts: list[list[str]], units: list[str], reasons: list[tuple[Tensor, Tensor, Tensor, int]]
    ) -> TextExplanation:
        """Return the explanation of all texts, padded to the largest number of parts."""
        values, errors, base, looks = zip(*reasons, strict=True)
        most = max(map(len, parts))
        data = np.full((len(parts), most), None, object)
        for i, of_text in enumerate(parts):
            data[i, : len(of_text)] = of_text
        padded = (np.stack([np.pad(v, ((0, most - len(v)), (0, 0))) for v in each]) for each in (values, errors))
        unit = units[0][:-1] if len(set(units)) == 1 else "part"
        names = [f"{unit} {j + 1}" for j in range(most)]
        values, errors = padded
        return TextExplanation(
            values, torch.stack(base).numpy(), data, names, list(self.classes_), errors=errors, units=units, looks=looks
        )

    def _parameters(self) -> dict[str, Any]:
        return {"encoder": None, "looks": self.looks}  # a function cannot be saved

    def _stored(self) -> Stored:
        own = self.encoder is not None
        probe = {"probe": self.embedder_.texts([_PROBE])} if own else {}
        return Stored(probe, {"sharpness": self.sharpness_, "own": own})

    def _restore(self, about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.sharpness_, self.own_, self.probe_ = about["sharpness"], about["own"], tensors.get("probe")
        self.embedder_ = Shipped(weights.load_texts())


def _unit(text: str) -> Literal["words", "sentences"]:
    """Return the parts by which a text is explained if nothing else is said."""
    return "sentences" if len(words(text)) > LONG and len(sentences(text)) >= _SENTENCES else "words"


def _sentences(text: str) -> list[str]:
    """Return the sentences of a text; neighbours are joined if there are too many."""
    every = sentences(text)
    size = -(-len(every) // _MOST)
    return [join(every[i : i + size]) for i in range(0, len(every), max(size, 1))]


def _refuse_empty(texts: list[str], rows: np.ndarray) -> None:
    """Raise MapstoError if a training text has no word."""
    empty = [int(i) for i in rows if not words(texts[i])]
    got = f"{len(empty)} text(s) without a word, the first at position {(*empty, 0)[0]}"
    checks.expect(not empty, "texts", got, "at least one word in each training text", "leave them out")


def _notes(texts: list[str], y: np.ndarray, shipped: bool) -> list[str]:
    """Return remarks on training texts: repetitions, contradictions and scripts."""
    plain = [join(words(text)).casefold() for text in texts]
    pairs = set(zip(plain, y.tolist(), strict=True))
    notes = []
    if repeated := len(plain) - len(pairs):
        notes.append(f"texts: {repeated} training text(s) repeat an earlier one of the same class; all of them count.")
    if twice := sum(number > 1 for number in Counter(text for text, _ in pairs).values()):
        notes.append(f"texts: {twice} training text(s) occur in more than one class, so no answer can be right for all.")
    return [*notes, *(other_scripts(texts, "training text") if shipped else [])]
