"""Effects of one column on a model: closed forms of ICE and ALE, scikit-learn's curves, and their pictures."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.inspection import partial_dependence

from mapsto import explainers, figures
from mapsto.errors import MapstoError
from mapsto.explainers.across_tasks.global_explanation import PartialDependence, global_importance
from mapsto.figures.style import HIGHER, LOWER, NEUTRAL
from mapsto.measures import insertion_deletion
from mapsto.views import game

R = np.random.default_rng(0)
X = R.normal(size=(300, 3))
DAYS = pd.to_datetime(["2024-03-01", "2023-01-31", None, "2025-12-24", "2023-01-31", "2024-02-29"])
MIXED = pd.DataFrame(
    {
        "size": pd.Categorical([30, 4, 4, 30, 100, 4]),
        "stage": pd.Categorical(["II", "I", "III", "I", None, "II"], ["I", "II", "III"], ordered=True),
        "day": DAYS,
        "id": [2**60 + 1, 2**60 + 3, 2**60 + 5, 2**60 + 7, 2**60 + 9, 2**60 + 11],
        "dose": [1.0, 2, 3, 4, 5, 6],
    }
)


def of_mixed(frame):
    """Reads every column by its own type."""
    days = (frame["day"] - pd.Timestamp("2023-01-01")).dt.days.fillna(0)
    return frame["size"].astype(float) + days / 100 + (frame["id"] - 2**60) + (frame["stage"] == "III") * frame["dose"]


def line(axes, name):
    (found,) = [line.get_xydata() for line in axes.lines if line.get_label().startswith(name)]
    return found


# --- single rows


def test_the_curves_of_a_product_are_lines_with_the_other_factor_as_slope():
    found = explainers.ice(lambda rows: rows[:, 0] * rows[:, 1], X, 0, np.array([-1.0, 0.0, 2.0]))
    np.testing.assert_allclose(found.curves, X[:, 1:2] * [-1, 0, 2], atol=1e-12)
    np.testing.assert_allclose(found.mean, X[:, 1].mean() * np.array([-1, 0, 2]), atol=1e-12)
    np.testing.assert_array_equal(found.cells, X[:, 0])
    assert (found.column, found.outcome) == ("column 0", "score")


@pytest.mark.parametrize("kind", [RandomForestClassifier, GradientBoostingRegressor])
def test_curves_and_their_mean_are_those_of_scikit_learn(kind):
    frame = pd.DataFrame(X[:40], columns=["age", "dose", "pulse"])
    y = frame["age"] * frame["dose"] > 0 if kind is RandomForestClassifier else frame["age"] ** 2 - frame["dose"]
    model = kind(n_estimators=10, random_state=0).fit(frame, y)
    expected = partial_dependence(model, frame, ["dose"], kind="both", grid_resolution=7)
    found = explainers.ice(model, frame, "dose", expected["grid_values"][0])
    assert np.ptp(expected["individual"]) > 0.1
    np.testing.assert_allclose(found.curves, expected["individual"][0], atol=1e-6)
    np.testing.assert_allclose(found.mean, expected["average"][0], atol=1e-6)
    assert (found.column, found.outcome) == ("dose", "score of True" if kind is RandomForestClassifier else "score")


def test_the_grid_is_of_quantiles_of_all_values_or_of_all_words():
    frame = pd.DataFrame({"a": [1.0, 2, 2, np.nan], "ward": ["south", "north", "south", "east"]})
    model = lambda rows: rows["a"].fillna(0) + (rows["ward"] == "north")  # noqa: E731
    assert explainers.ice(model, frame, "a").grid.tolist() == [1, 2]
    found = explainers.ice(model, frame, "ward")
    assert found.grid.tolist() == ["south", "north", "east"] and found.cells.tolist() == frame["ward"].tolist()
    np.testing.assert_allclose(found.curves, [[1, 2, 1], [2, 3, 2], [2, 3, 2], [0, 1, 0]])
    quantiles = explainers.ice(lambda rows: rows[:, 0], X, 0, 5).grid
    np.testing.assert_allclose(quantiles, np.quantile(X[:, 0], [0, 0.25, 0.5, 0.75, 1]))


# --- accumulated local effects


def test_the_effects_of_a_sum_are_its_own_part_whatever_the_other_columns_do():
    x = X.copy()
    x[:, 1] = x[:, 0] + 0.1 * x[:, 1]  # correlated
    found = explainers.ale(lambda rows: 3 * rows[:, 0] - 2 * rows[:, 1], x, 0, bins=7)
    np.testing.assert_allclose(np.diff(found.effects), 3 * np.diff(found.edges), rtol=1e-9)
    assert found.rows.sum() == 300 and found.rows.min() >= 42 and len(found.rows) == 7
    np.testing.assert_allclose(found.effects, 3 * (found.edges - x[:, 0].mean()), atol=1e-9)


def test_the_effects_of_a_product_of_equal_columns_are_half_a_square():
    """Of x₁x₂ with x₂ = x₁ the local slope is x₁, so effects are x₁²/2; partial dependence would be 0 everywhere."""
    x = np.repeat(np.linspace(-1, 1, 2001)[:, None], 2, 1)
    found = explainers.ale(lambda rows: rows[:, 0] * rows[:, 1], x, 0, bins=50)
    half = found.edges**2 / 2
    np.testing.assert_allclose(found.effects, half - 1 / 6, atol=2e-3)
    assert np.abs(explainers.ice(lambda rows: rows[:, 0] * rows[:, 1], x, 0).mean).max() < 1e-12


def test_effects_are_those_of_a_loop_over_bins_with_ties_and_missing_cells():
    x = X.copy()
    x[:, 2] = x[:, 2].round()
    x[::7, 2] = np.nan
    f = lambda rows: np.sin(2 * rows[:, 2]) * rows[:, 0] + rows[:, 1] ** 2  # noqa: E731
    found = explainers.ale(lambda rows: f(np.asarray(rows)), x, 2, bins=4)
    kept, total = x[~np.isnan(x[:, 2])], [0.0]
    for k in range(len(found.edges) - 1):
        low, high = found.edges[k : k + 2]
        mine = kept[(kept[:, 2] > low) & (kept[:, 2] <= high) | ((k == 0) & (kept[:, 2] == low))]
        ends = [np.column_stack([mine[:, :2], np.full(len(mine), end)]) for end in (low, high)]
        total.append(total[-1] + (f(ends[1]) - f(ends[0])).mean())
        assert found.rows[k] == len(mine) > 0
    np.testing.assert_allclose(np.diff(found.effects), np.diff(total), atol=1e-9)
    assert found.rows.sum() == len(kept)


def test_the_mean_of_accumulated_effects_over_the_rows_is_0_with_ties_too():
    x = np.repeat([0.0, 1.0], [90, 10])[:, None]
    np.testing.assert_allclose(explainers.ale(lambda rows: rows[:, 0], x, 0).effects, [-0.1, 0.9], atol=1e-9)
    rounded = X.round(0)
    found = explainers.ale(lambda rows: rows[:, 0] ** 3 + rows[:, 1], rounded, 0, bins=6)
    assert abs(np.interp(rounded[:, 0], found.edges, found.effects).mean()) < 1e-9


def test_intervals_of_effects_are_those_of_a_bootstrap_within_the_bins():
    f = lambda rows: np.asarray(rows)[:, 0] * (1 + np.asarray(rows)[:, 1]) + np.sin(np.asarray(rows)[:, 0])  # noqa: E731
    found, g = explainers.ale(f, X, 0, bins=5), np.random.default_rng(0)
    bin_of = np.clip(np.searchsorted(found.edges, X[:, 0]) - 1, 0, None)
    low, high = (np.column_stack([found.edges[bin_of + end], X[:, 1:]]) for end in (0, 1))
    effects = []
    for _ in range(2000):
        changes = np.zeros(5)
        for m in range(5):
            drawn = g.choice(np.flatnonzero(bin_of == m), found.rows[m])
            changes[m] = (f(high[drawn]) - f(low[drawn])).mean()
        curve = np.append(0, changes.cumsum())
        effects.append(curve - np.interp(X[:, 0], found.edges, curve).mean())
    np.testing.assert_allclose(found.interval, 1.96 * np.std(effects, 0), rtol=0.08)  # 2,000 draws, and n of n − 1
    np.testing.assert_allclose(found.effects, np.mean(effects, 0), atol=0.02)


def test_intervals_of_effects_hold_in_95_percent_of_tables():
    column, g = np.linspace(-1, 1, 200), np.random.default_rng(1)
    tables = [np.column_stack([column, g.exponential(size=200)]) for _ in range(200)]
    found = [explainers.ale(lambda rows: rows[:, 0] * rows[:, 1], table, 0, bins=8) for table in tables]
    held = np.array([np.abs(one.effects - one.edges) <= one.interval for one in found])  # the mean slope is 1
    assert ((held.mean(0) > 0.9) & (held.mean(0) < 0.98)).all()
    assert np.isnan(explainers.ale(lambda rows: rows[:, 0], X[:3], 0).interval).all()  # one row in each bin
    assert not explainers.ale(lambda rows: 3 * rows[:, 0], X, 0).interval.round(9).any()


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: explainers.ale(lambda x: x[:, 0], X, "dose"), "column: got 'dose'"),
        (lambda: explainers.ale(lambda x: x[:, 0], np.ones((4, 1)), 0), "column: got 0, in which all cells are equal"),
        (lambda: explainers.ale(lambda x: x[:, 0], X[:0], 0), "rows: got no rows"),
        (lambda: explainers.ice(lambda x: x[:, [0, 1, 2]], X, 0), "target: got None"),
        (lambda: explainers.ice(lambda x: x[:, 0], X, 0, np.zeros(0)), "grid: got shape"),
        (lambda: explainers.ice(lambda x: x[:, 0], X, 0, [1.0, None]), "grid: got \\[1.0, None"),
        (lambda: explainers.ice(lambda x: x[:, 0], X, 0, [np.nan]), "grid: got NaN"),
        (lambda: explainers.ice(lambda x: x[:, 0], X, 0, ["high"]), "grid: got \\['high"),
        (lambda: explainers.ice(lambda x: x[:, 0], X, 0, [[1.0], [2.0, 3.0]]), "grid: got \\[\\[1.0"),
        (lambda: explainers.ice(of_mixed, MIXED, "day", ["soon"]), "grid: got 'soon' in column 'day', expected dates"),
        (lambda: explainers.ice(of_mixed, MIXED[["id", "id"]], 0), "columns: got \\['id'\\] more than once"),
        (
            lambda: explainers.ice(of_mixed, MIXED, "day", [19000, 18000]),
            "grid: got '19000' in column 'day', expected dates",
        ),
        (lambda: explainers.ale(of_mixed, MIXED, "day"), "column: got 'day', which holds dates"),
        (lambda: explainers.ale(of_mixed, MIXED, "id"), "column: got 'id', which holds whole numbers that double prec"),
        (lambda: explainers.ale(of_mixed, MIXED, "size"), "column: got 'size', which holds categories"),
        (
            lambda: explainers.ale(of_mixed, MIXED.astype({"dose": object}), "dose"),
            "column: got 'dose', which holds numbers as objects, expected numbers; give it a dtype of numbers",
        ),
        (lambda: explainers.ale(lambda x: x["a"].map(len), pd.DataFrame({"a": ["x", "yy"]}), "a"), "which holds words"),
    ],
)
def test_a_wrong_column_or_score_is_one_sentence(ask, match):
    with pytest.raises(MapstoError, match=match):
        ask()


# --- the model's own numbers, words and dates


@pytest.mark.parametrize("column", list(MIXED.columns))
def test_curves_of_columns_of_every_kind_are_those_of_a_loop(column):
    found = explainers.ice(of_mixed, MIXED, column)
    values = MIXED[column].unique().tolist()
    present = sorted(value for value in values if not pd.isna(value))
    assert found.grid.tolist()[: len(present)] == present and len(found.grid) == len(values)
    for value, curve in zip(found.grid, found.curves.T, strict=True):
        moved = MIXED.assign(**{column: pd.Series([value] * 6, dtype=MIXED[column].dtype)})
        np.testing.assert_allclose(curve, of_mixed(moved))
    given = explainers.ice(of_mixed, MIXED, column, grid=present[::-1])
    assert given.grid.tolist() == present[::-1]
    np.testing.assert_allclose(given.curves, found.curves[:, : len(present)][:, ::-1])


def test_of_many_dates_the_grid_is_of_quantiles():
    days = pd.Series(pd.date_range("2024-01-01", periods=101)).sample(frac=1, random_state=0)
    found = explainers.ice(lambda frame: frame["day"].dt.day, pd.DataFrame({"day": days}), "day", grid=np.int64(5))
    assert found.grid.tolist() == [pd.Timestamp("2024-01-01") + pd.Timedelta(days=n) for n in (0, 25, 50, 75, 100)]
    np.testing.assert_array_equal(found.curves[0], [day.day for day in found.grid])


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_whole_numbers_reach_the_model_as_they_are(kind):
    """Of whole numbers up to 2^53 no digit is lost, also if only the rows or only the background have many."""
    long, short = kind(np.array([[2**53 - 1, 1], [2**24 + 1, 2]])), kind(np.array([[3, 1], [5, 2]]))
    last = lambda rows: np.asarray(rows)[:, 0] % 1000  # noqa: E731
    assert explainers.ice(last, long, 0).curves.tolist() == [[217.0, 991.0]] * 2
    assert np.ptp(explainers.ale(last, long, 0).effects) == 991 - 217
    for rows, background in ((long, short), (short, long)):
        found = explainers.Explainer(last, background)(rows)
        np.testing.assert_array_equal(found.predictions, last(rows))
        np.testing.assert_array_equal(found.base_values, last(background).mean())
        np.testing.assert_array_equal(found.data, np.asarray(rows))
    wide = kind(np.array([[2**53 + 1]]))
    with pytest.warns(UserWarning, match="^column 0 is rounded in double precision; pass a DataFrame"):
        assert explainers.ice(last, wide, 0).curves.tolist() == [[992.0]]


def test_a_background_of_more_digits_than_the_rows_is_not_rounded():
    background, rows = np.array([[0.1, 1.0], [0.7, 0.0]]), np.array([[0.5, 2.0]], np.float32)
    seen = []
    explainers.Explainer(lambda x: seen.append(np.asarray(x)) or x.sum(1), background)(rows)
    assert {0.1, 0.7} <= set(np.concatenate(seen)[:, 0].tolist()) and np.float32(0.1) not in np.concatenate(seen)


def test_cells_of_a_frame_keep_their_dtypes_or_their_values():
    frame = pd.DataFrame(
        {
            "short": np.array([1, 2], np.int8),
            "single": np.array([0.1, 0.2], np.float32),
            "count": pd.array([1, None], "Int64"),
            "mixed": pd.Series([1, True], dtype=object),
            "kind": pd.Categorical(["a", "b"]),
        }
    )
    rows = frame.assign(short=[300, 1], kind=pd.Categorical(["c", "a"]))
    seen = []
    explainers.Explainer(lambda cells: seen.append(cells) or cells["short"] * 1.0, frame)(rows)
    dtypes = seen[-1].dtypes
    assert dtypes["single"] == np.float32 and dtypes["count"] == "Int64"
    assert isinstance(dtypes["kind"], pd.CategoricalDtype)
    cells = {name: [cell for table in seen for cell in table[name].tolist()] for name in frame}
    assert set(cells["short"]) >= {1, 2, 300} and 44 not in cells["short"]
    assert {type(cell) for cell in cells["mixed"]} == {int, bool} and set(cells["kind"]) == {"a", "b", "c"}
    assert {pd.isna(cell) for cell in cells["count"]} == {True, False}


def test_columns_of_floats_keep_their_dtype_on_a_grid():
    seen, cells = set(), R.normal(size=50).astype(np.float32)
    model = lambda frame: seen.add(frame["a"].dtype) or frame["a"]  # noqa: E731
    explainers.ice(model, pd.DataFrame({"a": cells}), "a")
    assert seen == {np.dtype("float32")}


def test_a_column_of_truths_has_a_grid_of_them():
    frame = pd.DataFrame({"fever": [True, False, True], "x": [1.0, 2, 3]})
    found = explainers.ice(lambda rows: rows["fever"] * rows["x"], frame, "fever")
    assert [*found.grid, *found.cells] == [False, True, True, False, True]
    assert {type(cell) for cell in [*found.grid, *found.cells]} == {bool}
    axes = figures.draw(found).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["False", "True"]
    assert explainers.ice(lambda rows: rows["fever"] * 1.0, frame, "fever", [0, 0.5]).grid.tolist() == [0, 0.5]


def test_a_function_of_single_precision_reads_whole_numbers():
    line = torch.nn.Linear(2, 1).eval()
    rows = np.array([[3, 4], [1, 2]])
    found = explainers.Explainer(lambda x: line(x)[:, 0].detach(), rows)(rows)
    np.testing.assert_allclose(found.predictions, line(torch.tensor(rows).float())[:, 0].detach(), rtol=1e-6)


def test_a_score_is_named_by_its_class():
    labels = np.where(X[:, 0] > 0.5, "ill", np.where(X[:, 0] < -0.5, "dead", "well"))
    model = RandomForestClassifier(3, random_state=0).fit(X, labels)
    for target in ("ill", 1):
        assert explainers.ice(model, X[:4], np.int64(1), target=target).outcome == "score of ill"
        assert explainers.ale(model, X[:40], 1, target=target).outcome == "score of ill"


def test_tenths_are_quantiles_of_the_cells():
    found = explainers.ale(lambda rows: rows[:, 0], X, 0, bins=2)
    np.testing.assert_allclose(found.tenths, np.quantile(X[:, 0], np.linspace(0, 1, 11)))
    np.testing.assert_allclose(line(figures.draw(found).axes[0], "tenths")[:, 0], found.tenths)


# --- pictures


def test_the_picture_of_single_rows_has_their_curves_and_the_mean():
    found = explainers.ice(lambda rows: rows[:, 0] * rows[:, 1], X[:12], 0, np.array([-1.0, 2.0]))
    axes = figures.draw(found).axes[0]
    thin = [line.get_ydata() for line in axes.lines if line.get_linewidth() < 1]
    np.testing.assert_allclose(np.sort(thin, 0), np.sort(found.curves, 0))
    np.testing.assert_allclose(line(axes, "mean"), np.stack([found.grid, found.mean], 1))
    np.testing.assert_allclose(line(axes, "tenths")[:, 0], np.quantile(X[:12, 0], np.linspace(0, 1, 11)))
    many = figures.draw(explainers.ice(lambda rows: rows[:, 0], X, 0))
    assert len(many.axes[0].lines) == 102 and "100 of 300 single rows" in many.legends[0].get_texts()[0].get_text()


def test_the_picture_of_effects_and_of_tasks_have_their_numbers():
    found = explainers.ale(lambda rows: rows[:, 0] ** 2, X, 0, bins=5)
    axes = figures.draw(found).axes[0]
    np.testing.assert_allclose(line(axes, "effect"), np.stack([found.edges, found.effects], 1))
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx((found.effects + found.interval).max())
    assert {*(found.effects - found.interval), *(found.effects + found.interval)} <= set(heights)
    few = figures.draw(explainers.ale(lambda rows: rows[:, 0], X[:3], 0)).axes[0]
    assert not few.collections and line(few, "effect").shape == (3, 2)
    grid, curves = np.array([0.0, 1.0]), np.array([[0.1, 0.5], [0.3, 0.9]])
    tasks = figures.draw(PartialDependence(grid, curves.mean(0), np.array([0.1, 0.2]), curves), name="age")
    np.testing.assert_allclose(line(tasks.axes[0], "mean")[:, 1], [0.2, 0.7])
    (band,) = tasks.axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.1, 0.9))
    assert tasks.axes[0].get_xlabel() == "age"


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (pd.Categorical([30, 4, 100, 4]), ["4", "30", "100"]),
        (pd.to_datetime(["2024-03-01", None, "2023-01-31", None]), ["2023-01-31", "2024-03-01", "missing"]),
        (["missing", None, "a ward of a long name 1", "a ward of a long name 2"],
         ["missing", "(missing)", "a wa…1", "a wa…2"]),
    ],
)  # fmt: skip
def test_the_picture_of_words_dates_and_categories_names_each_in_order(cells, names):
    frame = pd.DataFrame({"cell": cells, "x": [0.0, 1, 2, 3]})
    found = explainers.ice(lambda rows: [len(str(cell)) for cell in rows["cell"]] + rows["x"], frame, "cell")
    axes = figures.draw(found).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == names
    lengths = [len(str(cell)) for cell in found.grid]
    np.testing.assert_allclose(line(axes, "mean"), np.stack([np.arange(len(names)), np.array(lengths) + 1.5], 1))


def test_a_grid_in_any_order_is_drawn_from_left_to_right():
    axes = figures.draw(explainers.ice(lambda rows: rows[:, 0], X, 0, [2.0, -1.0, 0.5])).axes[0]
    np.testing.assert_allclose(line(axes, "mean"), [[-1, -1], [0.5, 0.5], [2, 2]])


def test_bars_of_importance_have_its_size_its_interval_and_the_colour_of_its_direction():
    values = R.normal([0.0, -2.0, 1.0], size=(40, 5, 3))
    found = global_importance(values)
    axes = figures.draw(found, names=["none", "down", "up"]).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["down", "up", "none"]
    widths = [bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(widths, np.abs(values).mean((0, 1))[[1, 2, 0]])
    assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == [LOWER, HIGHER, NEUTRAL]
    ends = [segment[:, 0] for segment in axes.collections[0].get_segments()]
    np.testing.assert_allclose(np.diff(ends)[:, 0], 2 * found.interval[[1, 2, 0]])
    one = figures.draw(global_importance(values[:1]))  # of one task no interval is known
    assert not one.axes[0].collections and {to_hex(bar.get_facecolor()) for bar in one.axes[0].patches} == {NEUTRAL}
    assert one.axes[0].get_yticklabels()[0].get_text() == "column 1"
    many = figures.draw(global_importance(R.normal(size=(3, 2, 30))))
    assert len(many.axes[0].patches) == 12 and "12 of 30" in many.get_supxlabel()
    pairs = figures.draw(global_importance(R.normal(size=(3, 2, 4, 4))))
    assert pairs.axes[0].images[0].get_array().shape == (4, 4)
    with pytest.raises(MapstoError, match="names: got 2 names"):
        figures.draw(found, names=["a", "b"])


def test_interactions_stand_in_the_cell_of_their_pair():
    played = game(lambda x: x[0] * x[1] - 2 * x[2], torch.tensor([2.0, 3.0, 4.0]), baseline=0.0)
    for result in (explainers.Interactions("STII")(played), explainers.ShapleyInteractions()(played)):
        axes = figures.draw(result, names=["a", "b", "c"]).axes[0]
        shown = axes.images[0].get_array()
        expected = np.array([[0, np.nan, np.nan], [6, 0, np.nan], [0, 0, -8]])
        np.testing.assert_allclose(shown.filled(np.nan), expected, atol=1e-5)
        assert shown.filled(0).sum() == pytest.approx(-2)  # v(all) − v(none)
        assert {t.get_text() for t in axes.texts} == {"0", "+6", "−8"}
        low, high = (axes.images[0].cmap(axes.images[0].norm(v)) for v in (-8, 8))
        assert low[2] > low[0] and high[0] > high[2]  # blue lowers
    many = figures.draw(torch.ones(40, 40))
    assert many.axes[0].images[0].get_array().shape == (16, 16) and "16 of 40" in many.get_supxlabel()
    with pytest.raises(MapstoError, match="names: got 2 names"):
        figures.draw(torch.ones(3, 3), names=["a", "b"])


def test_insertion_rises_in_orange_and_deletion_falls_in_blue():
    slope = torch.tensor([3.0, 1.0])
    points = torch.tensor([[1.0, 1.0], [2.0, 0.0]])
    curves = insertion_deletion(lambda x: game(lambda x: x @ slope, x), points, slope * points)
    axes = figures.draw(curves).axes[0]
    np.testing.assert_allclose(line(axes, "insertion"), [[0, 0], [50, 4.5], [100, 5]])
    np.testing.assert_allclose(line(axes, "deletion"), [[0, 5], [50, 0.5], [100, 0]])
    colours = {line.get_label().partition(",")[0]: line.get_color() for line in axes.lines if line.get_linewidth() > 2}
    assert colours == {"insertion": HIGHER, "deletion": LOWER}
    assert {text.get_text() for text in axes.figure.legends[0].get_texts()} == {
        f"insertion, area {curves.insertion_area.mean():.3g}",
        f"deletion, area {curves.deletion_area.mean():.3g}",
    }
