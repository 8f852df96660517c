"""`mapsto explain TABLE --out FILE`: the values of one call in Python, whatever the length and interruptions."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import mapsto as mt
from mapsto.cli import main
from mapsto.commands import explain_rows
from mapsto.commands.part_files import PartFiles
from mapsto.errors import MapstoError
from mapsto.reports.table import long
from mapsto.tables.splits import split

R = np.random.default_rng(0)


def patients(labelled: int = 24, rows: int = 70) -> pd.DataFrame:
    """Patients of whom some, anywhere in the table, have an outcome."""
    table = pd.DataFrame({
        "age": R.normal(60, 9, rows).round(1), "crp": R.gamma(2, 10, rows).round(2),
        "ward": R.choice(["north", "south"], rows), "visits": R.integers(0, 9, rows),
        "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(R.integers(0, 300, rows), "D"),
    })  # fmt: skip
    table.loc[::7, "crp"] = np.nan
    y = np.where(table["age"] + R.normal(size=rows) * 5 > 60, "ill", "well").astype(object)
    y[np.setdiff1d(np.arange(rows), R.permutation(rows)[:labelled])] = None
    return table.assign(outcome=y)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., Any]:
    """Run `mapsto explain ARGUMENTS --json` in an empty folder, with parts of 16 rows; return its result or error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(explain_rows, "_ROWS", 16)

    def run(*arguments: str) -> Any:
        code = main(["explain", *arguments, "--json"])
        said = capsys.readouterr()
        return json.loads(said.out) if code == 0 else said.err

    return run


def as_in_python(found: pd.DataFrame, clf: Any, rows: pd.DataFrame) -> None:
    """Check a table of results against those of an estimator that was fitted and asked in Python."""
    e = clf.explain(rows)
    best = e.predictions.argmax(1)
    for c, name in enumerate(e.class_names):
        np.testing.assert_allclose(found[f"probability of {name}"], e.predictions[:, c], atol=1e-6)
    assert found["prediction"].tolist() == np.array(e.class_names)[best].tolist()
    because = found[[f"because of {name}" for name in e.feature_names]].to_numpy()
    np.testing.assert_allclose(because, e.values[np.arange(len(e)), :, best], atol=1e-6)
    np.testing.assert_allclose(found["base"], e.base_values[np.arange(len(e)), best], atol=1e-6)
    assert np.abs(because).max() > 0.01


@pytest.mark.parametrize(("read", "written"), [("parquet", "csv"), ("csv", "parquet"), ("parquet", "parquet")])
def test_a_long_table_has_the_values_of_one_call(call, read: str, written: str) -> None:
    table = patients()
    table.to_parquet("t.parquet")
    table.to_csv("t.csv", index=False)
    result = call(f"t.{read}", "--target", "outcome", "--out", f"r.{written}")
    assert result["rows"] == 70 and result["predictions"] == f"r.{written}"
    found = pd.read_parquet("r.parquet") if written == "parquet" else pd.read_csv("r.csv")
    taught = table["outcome"].notna()
    x = table.drop(columns="outcome")
    as_in_python(found, mt.TableClassifier().fit(x[taught], table["outcome"][taught]), x[~taught])
    assert found["row"].tolist() == (np.flatnonzero(~taught) + 1).tolist()
    assert list(found.columns[:7]) == ["row", *table.columns]
    np.testing.assert_array_equal(found["crp"].astype(float), table["crp"][~taught])
    if read == written == "parquet":
        assert found["visits"].dtype == "int64"
        assert found["seen"].tolist() == table["seen"][~taught].tolist()
    assert sorted(path.name for path in Path().iterdir()) == sorted({"t.csv", "t.parquet", f"r.{written}"})


def test_row_groups_of_any_length_lose_no_row(call) -> None:
    """Where a column is a dictionary, parts end with row groups, and are more than the number of rows tells."""
    table = patients().astype({"ward": "category"})
    whole = pa.Table.from_pandas(table)
    with parquet.ParquetWriter("t.parquet", whole.schema) as writer:
        for group in (whole[:0], whole[:33], whole[33:34], whole[34:]):
            writer.write_table(group)
    call("t.parquet", "--target", "outcome", "--out", "r.parquet")
    rows = np.flatnonzero(table["outcome"].isna()) + 1
    assert pd.read_parquet("r.parquet")["row"].tolist() == rows.tolist()


