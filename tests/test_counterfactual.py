"""Counterfactuals: as near as brute force finds them, within the columns' types, never touching immutable ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mapsto.errors import MapstoError
from mapsto.explainers import Counterfactual
from mapsto.explainers.rules.counterfactual import Change
from mapsto.tables.background import Background
from mapsto.tables.forms import as_text
from mapsto.tables.plausibility import Columns

Case = tuple[np.ndarray, np.ndarray, float, np.ndarray]


def case(d: int, seed: int) -> Case:
    """Return background rows, a linear classifier's slope and threshold, and a row on its lower side."""
    rng = np.random.default_rng([d, seed])
    x = rng.normal(size=(200, d)) * rng.uniform(0.5, 3, d)
    slope = rng.normal(size=d)
    score = x @ slope
    return x, slope, float(np.quantile(score, 0.75)), x[np.argsort(score)[rng.integers(80)]]


def brute(x: np.ndarray, row: np.ndarray, wanted: Callable[[np.ndarray], np.ndarray], sparsity: float) -> float:
    """Return the least cost over a grid between the observed extremes, with the row's own values."""
    axes = [
        np.append(np.linspace(c.min(), c.max(), 400 if x.shape[1] == 2 else 70), r)
        for c, r in zip(x.T, row, strict=True)
    ]
    grid = np.stack(np.meshgrid(*axes), -1).reshape(-1, x.shape[1])
    mad = np.median(np.abs(x - np.median(x, 0)), 0)
    cost = (np.abs(grid - row) / mad).sum(1) + sparsity * (grid != row).sum(1)
    return float(cost[wanted(grid)].min())


CASES = [(d, seed, sparsity) for d in (2, 3) for seed, sparsity in ((0, 0.0), (1, 0.5), (2, 0.0))]


def assert_near_the_optimum(change: Change, d: int, seed: int, sparsity: float) -> None:
    x, slope, threshold, row = case(d, seed)
    optimum = brute(x, row, lambda r: r @ slope > threshold, sparsity)
    assert change.found and change.row @ slope > threshold
    assert optimum > 0.3
    assert 0.9 * optimum <= change.distance + sparsity * len(change.columns) <= 1.01 * optimum


@pytest.mark.parametrize(("d", "seed", "sparsity"), CASES)
def test_as_near_as_brute_force(d: int, seed: int, sparsity: float) -> None:
    x, slope, threshold, row = case(d, seed)
    change = Counterfactual(x, sparsity=sparsity)(lambda r: r @ slope > threshold, row)
    assert_near_the_optimum(change, d, seed, sparsity)
    assert change.distance <= change.nearest_distance and change.nearest @ slope > threshold
    assert change.columns == tuple(np.flatnonzero(change.row != row)) and change.scores == (0, 1)
    assert (x.min(0) <= change.row).all() and (change.row <= x.max(0)).all()


@pytest.mark.parametrize(("sparsity", "columns", "distance"), [(0.0, (0, 1), 2.0), (2.0, (0,), 3.0)])
def test_another_column_must_be_worth_its_price(sparsity: float, columns: tuple[int, ...], distance: float) -> None:
    """One column moves by 3, or both by 1 each: 3 + s against 2 + 2s, so a price `s` above 1 keeps one column."""
    cells = np.array([-4.0, -2, -1, -1, 0, 1, 1, 2, 4])  # of median absolute deviation 1
    x = np.stack(np.meshgrid(cells, cells), -1).reshape(-1, 2)
    wanted = lambda r: (r[:, 0] >= 3) | ((r[:, 0] >= 1) & (r[:, 1] >= 1))  # noqa: E731
    change = Counterfactual(x, sparsity=sparsity)(wanted, np.zeros(2))
    assert change.columns == columns and change.distance == pytest.approx(distance, abs=0.01)


def test_the_nearest_unlike_row_itself_is_found_out() -> None:
    x, slope, threshold, row = case(2, 0)
    change = Counterfactual(x, sparsity=0.0)(lambda r: r @ slope > threshold, row)
    mutant = change._replace(row=change.nearest, distance=change.nearest_distance)
    with pytest.raises(AssertionError):
        assert_near_the_optimum(mutant, 2, 0, 0.0)


