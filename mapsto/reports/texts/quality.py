"""The evidence for the quality of predictions about texts, beside two well-known methods on the same texts.

Texts with a known class that did not teach are predicted. If there are none, the training texts are cross-validated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from ...estimators import TextClassifier
from ..table.crossing import Predictions, crossed
from ..table.evidence import Evidence, base_rates, of_folds
from ..table.question import Question
from ..words import count

if TYPE_CHECKING:
    import pandas as pd

RIVALS = ("tf_idf_and_logistic_regression", "tf_idf_and_naive_bayes")
_COLUMNS = 20  # a text takes the time of a row with so many columns


def held_out(
    question: Question,
    p: Float[np.ndarray, "m k"],
    y: Int[np.ndarray, " m"],
    tested: Sequence[str],
    labels: Int[np.ndarray, " n"],
) -> Evidence:
    """Return the evidence of the texts `tested` of the classes `y`; `p` are their predictions."""
    how = f"on {count(len(y), 'text')} not used for training"
    rivals = _rivals(tested, texts(question.train), labels)
    return Evidence("held-out rows", how, y, p, base_rates(labels, *p.shape), rivals)


def cross_validated(classifier: TextClassifier, question: Question, labels: Int[np.ndarray, " n"]) -> Evidence | None:
    """Return the evidence of the training texts by cross-validation, or None if no text can be predicted.

    Only texts whose class is in every training part are predicted.
    """
    from sklearn.base import clone

    train, ways = np.array(texts(question.train), object), int(labels.max()) + 1

    def predict(taught: Int[np.ndarray, " a"], test: Int[np.ndarray, " b"]) -> Predictions:
        teach, tested = train[taught].tolist(), train[test].tolist()
        own = clone(classifier).fit(teach, labels[taught]).predict_proba(tested)
        base = base_rates(labels[taught], len(test), ways)
        return {"p": own, "base": base, **_rivals(tested, teach, labels[taught])}

    found = crossed(question, labels, _COLUMNS, predict, name="text")
    return None if found is None else of_folds(found, labels)


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


def texts(table: pd.DataFrame) -> list[str]:
    """Return the texts of a table of one column."""
    return [str(text) for text in table.iloc[:, 0]]