def test_whole_numbers_beside_missing_ones_keep_their_last_digit(call) -> None:
    ids = pd.array(2**53 + 1 + 2 * np.arange(70), dtype="Int64")  # no double-precision number is one of them
    ids[69] = pd.NA
    table = patients().assign(key=ids)
    table.loc[64:, "outcome"] = None
    table.to_parquet("t.parquet")
    call("t.parquet", "--target", "outcome", "--id", "key", "--out", "r.parquet")
    found = parquet.read_table("r.parquet")
    blank = table["outcome"].isna()
    assert found["key"].to_pylist() == [None if cell is pd.NA else cell for cell in table["key"][blank]]
    assert found["row"].to_pylist()[:-1] == [str(cell) for cell in table["key"][blank]][:-1]


def test_another_table_teaches_numbers_and_the_id_names_rows(call) -> None:
    table = patients(60, 60).drop(columns=["outcome", "seen"]).assign(key=[f"p{i}" for i in range(60)])
    table[:30].to_csv("train.csv", index=False)
    table[30:].drop(columns="age").to_csv("new.csv", index=False)
    teach = ("--train", "train.csv", "--target", "age", "--id", "key", "--outcome", "numbers")
    call("new.csv", *teach, "--out", "r.csv")
    found, x = pd.read_csv("r.csv"), table.drop(columns=["age", "key"])
    reg = mt.TableRegressor().fit(x[:30], table["age"][:30])
    np.testing.assert_allclose(found["prediction"], reg.predict(x[30:]), atol=1e-4)
    np.testing.assert_allclose(found[["lower", "upper"]], reg.predict_interval(x[30:]), atol=1e-4)
    because = [f"because of {name}" for name in x]
    np.testing.assert_allclose(found[because], reg.explain(x[30:]).values, atol=1e-4)
    assert found["row"].tolist() == table["key"][30:].tolist()


