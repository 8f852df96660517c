"""`mapsto demo` and `mapsto explain` as a person meets them: a subprocess, its output, its files, and bad input."""

import csv
import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from mapsto.cli import main
from mapsto.estimators import TableClassifier
from mapsto.measures import agreement
from mapsto.reports.table import Question
from mapsto.reports.table import pushes as table_pushes
from mapsto.reports.table.answer import answer
from mapsto.reports.table.exact import exact_values
from mapsto.reports.table.html import write
from mapsto.reports.table.pushes import pushes
from mapsto.reports.table.quality import auc

QUALITY = [
    *("sensitivity", "specificity", "ppv", "npv", "intervals", "threshold", "positive", "confusion", "per_class"),
    *("measured", "measured_rows", "measured_groups", "cross_validation", "outcome"),
]
KEYS = ["auc", "accuracy", "log_loss", "calibration_error", "agreement", "ms_per_row", "baselines", *QUALITY, "report"]


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def mapsto(monkeypatch, capsys):
    """Call the command line as its entry point does, in a folder; what it writes and returns."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("MAPSTO_DEBUG", raising=False)

    def call(folder, *arguments):
        monkeypatch.chdir(folder)
        code = main([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return call


def subprocess_mapsto(folder, *arguments):
    command = [sys.executable, "-m", "mapsto.cli", *arguments]
    environment = {**os.environ, "MAPSTO_DEBUG": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, env=environment)


def patients(n=40, seed=0):
    """Numbers, categories, dates, missing cells, an empty and a constant column; the outcome follows age and ward."""
    generator = np.random.default_rng(seed)
    age, ward = generator.integers(30, 90, n).astype(float), generator.choice(["north", "south"], n)
    ill = age + 20 * (ward == "north") + generator.normal(size=n) > 70
    admitted = np.datetime64("2024-01-01") + generator.integers(0, 300, n)
    table = pd.DataFrame({"age": age, "ward": ward, "admitted": admitted, "same": 1, "empty": None})
    table.loc[::7, "age"] = np.nan
    return table.assign(outcome=np.where(ill, "died", "lived"))


@pytest.fixture
def folder(tmp_path):
    patients().to_csv(tmp_path / "known.csv", index=False)
    some = patients()
    some.loc[30:, "outcome"] = None
    some.to_csv(tmp_path / "some.csv", index=False)
    new = patients(12, seed=1).drop(columns="outcome")
    new.loc[0, ["age", "ward", "admitted", "empty"]] = None
    new.to_csv(tmp_path / "new.csv", index=False)
    return tmp_path


# --- what a person gets -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_demo_prints_one_json_object_of_the_promised_keys_and_writes_its_report(tmp_path):
    done = subprocess_mapsto(tmp_path, "demo", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert list(found) == [*KEYS, "notes"]
    assert found["agreement"].keys() == {"r2", "cosine", "covered", "rows", "columns"}
    assert found["agreement"]["rows"] >= 16
    assert found["agreement"]["columns"] == 10
    names = ["logistic_regression", "random_forest", "majority", "base_rates"]
    measures = ["auc", "accuracy", "log_loss", "difference"]
    assert {name: list(scores) for name, scores in found["baselines"].items()} == dict.fromkeys(names, measures)
    assert found["auc"] > 0.95
    assert found["agreement"]["r2"] > 0.9
    assert (tmp_path / found["report"]).read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html"]


def test_rows_without_an_outcome_are_predicted_and_explained(mapsto, folder):
    done = mapsto(folder, "explain", "some.csv", "--target", "outcome", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert list(found) == [*KEYS, "predictions", "notes", "columns"]
    assert (found["measured"], found["measured_rows"]) == ("cross-validation", 30)
    for name in ("auc", "accuracy", "log_loss", "sensitivity", "specificity", "ppv", "npv"):
        low, high = found["intervals"][name]
        assert low <= found[name] <= high and low < high, name
    assert (found["threshold"], found["positive"]) == (0.5, "died")
    assert found["baselines"]["majority"]["accuracy"] < found["accuracy"] <= 1
    assert found["agreement"]["rows"] == 10
    assert found["agreement"]["columns"] == 3
    page = (folder / "some-explained" / "report.html").read_text()
    assert "predicted 10 other rows from 3 columns" in page  # two more are empty and constant
    assert "contributions of 3 columns to" in page and "the other 2 columns" not in page
    moved, _, read = page.partition("The largest first.".lower())[2].partition("How your table was read")
    assert all(f">{name}</th>" in read and f">{name}</th>" not in moved for name in ("empty", "same"))
    assert "Shown are typical rows of the commonest predictions" in page
    with open(folder / "some-explained" / "predictions.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == [str(i) for i in range(31, 41)]
    for row in rows:
        reasons = sum(float(value) for name, value in row.items() if name.startswith("because of "))
        assert float(row["base"]) + reasons == pytest.approx(
            float(row[f"probability of {row['prediction']}"]), abs=1e-6
        )
    assert not {"because of empty", "because of same"} & set(rows[0])


def test_where_every_row_has_an_outcome_quality_is_measured_on_a_stated_split(mapsto, folder):
    done = mapsto(folder, "explain", "known.csv", "--target", "outcome", "--out", "there")
    assert (done.returncode, done.stderr) == (0, "")
    assert "26 rows taught, 14 predicted and explained" in done.stdout
    assert "26 are used for training and 14 for testing (a stratified split, seed 0)" in done.stdout
    assert "column 'same': the same value in every training row" in done.stdout
    assert "column 'empty': every training cell is empty" in done.stdout
    assert sorted(path.name for path in (folder / "there").iterdir()) == ["predictions.csv", "report.html"]


def test_train_rows_and_seed_choose_who_teaches(mapsto, folder):
    command = ["explain", "known.csv", "--target", "outcome", "--train-rows", 30, "--json"]
    first, other = (json.loads(mapsto(folder, *command, "--seed", seed).stdout) for seed in (0, 1))
    assert first["agreement"]["rows"] == other["agreement"]["rows"] == 10
    assert first["log_loss"] != other["log_loss"]


def test_another_table_teaches(mapsto, folder):
    done = mapsto(folder, "explain", "new.csv", "--train", "known.csv", "--target", "outcome", "--no-quality")
    assert (done.returncode, done.stderr) == (0, "")
    assert "40 rows taught, 12 predicted and explained" in done.stdout
    rows = pd.read_csv(folder / "new-explained" / "predictions.csv")
    missing = rows.iloc[0]  # every cell that is used is missing: its prediction is the base value
    assert missing["base"] == pytest.approx(missing[f"probability of {missing['prediction']}"], abs=1e-6)


def test_what_is_merely_awkward_works_and_is_said(mapsto, folder):
    table = patients()
    table.loc[39, "outcome"] = "unknown"
    table.to_csv(folder / "train.csv", index=False)
    new = patients(12, seed=1).assign(outcome="moved away", ward="west")
    new.to_csv(folder / "new.csv", index=False)
    done = mapsto(folder, "explain", "new.csv", "--train", "train.csv", "--target", "outcome")
    assert (done.returncode, done.stderr) == (0, "")
    assert "class 'unknown': a single training row" in done.stdout
    assert "column 'ward': 'west' never seen in the training rows; read as missing" in done.stdout
    assert "12 rows with an outcome that no training row has (moved away) are not used for testing" in done.stdout


@pytest.mark.slow
def test_the_same_from_a_shell(folder):
    done = subprocess_mapsto(folder, "explain", "some.csv", "--target", "outcome", "--json", "--no-quality")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert list(found)[-3:] == ["predictions", "notes", "columns"]
    assert found["auc"] is None and found["agreement"]["r2"] is None
    assert found["notes"][-1] == "quality: neither predictions nor reasons were checked, as asked."
    page = (folder / "some-explained" / "report.html").read_text()
    assert "not compared with exact Shapley values" in page and "intervals hold" not in page
    done = subprocess_mapsto(folder, "explain", "some.csv", "--target", "died")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "'died', which is no column of some.csv" in done.stderr


# --- what bad input gets ----------------------------------------------------------------------------------------------

TABLE = "age,ward,outcome\n61,north,yes\n48,south,no\n50,north,yes\n70,south,no\n"


def changed(**columns):
    return pd.DataFrame({"age": range(30), "outcome": ["a", "b", "c"] * 10}).assign(**columns).to_csv(index=False)


BAD = {
    "empty file": ("", ["--target", "outcome"], "t.csv is empty"),
    "binary file": (b"\x00\x01\x02", ["--target", "outcome"], "t.csv is a binary file"),
    "no such target": (TABLE, ["--target", "died"], "'died', which is no column of t.csv"),
    "no target given": (TABLE, [], "--target: got nothing"),
    "only a target": ("outcome\n1\n0\n", ["--target", "outcome"], "no column besides 'outcome'"),
    "one class": (
        TABLE.replace("no\n", "yes\n"),
        ["--target", "outcome"],
        "--target: got one class only (yes) in 'outcome'",
    ),
    "no label": (changed(outcome=""), ["--target", "outcome"], "--target: got 0 row(s) with an outcome in 'outcome'"),
    "too many classes": (
        changed(outcome=range(30)),
        ["--target", "outcome", "--outcome", "classes"],
        "y: got 20 classes, expected 2 to 10",
    ),
    "a number": (changed(outcome=np.linspace(0, 1, 30)), ["--target", "outcome", "--outcome", "classes"], "continuous"),
    "infinite": (changed(age=["inf", *range(29)]), ["--target", "outcome"], "column 'age': got an infinite value"),
    "duplicate columns": (TABLE.replace("ward", "age"), ["--target", "outcome"], "'age' more than once"),
    "ragged": (TABLE + "1,2,3,4,5\n", ["--target", "outcome"], "equally long rows"),
    "too few rows": (TABLE, ["--target", "outcome", "--train-rows", "5"], "--train-rows: got 5, expected 2 to 4"),
    "no number": (TABLE, ["--target", "outcome", "--train-rows", "many"], "--train-rows"),
    "no such file to learn from": (TABLE, ["--target", "outcome", "--train", "none.csv"], "none.csv does not exist"),
    "other columns": (
        TABLE,
        ["--target", "outcome", "--train", "other.csv"],
        "lacks 'sex', which other.csv has",
    ),
    "unwritable": (
        TABLE,
        ["--target", "outcome", "--out", "other.csv/there"],
        "other.csv is a file, expected a folder",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_and_leaves_nothing_behind(mapsto, tmp_path, case):
    content, arguments, said = BAD[case]
    (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "other.csv").write_text(TABLE.replace("ward", "sex"))
    done = mapsto(tmp_path, "explain", "t.csv", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.csv", "t.csv"]


def test_a_file_that_is_not_there(mapsto, tmp_path):
    done = mapsto(tmp_path, "explain", "none.csv", "--target", "outcome")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "none.csv does not exist" in done.stderr


def test_a_run_is_explained_by_features_and_teachers(mapsto, tmp_path):
    learner = [
        "--learner",
        "MAML",
        "--learner.body",
        "MLP",
        "--learner.body.widths",
        "[1, 8, 1]",
        "--learner.loss",
        "mse",
    ]
    trained = mapsto(tmp_path, "train", *learner, "--tasks", "Sinusoids", "--steps", 3, "--batch", 2, "--run", "run")
    assert trained.returncode == 0
    done = mapsto(tmp_path, "explain", "run", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    with np.load(tmp_path / found["explanation"]) as file:
        score, features, teachers = file["score"], file["features"], file["teachers"]
    assert found["queries"] == len(score) == 10
    assert features.shape == (10, 1)
    assert teachers.shape == (10, 10)
    assert found["strongest_teacher"] == np.abs(teachers).argmax(1).tolist()
    assert np.abs(teachers).max() > 1e-6
    assert np.abs(features).max() > 1e-6


def test_a_folder_that_is_no_run(mapsto, tmp_path):
    (tmp_path / "run").mkdir()
    done = mapsto(tmp_path, "explain", "run")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is not a run" in done.stderr


@pytest.mark.parametrize("command", ["demo", "explain"])
def test_help_shows_an_example(mapsto, tmp_path, command):
    done = mapsto(tmp_path, command, "--help")
    assert done.returncode == 0
    assert f"example:\n  mapsto {command}" in done.stdout


@pytest.mark.parametrize("command", [["demo"], ["explain", "known.csv", "--target", "outcome"]])
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(mapsto, monkeypatch, folder, command):
    def work(question):
        raise AssertionError("worked before it looked where the files go")

    monkeypatch.setattr(importlib.import_module("mapsto.reports.table.answer"), "answer", work)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the superuser, who may run this, can write anywhere
    done = mapsto(folder, *command, "--out", "locked/there")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot be written to" in done.stderr


# --- the parts --------------------------------------------------------------------------------------------------------


def test_exact_values_add_up_and_leave_out_whoever_changes_nothing():
    table = patients()
    classifier = TableClassifier().fit(table.drop(columns="outcome"), table["outcome"])
    rows = patients(5, seed=2).drop(columns="outcome")
    rows.loc[1, "ward"] = None
    exact = exact_values(classifier, rows, [0, 1, 2])
    base = classifier.predict_proba(rows.assign(age=None, ward=None, admitted=None))
    assert np.abs(exact).max() > 0.05
    np.testing.assert_allclose(base + exact.sum(1), classifier.predict_proba(rows), atol=1e-6)
    np.testing.assert_allclose(exact[1, 1], 0, atol=1e-15)
    np.testing.assert_allclose(exact_values(classifier, rows, [0, 1, 2, 3]), np.insert(exact, 3, 0, axis=1), atol=1e-6)


def test_a_wide_table_is_checked_on_the_ten_columns_that_count():
    generator = np.random.default_rng(0)
    x = pd.DataFrame(generator.normal(size=(40, 12)), columns=[f"c{j}" for j in range(12)])
    y = np.where(x["c3"] > 0, "yes", "no")
    rows = x.iloc[30:31]
    found = answer(Question(x.iloc[:30], y[:30], rows, y[30:31].astype(object), rows[:0], y[:0]))
    assert found.summary["agreement"]["columns"] == 10
    assert found.summary["agreement"]["rows"] == 1
    assert found.reasons.values.shape == (1, 12, 2)
    assert any("with only the 10 columns that move predictions most filled in" in note for note in found.notes)
    fitted = TableClassifier().fit(x.iloc[:30], y[:30])
    count = np.argsort(-found.reasons.importance.sum(1), kind="stable")[:10]
    shown = rows.where(np.isin(np.arange(12), count)[None])
    checked = agreement(fitted.explain(shown).values[:, count], exact_values(fitted, shown, count.tolist()))
    assert found.summary["agreement"]["r2"] == pytest.approx(checked[0])  # of the model that is explained


def test_quality_judged_on_other_rows_has_its_reliability_curve(tmp_path):
    table = patients()
    x, y = table.drop(columns="outcome"), table["outcome"].to_numpy()
    found = answer(Question(x.iloc[:30], y[:30], x.iloc[30:33], np.array([None] * 3), x.iloc[33:], y[33:]))
    write(found, tmp_path / "report.html", "Patients")
    page = (tmp_path / "report.html").read_text()
    assert "measured on other rows" in page
    assert 'alt="Reliability' in page


def test_of_many_training_rows_the_nearest_are_deleted_and_that_is_said(monkeypatch):
    generator = np.random.default_rng(0)
    x = pd.DataFrame({"a": generator.normal(size=20), "b": generator.normal(size=20), "same": 1})
    x.iloc[4, 1] = None
    fitted = TableClassifier().fit(x, np.arange(20) % 2)
    everyone, said = pushes(fitted, x, x.iloc[[3, 4]])
    assert said == []
    assert (np.abs(everyone).max(-1) > 0).all()
    monkeypatch.setattr(table_pushes, "_READ", 135)  # four of the 20 rows: two for each of those told
    some, said = pushes(fitted, x, x.iloc[[3, 4]])
    near = np.flatnonzero(some.any((0, 2)))
    assert {3, 4} <= set(near.tolist())
    assert 2 < len(near) <= 4
    np.testing.assert_allclose(some[:, near], everyone[:, near], atol=1e-6)
    assert said == [
        f"influence: of 20 training rows, the {len(near)} nearest to the rows on this page were deleted, one at a time."
    ]


def test_of_more_training_rows_those_with_the_largest_estimates_are_deleted_and_that_is_said():
    generator = np.random.default_rng(0)
    x = pd.DataFrame(generator.normal(size=(30, 2)), columns=["a", "b"])
    fitted = TableClassifier().fit(x, x["a"] > 0)
    push, said = pushes(fitted, x, x.iloc[[3]])
    exact = -fitted.influence(x.iloc[[3]])
    same = np.abs(push - exact)[0, :, 0] < 1e-6
    assert 8 <= same.sum() < 30
    assert same[np.argmax(np.abs(exact[0, :, 0]))]
    assert said == [
        "influence: of 30 training rows, the 8 with the largest estimated influence on each row of this page were "
        "deleted, one at a time."
    ]


def test_of_three_classes_every_push_is_exact() -> None:
    """Estimates for more than two classes are rough."""
    generator = np.random.default_rng(0)
    x = pd.DataFrame(generator.normal(size=(40, 2)), columns=["a", "b"])
    fitted = TableClassifier().fit(x, np.digitize(x["a"], [-0.5, 0.5]))
    push, said = pushes(fitted, x, x.iloc[[3]])
    np.testing.assert_allclose(push, -fitted.influence(x.iloc[[3]]), atol=1e-6)
    assert said == [] and np.abs(push).max() > 1e-3


def test_auc_by_hand():
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    assert auc(p, np.array([0, 0, 1, 1])) == 0.75  # of four pairs, three in the right order
    assert auc(p, np.array([1, 1, 1, 1])) is None
    three = np.eye(3)[[0, 1, 2, 0]]
    assert auc(three, np.array([0, 1, 2, 0])) == 1
    assert auc(three, np.array([0, 1, 1, 0])) == pytest.approx((1 + 0.75) / 2)  # the third class cannot be judged


def test_the_order_of_columns_in_another_table_changes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = patients(60).drop(columns=["same", "empty"])
    table.iloc[:30].to_csv("train.csv", index=False)
    new = table.iloc[30:]
    new.to_csv("same.csv", index=False)
    new[["outcome", *reversed(new.columns.drop("outcome"))]].assign(more=1).to_csv("other.csv", index=False)
    found = []
    for name in ("same", "other"):
        assert main(["explain", f"{name}.csv", "--train", "train.csv", "--target", "outcome", "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["agreement"]["r2"] > 0.5
    for key in ("agreement", "auc", "log_loss"):
        assert found[0][key] == pytest.approx(found[1][key])
    assert found[0]["baselines"] == found[1]["baselines"]
    assert any("other.csv has 'more', which train.csv lacks; left out" in note for note in found[1]["notes"])
    new.drop(columns="age").to_csv("less.csv", index=False)
    assert main(["explain", "less.csv", "--train", "train.csv", "--target", "outcome"]) == 1
    assert "less.csv lacks 'age', which train.csv has" in capsys.readouterr().err


# --- what a person says about the columns -----------------------------------------------------------------------------

SURVEY = "pid,age,pain,dose,ward,bp,died\n" + "".join(
    f"P{i},{30 + 7 * i % 50},{('lo', 'mid', 'hi')[i % 3]},{999 if i == 4 else i / 4},{'AB'[i % 2]},{100 + i}/{60 + i},"
    f"{('ja', 'nein', 'nein')[i % 3] if i < 24 else ''}\n"
    for i in range(30)
)


def test_the_options_of_the_columns_reach_the_reader(mapsto, tmp_path):
    (tmp_path / "t.csv").write_text(SURVEY)
    options = [
        "--no-quality",
        "--missing",
        "dose=999",
        "--order",
        "pain=lo<mid<hi",
        "--type",
        "age=category",
        "--drop",
        "ward",
    ]
    done = mapsto(tmp_path, "explain", "t.csv", "--target", "died", "--id", "pid", *options, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    notes = json.loads(done.stdout)["notes"]
    assert "column 'bp' holds pairs of numbers; read as two columns, 'bp (1)', 'bp (2)'." in notes
    rows = pd.read_csv(tmp_path / "t-explained" / "predictions.csv")
    assert rows["row"].tolist() == [f"P{i}" for i in range(24, 30)]
    columns = [name.removeprefix("because of ") for name in rows if name.startswith("because of ")]
    assert columns == ["age", "pain", "dose", "bp (1)", "bp (2)"]
    page = (tmp_path / "t-explained" / "report.html").read_text()
    assert "What moved the probability of ja" in page


def test_the_class_that_a_report_is_about_is_chosen(mapsto, tmp_path):
    (tmp_path / "t.csv").write_text(SURVEY)
    done = mapsto(tmp_path, "explain", "t.csv", "--target", "died", "--positive", "nein", "--no-quality")
    assert (done.returncode, done.stderr) == (0, "")
    assert "What moved the probability of nein" in (tmp_path / "t-explained" / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--positive", "maybe"], "--positive: got 'maybe', expected one of 'ja', 'nein'"),
        (["--drop", "sex"], "--drop: got 'sex', which is no column of t.csv"),
        (["--id", "sex"], "--id: got 'sex', which is no column of t.csv"),
        (["--type", "sex=number"], "--type: got 'sex', which is no column"),
        (["--type", "age=colour"], "--type: got 'colour', expected one of number"),
        (["--type", "age"], "--type: got 'age', expected COLUMN=KIND"),
        (["--order", "pain=lo"], "--order: got lo for 'pain', expected two or more"),
        (["--order", "pain"], "--order: got 'pain', expected COLUMN=A<B"),
        (["--sheet", "one"], "--sheet: got 'one', but t.csv is no spreadsheet"),
    ],
)
def test_options_that_fit_no_column_are_refused(mapsto, tmp_path, options, said):
    (tmp_path / "t.csv").write_text(SURVEY)
    done = mapsto(tmp_path, "explain", "t.csv", "--target", "died", *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert said in done.stderr


def test_what_was_left_out_of_a_file_is_among_the_notes(mapsto, tmp_path):
    (tmp_path / "t.csv").write_text("Study 7\n" + SURVEY + ",,,,,,\nMean,50,,4,,,0.3\n")
    done = mapsto(tmp_path, "explain", "t.csv", "--target", "died", "--json", "--no-quality")
    notes = json.loads(done.stdout)["notes"]
    assert "line 1 is above the column names; left out." in notes
    assert "line 33 is empty; left out." in notes
    assert "line 34 is no row of the table but a summary ('Mean'); left out." in notes
    (tmp_path / "new.csv").write_text(SURVEY.replace(",ja\n", ",Ja\n"))
    done = mapsto(tmp_path, "explain", "new.csv", "--train", "t.csv", "--target", "died", "--json", "--no-quality")
    notes = json.loads(done.stdout)["notes"]
    assert "t.csv: line 1 is above the column names; left out." in notes
    assert not any("no training row has" in note for note in notes)  # Ja is ja
