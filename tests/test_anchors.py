"""Anchors on classifiers whose reasons are known: the rule is found, its figures hold, and failure is said."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier

from mapsto import TableClassifier, views
from mapsto.errors import MapstoError
from mapsto.explainers import Anchors, Counterfactual, SurrogateTree
from mapsto.explainers.rules import bandit
from mapsto.explainers.rules.anchors import Anchor
from mapsto.explainers.rules.bandit import Certificate
from mapsto.explainers.rules.predicates import conditions, matches
from mapsto.tables.background import Background

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1000, 8))
FRESH = RNG.normal(size=(4000, 8))
QUICK: dict[str, Any] = {"batch": 32, "budget": 1500, "max_size": 3}


def planted(x: np.ndarray) -> np.ndarray:
    return (x[:, 0] > 0) & (x[:, 3] <= 0.5)


POSITIVE = FRESH[planted(FRESH)]


def fresh_precision(anchor: Anchor, classifier: Callable[[np.ndarray], np.ndarray], background: np.ndarray) -> float:
    """Draw from D(· | A) in another way: cell by cell, what meets the column's conditions stays."""
    rng, rows = np.random.default_rng(99), []
    allowed = {j: matches([p for p in anchor.predicates if p.column == j], background) for j in anchor.columns}
    for i in rng.integers(len(background), size=4000):
        row = background[i].copy()
        for j, meets in allowed.items():
            row[j] = row[j] if meets[i] else rng.choice(background[meets, j])
        rows.append(row)
    return float((classifier(np.array(rows)) == anchor.label).mean())


def test_the_planted_rule_is_found_and_its_figures_hold() -> None:
    explain = Anchors(X, bins=10, **QUICK)
    found = [explain(planted, row) for row in POSITIVE[:10]]
    anchored = [anchor for anchor in found if anchor.found]
    assert len(anchored) >= 8
    assert np.mean([anchor.columns == (0, 3) for anchor in anchored]) >= 0.9
    for anchor, row in zip(found, POSITIVE, strict=False):
        low, high = anchor.precision_bounds
        assert low <= anchor.precision <= high and explain.covers(anchor, row[None])[0]
        assert (low >= 0.95) == anchor.found
        assert anchor.coverage == explain.covers(anchor, X).mean()
        assert anchor.coverage_bounds[0] <= explain.covers(anchor, FRESH).mean() <= anchor.coverage_bounds[1]
        assert anchor.coverage_bounds[1] - anchor.coverage_bounds[0] < 0.2
        assert anchor.samples < anchor.evaluations
    for anchor in anchored[:3]:
        low, high = anchor.precision_bounds
        assert low - 0.01 <= fresh_precision(anchor, planted, X) <= high + 0.01


def flipped(x: np.ndarray) -> np.ndarray:
    """The sign of x0 decides, turned where x1 > 1.5: "x0 > 0" has precision 0.933 only."""
    return (x[:, 0] > 0) ^ (x[:, 1] > 1.5)


def claims() -> list[tuple[int, ...]]:
    row = np.array([1.0, 0.1, 0, 0, 0, 0, 0, 0])
    found = [Anchors(X, seed=seed, **QUICK)(flipped, row) for seed in range(6)]
    return [anchor.columns for anchor in found if anchor.found]


def test_a_rule_just_below_the_precision_is_never_claimed() -> None:
    assert len(said := claims()) >= 5
    assert set(said) == {(0, 1)}


def test_anchors_without_confidence_bounds_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(pull: Callable[[int], int], mark: float, delta: float, batch: int, budget: int) -> Certificate:
        mean = pull(batch) / batch
        return Certificate(mean, mean, mean, batch)

    monkeypatch.setattr(bandit, "certify", hasty)
    with pytest.raises(AssertionError):
        assert set(claims()) == {(0, 1)}


def parity(x: np.ndarray) -> np.ndarray:
    return (x > 0).sum(1) % 2


def noise(x: np.ndarray) -> np.ndarray:
    return (np.sin(1e4 * x.sum(1)) > 0).astype(int)


RANDOM = np.random.default_rng(5)


def restless(x: np.ndarray) -> np.ndarray:
    return RANDOM.integers(2, size=len(x))


def test_answers_that_differ_by_a_hundredth_are_not_the_same() -> None:
    shaken = itertools.count(1)
    with pytest.raises(MapstoError, match=r"^classifier: "):
        SurrogateTree(X)(lambda x: np.full((len(x), 2), 0.5) * (1 + 0.01 * (next(shaken) % 2) * np.array([1, -1])))
    rounded = itertools.count(1)
    SurrogateTree(X)(lambda x: np.eye(2)[(x[:, 0] > 0).astype(int)] * (1 + 1e-6 * (next(rounded) % 2)))


