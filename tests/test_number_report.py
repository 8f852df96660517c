"""Predicted numbers of a table: quality, reasons in units, the page, the file, the terminal, and from Python."""

import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from test_report import Page

import mapsto as mt
from mapsto.cli import main
from mapsto.errors import MapstoError
from mapsto.estimators import TableRegressor
from mapsto.figures.beeswarm import beeswarm
from mapsto.figures.influence import influence
from mapsto.figures.predicted import predicted
from mapsto.figures.unit import Amount, Probability
from mapsto.figures.waterfall import waterfall
from mapsto.reports.table.number_build import typical_rows
from mapsto.reports.table.number_evidence import NumberEvidence
from mapsto.reports.table.number_headlines import headlines
from mapsto.reports.table.number_parts import comparison
from mapsto.reports.table.number_quality import measures

DAYS = Amount("stay", "days", 4.0)


def evidence(n=60, seed=0, noise=1.0, rival=1.0, **changed):
    """Outcomes, predictions that err by `noise`, a rival that errs by `rival`, and intervals of 90 %."""
    g = np.random.default_rng(seed)
    y = 3 * g.normal(size=n)
    p = y + noise * g.normal(size=n)
    half = 1.645 * noise * np.ones(n)
    guesses = {"mean": np.zeros(n), "median": np.full(n, 0.1)}
    rivals = {"ridge": y + rival * g.normal(size=n), "random_forest": y + rival * g.normal(size=n)}
    return replace(
        NumberEvidence("held-out rows", "on rows", y, p, p - half, p + half, guesses, rivals), **changed
    )  # fmt: skip


# --- measures


def test_measures_are_those_of_scikit_learn() -> None:
    e = evidence()
    found = measures(e)
    assert found["r2"] == pytest.approx(metrics.r2_score(e.y, e.p))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(e.y, e.p))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(e.y, e.p))
    assert found["coverage"] == pytest.approx(np.mean((e.low <= e.y) & (e.y <= e.high)))
    assert found["interval_width"] == pytest.approx(2 * 1.645)
    ridge, mean = found["baselines"]["ridge"], found["baselines"]["mean"]
    assert mean["r2"] == pytest.approx(metrics.r2_score(e.y, np.zeros(60)))
    for name, score in (("mae", metrics.mean_absolute_error), ("rmse", metrics.root_mean_squared_error)):
        difference = score(e.y, e.rivals["ridge"]) - score(e.y, e.p)
        assert ridge["difference"][name]["value"] == pytest.approx(difference)
        assert ridge["difference"][name]["low"] < difference < ridge["difference"][name]["high"]
    assert ridge["difference"]["r2"]["value"] == pytest.approx(ridge["r2"] - found["r2"])


@pytest.mark.parametrize("measure", ["r2", "mae", "rmse", "coverage", "interval_width"])
def test_intervals_hold_the_truth_in_about_95_of_100_samples(measure: str) -> None:
    truth = {"r2": 0.9, "mae": np.sqrt(2 / np.pi), "rmse": 1.0, "coverage": 0.9, "interval_width": 3.29}[measure]
    ends = np.array([measures(evidence(40, seed))["intervals"][measure] for seed in range(300)])
    held = np.mean((ends[:, 0] <= truth + 1e-9) & (truth - 1e-9 <= ends[:, 1]))
    assert 0.9 <= held <= 1.0 and (measure in ("coverage", "interval_width") or held < 0.99)


def test_the_difference_of_equal_models_holds_0_in_about_95_of_100_samples() -> None:
    parts = [measures(evidence(40, seed))["baselines"]["ridge"]["difference"]["rmse"] for seed in range(300)]
    assert 0.9 <= np.mean([part["low"] <= 0 <= part["high"] for part in parts]) < 0.99


def test_visits_of_one_patient_count_as_one() -> None:
    e = evidence(20)
    fields = {name: np.repeat(getattr(e, name), 4) for name in ("y", "p", "low", "high")}
    many = replace(e, **fields, rivals={}, guesses={}, groups=np.repeat(np.arange(20), 4))
    alone, grouped, naive = (
        measures(part)["intervals"] for part in (replace(e, rivals={}, guesses={}), many, replace(many, groups=None))
    )
    for name in ("mae", "rmse", "r2", "coverage"):
        np.testing.assert_allclose(grouped[name], alone[name], rtol=0.02)
        assert np.ptp(naive[name]) < 0.7 * np.ptp(grouped[name])


