"""Surrogate trees: a classifier that is a tree is recovered exactly; fidelity is measured where it can be checked."""

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

from mapsto.errors import MapstoError
from mapsto.explainers import SurrogateTree
from mapsto.explainers.rules.predicates import matches
from mapsto.explainers.rules.surrogate_tree import Surrogate

RNG = np.random.default_rng(0)
X = RNG.integers(0, 8, size=(600, 4)).astype(float)  # whole numbers: the cuts of a tree lie half-way, exactly
GRID = np.stack(np.meshgrid(*[np.arange(8.0)] * 4), -1).reshape(-1, 4)
LABELS = np.where(X[:, 1] > 4, 2, np.where(X[:, 3] > 2, 1, 0))
MODEL = DecisionTreeClassifier(random_state=0).fit(X, LABELS)


def cuts(surrogate: Surrogate) -> list[tuple[int, float]]:
    tree = surrogate.tree.tree_
    return sorted((int(f), float(t)) for f, t in zip(tree.feature, tree.threshold, strict=True) if f >= 0)


def assert_recovered(surrogate: Surrogate) -> None:
    assert cuts(surrogate) == [(1, 4.5), (3, 2.5)]
    np.testing.assert_allclose(surrogate.scores(GRID), MODEL.predict_proba(GRID), atol=1e-12)
    assert surrogate.fidelity.agreement == 1 and surrogate.fidelity.r2 == 1


def test_a_tree_is_recovered_exactly() -> None:
    assert MODEL.get_n_leaves() == 3 and len(np.unique(MODEL.predict(GRID))) == 3
    surrogate = SurrogateTree(X, names=["age", "bmi", "dose", "pulse"])(MODEL.predict_proba)
    assert_recovered(surrogate)
    assert str(surrogate).splitlines() == [
        "bmi <= 4.5 and pulse <= 2.5: class 0 (1, 0, 0)",
        "bmi <= 4.5 and pulse > 2.5: class 1 (0, 1, 0)",
        "bmi > 4.5: class 2 (0, 0, 1)",
    ]
    assert surrogate.fidelity.rows == 120 and 0.2 < surrogate.fidelity.majority < 0.6
    assert_recovered(SurrogateTree(X)(MODEL.predict))  # class indices will do


@pytest.mark.parametrize("mutant", [{"depth": 1}, {"cost": 1.0}])
def test_trees_that_are_too_small_are_found_out(mutant: dict[str, float]) -> None:
    with pytest.raises(AssertionError):
        assert_recovered(SurrogateTree(X, **mutant)(MODEL.predict_proba))


def smooth(x: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-(x[:, 0] + x[:, 1] * x[:, 2] / 4 - 7)))
    return np.stack([1 - p, p], 1)


def test_paths_and_leaves_say_what_the_tree_does() -> None:
    surrogate = SurrogateTree(X, depth=3)(smooth)
    met = np.array([matches(leaf.conditions, GRID) for leaf in surrogate.leaves])  # [leaves, n]
    assert (met.sum(0) == 1).all() and 4 <= len(surrogate.leaves) <= 8
    np.testing.assert_allclose(
        surrogate.scores(GRID), np.array([leaf.scores for leaf in surrogate.leaves])[met.argmax(0)]
    )
    assert sum(leaf.share for leaf in surrogate.leaves) == pytest.approx(1)
    assert surrogate.path(X[0]) is surrogate.leaves[met[:, (X[0] == GRID).all(1)][:, 0].argmax()]
    told = {(c.column, c.sign) for c in surrogate.path(X[0]).conditions}
    assert len(told) == len(surrogate.path(X[0]).conditions)


def test_fidelity_is_what_new_rows_show() -> None:
    surrogate, new = SurrogateTree(X, depth=4)(smooth), RNG.integers(0, 8, size=(4000, 4)).astype(float)
    told, truth = surrogate.scores(new), smooth(new)
    agreement = (told.argmax(1) == truth.argmax(1)).mean()
    r2 = 1 - np.square(told - truth).sum() / np.square(truth - truth.mean(0)).sum()
    assert surrogate.fidelity.majority + 0.1 < surrogate.fidelity.agreement < 1
    assert surrogate.fidelity.agreement == pytest.approx(agreement, abs=0.1)
    assert surrogate.fidelity.r2 == pytest.approx(r2, abs=0.1)


def test_a_leaf_has_to_earn_its_cost() -> None:
    leaves = [len(SurrogateTree(X, depth=5, cost=cost)(smooth).leaves) for cost in (0.0, 0.01, 1.0)]
    assert leaves[0] > leaves[1] > leaves[2] == 1


def test_a_constant_classifier_is_one_leaf() -> None:
    surrogate = SurrogateTree(X)(lambda x: np.zeros(len(x), int))
    assert str(surrogate) == "any row: class 0 (1, 0)"
    assert surrogate.fidelity == (1.0, 1.0, 1.0, 120)


def test_categories_and_missing_cells_are_told_in_words() -> None:
    ages = np.where(RNG.random(400) < 0.3, np.nan, RNG.normal(50, 9, 400))
    frame = pd.DataFrame({"ward": RNG.choice(["a", "b", "c"], 400), "age": ages})
    by_ward = SurrogateTree(frame)(lambda f: (f["ward"] == "a").to_numpy())
    assert str(by_ward).splitlines() == ["ward = a: class 1 (0, 1)", "ward in {b, c}: class 0 (1, 0)"]
    missing = SurrogateTree(frame, depth=2)(lambda f: (f["age"].isna() | (f["age"] > 50)).to_numpy())
    leaf = missing.path(frame[frame["age"].isna()].iloc[0])
    assert leaf.scores.argmax() == 1 and "or missing" in str(leaf)
    assert missing.fidelity.agreement > 0.95


@pytest.mark.usefixtures("unchecked")
def test_counts_are_whole_numbers() -> None:
    for name in ("depth", "rows"):
        with pytest.raises(MapstoError, match=f"{name}: got 2.5, expected a whole number"):
            SurrogateTree(X, **{name: 2.5})


def test_answers_that_no_tree_can_average_are_refused() -> None:
    with (
        np.errstate(divide="ignore"),
        pytest.raises(MapstoError, match="classifier: got infinite scores"),
    ):
        SurrogateTree(X)(lambda x: np.log(MODEL.predict_proba(x)))
    with pytest.raises(MapstoError, match="classifier: got class -1"):
        SurrogateTree(X)(lambda x: np.where(x[:, 0] > 3, 1, -1))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(MapstoError, match="depth: got 0"):
        SurrogateTree(X, depth=0)
    with pytest.raises(MapstoError, match="background: got 9 rows"):
        SurrogateTree(X[:9])
    assert SurrogateTree(X[:10])(MODEL.predict).fidelity.rows == 2  # a fifth of the rows that suffice
    with pytest.raises(MapstoError, match="classifier: got float64 of shape"):
        SurrogateTree(X)(lambda x: x[:, 0])