@pytest.mark.parametrize("explain", [Anchors(X[:5]), Counterfactual(X[:1]), SurrogateTree(X, chunk_size=7)])
@pytest.mark.parametrize("classifier", [restless, lambda x: np.eye(2)[restless(x)]])
def test_a_classifier_that_answers_at_random_is_refused(explain: Any, classifier: Callable[[Any], Any]) -> None:
    row = [] if isinstance(explain, SurrogateTree) else [X[0]]
    with pytest.raises(MapstoError, match="classifier: got different answers for the same rows"):
        explain(classifier, *row)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("explain", [Anchors(X), Counterfactual(X), SurrogateTree(X)])
def test_a_model_in_place_of_its_function_is_refused(explain: Any) -> None:
    row = [] if isinstance(explain, SurrogateTree) else [X[0]]
    with pytest.raises(MapstoError, match="classifier: got a DummyClassifier"):
        explain(DummyClassifier().fit(X, planted(X)), *row)


def test_answers_that_differ_by_rounding_are_the_same() -> None:
    def shaken(x: np.ndarray) -> np.ndarray:
        p = 1 / (1 + np.exp(-x[:, 0])) * (1 + 1e-7 * RANDOM.random(len(x)))
        return np.stack([1 - p, p], 1)

    assert Counterfactual(X)(shaken, X[0]).found


@pytest.mark.parametrize(("classifier", "d"), [(parity, 3), (parity, 4), (noise, 4)])
def test_no_rule_means_no_anchor_and_it_is_said(classifier: Callable[[np.ndarray], np.ndarray], d: int) -> None:
    anchor = Anchors(X[:400, :d], batch=32, budget=320, max_size=4)(classifier, FRESH[0, :d])
    assert not anchor.found and anchor.precision_bounds[0] < 0.95
    assert len(anchor.columns) < d
    assert str(anchor).startswith("no anchor found; the nearest to one: ")


def test_a_constant_classifier_needs_no_condition() -> None:
    anchor = Anchors(X, **QUICK)(lambda x: np.ones(len(x), int), X[0])
    assert anchor.found and anchor.predicates == () and anchor.coverage == 1 and str(anchor) == "any row"


def test_conditions_hold_of_their_row_and_part_the_background() -> None:
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, n, 200).astype(float) for n in (3, 4, 5, 50)] + [
        rng.exponential(size=200).clip(max=0.7)
    ]  # half at the top
    background = Background(np.stack(columns, 1))
    for row in background.values[:20]:
        found = conditions(background, row, bins=4)
        assert matches(found, row[None]).all()
        assert [c.sign for c in found if c.column < 2] == ["=", "="]  # as few values as bins
        assert all(c.sign != "=" for c in found if c.column >= 2) and 1 <= sum(c.column == 2 for c in found) <= 3
        assert sum(c.column == 3 for c in found) == 3
        shares = [matches([c], background.values).mean() for c in found]
        assert min(shares) > 0 and max(shares) < 1


def test_the_seed_decides() -> None:
    first, again, other = (Anchors(X, seed=seed, **QUICK)(flipped, POSITIVE[0]) for seed in (0, 0, 1))
    assert first == again and first.samples and first.evaluations != other.evaluations


def test_the_classifier_is_asked_many_rows_at_a_time() -> None:
    calls: list[int] = []

    def counted(x: np.ndarray) -> np.ndarray:
        calls.append(len(x))
        return planted(x)

    anchor = Anchors(X, chunk_size=1000, **QUICK)(counted, POSITIVE[0])
    assert sum(calls) == anchor.evaluations and max(calls) <= 1000
    assert len(calls) < anchor.evaluations / 50


def table(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 90, n),
            "ward": rng.choice(["north", "south", "west"], n),
            "bmi": np.where(rng.random(n) < 0.2, np.nan, rng.normal(25, 4, n)),
            "smokes": rng.random(n) < 0.5,
        }
    )


def by_ward(frame: pd.DataFrame) -> np.ndarray:
    assert [str(frame.dtypes[c]) for c in ("age", "smokes")] == ["int64", "bool"]
    ill = ((frame["ward"] == "south") & frame["smokes"]).to_numpy(float)
    return np.stack([1 - ill, ill], 1)