def test_who_is_interrupted_goes_on_with_the_same_command(call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third of five parts is interrupted; the second run explains three parts, and the file is that of one run."""
    patients().to_parquet("t.parquet")
    command = ("t.parquet", "--target", "outcome", "--out")
    call(*command, "whole.parquet")
    answer, asked = long.LongTable.answer, []

    def interrupted(self: long.LongTable, rows: pd.DataFrame) -> Any:
        asked.append(rows.index[0])
        if len(asked) == 3:
            raise KeyboardInterrupt
        return answer(self, rows)

    monkeypatch.setattr(long.LongTable, "answer", interrupted)
    assert "the same command goes on from r.parquet.parts" in call(*command, "r.parquet")
    assert not Path("r.parquet").exists()
    parts = sorted(path.name for path in Path("r.parquet.parts").iterdir())
    assert parts == ["000000.parquet", "000001.parquet", "plan.json"]
    for other in (["--seed", "5"], ["--drop", "crp"]):
        name = other[0].removeprefix("--")
        said = call(*command, "r.parquet", *other)
        assert said.startswith("mapsto: --out: r.parquet.parts holds parts of") and f"({name})" in said
    assert isinstance(call(*command, "r.parquet", "--max-memory", "3"), dict)
    assert len(asked) == 3 + 3 and asked[3] == asked[2]
    pd.testing.assert_frame_equal(pd.read_parquet("r.parquet"), pd.read_parquet("whole.parquet"))
    assert not Path("r.parquet.parts").exists()
    Path("r.parquet.parts").mkdir()
    Path("r.parquet.parts/plan.json").write_text("{")
    Path("r.parquet.parts/000000.parquet").write_bytes(b"")
    assert "(plan.json)" in call(*command, "r.parquet")


def test_another_input_is_not_joined_with_the_parts_of_the_first(call, monkeypatch: pytest.MonkeyPatch) -> None:
    patients().to_parquet("t.parquet")
    with monkeypatch.context() as patch:
        patch.setattr(explain_rows, "_join_parquet", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        call("t.parquet", "--target", "outcome", "--out", "r.parquet")
    patients(labelled=30).to_parquet("t.parquet")
    assert "(table)" in call("t.parquet", "--target", "outcome", "--out", "r.parquet")


def test_where_every_row_has_an_outcome_all_but_the_training_rows_are_explained(call) -> None:
    table = patients(70, 70)
    table.to_parquet("t.parquet")
    call("t.parquet", "--target", "outcome", "--train-rows", "40", "--out", "r.parquet", "--seed", "3")
    parts = split(table["outcome"], 40, 1000, seed=3)
    x, y = table.drop(columns="outcome"), table["outcome"]
    clf = mt.TableClassifier().fit(x.iloc[parts.train], y.iloc[parts.train])
    found = pd.read_parquet("r.parquet")
    assert found["row"].tolist() == (parts.test + 1).tolist()
    as_in_python(found, clf, x.iloc[parts.test])


def test_many_outcomes_are_sampled_in_the_order_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long, "SAMPLE", 12)
    table = patients(40, 70)
    found = long.survey([table[:30], table[30:31], table[31:]], "outcome", seed=0)
    again = long.survey([table], "outcome", seed=0)
    assert (found.rows, found.outcomes, len(found.labelled), len(found.blank)) == (70, 40, 12, 8)
    assert found.labelled.index.is_monotonic_increasing and found.labelled["outcome"].notna().all()
    assert found.labelled.index.tolist() == again.labelled.index.tolist()
    assert found.labelled.index[-1] > 30 and found.blank["outcome"].isna().all()
    places = [long.survey([table], "outcome", seed=seed).labelled.index for seed in range(100)]
    share = np.bincount(np.concatenate(places), minlength=70)[table["outcome"].notna()] / 100
    assert np.abs(share - 12 / 40).max() < 0.19  # four standard errors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Report of May\n\na,b,y\n1,2,x\n3,4,\n", "a plain CSV file"),
        ("a,b,y\nkg,m,\n1,2,x\n3,4,\n5,6,z\n", "a plain CSV file"),
        ("a,b,y\n1,2,x\n3,4,5,6\n", "is not a table"),
    ],
)
def test_a_text_that_is_not_plain_is_refused(call, text: str, said: str) -> None:
    Path("t.csv").write_text(text)
    assert said in call("t.csv", "--target", "y", "--out", "r.csv")
    assert [path.name for path in Path().iterdir()] == ["t.csv"]


def test_what_is_no_long_table_is_refused(call) -> None:
    patients().to_parquet("t.parquet")
    Path("t.xlsx").write_bytes(b"")
    target = ("--target", "outcome", "--out", "r.csv")
    assert "expected one of .parquet, .pq, .csv" in call("t.xlsx", *target)
    assert call("t.parquet", *target, "--sheet", "May").startswith("mapsto: --sheet: is for a folder of results")
    assert "pass --target outcome" in call("t.parquet", "--target", "Outcome", "--out", "r.csv")
    Path("broken.parquet").write_bytes(b"PAR1 and no more")
    assert "not a readable Parquet file" in call("broken.parquet", *target)
    assert not Path("r.csv").exists() and not list(Path().glob("*.parts"))


@pytest.mark.parametrize("given", [["t.csv", "--out", "t.csv"], ["n.csv", "--train", "t.csv", "--out", "./t.csv"]])
def test_no_table_that_is_read_is_overwritten(call: Callable[..., Any], given: list[str]) -> None:
    patients().to_csv("t.csv", index=False)
    patients().drop(columns="outcome").to_csv("n.csv", index=False)
    before = Path("t.csv").read_bytes()
    assert "expected a file that is not read too" in call(*given, "--target", "outcome")
    assert Path("t.csv").read_bytes() == before and sorted(Path().iterdir()) == [Path("n.csv"), Path("t.csv")]


def test_a_table_in_the_folder_of_its_results_is_not_overwritten(call: Callable[..., Any]) -> None:
    Path("out").mkdir()
    patients().to_csv("out/predictions.csv", index=False)
    before = Path("out/predictions.csv").read_bytes()
    said = call("out/predictions.csv", "--target", "outcome", "--out", "out")
    assert "expected a file that is not read too" in said
    assert Path("out/predictions.csv").read_bytes() == before


@pytest.mark.parametrize("more", [["--out", "x.xlsx"], ["--out", "x.csv", "--text", "ward"]])
def test_a_file_where_results_need_a_folder_is_refused(call: Callable[..., Any], more: list[str]) -> None:
    patients().to_csv("t.csv", index=False)
    said = call("t.csv", "--target", "outcome", *more)
    assert said.startswith(f"mapsto: --out: got {more[1]}, expected a folder; ") and said.count("\n") == 1
    assert list(Path().iterdir()) == [Path("t.csv")]


def test_parts_that_another_run_has_joined_are_said_to_be(tmp_path: Path) -> None:
    parts = PartFiles(tmp_path / "r.csv", {"seed": 0})
    parts.begin()
    shutil.rmtree(parts.folder)
    with pytest.raises(MapstoError, match="another run of this command has joined them"):
        parts.add(0, lambda file: file.write_text("row"))
