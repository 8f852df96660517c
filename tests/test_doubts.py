"""The warnings of a statistician about columns: planted identifiers and leaks are named, honest columns are not."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import roc_auc_score

from mapsto import TableClassifier, TableRegressor
from mapsto.tables.columns import Columns
from mapsto.tables.doubts import of_columns
from mapsto.tables.identifiers import _equal_pairs
from mapsto.tables.key_names import is_key, is_person
from mapsto.tables.leaks import deciding

N = 80
R = np.random.default_rng(7)
Y = (R.uniform(size=N) < 0.45).astype(int)
HONEST = pd.DataFrame({
    "age": R.normal(60, 15, N).round(),
    "weight": R.normal(75, 14, N).round(1),
    "creatinine": (R.normal(90, 25, N) + 15 * Y).round(),
    "crp": R.lognormal(2, 1, N),
    "smoker": R.choice(["yes", "no"], N),
    "ward": R.choice(["A1", "B2", "C3"], N),
})  # fmt: skip


def notes(X: pd.DataFrame, y: np.ndarray = Y, classes: tuple[str, ...] = ("well", "ill")) -> list[str]:
    columns = Columns().fit(X)
    return of_columns(columns.columns, columns.transform(X), y, classes)


def leaks(X: pd.DataFrame, y: np.ndarray) -> dict[str, float]:
    columns = Columns().fit(X)
    found = deciding(columns.columns, columns.transform(X), y)
    return {columns.columns[j].name: leak.strength for j, leak in found.items()}


# --- identifiers ------------------------------------------------------------------------------------------------------

IDENTIFIERS: dict[str, tuple[str, object]] = {
    "1 to n": ("x", np.arange(1, N + 1)),
    "shuffled": ("x", R.permutation(N) + 10001),
    "falling": ("x", -np.arange(N)),
    "steps of ten, shuffled": ("x", 10 * R.permutation(N)),
    "a part of a dense range": ("x", R.choice(np.arange(500, 620), N, replace=False)),
    "three sites": ("x", R.permutation([1000 * (i % 3) + i // 3 for i in range(N)])),
    "eight digits": ("x", R.choice(np.arange(10**7, 10**8), N, replace=False)),
    "beyond floats": ("x", [2**60 + 7 * k for k in R.permutation(N).tolist()]),
    "texts of digits": ("x", [f"{k:05d}" for k in R.permutation(N) + 100]),
    "some missing": ("x", np.where(np.arange(N) % 9 == 0, np.nan, R.permutation(N))),
    "sparse, but named": ("Patienten-Nr.", R.choice(np.arange(10, 60000), N, replace=False)),
    "sparse, sorted": ("x", np.sort(R.choice(np.arange(10000, 90000), N, replace=False))),
    "equal steps of a float": ("t", np.arange(N) * 0.25),
    "dates that count up": ("day", pd.date_range("2021-05-01", periods=N, freq="3D")),
    "texts": ("x", [f"P{k}" for k in R.permutation(N)]),
}


@pytest.mark.parametrize("kind", IDENTIFIERS)
def test_an_identifier_is_named_once_with_its_remedies(kind: str) -> None:
    name, values = IDENTIFIERS[kind]
    clf = TableClassifier(members=1).fit(HONEST.assign(**{name: values}), Y)
    assert len(clf.notes_) == (2 if kind in ("texts of digits", "beyond floats") else 1)
    assert clf.notes_[-1].startswith(f"column {name!r}: ")
    if kind != "texts":
        assert "looks like" in clf.notes_[-1] and f"(--drop {name}" in clf.notes_[-1].replace("'", "")
        remedied = TableClassifier(members=1, types={name: "absent"}).fit(HONEST.assign(**{name: values}), Y)
        assert not any("looks like" in note for note in remedied.notes_)


MEASUREMENTS: dict[str, tuple[str, object]] = {
    "ages": ("age2", R.integers(18, 95, N)),
    "a float": ("x", R.normal(size=N)),
    "a sorted float": ("x", np.sort(R.normal(size=N))),
    "a sorted measurement": ("x", np.sort(R.choice(np.arange(1000, 9999), N, replace=False))),
    "platelets": ("x", R.normal(250000, 60000, N).round(-3)),
    "money": ("x", (R.lognormal(14, 1, N)).round()),
    "an id's name alone": ("number", R.integers(0, 9, N)),
    "a float with an id's name": ("id", R.normal(size=N)),
    "dates in no order": ("day", pd.Timestamp("2020-01-01") + pd.to_timedelta(R.permutation(N), unit="D")),
}


@pytest.mark.parametrize("kind", MEASUREMENTS)
def test_a_measurement_is_no_identifier(kind: str) -> None:
    name, values = MEASUREMENTS[kind]
    assert not any("looks like" in note for note in notes(HONEST.assign(**{name: values})))


def test_twelve_different_ages_are_no_identifier_but_twelve_counted_rows_are() -> None:
    y = np.array([0, 1] * 6)
    ages = R.choice(np.arange(20, 40), 12, replace=False)
    assert notes(pd.DataFrame({"age": ages}), y) == []
    assert len(notes(pd.DataFrame({"x": np.arange(12)}), y)) == 1


def test_the_expected_number_of_equal_pairs_is_that_of_simulated_measurements() -> None:
    r = np.random.default_rng(0)
    for width in (300, 1000):
        equal = [N - len(np.unique(r.integers(0, width, N))) for _ in range(400)]
        exact = N - width * (1 - (1 - 1 / width) ** N)
        estimates = [_equal_pairs(np.sort(r.choice(width, N, replace=False)).astype(float)) for _ in range(100)]
        assert np.mean(equal) == pytest.approx(exact, rel=0.1)
        assert np.mean(estimates) == pytest.approx(exact, rel=0.3)


def test_whole_measurements_are_rarely_taken_for_identifiers() -> None:
    r = np.random.default_rng(1)
    draws = [r.normal(0, width, 60).round() for width in np.geomspace(10, 3000, 300)]
    assert sum(bool(notes(pd.DataFrame({"x": values}), R.permutation(60) % 2)) for values in draws) <= 3


def test_names_of_rows_and_of_persons() -> None:
    keys = ["id", "MRN", "PatientID", "fall-nr", "Lfd. Nr.", "case", "subjectid", "病历号", "hospital number"]
    assert all(map(is_key, keys)) and not any(map(is_key, ["age", "covid", "no children", "patient age", "acid", ""]))
    assert all(map(is_person, ["pid", "Patientennr.", "mouse_id"])) and not any(map(is_person, ["fall-nr", "room no"]))


# --- columns that decide alone ----------------------------------------------------------------------------------------

LEAKS: dict[str, object] = {
    "a level": np.where(Y == 1, "morgue", R.choice(["home", "rehab"], N)),
    "a number": Y * 3 + R.uniform(0, 1, N),
    "a mass at zero": np.where(Y == 1, R.integers(1, 9, N), 0),
    "codes in no order": np.where(Y == 1, 2, R.choice([1, 3], N)),
    "a date only of one class": pd.Series(pd.date_range("2022-01-01", periods=N)).sample(frac=1, random_state=0)
    .reset_index(drop=True).where(Y == 1),
    "with missing cells": np.where(R.uniform(size=N) < 0.2, np.nan, Y * 3 + R.uniform(0, 1, N)),
    "high or missing": np.where(Y == 1, np.where(np.arange(N) % 4 == 0, 9, np.nan), R.normal(size=N)),
    "low or missing": np.where(Y == 1, np.where(np.arange(N) % 4 == 0, -9, np.nan), R.normal(size=N)),
    "other words": np.where(Y == 1, "verstorben", "entlassen"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LEAKS)
def test_a_column_that_decides_alone_is_named_once(kind: str) -> None:
    said = notes(HONEST.assign(leak=LEAKS[kind]))
    assert len([note for note in said if note.startswith("column 'leak': ") and "(--drop leak)" in note]) == 1
    assert all("'leak'" in note for note in said)
    assert ("in other words" in said[0]) == (kind == "other words")
    assert ("filled" in said[0]) == (kind == "a date only of one class")


def test_honest_columns_give_no_sentence() -> None:
    assert notes(HONEST) == []
    shuffled = [notes(HONEST, np.random.default_rng(seed).permutation(Y)) for seed in range(20)]
    assert shuffled == [[]] * 20


def test_an_identifier_sorted_by_the_outcome_is_named_by_one_sentence() -> None:
    said = notes(HONEST.assign(pid=np.argsort(np.argsort(Y, kind="stable"))))
    assert len(said) == 1 and "looks like an identifier" in said[0] and "AUC 1.000" in said[0]


def test_the_strength_is_the_auc_of_scikit_learn() -> None:
    score = Y * 2.6 + R.normal(0, 0.6, N)
    assert leaks(HONEST.assign(score=score), Y) == {"score": pytest.approx(roc_auc_score(Y, score))}


def test_levels_of_single_rows_decide_nothing() -> None:
    many = pd.Series([f"name {k // 2}" for k in R.permutation(N)])
    assert leaks(HONEST.assign(many=many), Y) == {}
    names = np.array([f"name {k}" for k in range(70)] + [f"name {k}" for k in range(10)])[R.permutation(N)]
    assert leaks(HONEST.assign(names=names), Y) == {}


def test_small_tables_of_noise_are_not_accused() -> None:
    for rows in (10, 14, 20):
        y = np.arange(rows) % 2
        X = pd.DataFrame(np.random.default_rng(3).normal(size=(rows, 300))).add_prefix("x")
        assert leaks(X, y) == {}
        if rows == 10:  # chance alone separates the classes
            assert max(abs(roc_auc_score(y, X[name]) - 0.5) for name in X) == 0.5


def test_strong_honest_measurements_are_not_accused() -> None:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    alarms = 0
    for seed in range(10):
        rows = np.random.default_rng(seed).permutation(len(y))[:100]
        alarms += bool(leaks(X.iloc[rows], y.to_numpy()[rows]))
    assert alarms <= 1


def test_three_classes_decided_by_one_column() -> None:
    y = np.arange(90) % 3
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(90, 5))).add_prefix("x")
    said = notes(X.assign(end=np.array(["home", "rehab", "dead"])[y]), y, ("a", "b", "c"))
    assert len(said) == 1 and "'home' for 'a', 'rehab' for 'b', 'dead' for 'c'" in said[0]
    assert leaks(X.assign(one=(y == 2) * 1.0 + X["x0"] / 9), y) == {}  # decides one class of three only


def test_a_number_that_ranks_a_numeric_outcome() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X, y = X.iloc[:100], y.iloc[:100].to_numpy()
    hours = 24 * y + np.random.default_rng(0).normal(0, 30, 100)
    reg = TableRegressor(members=1).fit(X.assign(hours=hours), y)
    assert [
        note for note in reg.notes_ if f"rank correlation {spearmanr(hours, y)[0]:.3f}" in note and "'hours'" in note
    ]
    assert not any("alone" in note for note in TableRegressor(members=1).fit(X, y).notes_)
    grades = np.array(["one", "two", "three"])[np.arange(99) % 3]
    said = notes(X.iloc[:99].assign(grade=grades), (np.arange(99) % 3).astype(float), ())
    assert len(said) == 1 and said[0].startswith("column 'grade'")


# --- rare, constant, empty --------------------------------------------------------------------------------------------


def test_classes_of_fewer_than_ten_rows_are_said() -> None:
    def few(count: int) -> list[str]:
        rows = np.r_[np.flatnonzero(Y == 0), np.flatnonzero(Y == 1)[:count]]
        said = TableClassifier(members=1).fit(HONEST.iloc[rows], Y[rows]).notes_
        return [note for note in said if "few training rows" in note or "single training row" in note]

    assert few(10) == [] and "class '1' (9 rows)" in few(9)[0] and "single" in few(1)[0] and len(few(1)) == 1


@pytest.mark.parametrize(("other", "said"), [(1, True), (4, True), (5, False)])
def test_a_column_that_hardly_varies_is_said_with_its_count(other: int, said: bool) -> None:
    rare = np.array(["no"] * (N - other) + ["yes"] * other)[R.permutation(N)]
    expected = f"hardly varying: column 'rare' ('no' in {N - other} of {N} rows)"
    assert any(note.startswith(expected) for note in notes(HONEST.assign(rare=rare))) == said


@pytest.mark.parametrize(("empty", "said"), [(39, False), (40, True), (70, True)])
def test_a_mostly_empty_column_is_said_with_its_count(empty: int, said: bool) -> None:
    ferritin = R.normal(size=N)
    ferritin[R.permutation(N)[:empty]] = np.nan
    expected = f"mostly empty: column 'ferritin' ({empty} of {N} cells)"
    assert any(note.startswith(expected) for note in notes(HONEST.assign(ferritin=ferritin))) == said


def test_repeat_counts_do_not_hide_an_identifier() -> None:
    clf = TableClassifier(members=1).fit(HONEST.assign(x=np.arange(N)), Y, sample_weight=np.full(N, 2))
    assert [note for note in clf.notes_ if "looks like an identifier" in note]


# --- the collection of messy tables -----------------------------------------------------------------------------------

FOLDER = Path(os.environ.get("MAPSTO_DATA", "")) / "messy"
FILES: dict[str, Callable[[str], bool]] = {
    "15_id_sorted": lambda note: note.startswith("column 'patient_id'") and "--id patient_id" in note,
    "25_leak": lambda note: note.startswith("column 'discharge'") and "--drop discharge" in note,
    "27_few": lambda note: "class '1' (3 rows)" in note,
}


@pytest.mark.skipif(not FOLDER.is_dir(), reason="MAPSTO_DATA/messy is not there")
def test_the_collection_s_doubtful_tables_are_doubted_and_the_clean_one_is_not() -> None:
    for name, expected in FILES.items():
        table = pd.read_csv(FOLDER / f"{name}.csv")
        said = TableClassifier(members=1).fit(table.drop(columns="dead"), table["dead"]).notes_
        assert [expected(note) for note in said] == [True], name
    table = pd.read_csv(FOLDER / "00_clean.csv")
    assert TableClassifier(members=1).fit(table.drop(columns="dead"), table["dead"]).notes_ == []
