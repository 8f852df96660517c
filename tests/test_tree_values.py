"""Tree ensembles have exact Shapley values for any number of columns, those of the game that any model plays."""

import numpy as np
import pytest
import torch
from sklearn import ensemble, tree

from mapsto import explainers as E
from mapsto import views
from mapsto.explainers.across_tasks.tree_values import TreeValues

g = np.random.default_rng(0)
X = g.normal(size=(120, 12))
Y = X[:, 0] * X[:, 1] + X[:, 2]
CLASSES = np.array(["low", "middle", "high"])[np.digitize(Y, [-1, 1])]
SUMS = {
    "forest": ensemble.RandomForestClassifier(5, max_depth=4, random_state=0).fit(X, CLASSES),
    "forest of numbers": ensemble.ExtraTreesRegressor(5, max_depth=4, random_state=0).fit(X, Y),
    "boosted numbers": ensemble.GradientBoostingRegressor(n_estimators=10, random_state=0).fit(X, Y),
    "a tree": tree.DecisionTreeClassifier(random_state=0).fit(X, CLASSES),
}
OTHERS = {
    "boosted probability": ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0).fit(X, Y > 0),
    "boosted probabilities": ensemble.GradientBoostingClassifier(n_estimators=2, random_state=0).fit(X, CLASSES),
    "histograms": ensemble.HistGradientBoostingClassifier(max_iter=3).fit(X, Y > 0),
}


@pytest.mark.parametrize("kind", SUMS)
def test_values_are_those_of_all_coalitions(kind: str) -> None:
    brute = E.Explainer(SUMS[kind], X[:3], E.Shapley())(X[60:62])
    ours = E.Explainer(SUMS[kind], X[:3])(X[60:62])
    np.testing.assert_allclose(ours.values, brute.values, atol=1e-6)
    assert np.abs(brute.values).max() > 0.05 and ours.errors is not None and not ours.errors.any()
    np.testing.assert_allclose(ours.base_values, brute.base_values, atol=1e-6)
    assert list(ours.class_names) == list(brute.class_names) and ours.values.dtype == brute.values.dtype


@pytest.mark.parametrize(
    "make", [ensemble.RandomForestRegressor, ensemble.GradientBoostingRegressor, ensemble.HistGradientBoostingRegressor]
)
def test_cells_that_lie_on_thresholds_go_where_the_model_sends_them(make: type) -> None:
    """Numbers of one decimal: half of the thresholds are numbers of the table, to single precision."""
    rounded = X.round(1)
    model = make(random_state=0).fit(rounded, Y + g.normal(size=120))
    brute = E.Explainer(model, rounded[:3], E.Shapley())(rounded[60:66])
    ours = E.Explainer(model, rounded[:3])(rounded[60:66])
    assert ours.errors is not None and not ours.errors.any()
    np.testing.assert_allclose(ours.values, brute.values, atol=1e-5)


def test_a_class_by_name_has_its_own_values() -> None:
    brute = E.Explainer(SUMS["forest"], X[:3], E.Shapley(), target="low")(X[60:62])
    ours = E.Explainer(SUMS["forest"], X[:3], target="low")(X[60:62])
    np.testing.assert_allclose(ours.values, brute.values, atol=1e-6)
    assert ours.values.shape == (2, 12)


@pytest.mark.parametrize("kind", OTHERS)
def test_probabilities_that_are_no_sums_over_trees_are_sampled(kind: str) -> None:
    """shap's own values of such a probability differ from those of all coalitions in the third digit."""
    ours = E.Explainer(OTHERS[kind], X[:3])(X[60:61])
    assert ours.errors is not None and ours.errors.max() > 0


def test_values_that_do_not_add_up_to_the_score_are_not_taken() -> None:
    forest = SUMS["forest of numbers"]
    rows = torch.tensor(X)
    found = TreeValues(forest, views.model(forest), rows[:3])
    assert found(rows[60:61]) is not None
    found.view = views.model(lambda rows: forest.predict(np.asarray(rows)) + 1e-3)
    assert found(rows[60:61]) is None
    assert TreeValues(forest.predict, views.model(forest), rows[:3])(rows[60:61]) is None


def test_all_background_rows_count() -> None:
    """shap takes 100 rows unless it is told otherwise."""
    exact = E.Explainer(SUMS["boosted numbers"], X)(X[60:61])
    np.testing.assert_allclose(exact.base_values, SUMS["boosted numbers"].predict(X).mean(), atol=1e-6)
    np.testing.assert_allclose(exact.predictions, SUMS["boosted numbers"].predict(X[60:61]), atol=1e-6)
    assert exact.errors is not None and not exact.errors.any()


def test_a_class_may_be_named_by_the_text_of_its_number() -> None:
    model = tree.DecisionTreeClassifier(random_state=0).fit(X, (Y > 0).astype(int))
    named, numbered = (E.Explainer(model, X[:3], target=target)(X[60:61]).values for target in ("1", 1))
    np.testing.assert_array_equal(named, numbered)