def test_equal_outcomes_and_perfect_predictions_have_measures() -> None:
    e = evidence(5)
    same = measures(replace(e, y=np.ones(5)))
    assert same["r2"] is None and same["mae"] > 0
    perfect = measures(replace(e, p=e.y))
    assert perfect["r2"] == 1 and perfect["rmse"] == 0 and perfect["intervals"]["mae"] == [0, 0]
    one = measures(
        replace(e, **{name: getattr(e, name)[:1] for name in ("y", "p", "low", "high")}, rivals={}, guesses={})
    )
    assert one["r2"] is None and one["mae"] > 0
    assert measures(None)["mae"] is None


# --- the first lines


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"noise": 3.0, "rival": 0.5}, "On these rows ridge regression predicts clearly better: root mean squared"),
        ({"noise": 6.0, "rival": 6.0}, "These predictions are worse than always giving the mean of the training rows"),
    ],
)
def test_the_first_lines_say_what_must_be_known(changed: dict, said: str) -> None:
    sentences = headlines(measures(evidence(**changed)), DAYS)
    assert any(sentence.startswith(said) for sentence in sentences) and "days" in sentences[0]


@pytest.mark.parametrize(("rows", "told"), [(9, False), (10, True)])
def test_a_rival_is_named_first_on_ten_rows_or_more(rows: int, told: bool) -> None:
    found = measures(evidence(rows, noise=3.0, rival=0.01))
    said = [sentence for sentence in headlines(found, DAYS) if "predicts clearly better" in sentence]
    assert found["baselines"]["ridge"]["difference"]["rmse"]["high"] < 0  # clearly better in itself
    assert [any(name in sentence for name, _ in comparison(found, DAYS)["rows"]) for sentence in said] == [True] * told


def test_predictions_that_may_be_guesses_are_said_to_be_uncertain() -> None:
    e = evidence(12, rival=6.0)
    slightly = np.where(np.arange(12) < 7, 0.1, -0.1) * e.y  # right in seven rows, wrong in five
    found = measures(replace(e, p=slightly))
    assert headlines({**found, "rmse": 0.0}, DAYS)[0].startswith("It is uncertain")
    assert headlines({**found, "rmse": 9.0}, DAYS)[0].startswith("These predictions are worse")


def test_good_predictions_have_no_first_lines_and_narrow_intervals_have() -> None:
    e = evidence(200)
    assert headlines(measures(e), DAYS) == []
    narrow = replace(e, low=e.p - 0.5, high=e.p + 0.5)
    assert headlines(measures(narrow), DAYS)[0].startswith("The 90 % intervals are too narrow: only")


# --- units and pictures


def test_numbers_have_the_digits_of_their_spread() -> None:
    assert [Amount("y", spread=s).number(1234.5678) for s in (0.02, 0.5, 4, 20, 90, 5000)] == [
        "1,234.5678", "1,234.57", "1,234.6", "1,234.6", "1,235", "1,235",
    ]  # fmt: skip
    assert DAYS.change(-0.04) == "0.0" and DAYS.small(-0.04) == "−0.04" and DAYS.small(0.26) == "+0.3"
    assert Amount("y", spread=1e-9).number(2.5e-9) == "2.5e−09" and Probability("a").small(0.0001) == "+0.01"


def test_an_axis_of_a_long_name_is_named_in_two_lines() -> None:
    assert Probability("yes").axis() == "probability of yes, in per cent"
    assert Probability("no recurrence event").axis() == "probability of\nno recurrence event, in per cent"


