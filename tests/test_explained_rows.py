"""`Explainer(model, background)(rows)`: a table of any model in one line, with errors where values are sampled."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from mapsto import explainers as E
from mapsto.errors import MapstoError
from mapsto.games import Game

ROWS = np.random.default_rng(0).normal(size=(80, 4))
LABELS = np.where(ROWS[:, 0] * ROWS[:, 1] > 0, "ill", "well")
FRAME = pd.DataFrame(ROWS, columns=["age", "dose", "size", "time"])
FOREST = RandomForestClassifier(5, max_depth=4, random_state=0).fit(ROWS, LABELS)


def brute_force(f: Callable[[pd.DataFrame], np.ndarray], row: pd.DataFrame, background: pd.DataFrame) -> np.ndarray:
    """Shapley values by their definition, with hidden cells from each background row in turn."""
    names = list(row.columns)
    values = np.zeros((len(names), *f(background).shape[1:]))

    @functools.cache
    def mean(seen: frozenset) -> np.ndarray:
        rows = background.copy()
        for name in seen:
            rows[name] = [row[name].iloc[0]] * len(rows)
        return f(rows).mean(0)

    for order in itertools.permutations(range(len(names))):
        for i, player in enumerate(order):
            seen = frozenset(names[j] for j in order[:i])
            values[player] += mean(seen | {names[player]}) - mean(seen)
    return values / math.factorial(len(names))


def test_a_table_is_explained_as_by_shap() -> None:
    import shap

    ours = E.Explainer(FOREST, ROWS[20:40])(ROWS[:3])
    theirs = shap.TreeExplainer(FOREST, ROWS[20:40], feature_perturbation="interventional")(ROWS[:3])
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-6)
    np.testing.assert_allclose(ours.base_values, theirs.base_values, atol=1e-6)
    np.testing.assert_allclose(ours.predictions, FOREST.predict_proba(ROWS[:3]), atol=1e-6)
    assert np.abs(ours.values).max() > 0.05 and list(ours.class_names) == ["ill", "well"]
    assert np.array_equal(ours.data, ROWS[:3]) and ours.errors is not None and not ours.errors.any()
    one = E.Explainer(FOREST.predict_proba, ROWS[20:40], target="well", chunk_size=None)(ROWS[0])
    np.testing.assert_allclose(one.values, ours.values[:1, :, 1])
    assert list(one.class_names) == [] and one.to_shap().base_values == pytest.approx(ours.base_values[0, 1])


NET = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).eval()
BY_NAME = RandomForestClassifier(5, random_state=0).fit(FRAME, LABELS)
BOOSTED = HistGradientBoostingClassifier(max_iter=5).fit(FRAME, LABELS)
MARGIN, LINE = LinearSVC(random_state=0).fit(ROWS, LABELS), LinearRegression().fit(FRAME, ROWS[:, 0])
MODELS: dict[str, tuple[Any, Callable[[pd.DataFrame], np.ndarray]]] = {
    "of a frame": (BY_NAME, BY_NAME.predict_proba),
    "of arrays": (FOREST, lambda frame: FOREST.predict_proba(frame.to_numpy())),
    "boosting": (BOOSTED.predict_proba, BOOSTED.predict_proba),
    "two classes with one number": (MARGIN, lambda frame: MARGIN.decision_function(frame.to_numpy())),
    "numbers": (LINE, LINE.predict),
    "a module": (NET, lambda frame: NET(torch.tensor(frame.to_numpy()).float()).detach().numpy()),
    "a function of a frame": (
        lambda frame: frame["age"] * frame["dose"] + frame["size"],
        lambda frame: (frame["age"] * frame["dose"] + frame["size"]).to_numpy(),
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_frame_is_explained_under_any_model(kind: str) -> None:
    model, plain = MODELS[kind]
    ours = E.Explainer(model, FRAME[20:25])(FRAME[:1][["time", "size", "dose", "age"]])  # columns by their names
    expected = brute_force(plain, FRAME[:1], FRAME[20:25])
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(ours.values[0], expected, atol=1e-6)
    assert list(ours.feature_names) == list(FRAME.columns) and ours.data[0, 0] == FRAME["age"][0]


def test_columns_of_texts_whole_numbers_and_missing_cells_are_decoded_for_the_model() -> None:
    frame = pd.DataFrame(
        {"ward": list("nsnsew"), "visits": [1, 2, 3, 4, 5, 6], "fever": [True, False, True, True, False, False]}
    )
    frame["note"] = ["a", None, "b", "a", "b", None]
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["ward"]), remainder="drop")
    pipeline = make_pipeline(encoder, LogisticRegression()).fit(frame, [0, 1, 0, 1, 1, 0])

    def model(cells: pd.DataFrame) -> np.ndarray:
        assert cells["visits"].dtype == frame["visits"].dtype and cells["fever"].dtype == bool
        assert set(cells["note"].dropna()) <= {"a", "b"} and cells["ward"].dtype == frame["ward"].dtype
        return pipeline.predict_proba(cells)[:, 1] + cells["visits"] * cells["fever"] + cells["note"].isna()

    ours = E.Explainer(model, frame[1:])(frame[:2])
    for i in range(2):
        np.testing.assert_allclose(
            ours.values[i], brute_force(lambda c: model(c).to_numpy(), frame[i : i + 1], frame[1:])
        )
    assert ours.data.tolist()[0] == ["n", 1, True, "a"] and ours.codes is not None and ours.codes.shape == (2, 4)
    new = frame[:1].assign(ward="x")  # a text that the background does not hold
    np.testing.assert_allclose(E.Explainer(model, frame[1:])(new).predictions[0], model(new).iloc[0], atol=1e-6)
    whole = E.Explainer(pipeline, frame[1:], target=1)(frame[:1])
    np.testing.assert_allclose(
        whole.values[0], brute_force(lambda c: pipeline.predict_proba(c)[:, 1], frame[:1], frame[1:]), atol=1e-6
    )


@pytest.mark.parametrize(
    "explainer",
    [E.LIME(), E.Occlusion(), E.BayesianShapley(10, [0, 0, 1, 1])],
    ids=lambda explainer: type(explainer).__name__,
)
def test_other_explainers_that_hide_take_the_same_line(explainer: E.GameExplainer) -> None:
    ours = E.Explainer(FOREST, ROWS[20:30], explainer)(ROWS[:2])
    game = Game(lambda mask: _mean(torch.where(mask > 0.5, torch.tensor(ROWS[0]), torch.tensor(ROWS[20:30]))), 4)
    outcomes = {tuple(mask): game.value(torch.tensor(mask)) for mask in itertools.product([0.0, 1.0], repeat=4)}
    table = torch.stack(list(outcomes.values()))
    places = torch.tensor([8, 4, 2, 1])
    expected = explainer(Game(lambda mask: table[((mask.long() * places).sum(),)], 4))
    np.testing.assert_allclose(ours.values[0], expected, atol=1e-6)
    assert ours.errors is None and ours[0].errors is None


def _mean(rows: Tensor) -> Tensor:
    return torch.tensor(FOREST.predict_proba(rows.numpy()).mean(0))


def test_what_a_model_reads_is_not_refused() -> None:
    """Infinite cells, and models whose `n_features_in_` is not the number of columns that they were fitted on."""

    class Sum:
        n_features_in_ = 9

        def __call__(self, rows: np.ndarray) -> np.ndarray:
            return rows.sum(1)

    np.testing.assert_allclose(E.Explainer(Sum(), ROWS)(ROWS[:2]).predictions, ROWS[:2].sum(1), atol=1e-5)
    endless = ROWS.copy()
    endless[0, 0] = np.inf
    boosted = HistGradientBoostingClassifier(max_iter=3).fit(endless, LABELS)
    assert np.isfinite(E.Explainer(boosted, endless)(endless[:2]).values).all()


def test_what_is_no_table_is_refused(unchecked: None) -> None:
    explain = E.Explainer
    cases: dict[str, list[Callable[[], Any]]] = {
        "background": [
            lambda: explain(FOREST, ROWS[:0]), lambda: explain(FOREST, ROWS[:, :, None]), lambda: explain(FOREST, 3.0),
            lambda: explain(FOREST, np.array([["a"]])), lambda: explain(NET, FRAME.assign(age="old")),
            lambda: explain(FOREST, np.zeros((2, 40))), lambda: explain(FOREST.predict_proba, ROWS[:, :3]),
        ],
        "rows": [
            lambda: explain(FOREST, ROWS)(ROWS[:, :3]), lambda: explain(FOREST, ROWS)(FRAME),
            lambda: explain(FOREST, FRAME)(FRAME[["age", "dose"]]), lambda: explain(FOREST, ROWS)(None),
            lambda: explain(FOREST, ROWS)(ROWS[:0]), lambda: explain(FOREST, FRAME)(FRAME[:0]),
        ],
        "f": [lambda: explain("forest", ROWS), lambda: explain(RandomForestClassifier(), ROWS)],
        "game": [lambda: explain(lambda rows: rows.sum(1), np.zeros((2, 40)), E.Shapley())(np.zeros((1, 40)))],
        "method": [lambda: explain(FOREST, ROWS, E.Gradient()), lambda: explain(FOREST, ROWS, E.Shapley)],
    }  # fmt: skip
    for name, calls in cases.items():
        for call in calls:
            with pytest.raises(MapstoError, match=f"^{name}: "):
                call()


# ---- cells that the background does not hold

LONG = [2**60 + 1, 2**60 + 3]
DAYS = pd.Series(pd.to_datetime(["2020-01-01", "2020-02-01"]))
FAR = pd.Series(pd.to_datetime(["2020-01-01", "9999-01-01", None]).as_unit("us"))


def beside(cells: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": cells, "b": np.arange(len(cells)) * 1.0})


def graded(*grades: str, of: str) -> pd.Categorical:
    return pd.Categorical(grades, of.split(), ordered=True)


@pytest.mark.parametrize(
    ("background", "cells", "sorting"),
    [
        (graded("lo", "mid", of="lo mid"), graded("hi", "lo", of="lo mid hi"), [2, 0]),
        (FAR, FAR, [18262, 2932532, np.nan]),
        (FAR.dt.tz_localize("Asia/Tokyo"), FAR.dt.tz_localize("Asia/Tokyo"), [18261.625, 2932531.625, np.nan]),
        (DAYS, ["2020-01-01", None], [18262, np.nan]),
        (DAYS, [np.nan], [np.nan]),
        (LONG, pd.array([2**60 + 1, None], "Int64"), [2.0**60, np.nan]),
        (LONG, [1.0, np.nan], [1, np.nan]),
        (LONG, [1.5], [1.5]),
    ],
)
def test_cells_that_the_dtype_of_the_background_cannot_hold_reach_the_model(
    background: Any, cells: Any, sorting: list[float]
) -> None:
    """The model ignores column a, but must see each cell of it as it was given."""
    seen: list[Any] = []
    rows = beside(cells)
    ours = E.Explainer(lambda frame: seen.extend(frame["a"].tolist()) or frame["b"], beside(background))(rows)
    np.testing.assert_allclose(ours.predictions, rows["b"])
    np.testing.assert_allclose(ours.values[:, 0], 0, atol=1e-9)
    assert ours.codes is not None
    np.testing.assert_allclose(ours.codes[:, 0], sorting)
    known = {cell for cell in seen if not pd.isna(cell)}
    given = [*pd.Series(background).tolist(), *rows["a"].tolist()]
    moments = isinstance(known.copy().pop(), pd.Timestamp)
    assert known == {pd.Timestamp(cell) if moments else cell for cell in given if not pd.isna(cell)}


def test_long_whole_numbers_of_an_array_are_rounded_with_one_warning() -> None:
    background, rows = np.array([[1, 2**60 + 1], [2, 2**60 + 3]]), np.array([[3, 2**60 + 1]])
    with pytest.warns(UserWarning) as caught:
        ours = E.Explainer(lambda x: x[:, 0] * 1.0, background)(rows)
    (said,) = [str(one.message) for one in caught]
    assert said == "column 1 is rounded in double precision; pass a DataFrame to keep every digit."
    np.testing.assert_allclose(ours.predictions, [3])
    np.testing.assert_allclose(ours.values, [[1.5, 0]])


def test_a_long_number_in_the_rows_only_is_rounded_with_one_warning() -> None:
    explain = E.Explainer(lambda frame: frame["b"] + (frame["a"] > 2**59), beside([1, 3]))
    with pytest.warns(
        UserWarning, match="^column 'a' is rounded in double precision; write it as texts in both"
    ) as said:
        ours = explain(beside([2**60 + 1]))
    assert len(said) == 1
    np.testing.assert_allclose(ours.predictions, [1])
    np.testing.assert_allclose(ours.values, [[1, -0.5]])


def test_a_module_reads_long_numbers_rounded() -> None:
    net = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid()).eval()
    with pytest.warns(UserWarning, match="^column 'a' is rounded in double precision") as said:
        ours = E.Explainer(net, beside(LONG))(beside(LONG))
    assert len(said) == 1 and ours.values.shape[:2] == (2, 2)


def test_cells_that_are_no_dates_are_one_sentence() -> None:
    zoned = pd.to_datetime(["2020-01-01"], utc=True)
    for cells in (["2021-01-01", "unknown"], zoned, [19000], [pd.Timestamp(0), 5]):
        with pytest.raises(MapstoError, match=r"^rows: got .* in column 'a', expected dates of datetime64\[us\]"):
            E.Explainer(lambda frame: frame["b"], beside(DAYS))(beside(cells))


# ---- standard errors of sampled Shapley values


def network(players: int) -> Callable[[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(players)
    first, second = (torch.randn(players, 8, generator=generator) / players**0.5 for _ in range(2))
    return lambda mask: torch.stack([torch.tanh(2 * mask @ first).sum(), torch.sigmoid(3 * mask @ second).prod()])


@pytest.mark.parametrize(
    ("make", "players", "seeds"),
    [
        (lambda seed: E.Shapley(samples=480, seed=seed), 30, 30),
        pytest.param(lambda seed: E.Shapley(samples=800, seed=seed), 100, 20, marks=pytest.mark.long),
        (lambda seed: E.BayesianShapley(samples=240, seed=seed), 30, 10),
        pytest.param(lambda seed: E.PermutationShapley(16, seed=seed), 30, 30, marks=pytest.mark.long),
    ],
)
def test_the_standard_error_is_the_mean_error_over_seeds(make: Callable[[int], Any], players: int, seeds: int) -> None:
    game = Game(network(players), players)
    pairs = [make(seed).attribute_with_error(game) for seed in range(seeds)]
    values, errors = (torch.stack(part) for part in zip(*pairs, strict=True))
    exact = E.PermutationShapley(600, seed=99)(game)
    missed, said = (values - exact).square().mean((0, 1)).sqrt(), errors.square().mean((0, 1)).sqrt()
    assert (said / missed).min() > 0.9 and (said / missed).max() < 1.4  # rather too wide, as few draws say little
    torch.testing.assert_close(make(0)(game), values[0])


def random_games(players: int, count: int = 200) -> tuple[Game, Tensor]:
    """One game with the outcomes of many small random networks, and their exact Shapley values."""
    generator = torch.Generator().manual_seed(players)
    first, last = torch.randn(count, players, 8, generator=generator), torch.randn(count, 8, generator=generator)
    game = Game(lambda mask: (torch.tanh(torch.einsum("p,gph->gh", mask, first) + 0.3) * last).sum(1).double(), players)
    return game, E.Shapley()(game)


@pytest.mark.parametrize(
    ("players", "pairs"),
    [(4, 2), (4, 3), (6, 2), (6, 4), (6, 10), (10, 2), (10, 4), pytest.param(10, 16, marks=pytest.mark.long)],
)
def test_intervals_from_orders_hold_for_few_players_and_pairs(players: int, pairs: int) -> None:
    covered(lambda seed: E.PermutationShapley(pairs, seed=seed), players, 40 if pairs < 4 else 6)


@pytest.mark.parametrize(("players", "samples"), [(6, 18), (6, 40), (9, 32), (9, 128), (12, 64)])
def test_intervals_of_kernel_shap_hold_for_few_players_and_coalitions(players: int, samples: int) -> None:
    covered(lambda seed: E.Shapley(samples=samples, seed=seed), players)


def covered(make: Callable[[int], Any], players: int, designs: int = 6) -> None:
    """Nominal intervals of 90 % hold in 85 to 95 % of cases: 200 games and several designs."""
    game, exact = random_games(players)
    held = []
    for seed in range(designs):
        values, errors = make(seed).attribute_with_error(game)
        held.append(((values - exact).abs() <= 1.645 * errors).double().mean())
    assert 0.85 <= torch.stack(held).mean() <= 0.95


def test_all_orders_are_exact_and_have_no_error() -> None:
    for players, pairs in ((1, 1), (2, 1), (3, 3), (4, 12), (4, 100)):
        game, exact = random_games(players, 3)
        values, errors = E.PermutationShapley(pairs).attribute_with_error(game)
        torch.testing.assert_close(values, exact)
        assert not errors.any()


def test_an_explanation_of_many_columns_says_its_errors() -> None:
    weights = torch.randn(40, generator=torch.Generator().manual_seed(0))
    rows = torch.randn(6, 40, generator=torch.Generator().manual_seed(1))
    explanation = E.Explainer(lambda x: torch.sigmoid(x @ weights), rows[2:])(rows[:2])
    assert explanation.errors is not None and explanation.errors.shape == explanation.values.shape == (2, 40)
    assert explanation.errors.min() > 0 and explanation.errors.max() < 0.1
    np.testing.assert_array_equal(explanation[1].errors[0], explanation.errors[1])
    np.testing.assert_array_equal(explanation.to_shap().error_std, explanation.errors)


def test_all_coalitions_have_no_error() -> None:
    game = Game(network(6), 6)
    for explainer in (E.Shapley(), E.Shapley(samples=62), E.Shapley(samples=1000)):
        assert explainer.attribute_with_error(game)[1].abs().max() == 0
    assert E.PermutationShapley(1).attribute_with_error(game)[1].isnan().all()