def test_texts_flags_and_missing_cells_are_told_in_words() -> None:
    frame, explain = table(), Anchors(table(), **QUICK)
    row = frame[(frame["ward"] == "south") & frame["smokes"] & frame["bmi"].isna()].iloc[0]
    assert str(explain(by_ward, row)) == "ward = south and smokes = True"
    missing = explain(lambda f: f["bmi"].isna().to_numpy(), row)
    assert missing.found and str(missing) == "bmi is missing"
    assert explain.covers(missing, frame).tolist() == frame["bmi"].isna().tolist()


def test_a_vmapped_view_is_a_classifier() -> None:
    slope = torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    background = torch.as_tensor(X[:, :3], dtype=torch.float32)
    view = torch.func.vmap(lambda x: (slope * x).sum(-1))
    anchor = Anchors(background, names=["age", "bmi", "dose"], **QUICK)(view, torch.tensor([0.0, 1.0, 0.0]))
    assert anchor.found and anchor.label == 0 and anchor.columns == (1,) and str(anchor).startswith("bmi > ")


def test_the_view_of_any_model_is_a_classifier() -> None:
    forest = RandomForestClassifier(5, max_depth=2, random_state=0).fit(X[:200, :3], X[:200, 0] > 0)
    h, rows = views.model(forest), X[:60, :3]
    for background in (rows, torch.tensor(rows)):
        assert str(Anchors(background)(h, background[0])) == str(Anchors(rows)(forest.predict_proba, rows[0]))
        ask = Counterfactual(background)
        assert str(ask(h, background[0])) == str(Counterfactual(rows)(forest.predict_proba, rows[0]))
    assert str(SurrogateTree(rows)(h)) == str(SurrogateTree(rows)(forest.predict_proba))
    with pytest.raises(MapstoError, match=r"^classifier: .*without a target"):
        SurrogateTree(rows)(views.model(forest, target=0))
    with pytest.raises(MapstoError, match=r"^classifier: .*predict_proba"):
        SurrogateTree(pd.DataFrame(rows))(h)


def test_where_none_is_found_the_most_precise_rule_is_told() -> None:
    background, row = X[:, :3], np.array([1.0, 1.0, 0.0])
    anchor = Anchors(background, max_size=1, batch=64)(lambda x: (x[:, :2] > 0).all(1), row)
    assert not anchor.found and anchor.columns in ((0,), (1,)) and anchor.precision == pytest.approx(0.5, abs=0.15)


def test_a_table_classifier_is_explained() -> None:
    frame = table(60)
    model = TableClassifier(members=1).fit(frame, frame["ward"] == "south")
    assert model.score(frame, frame["ward"] == "south") > 0.9
    row = frame[frame["ward"] == "south"].iloc[0]
    anchor = Anchors(frame, max_size=1, batch=32, budget=256, precision=0.7)(model.predict_proba, row)
    assert anchor.found and str(anchor) == "ward = south" and anchor.label == 1
    change = Counterfactual(frame, starts=2, orders=1, rounds=0)(model.predict_proba, row)
    assert change.found and str(change).startswith("ward from south to ") and model.predict(change.row)[0] == 0


@pytest.mark.parametrize(
    ("classifier", "said"),
    [
        (lambda x: x[:, 0], r"classifier: got float64 of shape \(32,\)"),
        (lambda x: x[:, :1], r"shape \(32, 1\) for 32 rows, expected class indices"),
        (lambda x: np.zeros((len(x), 2, 2)), r"pass predict_proba, or torch.func.vmap of a view without a target"),
        (lambda x: np.array(["ill"] * len(x)), "expected class indices"),
        (lambda x: np.full((len(x), 2), np.nan), "classifier: got NaN scores"),
    ],
)
def test_other_answers_are_refused(classifier: Callable[[np.ndarray], np.ndarray], said: str) -> None:
    with pytest.raises(MapstoError, match=said):
        Anchors(X)(classifier, X[0])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"precision": 1.0}, "precision: got 1.0"),
        ({"bins": 1}, "bins: got 1"),
        ({"budget": 10}, "budget: got 10"),
        ({"names": ["a"]}, "names: got 1"),
        ({"categorical": ["ward"]}, "categorical: got 'ward'"),
        ({"chunk_size": 0}, "chunk_size: got 0"),
        *[({name: 2.5}, f"{name}: got 2.5, expected a whole number") for name in ("max_size", "bins", "beam", "batch")],
        ({"budget": 5000.5}, "budget: got 5000.5"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(MapstoError, match=said):
        Anchors(X, **settings)


@pytest.mark.parametrize(
    ("background", "said"),
    [
        (X[0], r"background: got a ndarray of shape \(8,\)"),
        ([[1.0]], "background: got a list"),
        (X[:0], r"background: got shape \(0, 8\)"),
        (np.array([[np.inf]]), "background: got an infinite value"),
        (pd.DataFrame({"day": pd.to_datetime(["2024-01-01"])}), "column 'day' holds times"),
    ],
)
def test_wrong_backgrounds_are_refused(background: Any, said: str) -> None:
    with pytest.raises(MapstoError, match=said):
        Anchors(background)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (X[0, :4], r"row: got a ndarray of shape \(1, 4\)"),
        (torch.zeros(8), "row: got a Tensor of shape"),
        (X[:2], "expected a single row"),
    ],
)
def test_wrong_rows_are_refused(row: Any, said: str) -> None:
    with pytest.raises(MapstoError, match=said):
        Anchors(X)(planted, row)