def test_pictures_are_in_the_unit_of_the_outcome() -> None:
    values = np.array([[2.5, -0.5], [-1.0, 0.25]])
    fall = waterfall(values[0], 7.0, [70, 1.5], ["age", "dose"], DAYS).axes[0]
    assert [round(bar.get_width(), 9) for bar in fall.patches] == [2.5, -0.5]
    assert [text.get_text() for text in fall.texts] == ["+2.5", "−0.5", "7.0 days", "9.0 days"]
    assert fall.get_xlabel() == "stay, in days"
    swarm = beeswarm(values, np.array([[70, 1.5], [60, 2]]), ["age", "dose"], DAYS).axes[0]
    dots = np.concatenate([c.get_offsets() for c in swarm.collections])[:, 0]
    np.testing.assert_allclose(np.sort(dots), np.sort(values.ravel()))
    assert swarm.get_xlabel() == "contribution to the predicted\nstay, in days"
    bars = influence(np.array([-1.5, 0.25]), ["a", "b"], DAYS).axes[0]
    assert [bar.get_width() for bar in bars.patches] == [1.5, -0.25]
    assert "days" in bars.get_xlabel() and "probability" not in bars.get_xlabel()


def test_predicted_and_true_outcomes_are_drawn_with_their_intervals() -> None:
    y, p = np.array([1.0, 5.0, 9.0]), np.array([2.0, 5.5, 4.0])
    figure, rows = predicted(y, p, p - 1.5, p + 1.5, DAYS)
    axes = figure.axes[0]
    assert rows == 3 and axes.get_xlabel() == "predicted stay, in days" and axes.get_ylabel() == "true stay, in days"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["2 inside the 90 % interval", "1 outside it", "exactly right"]
    segments = axes.collections[0].get_segments()
    np.testing.assert_allclose(segments[0], [[0.5, 1], [3.5, 1]])
    with pytest.raises(MapstoError, match=r"^true: got no rows"):
        predicted(y[:0], y[:0], y[:0], y[:0], DAYS)


def test_typical_rows_are_a_low_a_middle_a_high_one_and_the_widest() -> None:
    p = np.random.default_rng(0).permutation(np.arange(101.0))
    rows = typical_rows(p, (p == 33).astype(float))
    assert p[rows].tolist() == [10, 50, 90, 33]
    assert typical_rows(np.array([2.0]), np.array([1.0])) == [0]


# --- the command


def stays(n: int = 48, seed: int = 0) -> pd.DataFrame:
    """Lengths of stay that follow the age and, less, the dose: slopes 0.2 days a year and −1 day a unit."""
    g = np.random.default_rng(seed)
    age, dose = g.uniform(20, 90, n), g.uniform(0, 5, n)
    stay = 2 + 0.2 * (age - 20) - 1.0 * (dose - 2.5) + 3 + 0.3 * g.normal(size=n)
    ward = g.choice(["north", "south"], n)
    return pd.DataFrame({"age": age.round(1), "dose": dose.round(2), "ward": ward, "stay (days)": stay.round(1)})


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("numbers")
    table = stays()
    table.to_csv(folder / "stays.csv", index=False)
    command = ["explain", str(folder / "stays.csv"), "--target", "stay (days)", "--out", str(folder / "out"), "--json"]
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("sys.stdout.write", printed.append)
        assert main(command) == 0
    found = json.loads("".join(printed))
    rows = list(csv.DictReader((folder / "out" / "predictions.csv").read_text("utf-8-sig").splitlines()))
    return {"json": found, "rows": rows, "page": (folder / "out" / "report.html").read_text(), "table": table}


def test_json_has_the_measures_of_numbers(explained: dict) -> None:
    found = explained["json"]
    keys = ["r2", "mae", "rmse", "coverage", "interval_width", "agreement", "ms_per_row", "baselines", "intervals"]
    assert list(found)[:9] == keys and found["outcome"] == "numbers" and found["unit"] == "days"
    assert found["r2"] > 0.9 and found["mae"] < 1 and found["coverage"] > 0.6 and found["agreement"]["r2"] > 0.8
    assert list(found["baselines"]) == ["ridge", "random_forest", "mean", "median"]
    assert found["baselines"]["mean"]["difference"]["rmse"]["low"] > 0
    assert any("predicted as numbers" in note for note in found["notes"])