def test_without_exchanging_columns_the_optimum_is_missed() -> None:
    with pytest.raises(AssertionError):
        for d, seed, sparsity in CASES:
            x, slope, threshold, row = case(d, seed)
            settings: dict[str, Any] = {"starts": 1, "orders": 1, "grid": 2, "rounds": 0}
            change = Counterfactual(x, sparsity=sparsity, **settings)(lambda r: r @ slope > threshold, row)  # noqa: B023
            assert_near_the_optimum(change, d, seed, sparsity)


def patients(n: int = 250) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 90, n),
            "ward": rng.choice(["north", "south", "west"], n),
            "dose": rng.normal(5, 1, n),
            "smokes": rng.random(n) < 0.5,
            "pulse": np.where(rng.random(n) < 0.3, np.nan, rng.normal(70, 9, n)),
        }
    )
    return frame.astype({"ward": "category"})


def risk(frame: pd.DataFrame) -> np.ndarray:
    assert set(frame["ward"].dropna()) <= {"north", "south", "west"} and str(frame.dtypes["age"]) == "int64"
    z = frame["age"] / 20 + 1.0 * (frame["ward"] == "south") + 0.5 * frame["dose"] + frame["smokes"] - 6.3
    p = 1 / (1 + np.exp(-z.to_numpy(float)))
    return np.stack([1 - p, p], 1)


FRAME = patients()
HEALTHY = FRAME[risk(FRAME)[:, 1] < 0.4].iloc[:12]


def moved(immutable: list[str]) -> set[str]:
    """The columns that counterfactuals of a few rows change, their types and ranges checked."""
    explain, found = Counterfactual(FRAME, immutable=immutable, starts=2, orders=2, rounds=2), set()
    for i in range(3):
        row = HEALTHY.iloc[i]
        change = explain(risk, row)
        assert change.found and change.label == 1 and change.scores[0] < 0.5 <= change.scores[1]
        assert change.scores[1] == risk(change.row)[0, 1] and list(change.row.dtypes) == list(FRAME.dtypes)
        assert FRAME["age"].min() <= change.row["age"].iloc[0] <= FRAME["age"].max()
        assert change.row["pulse"].isna().iloc[0] == pd.isna(row["pulse"])
        found |= {str(FRAME.columns[j]) for j in change.columns}
    return found


def test_immutable_columns_never_move_and_types_are_kept() -> None:
    free = moved([])
    assert free and "pulse" not in free  # nothing to win there
    for column in sorted(free):
        assert column not in moved([column])  # others stand in


def test_an_integer_stops_at_the_first_whole_value_that_will_do() -> None:
    row = HEALTHY.iloc[0]
    change = Counterfactual(FRAME, immutable=["ward", "dose", "smokes", "pulse"])(risk, row)
    ages = FRAME.iloc[[0] * 100].assign(**{c: row[c] for c in ("dose", "smokes")}, age=np.arange(100))
    ages["ward"] = pd.Categorical([row["ward"]] * 100, FRAME["ward"].cat.categories)
    expected = int((risk(ages)[:, 1] >= 0.5).argmax())
    assert change.row["age"].iloc[0] == expected > row["age"]
    assert str(change) == f"age from {row['age']} to {expected}"


def test_a_category_changes_to_an_observed_one() -> None:
    row = HEALTHY[HEALTHY["ward"] != "south"].iloc[0]
    change = Counterfactual(FRAME)(lambda f: (f["ward"] == "south").to_numpy(), row)
    assert str(change) == f"ward from {row['ward']} to south" and change.distance == 1
    assert change.scores == (0, 1) and change.nearest["ward"].iloc[0] == "south"


def test_the_class_can_be_chosen() -> None:
    x = np.random.default_rng(0).normal(size=(300, 2))

    def thirds(r: np.ndarray) -> np.ndarray:
        return np.digitize(r[:, 0], [-0.5, 0.5])

    explain, row = Counterfactual(x), np.array([0.1, 0.0])
    assert explain(thirds, row).row[0] == pytest.approx(0.5, abs=1e-3)
    assert explain(thirds, row, target=0).row[0] == pytest.approx(-0.5, abs=1e-3)
    with pytest.raises(MapstoError, match=r"^target: got 1, the row"):
        explain(thirds, row, target=1)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("target", [7, -1, "benign", 1.5])
