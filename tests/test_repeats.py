"""Warnings about rows: repeated rows, the same patient in several rows, and rows unlike those of training."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mapsto import TableClassifier
from mapsto.cli import main
from mapsto.errors import MapstoError
from mapsto.reports.table.question import Choices, Question, of_table, of_two_tables
from mapsto.reports.table.remarks import about_rows

N = 90


def table(seed: int = 0, n: int = N) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    y = r.uniform(size=n) < 0.45
    return pd.DataFrame({
        "age": r.normal(60, 15, n).round(),
        "weight": r.normal(75, 14, n).round(1),
        "sex": r.choice(["m", "f"], n),
        "creatinine": r.normal(90, 20, n).round(1),
        "ward": r.choice(["A1", "B2", "C3"], n),
        "visit": r.choice([1, 2, 3], n),
        "dead": y.astype(int),
    })  # fmt: skip


def patients(seed: int = 0, each: int = 3, name: str = "pid") -> pd.DataFrame:
    """Return a table of patients with several visits, in which only creatinine and ward change."""
    r = np.random.default_rng(seed)
    rows = table(seed, N // each).loc[np.arange(N) % (N // each)].reset_index(drop=True)
    rows["creatinine"] = (rows["creatinine"] + r.normal(0, 5, N)).round(1)
    rows["ward"] = r.choice(["A1", "B2", "C3"], N)
    rows.insert(2, name, np.arange(N) % (N // each) + 1)
    return rows


def ask(rows: pd.DataFrame, train: pd.DataFrame | None = None, **choices: object) -> tuple[Question, list[str]]:
    chosen = Choices(**choices)
    if train is None:
        question = of_table(rows, "dead", None, 1000, 0, choices=chosen)
    else:
        question = of_two_tables(rows, train, "dead", None, 1000, 0, choices=chosen)
    classifier = TableClassifier(members=1).fit(question.train, question.labels)
    return question, about_rows(question, classifier, [str(name) for name in question.test_rows.index])


def test_an_honest_table_gives_no_sentence() -> None:
    assert [ask(table(seed))[1] for seed in range(6)] == [[]] * 6
    coarse = table()[["sex", "ward", "visit", "dead"]]  # eighteen different rows, equal by chance
    assert ask(coarse)[1] == []


def test_repeated_rows_are_counted_in_training_and_in_testing() -> None:
    rows = table()
    rows = pd.concat([rows, rows.iloc[:20]], ignore_index=True)
    question, notes = ask(rows)
    train = question.train.astype(str).agg("|".join, axis=1)
    test = question.test_rows.astype(str).agg("|".join, axis=1)
    both, again = test.isin(train).sum(), train.duplicated().sum()
    assert both > 0 and again > 0 and len(notes) == 2
    assert notes[0].startswith(f"rows for testing that equal a training row in all 6 columns: {both} of {len(test)}")
    assert notes[1].startswith(f"training rows that repeat another one in all 6 columns: {again} of {len(train)}")
    assert str(test.index[test.isin(train)][0]) in notes[0] and all("--group" in note for note in notes)


def test_repeated_rows_are_no_patients_with_several_rows() -> None:
    rows = table().assign(marker=np.random.default_rng(0).normal(size=N))
    notes = ask(pd.concat([rows, rows.iloc[:40]], ignore_index=True))[1]
    assert len(notes) == 2 and not any("with several rows" in note for note in notes)


def test_a_number_beside_each_row_does_not_hide_repeated_rows() -> None:
    rows = table()
    rows = pd.concat([rows, rows.iloc[:20]], ignore_index=True)
    assert len(ask(rows.assign(id=np.arange(len(rows))))[1]) == 2


@pytest.mark.parametrize("name", ["pid", "Patientennr.", "nr", "x"])
@pytest.mark.parametrize("each", [2, 3, 5])
def test_the_same_patients_several_times_are_named_by_their_column(name: str, each: int) -> None:
    notes = [note for note in ask(patients(each=each, name=name))[1] if "with several rows" in note]
    assert len(notes) == 1
    assert notes[0].startswith(
        f"column {name!r}: {N // each} different values in {N} rows, and rows of one value agree in "
    )
    assert "'creatinine'" not in notes[0] and f"(--group {name})" in notes[0]


def test_a_column_of_few_values_or_without_agreement_is_no_patient() -> None:
    r = np.random.default_rng(0)
    rows = table().assign(hospital=r.integers(0, 20, N), nr=r.integers(0, 30, N), dose=r.integers(0, 30, N))
    assert ask(rows)[1] == []
    ward = table()["ward"].map({"A1": 1, "B2": 2, "C3": 3})
    assert ask(table().assign(ward_id=ward, floor=ward * 10))[1] == []


def test_a_column_that_names_several_rows_alike_is_said() -> None:
    assert any(note.startswith(f"column 'pid' names {N} rows by 30 different") for note in ask(patients(), id="pid")[1])
    assert not any("names" in note for note in ask(table().assign(pid=np.arange(N)), id="pid")[1])


# --- --group ----------------------------------------------------------------------------------------------------------


def test_groups_stay_together_and_their_column_predicts_nothing() -> None:
    rows = patients().assign(pid=lambda rows: [f"P{k}" if k % 7 else None for k in rows["pid"]])
    question, notes = ask(rows, group="pid")
    assert notes == [] and "pid" not in question.train
    assert question.groups is not None and len(question.groups) == len(question.train) == len(question.labels)
    names = rows["pid"].str.casefold()
    assert [g for g in question.groups if not g.startswith("(")] == names[question.train.index].dropna().tolist()
    assert not set(question.groups) & set(names[question.test_rows.index].dropna())
    lone = [g for g in question.groups if g.startswith("(")]
    assert len(set(lone)) == len(lone) == names[question.train.index].isna().sum() > 1
    assert sum("stay together" in note for note in question.notes) == 1
    assert ask(rows)[0].groups is None


def test_one_column_may_name_and_group_the_rows() -> None:
    question, _ = ask(patients(), id="pid", group="pid")
    assert question.groups is not None and question.groups.tolist() == question.train.index.tolist()


def test_an_unknown_group_is_refused() -> None:
    for group, why in (("nobody", "no column of the table"), ("dead", "the target")):
        with pytest.raises(MapstoError, match=f"^group: got {group!r}, which is {why}"):
            ask(patients(), group=group)


def test_patients_of_both_tables_are_counted() -> None:
    rows = patients()
    question, _ = ask(rows.iloc[60:], rows.iloc[:70], group="pid")
    shared = rows["pid"].iloc[60:].isin(rows["pid"].iloc[:70]).sum()
    assert any(
        f"{shared} of 30 rows of the table have a 'pid' that training rows have too" in n for n in question.notes
    )
    assert ask(rows.iloc[60:].drop(columns="pid"), rows.iloc[:60], group="pid")[0].groups is not None


def test_the_option_reaches_the_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    patients().to_csv("t.csv", index=False)
    assert main(["explain", "t.csv", "--target", "dead", "--group", "pid", "--json", "--no-quality"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any(note.startswith("rows with the same 'pid' stay together: ") for note in notes)
    page = (tmp_path / "t-explained" / "report.html").read_text()
    assert "stay together: " in page
    assert main(["explain", "t.csv", "--target", "dead", "--group", "who"]) != 0
    assert "--group: got 'who', which is no column of t.csv" in capsys.readouterr().err


# --- drift ------------------------------------------------------------------------------------------------------------

NEW = table(1).drop(columns="dead")
DRIFTS = {
    "older": (NEW.assign(age=NEW["age"] + 28), "column 'age': mean ", "unlike the training rows"),
    "grams": (NEW.assign(weight=1000 * NEW["weight"]), "column 'weight': mean ", "about 1000 times as large: another"),
    "mg/dl": (NEW.assign(creatinine=NEW["creatinine"] / 88.4), "column 'creatinine'", "about 88.4 times as small"),
    "pounds": (NEW.assign(weight=NEW["weight"] / 2.2046), "column 'weight'", "about 2.205 times as small"),
    "ward": (NEW.assign(ward="B2"), "column 'ward': 'B2' in ", "and in 100% of the rows to explain"),
    "missing": (NEW.assign(age=NEW["age"].where(NEW["sex"] == "m")), "column 'age': missing in 0%", "--missing"),
}


@pytest.mark.parametrize("kind", DRIFTS)
def test_a_column_unlike_that_of_training_is_said(kind: str) -> None:
    rows, start, words = DRIFTS[kind]
    _, notes = ask(rows, table())
    assert len(notes) == 1 and notes[0].startswith(start) and words in notes[0]
    one_file = pd.concat([table(), rows.assign(dead=pd.NA)], ignore_index=True)
    assert ask(one_file)[1] == notes


def test_rows_like_those_of_training_are_not_accused() -> None:
    assert [ask(table(seed + 10).drop(columns="dead"), table(seed))[1] for seed in range(8)] == [[]] * 8
    few = NEW.iloc[:2].assign(age=100.0)  # two rows say little
    assert ask(few, table())[1] == []


def test_dates_that_lie_later_are_said_as_dates() -> None:
    days = pd.Series(pd.date_range("2021-01-01", periods=N)).sample(frac=1, random_state=0).reset_index(drop=True)
    later = NEW.assign(seen=days + pd.Timedelta(days=900))
    _, notes = ask(later, table().assign(seen=days))
    assert len(notes) == 1 and "around 2021-02-14 in the training rows, 2023-08-03 in" in notes[0]


FOLDER = Path(os.environ.get("MAPSTO_DATA", "")) / "messy"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="MAPSTO_DATA/messy is not there")
def test_the_collection_s_repeated_patients_are_said_and_the_clean_table_s_are_not() -> None:
    _, notes = ask(pd.read_csv(FOLDER / "20b_repeated_patients.csv"))
    assert any(note.startswith("column 'pid': 20 different values in 80 rows") for note in notes)
    assert ask(pd.read_csv(FOLDER / "00_clean.csv"))[1] == []