def test_the_file_has_predictions_intervals_and_reasons_in_days(explained: dict) -> None:
    rows = explained["rows"]
    assert len(rows) == 16
    numbers = {name: np.array([float(row[name]) for row in rows]) for name in ("prediction", "lower", "upper", "base")}
    reasons = np.array([[float(row[f"because of {name}"]) for name in ("age", "dose", "ward")] for row in rows])
    np.testing.assert_allclose(numbers["base"] + reasons.sum(1), numbers["prediction"], atol=1e-6)
    assert (numbers["lower"] < numbers["prediction"]).all() and (numbers["prediction"] < numbers["upper"]).all()
    true = np.array([float(row["stay (days)"]) for row in rows])
    assert np.mean(np.abs(true - numbers["prediction"])) == pytest.approx(explained["json"]["mae"])
    inside = np.mean((numbers["lower"] <= true) & (true <= numbers["upper"]))
    assert inside == pytest.approx(explained["json"]["coverage"])


def test_a_reason_is_the_slope_times_the_distance_from_the_mean(explained: dict) -> None:
    rows = explained["rows"]
    for name, slope in (("age", 0.2), ("dose", -1.0)):
        x, reason = (np.array([float(row[key]) for row in rows]) for key in (name, f"because of {name}"))
        fitted = np.polyfit(x, reason, 1)
        assert fitted[0] == pytest.approx(slope, rel=0.3)
        assert -fitted[1] / fitted[0] == pytest.approx(explained["table"][name].mean(), rel=0.2)


def test_the_page_is_whole_and_speaks_of_days(explained: dict) -> None:
    text = explained["page"]
    page = Page(text)
    assert page.faults == [] and page.open == []
    assert all(image["alt"] for image in page.images) and len(page.images) in (8, 10)
    words = " ".join(" ".join(page.text).split())
    for said in ("Predicted and true outcomes", "days", "90 % interval", "always the median", "ridge regression"):
        assert said in words
    for wrong in ("probability", "percentage points", "AUC", "log loss"):
        assert wrong not in words.replace("Not a medical device", ""), wrong


def test_python_writes_the_same_page_of_a_regressor(tmp_path, explained: dict) -> None:
    table = explained["table"]
    x, y = table.drop(columns="stay (days)"), table["stay (days)"]
    reg = TableRegressor().fit(x[:30], y[:30])
    found = mt.reports.table(reg, x[30:40], y[30:40], tmp_path / "r.html")
    assert found.summary["mae"] == pytest.approx(metrics.mean_absolute_error(y[30:40], reg.predict(x[30:40])))
    assert found.amount.unit == "days" and "days" in (tmp_path / "r.html").read_text()
    np.testing.assert_allclose(found.question.labels, y[:30], atol=1e-4)  # read back from the regressor
    i = found.cases[0]
    j = int(np.abs(found.push[0]).argmax())
    change = reg.influence(x[30:40].iloc[[i]], among=[j])[0, 0]
    assert found.push[0, j] == pytest.approx(-change, abs=1e-4)
    with pytest.raises(MapstoError, match=r"^train: got other rows or labels"):
        mt.reports.table(reg, x[30:40], y[30:40], tmp_path / "r.html", train=(x[:30], y[:30] + 1))


def test_the_terminal_and_few_rows(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    stays(12, seed=1).assign(**{"stay (days)": lambda t: t["stay (days)"].where(t.index < 9)}).to_csv(
        tmp_path / "t.csv"
    )
    assert main(["explain", str(tmp_path / "t.csv"), "--target", "stay (days)", "--out", str(tmp_path / "o")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "by 5-fold cross-validation of the 9 labelled rows" in out and "reasons, in days" in out
    assert "mean absolute error" in out and "probability" not in out
    stays(3).to_csv(tmp_path / "three.csv", index=False)
    assert main(["explain", str(tmp_path / "three.csv"), "--target", "stay (days)", "--out", str(tmp_path / "p")]) == 0
    capsys.readouterr()


def test_options_of_classes_are_refused_in_one_sentence(tmp_path, capsys) -> None:
    stays(12).to_csv(tmp_path / "t.csv", index=False)
    for options, said in (
        (["--positive", "3"], "--positive: got '3', expected nothing; the outcome has no classes."),
        (["--target", "ward", "--outcome", "numbers"], "--outcome: got 'north', 'south' in 'ward', expected numbers"),
    ):
        target = [] if "--target" in options else ["--target", "stay (days)"]
        assert main(["explain", str(tmp_path / "t.csv"), *target, *options, "--out", str(tmp_path / "o")]) == 1
        assert said in capsys.readouterr().err