def test_unknown_categories_and_texts_among_numbers_are_refused() -> None:
    explain, row = Anchors(table()), table().iloc[[0]]
    with pytest.raises(MapstoError, match="column 'ward': got 'east', which no background row has"):
        explain(by_ward, row.assign(ward="east"))
    with pytest.raises(MapstoError, match=r"column 'age': .*expected numbers only"):
        explain(by_ward, row.assign(age="old"))


def by_cut(frame: pd.DataFrame) -> np.ndarray:
    return (frame["a"] > 0).to_numpy() & (frame["b"] > -100).to_numpy()


NAMED = pd.DataFrame({"a": RNG.normal(size=200), "b": RNG.normal(-100, 30, size=200)})


def test_named_columns_are_matched_by_name_in_any_order() -> None:
    turned, row = NAMED[["b", "a"]], pd.Series({"a": 1.0, "b": -50.0})
    tree = SurrogateTree(NAMED)(by_cut)
    assert ((tree.scores(NAMED)[:, 1] > 0.5) == by_cut(NAMED)).mean() > 0.95
    np.testing.assert_array_equal(tree.scores(turned), tree.scores(NAMED))
    assert tree.path(row[["b", "a"]]) is tree.path(row)
    explain = Anchors(NAMED, **QUICK)
    anchor = explain(by_cut, row)
    assert anchor.label == 1 and explain(by_cut, row[["b", "a"]]) == anchor
    assert explain.covers(anchor, turned).tolist() == explain.covers(anchor, NAMED).tolist()
    change = Counterfactual(NAMED)(by_cut, pd.Series({"b": -150.0, "a": 1.0}))
    assert change.found and change.columns == (1,) and change.row["a"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            pd.Series({"foo": 1.0, "bar": -150.0}),
            "row: lacks 'a', 'b', has unknown 'foo', 'bar', expected the",
        ),
        (pd.Series({"a": 1.0}), "row: lacks 'b', expected the background's columns, each once, in any order"),
        (pd.Series({"a": 1.0, "b": 0.0, "c": 0.0}), "row: has unknown 'c', expected"),
        (pd.Series([1.0, 2.0, 2.0], ["a", "b", "b"]), "row: has more than once 'b', expected"),
        (pd.Series([1.0, 2.0]), "row: lacks 'a', 'b', has unknown 0, 1, expected"),
    ],
)
def test_columns_of_other_names_are_refused(row: pd.Series, said: str) -> None:
    for ask in (Anchors(NAMED), Counterfactual(NAMED)):
        with pytest.raises(MapstoError, match=said):
            ask(by_cut, row)
    with pytest.raises(MapstoError, match=said.replace("row", "rows", 1)):
        SurrogateTree(NAMED)(by_cut).scores(row.to_frame().T)


def test_a_background_of_two_columns_of_one_name_is_refused() -> None:
    with pytest.raises(MapstoError, match=r"^background: got column .'a'. more than once"):
        Anchors(NAMED.set_axis(["a", "a"], axis=1))
    with pytest.raises(MapstoError, match=r"^names: got column .'a'. more than once"):
        Anchors(NAMED.to_numpy(), names=["a", "a"])


def test_the_error_of_a_certificate_is_divided_among_all_rules_that_may_be_tested(monkeypatch: Any) -> None:
    deltas: list[float] = []
    certify = bandit.certify
    monkeypatch.setattr(
        bandit, "certify", lambda pull, mark, delta, *more: deltas.append(delta) or certify(pull, mark, delta, *more)
    )
    Anchors(X, confidence=0.9, beam=3, max_size=2)(lambda x: (x[:, 0] > 0).astype(int), X[0])
    assert deltas and deltas == pytest.approx([0.1 / (1 + 2 * 3 * 2)] * len(deltas))
