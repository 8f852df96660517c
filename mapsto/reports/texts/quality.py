"""The evidence for the quality of predictions about texts, beside two well-known methods on the same texts.

Texts with a known class that did not teach are predicted. If there are none, the training texts are cross-validated.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from ...estimators import TextClassifier
from ..table.evidence import Evidence
from ..table.folds import Fold, affordable, folds
from ..words import count

RIVALS = ("tf_idf_and_logistic_regression", "tf_idf_and_naive_bayes")
_TEXTS = 1000  # training texts of all folds together that take about two seconds


def held_out(
    p: Float[np.ndarray, "m k"],
    y: Int[np.ndarray, " m"],
    tested: Sequence[str],
    train: Sequence[str],
    labels: Int[np.ndarray, " n"],
) -> Evidence:
    """Return the evidence of the texts `tested` of the classes `y`; `p` are their predictions."""
    how = f"on {count(len(y), 'text')} not used for training"
    return Evidence("held-out rows", how, y, p, _base(labels, len(y), p.shape[1]), _rivals(tested, train, labels))


def cross_validated(
    classifier: TextClassifier, train: Sequence[str], labels: Int[np.ndarray, " n"], seed: int
) -> Evidence | None:
    """Return the evidence of the training texts by cross-validation, or None if no text can be predicted.

    Only texts whose class is in every training part are predicted.
    """
    from sklearn.base import clone

    every = folds(labels, None, seed)
    used = affordable(every, 20_000 // _TEXTS)
    if not used:
        return None
    texts, ways = np.array(train, object), int(labels.max()) + 1
    answers = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is remarkable in a part of the texts was said of all
        for fold in used:
            fitted = clone(classifier).fit(texts[fold.train].tolist(), labels[fold.train])
            tested, taught = texts[fold.test].tolist(), texts[fold.train].tolist()
            answers.append((fitted.predict_proba(tested), _rivals(tested, taught, labels[fold.train])))
    test = np.concatenate([fold.test for fold in used])
    return Evidence(
        "cross-validation",
        _how(len(test), len(labels), used, every),
        labels[test],
        np.concatenate([own for own, _ in answers]),
        np.concatenate([_base(labels[fold.train], len(fold.test), ways) for fold in used]),
        {name: np.concatenate([rivals[name] for _, rivals in answers]) for name in RIVALS},
        np.repeat(np.arange(len(used)), [len(fold.test) for fold in used]),
    )


def _how(predicted: int, texts: int, used: list[Fold], every: list[Fold]) -> str:
    whole = f"by {len(every)}-fold cross-validation of the {count(texts, 'labelled text')}"
    part = "" if len(used) == len(every) else f" in {len(used)} of the {len(every)} folds"
    return whole if predicted == texts else f"{whole}, {predicted:,} of which were predicted{part}"


def _base(labels: Int[np.ndarray, " n"], rows: int, ways: int) -> Float[np.ndarray, "m k"]:
    return np.tile(np.bincount(labels, minlength=ways) / len(labels), (rows, 1))


def _rivals(
    tested: Sequence[str], train: Sequence[str], labels: Int[np.ndarray, " n"]
) -> dict[str, Float[np.ndarray, "m k"]]:
    """Return the probabilities by each rival: frequencies of words with a linear model or naive Bayes."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB

    vectors = TfidfVectorizer(token_pattern=r"(?u)\S+")
    x, new = vectors.fit_transform(train), vectors.transform(tested)
    models = LogisticRegression(C=10.0, max_iter=1000), MultinomialNB()
    return {name: model.fit(x, labels).predict_proba(new) for name, model in zip(RIVALS, models, strict=True)}
