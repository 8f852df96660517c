"""The rivals of the mapping: logistic regression and a random forest, given the same training rows.

A missing number becomes the mean of its column, numbers are standardised, and each category becomes a column.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.compose import ColumnTransformer

    from ...estimators import TableClassifier

RIVALS = ("logistic_regression", "random_forest")


def rival_probabilities(
    classifier: "TableClassifier",
    train: "pd.DataFrame",
    labels: np.ndarray,
    rows: "pd.DataFrame",
    seed: int,
    trees: int = 300,
) -> dict[str, Float[np.ndarray, "n k"]]:
    """Return the probabilities of `rows` by each rival, fitted to `train`; columns are read as by `classifier`."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    models = LogisticRegression(max_iter=2000), RandomForestClassifier(trees, random_state=seed)
    x, new = (classifier.columns_.transform(frame)[:, classifier.used_] for frame in (train, rows))
    if not x.shape[1]:
        x, new = np.zeros((len(train), 1)), np.zeros((len(rows), 1))
    kinds = [classifier.columns_.columns[j].kind for j in classifier.used_] or ["number"]
    fits = (make_pipeline(_cells(kinds), model).fit(x, labels) for model in models)
    return {name: fit.predict_proba(new) for name, fit in zip(RIVALS, fits, strict=True)}


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
