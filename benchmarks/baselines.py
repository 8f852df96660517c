"""The methods that the tables benchmark compares, each prepared as a practitioner would for a small table.

- the mapping: the table as it is.
- logistic regression: numbers with median imputation, standardised; categories one-hot; C = 1.
- random forest: 300 trees; numbers with median imputation; categories as ordinal codes.
- histogram gradient boosting: missing cells and categories as they are; `min_samples_leaf = max(2, rows // 16)`, as the
  default of 20 cannot split 32 rows even once; the other settings are the defaults.
- EBM (interpret's explainable boosting machine): its own preparation, its defaults.
"""

from collections.abc import Callable
from typing import Any, Self

import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import mapsto as mt

NUMBERS, TEXTS = make_column_selector(dtype_include="number"), make_column_selector(dtype_exclude="number")


class AsTheyAre(TransformerMixin, BaseEstimator):
    """Leave out empty columns and make categories of texts; a text unknown to the training rows becomes missing."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Remember which columns hold something, and the texts of each."""
        X = X.dropna(axis=1, how="all")
        self.columns_ = list(X.columns)
        self.dtypes_ = {name: pd.CategoricalDtype(sorted(X[name].dropna().unique())) for name in TEXTS(X)}
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return these columns, texts as categories."""
        X = X[self.columns_]
        known = {name: X[name].where(X[name].isin(dtype.categories)) for name, dtype in self.dtypes_.items()}
        return X.assign(**{name: column.astype(self.dtypes_[name]) for name, column in known.items()})


def mapping(rows: int) -> Any:
    return mt.TableClassifier()


def logistic_regression(rows: int) -> Any:
    numbers = make_pipeline(_imputer(), StandardScaler())
    encode = make_column_transformer((numbers, NUMBERS), (OneHotEncoder(handle_unknown="ignore"), TEXTS))
    return make_pipeline(encode, LogisticRegression(max_iter=5000))


def random_forest(rows: int) -> Any:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    return make_pipeline(
        make_column_transformer((_imputer(), NUMBERS), (codes, TEXTS)), RandomForestClassifier(300, random_state=0)
    )


def gradient_boosting(rows: int) -> Any:
    leaf = max(2, rows // 16)
    boosting = HistGradientBoostingClassifier(categorical_features="from_dtype", min_samples_leaf=leaf, random_state=0)
    return make_pipeline(AsTheyAre(), boosting)


def ebm(rows: int) -> Any:
    from interpret.glassbox import ExplainableBoostingClassifier

    return ExplainableBoostingClassifier(random_state=0, n_jobs=1)


def _imputer() -> SimpleImputer:
    return SimpleImputer(strategy="median", keep_empty_features=True)


METHODS: dict[str, Callable[[int], Any]] = {
    "mapping": mapping,
    "logistic_regression": logistic_regression,
    "random_forest": random_forest,
    "gradient_boosting": gradient_boosting,
}
