"""The rivals of the mapping: logistic or ridge regression and a random forest, given the same training rows.

A missing number becomes the mean of its column, numbers are standardised, and each category becomes a column.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.compose import ColumnTransformer

    from ...estimators.table import TableEstimator

RIVALS = ("logistic_regression", "random_forest")
NUMBER_RIVALS = ("ridge", "random_forest")
_NAMES = {
    "majority": "always the commonest class",
    "base_rates": "always the base rates",
    "mean": "always the mean",
    "median": "always the median",
    "ridge": "ridge regression",
}
_PENALTIES = np.logspace(-2, 4, 13)


def baseline_name(name: str) -> str:
    """Write the name of a rival, or of a guess that needs no model.

    >>> baseline_name("random_forest"), baseline_name("majority"), baseline_name("tf_idf_and_naive_bayes")
    ('random forest', 'always the commonest class', 'TF-IDF and naive Bayes')
    """
    words = name.replace("tf_idf", "TF-IDF").replace("bayes", "Bayes").replace("_", " ")
    return _NAMES.get(name, words)


def rival_probabilities(
    classifier: "TableEstimator",
    train: "pd.DataFrame",
    labels: np.ndarray,
    rows: "pd.DataFrame",
    seed: int,
    trees: int = 300,
) -> dict[str, Float[np.ndarray, "n k"]]:
    """Return the probabilities of `rows` by each rival, fitted to `train`; columns are read as by `classifier`."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    models = LogisticRegression(max_iter=2000), RandomForestClassifier(trees, random_state=seed)
    new, fits = _fitted(classifier, train, labels, rows, models)
    return {name: fit.predict_proba(new) for name, fit in zip(RIVALS, fits, strict=True)}


def rival_numbers(
    regressor: "TableEstimator",
    train: "pd.DataFrame",
    y: np.ndarray,
    rows: "pd.DataFrame",
    seed: int,
    trees: int = 300,
) -> dict[str, Float[np.ndarray, " n"]]:
    """Return the predictions of `rows` by each rival of numbers; ridge regression chooses its penalty by itself."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import RidgeCV

    models = RidgeCV(_PENALTIES), RandomForestRegressor(trees, random_state=seed)
    new, fits = _fitted(regressor, train, y, rows, models)
    return {name: fit.predict(new) for name, fit in zip(NUMBER_RIVALS, fits, strict=True)}


def _fitted(
    estimator: "TableEstimator", train: "pd.DataFrame", y: np.ndarray, rows: "pd.DataFrame", models: Sequence[Any]
) -> tuple[np.ndarray, list[Any]]:
    """Return `rows` as numbers, read as by `estimator`, and the models fitted to `train`."""
    from sklearn.pipeline import make_pipeline

    x, new = (estimator.columns_.transform(frame)[:, estimator.used_] for frame in (train, rows))
    if not x.shape[1]:
        x, new = np.zeros((len(train), 1)), np.zeros((len(rows), 1))
    kinds = [estimator.columns_.columns[j].kind for j in estimator.used_] or ["number"]
    return new, [make_pipeline(_cells(kinds), model).fit(x, y) for model in models]


def _cells(kinds: list[str]) -> "ColumnTransformer":
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [j for j, kind in enumerate(kinds) if kind != "category"]
    categories = [j for j, kind in enumerate(kinds) if kind == "category"]
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
        ]
    )