def test_a_class_that_the_classifier_never_gives_is_refused(target: Any) -> None:
    x = np.random.default_rng(0).normal(size=(100, 2))
    for classifier in (lambda r: r[:, 0] > 0, lambda r: np.stack([-r[:, 0], r[:, 0]], 1)):
        with pytest.raises(MapstoError, match=f"target: got {target!r}"):
            Counterfactual(x)(classifier, x[0], target)
    signs = Counterfactual(x)(lambda r: np.where(r[:, 0] > 0, 1, -1), np.array([1.0, 0.0]), -1)
    assert signs.found and signs.label == -1


def test_a_class_of_scores_that_no_row_gets_is_not_found() -> None:
    x = np.random.default_rng(0).normal(size=(100, 2))
    change = Counterfactual(x)(lambda r: np.stack([-r[:, 0], r[:, 0], np.full(len(r), -9.0)], 1), x[0], target=2)
    assert not change.found and change.nearest is None and (change.row == x[0]).all() and change.columns == ()
    assert str(change).startswith("no plausible change")


def test_no_change_is_found_where_the_class_hangs_on_what_may_not_change() -> None:
    change = Counterfactual(FRAME, immutable=["ward"])(lambda f: (f["ward"] == "south").to_numpy(), HEALTHY.iloc[0])
    assert not change.found and change.distance == 0 and change.nearest is not None


def test_a_tensor_stays_one_of_its_dtype() -> None:
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    view = torch.func.vmap(lambda r: torch.stack([-r[0], r[0] - 1]))
    change = Counterfactual(x)(view, torch.zeros(3))
    assert change.row.dtype == torch.float32 and change.row[0] == pytest.approx(0.5, abs=1e-3)


def test_bad_settings_are_refused() -> None:
    x = np.zeros((5, 2))
    with pytest.raises(MapstoError, match="immutable: got every column"):
        Counterfactual(x, immutable=[0, 1])
    with pytest.raises(MapstoError, match="immutable: got 7"):
        Counterfactual(x, immutable=[7])
    with pytest.raises(MapstoError, match="sparsity: got -1"):
        Counterfactual(x, sparsity=-1)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["starts", "orders", "grid", "rounds"])
def test_counts_are_whole_numbers(name: str) -> None:
    with pytest.raises(MapstoError, match=f"{name}: got 2.5, expected a whole number"):
        Counterfactual(np.zeros((5, 2)), **{name: 2.5})


def test_steps_are_counted_in_spreads_and_values_stay_plausible() -> None:
    """By hand: the median distance from the median, the mean distance if half are equal, 1 between categories."""
    table = np.array([[1.0, 0.0, 0, 5], [2.5, 0, 1, 5], [3, 0, 2, 5], [4, 0, 1, 5], [10, 10, 2, 5]])
    columns = Columns(Background(table, names=["dose", "stay", "ward", "same"], categorical=["ward"]))
    assert columns.spread.tolist() == [1, 2, 1, 0]
    assert columns.steps(table[:2], table[4]).tolist() == [[9, 5, 0 + 1, 0], [7.5, 5, 1, 0]]
    assert columns.steps(np.array([[1.0, 0, 0, 6]]), table[0])[0, 3] == np.inf  # a column that never varies
    moved = columns.plausible(np.array([0, 0, 1, 1]), np.array([0.0, 2.6, 7.4, 11.0]))
    assert moved.tolist() == [1, 2.6, 7, 10]  # within the observed range; whole where all are whole
    assert columns.values(2, 0.0, 3).tolist() == [0, 1, 2]
    assert columns.values(1, 5.0, 2).tolist() == [0, 3, 4, 6, 7, 10]  # a spread away and, rounded, a quarter of one
    assert columns.values(0, 6.0, 3).tolist() == [1, 3, 5, 5.75, 6.25, 7, 10]  # ends, middle, and near the row's own


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((-0.0, "0"), (-3.0, "-3"), (1234567.0, "1234567"), (0.1 + 0.2, "0.3"), (1234567.5, "1.23457e+06")),
        *((1e15 - 1, "999999999999999"), (1e15, "1e+15"), (-1e15, "-1e+15")),
    ],
)
def test_numbers_are_written_shortly_and_codes_in_full(value: float, text: str) -> None:
    assert as_text(value) == text
