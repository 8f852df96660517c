"""The file of predictions: every row as it was given, in three formats, and no cell that a spreadsheet runs or cuts."""

import csv
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapsto.cli import main
from mapsto.commands import sheet as sheets
from mapsto.commands.folder import mark
from mapsto.commands.predictions import columns, form_of
from mapsto.commands.sheet import Sheet, refuse_without_package, sheet, write_sheet
from mapsto.errors import MapstoError
from mapsto.reports.table import cases
from mapsto.reports.table.answer import answer as answered
from mapsto.reports.table.question import of_table
from mapsto.tables import tablefile
from mapsto.tables.columns import Columns

N = 24
TABLE = "Study\nid,Größe,dose,note,row,ward,died\n" + "".join(
    f"P{i},{150 + 3 * i % 40},{i}.5,{'=1+1' if i % 5 else '-5'},x{i},{'AB'[i % 2]},{outcome}\n"
    for i, outcome in enumerate(["ja", "nein"] * 9 + [""] * 6)
)
GERMAN = TABLE.replace(",", ";").replace(".5", ",5")
OWN = ["prediction", "probability of ja", "probability of nein", "base"]


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """Explain one table in two formats: (folder, the JSON of each)."""
    folder, monkeypatch = tmp_path_factory.mktemp("explained"), pytest.MonkeyPatch()
    (folder / "t.csv").write_text(TABLE, encoding="utf-8")
    printed = {}
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        for form in ("csv", "csv;"):
            buffer = io.StringIO()
            patch.setattr(sys, "stdout", buffer)
            command = ["explain", "t.csv", "--target", "died", "--id", "id", "--drop", "ward", "--json", "--no-quality"]
            assert main([*command, "--out-format", form, "--out", form.replace(";", "2")]) == 0
            printed[form] = json.loads(buffer.getvalue())
    return folder, printed


def rows_of(path, delimiter=","):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_each_row_has_its_id_its_line_and_its_cells_as_they_were_given(explained):
    folder, printed = explained
    rows = rows_of(folder / "csv" / "predictions.csv")
    reasons = [f"because of {name}" for name in ("Größe", "dose", "note")]  # `row` is a name
    doubts = ["trust", *(name.replace("because", "margin") for name in reasons)]
    assert list(rows[0]) == [
        *["row", "line", "id", "Größe", "dose", "note", "row (given)", "ward", "died"], *OWN, *reasons, *doubts
    ]  # fmt: skip
    lines = TABLE.split("\n")
    for row in rows:
        given = lines[int(row["line"]) - 1].split(",")
        assert given[0] == row["row"] == row["id"]
        assert [row["Größe"], row["dose"], row["row (given)"], row["ward"], row["died"]] == [*given[1:3], *given[4:]]
        assert row["note"] == ("'=1+1" if given[3] == "=1+1" else "-5")
        assert sum(float(row[name]) for name in ["base", *reasons]) == pytest.approx(
            float(row[f"probability of {row['prediction']}"]), abs=1e-6
        )
    assert [row["row"] for row in rows] == [f"P{i}" for i in range(18, N)]
    said = [note for note in printed["csv"]["notes"] if note.startswith("predictions:")]
    assert len(said) == 1 and "apostrophe" in said[0] and said[0].startswith("predictions: 5 text(s)")
    page = (folder / "csv" / "report.html").read_text()
    assert "apostrophe" in page and f'content="{mark(folder / "t.csv", folder / "csv")}"' in page


@pytest.fixture(scope="module")
def answer():
    """An answer in which the column `same` is not used."""
    g = np.random.default_rng(0)
    a, b = g.normal(size=(2, 40))
    table = pd.DataFrame({"a": a, "same": 1.0, "b": b, "y": np.where(a + b > 0, "no", "yes")})
    table.loc[30:, "y"] = None
    return answered(of_table(table, "y", None, 1000, 0), quality=False)


def test_pictures_show_the_used_columns_with_their_own_intervals(answer, monkeypatch):
    drawn, waterfall = [], cases.waterfall
    monkeypatch.setattr(
        cases, "waterfall", lambda *parts, **more: drawn.append((parts, more)) or waterfall(*parts, **more)
    )
    cases.cases(answer)
    for i, ((values, _, row, names, _), more) in zip(answer.cases, drawn, strict=True):
        assert names == ["a", "b"] and list(row) == list(answer.cells[i, [0, 2]])
        np.testing.assert_array_equal(values, answer.values[i, [0, 2], answer.positive])
        np.testing.assert_array_equal(more["reach"], answer.reach[i, [0, 2], answer.positive])


