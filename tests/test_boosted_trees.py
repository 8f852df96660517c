"""The trees of XGBoost and LightGBM have the values of the game that any model plays.

`make slow` runs these tests where the two are installed: hundreds of megabytes that nothing else here needs.
"""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mapsto import explainers as E
from mapsto import views
from mapsto.explainers.across_tasks.tree_values import TreeValues

pytestmark = pytest.mark.long
LIBRARIES = pytest.mark.parametrize(("name", "prefix"), [("xgboost", "XGB"), ("lightgbm", "LGBM")])
g = np.random.default_rng(0)
X = g.normal(size=(200, 12))
HOLES = np.where(g.random(X.shape) < 0.1, np.nan, X)
Y = X[:, 0] * X[:, 1] + X[:, 2]
FRAME = pd.DataFrame(X[:, :11], columns=[f"column {i}" for i in range(11)])
FRAME["kind"] = pd.Categorical(g.choice(list("abc"), 200))


def fitted(name: str, kind: str, x: Any, y: np.ndarray) -> Any:
    options = {"enable_categorical": True, "n_jobs": 1} if name == "xgboost" else {"verbose": -1, "n_jobs": 1}
    return getattr(pytest.importorskip(name), kind)(n_estimators=10, max_depth=3, random_state=0, **options).fit(x, y)


def by_hand(model: Any, row: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The mean contribution over all orders, of sets of columns that are there; the others are of background rows."""
    columns = range(len(row))
    values, worth = np.zeros(len(row)), {}
    for there in itertools.product((False, True), repeat=len(row)):
        worth[there] = model.predict(np.where(there, row, background)).astype(float).mean()
    for there, j in itertools.product(worth, columns):
        if not there[j]:
            joined, size = (*there[:j], True, *there[j + 1 :]), sum(there)
            share = math.factorial(size) * math.factorial(len(row) - size - 1) / math.factorial(len(row))
            values[j] += share * (worth[joined] - worth[there])
    return values


@LIBRARIES
@pytest.mark.parametrize("x", [X[:, :6], HOLES[:, :6]], ids=["numbers", "holes"])
def test_values_of_numbers_are_those_by_hand_and_those_of_shap(name: str, prefix: str, x: np.ndarray) -> None:
    shap, model = pytest.importorskip("shap"), fitted(name, f"{prefix}Regressor", x, Y)
    found = TreeValues(model, views.model(model), torch.tensor(x[:5]))(torch.tensor(x[60:63]))
    assert found is not None
    expected = np.stack([by_hand(model, row, x[:5]) for row in x[60:63]])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    theirs = shap.TreeExplainer(model, x[:5], feature_perturbation="interventional").shap_values(x[60:63])
    np.testing.assert_allclose(found, theirs, atol=1e-6)
    assert np.abs(expected).max() > 0.1


@LIBRARIES
@pytest.mark.parametrize("x", [X, HOLES, FRAME.iloc[:, :11]], ids=["numbers", "holes", "frame"])
def test_numbers_of_many_columns_are_exact(name: str, prefix: str, x: Any) -> None:
    pytest.importorskip("shap")
    model = fitted(name, f"{prefix}Regressor", x, Y)
    ours, brute = E.Explainer(model, x[:3])(x[60:62]), E.Explainer(model, x[:3], E.Shapley())(x[60:62])
    np.testing.assert_allclose(ours.values, brute.values, atol=1e-6)
    assert ours.errors is not None and not ours.errors.any() and np.abs(brute.values).max() > 0.1


@LIBRARIES
@pytest.mark.parametrize("bounds", [[0], [-1, 1]], ids=["two", "three"])
def test_probabilities_are_sampled(name: str, prefix: str, bounds: list[int]) -> None:
    """They are no sums over trees."""
    model = fitted(name, f"{prefix}Classifier", HOLES, np.digitize(Y, bounds))
    ours, brute = E.Explainer(model, HOLES[:3])(HOLES[60:61]), E.Explainer(model, HOLES[:3], E.Shapley())(HOLES[60:61])
    assert ours.values.shape == (1, 12, len(bounds) + 1) and ours.errors is not None and ours.errors.max() > 0
    np.testing.assert_allclose(ours.values, brute.values, atol=2e-3)


@LIBRARIES
def test_trees_that_split_categories_are_sampled(name: str, prefix: str) -> None:
    model = fitted(name, f"{prefix}Regressor", FRAME, Y + 2 * (FRAME["kind"] == "a").to_numpy())
    ours, brute = E.Explainer(model, FRAME[:3])(FRAME[60:62]), E.Explainer(model, FRAME[:3], E.Shapley())(FRAME[60:62])
    assert np.abs(brute.values[:, 11]).max() > 0.1
    np.testing.assert_allclose(ours.values, brute.values, atol=5e-3)
