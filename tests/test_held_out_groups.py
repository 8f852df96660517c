"""Groups of held-out rows, codes in files, formulas behind another separator, and rivals that are worth naming."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from mapsto.cli import main
from mapsto.commands.sheet import sheet
from mapsto.measures.evaluation.calibration import calibration_interval
from mapsto.reports.page import render, short
from mapsto.reports.table.class_parts import trust
from mapsto.reports.table.evidence import Evidence
from mapsto.reports.table.headlines import headlines


def explained(table: pd.DataFrame, tmp_path, capsys, *options: str) -> dict:
    table.to_csv(tmp_path / "t.csv", index=False)
    code = main(
        ["explain", str(tmp_path / "t.csv"), "--target", "died", "--out", str(tmp_path / "o"), "--json", *options]
    )
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


def test_rows_of_one_patient_count_once_in_the_intervals_of_held_out_rows(tmp_path, capsys) -> None:
    rng = np.random.default_rng(0)
    each = pd.DataFrame({"patient": [f"p{i}" for i in range(20)], "crp": rng.normal(size=20).round(2)})
    each["died"] = np.where(each["crp"] + 0.8 * rng.normal(size=20) > 0, "yes", "no")
    found = explained(each.loc[each.index.repeat(8)], tmp_path, capsys, "--group", "patient")
    assert found["measured"] == "held-out rows" and found["measured_groups"] * 8 == found["measured_rows"]
    n, right = found["measured_groups"], found["accuracy"] * found["measured_groups"]
    low, high = found["intervals"]["accuracy"]
    exact = beta.ppf(0.025, right, n - right + 1), beta.ppf(0.975, right + 1, n - right) if right < n else 1.0
    assert low <= exact[0] + 0.02 and high >= exact[1] - 0.02  # as for so many patients, not for so many rows
    assert found["cross_validation"] is not None  # few patients, though there are more than 30 rows


def test_visits_of_one_patient_count_once_in_the_bins_of_the_reliability_table() -> None:
    event, patients = np.repeat(np.arange(10) < 3, 4), np.repeat(np.arange(10), 4)
    p = np.tile([0.7, 0.3], (40, 1))

    def width(groups: np.ndarray | None) -> float:
        rows = Evidence("held-out rows", "", event.astype(int), p, p, groups=groups)
        answer = SimpleNamespace(test_probabilities=p, truth=rows.y, evidence=rows, classes=["no", "yes"], positive=1)
        shown = trust(answer)  # type: ignore[arg-type]
        assert shown is not None
        (one,) = shown["bins"]
        return one["high"] - one["low"]

    assert width(patients) > 1.5 * width(None)


def test_codes_keep_their_zeros_in_a_file_with_decimal_commas(tmp_path, capsys) -> None:
    n = 24
    table = pd.DataFrame({"plz": [f"{1000 + 7 * i:05d}" for i in range(n)], "crp": [f"{i}.5" for i in range(n)]})
    table["died"] = ["yes", "no"] * (n // 2)
    explained(table, tmp_path, capsys, "--out-format", "csv;")
    lines = (tmp_path / "o" / "predictions.csv").read_text(encoding="utf-8-sig").splitlines()
    rows = list(csv.DictReader(lines, delimiter=";"))
    assert all(row["plz"].startswith("0") and row["crp"].endswith(",5") for row in rows)


@pytest.mark.parametrize("text", ["x;=1+1;y", "x\t=cmd|' /C calc'!A0", "a,@SUM(A1)", 'a;"=1+1"', "b; =1"])
def test_a_formula_behind_another_separator_is_harmless(text: str) -> None:
    table = sheet({text: [text]}, "csv")
    for cell in (table.names[0], table.columns[0][0]):
        assert not any(
            part.strip(' "').startswith(("=", "@", "+"))
            for part in cell.replace("\t", ";").replace(",", ";").split(";")
        )
    assert table.notes


@pytest.mark.parametrize("text", ["a, -5", "120/80; +3 %", "pain, none", "x;y"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    table = sheet({"a": [text]}, "csv")
    assert table.columns[0] == [text] and not table.notes


def test_a_cell_cannot_turn_the_numbers_behind_it_around() -> None:
    assert "\u202e" not in str(short("\u202eabc"))
    page = render("base.html.jinja", title="\u202eabc")
    assert "\u202e" not in page and "□abc" in page
    assert sheet({"a": ["\u202eabc", "\u2066x"]}, "csv").columns[0] == [
        "\N{REPLACEMENT CHARACTER}abc",
        "\N{REPLACEMENT CHARACTER}x",
    ]


def test_a_calibration_error_of_many_rows_has_an_interval_with_a_width() -> None:
    rng = np.random.default_rng(0)
    p = np.repeat(rng.uniform(0.5, 1, 40), 8)
    y = np.repeat((rng.uniform(size=40) < 0.2).astype(int), 8)
    for groups in (None, np.repeat(np.arange(40), 8)):
        found = calibration_interval(np.stack([1 - p, p], 1), y, groups)
        assert found.low < found.high


def summary(rows: int, commonest: float, rival: float, base: float) -> dict:
    difference = {
        "auc": {"value": 0.0, "low": -0.1, "high": 0.1},
        "log_loss": {"value": rival - 1.3, "low": -0.6, "high": -0.1},
    }
    return {
        "measured_rows": rows, "auc": 0.8, "log_loss": 1.3, "intervals": {"auc": [0.6, 0.9]},
        "baselines": {
            "random_forest": {"auc": 0.8, "accuracy": 0.7, "log_loss": rival, "difference": difference},
            "majority": {"accuracy": commonest},
            "base_rates": {"log_loss": base, "difference": {"log_loss": {"value": 0.1, "low": 0.05, "high": 0.2}}},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "commonest", "rival", "told"),
    [(40, 0.5, 0.6, True), (40, 0.5, 0.9, False), (9, 0.5, 0.6, False), (40, 0.975, 0.6, False)],
)
def test_a_rival_is_recommended_if_it_is_worth_it_and_rows_are_enough(rows, commonest, rival, told) -> None:
    found = headlines(summary(rows, commonest, rival, base=0.7))
    assert any("random forest" in sentence for sentence in found) == told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--group", "died"], "--group: got 'died', which is the target"),
        (["--id", "died"], "--id: got 'died', which is the target"),
        (["--drop", "died"], "--drop: got 'died', which is the target"),
        (["--drop", "crp"], "which has no column besides 'died' but 1 that are left out"),
    ],
)
def test_a_role_that_the_target_cannot_have_is_named(options: list[str], said: str, tmp_path, capsys) -> None:
    pd.DataFrame({"crp": range(12), "died": ["yes", "no"] * 6}).to_csv(tmp_path / "t.csv", index=False)
    assert main(["explain", str(tmp_path / "t.csv"), "--target", "died", "--out", str(tmp_path / "o"), *options]) == 1
    assert said in capsys.readouterr().err