def test_margins_and_trust_are_those_of_the_explanation(answer):
    """The predicted class is another one in some rows."""
    found, e = columns(answer, {}), answer.reasons
    low, high = e.intervals(0.9)
    best = e.predictions.argmax(1)
    assert len(set(best)) == 2 and list(e.feature_names) == ["a", "same", "b"]
    assert list(found)[-5:] == ["because of a", "because of b", "trust", "margin of a", "margin of b"]
    for j, name in ((0, "a"), (2, "b")):
        expected = [(low[i, j, c], high[i, j, c]) for i, c in enumerate(best)]
        because, margin = np.array(found[f"because of {name}"]), np.array(found[f"margin of {name}"])
        np.testing.assert_allclose(np.stack([because - margin, because + margin], 1), expected, atol=1e-6)
        assert (margin > 0).all()
    np.testing.assert_allclose(found["trust"], e.trust)
    unsure = columns(replace(answer, reasons=replace(e, errors=None)), {})
    assert list(unsure)[-3:] == ["because of a", "because of b", "trust"]  # no margin, rather than one of 0


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (TABLE, "csv"),
        (GERMAN, "csv;"),
        (TABLE.replace(",", ";"), "csv"),
        (GERMAN.replace("150", "150.5").replace("162", "162.5"), "csv"),
        (re.sub(r"(\d+\.5)", r'"\1"', TABLE).replace(".5", ",5"), "csv"),
    ],
    ids=["commas", "decimal commas", "decimal points", "both marks", "decimal commas between commas"],
)
def test_the_form_is_that_of_the_table(text, form):
    file, _ = tablefile.of_text(Path("t.csv"), text.encode())
    readers = {column.name: column for column in Columns().fit(file.table.drop(columns="died"))}
    question = SimpleNamespace(source=SimpleNamespace(file=file))
    assert readers["dose"].kind == "number" and form_of(SimpleNamespace(question=question, readers=readers)) == form


def test_the_file_is_written_as_the_table_is(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text(GERMAN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["explain", "t.csv", "--target", "died", "--no-quality", "--json"]) == 0
    read = pd.read_csv(tmp_path / "t-explained" / "predictions.csv", sep=";", decimal=",")
    assert read["base"].between(0, 1).all() and read["dose"].tolist() == [i + 0.5 for i in range(18, 24)]


def test_every_reader_reads_the_umlauts_and_the_semicolons(explained):
    folder, _ = explained
    path = folder / "csv" / "predictions.csv"
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")  # by this mark Excel knows that it is UTF-8
    assert pd.read_csv(path).columns[:4].tolist() == ["row", "line", "id", "Größe"]
    assert tablefile.read(path).table.columns[:4].tolist() == ["row", "line", "id", "Größe"]
    german = folder / "csv2" / "predictions.csv"
    assert german.read_bytes().startswith(b"\xef\xbb\xbf")
    first, second = pd.read_csv(path), pd.read_csv(german, sep=";", decimal=",")
    pd.testing.assert_frame_equal(first, second)
    assert rows_of(german, ";")[0]["dose"] == "18,5"  # a German Excel would take 18.5 for a day in May
    assert second["base"].dtype == float and 0 < second["base"][0] < 1


def test_a_file_without_other_letters_has_no_mark(tmp_path):
    write_sheet(sheet({"row": [1], "a": ["x"]}, "csv"), tmp_path / "t.csv", "csv")
    assert (tmp_path / "t.csv").read_bytes() == b"row,a\n1,x\n"  # readers that do not expect a mark read it


DANGEROUS = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\tx", "\rx", " =1+1", "=", "＝1+1", "-x", "+49 171 1", "--1", "-5 mg"]
HARMLESS = ["-5", "+5", "-5.25", "-1,5", "-1e5", "-.5", "-5 %", "-", "++", "a=b", "5-3", "x@y.z", "'=1", "007", "–5"]


@pytest.mark.parametrize("form", ["csv", "csv;"])
@pytest.mark.parametrize(("texts", "mark"), [(DANGEROUS, "'"), (HARMLESS, "")])
def test_no_text_begins_a_formula(tmp_path, form, texts, mark):
    table = sheet({f"{text if mark else ''}name {i}": [text] for i, text in enumerate(texts)}, form)
    for text, (cell,) in zip(texts, table.columns, strict=True):
        assert cell == mark + text.replace("\r", "\n")
    write_sheet(table, tmp_path / "t.csv", form)
    with open(tmp_path / "t.csv", encoding="utf-8-sig", newline="") as file:
        names, cells = csv.reader(file, delimiter=";" if form == "csv;" else ",")
    assert cells == [mark + text.replace("\r", "\n") for text in texts]
    assert bool(table.notes) == bool(mark)
    if mark:
        assert all(name.startswith("'") for name in names)  # the names of columns too


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=8))
def test_whatever_is_written_no_cell_is_a_formula_or_out_of_bounds(text):
    (cell,) = sheet({"a": [text]}, "csv").columns[0]
    try:
        float(cell.replace(",", ".").rstrip("% "))
    except ValueError:
        assert cell.lstrip()[:1] not in ("=", "@") and cell[:1] not in ("\t", "\r")
        assert cell.lstrip()[:1] not in ("+", "-") or not cell.strip("+-. ,%eE0123456789\n\t")
    cell.encode("utf-8")  # half of a character pair cannot be encoded
    assert all(letter in "\t\n" or ord(letter) >= 32 for letter in cell)


def test_numbers_stay_numbers():
    values = [-5, -5.5, 2.0, np.float64(-1.5), np.int64(-7), None, np.nan, True, pd.Timestamp("2024-05-01"), 2**60]
    assert sheet({"a": values}, "csv").columns == [
        [-5, -5.5, 2, -1.5, -7, None, None, "True", "2024-05-01 00:00:00", 2**60]
    ]


def test_the_limits_of_a_spreadsheet_are_kept_and_said(monkeypatch):
    table = sheet({"a": ["x" * 40_000, "b\x00\x0bc\ud800"]}, "csv")
    assert len(table.columns[0][0]) == 32_767 and table.columns[0][0].endswith("x…")
    assert table.columns[0][1] == "b\ufffd\ufffdc\ufffd"
    assert [("32,767" in note, "control" in note) for note in table.notes] == [(True, False), (False, True)]
    monkeypatch.setattr(sheets, "ROWS", 3)
    assert sheet({"a": [1, 2]}, "xlsx").notes == []  # the header is a row too
    with pytest.raises(MapstoError, match=r"^--out-format: got xlsx for 3 rows .* at most 2 rows"):
        sheet({"a": [1, 2, 3]}, "xlsx")
    assert "at most 2 rows" in sheet({"a": [1, 2, 3]}, "csv").notes[0]


def test_a_spreadsheet_is_given_texts_as_texts_and_numbers_as_numbers(tmp_path, monkeypatch):
    """The package is replaced by one that writes down what it is asked for: it may not be installed."""
    cells, closed = {}, []
    page = SimpleNamespace(
        freeze_panes=lambda *places: None,
        write_string=lambda i, j, text: cells.update({(i, j): str(text)}),
        write_number=lambda i, j, number: cells.update({(i, j): float(number)}),
    )

    def workbook(path):
        open(path, "w").close()
        return SimpleNamespace(add_worksheet=lambda name: page, close=lambda: closed.append(path))

    monkeypatch.setitem(sys.modules, "xlsxwriter", SimpleNamespace(Workbook=workbook))
    table = sheet({"a": ["=1", "7", None], "b": [1.5, -2, 10**16]}, "xlsx")
    write_sheet(table, tmp_path / "t.xlsx", "xlsx")
    texts = {(0, 0): "a", (0, 1): "b", (1, 0): "'=1", (2, 0): "7", (3, 1): str(10**16)}
    assert cells == {**texts, (1, 1): 1.5, (2, 1): -2.0}
    assert len(closed) == 1 and closed[0].endswith(".xlsx")


def test_a_spreadsheet_is_read_back(tmp_path):
    pytest.importorskip("xlsxwriter")
    write_sheet(Sheet(["a", "b"], [["'=1", "Ä"], [1.5, None]], []), tmp_path / "t.xlsx", "xlsx")
    assert tablefile.read(tmp_path / "t.xlsx").table.to_numpy().tolist() == [["'=1", 1.5], ["Ä", None]]


def test_without_the_package_one_sentence_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    (tmp_path / "t.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    assert main(["explain", "t.csv", "--target", "died", "--out-format", "xlsx"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pip install XlsxWriter" in said
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
    refuse_without_package("csv")
    assert main(["explain", "t.csv", "--target", "died", "--out-format", "pdf"]) == 1
    assert "--out-format" in capsys.readouterr().err
