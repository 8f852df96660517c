"""The folder of a table's report: two tables never share one unknowingly."""

import shutil
from pathlib import Path

import pytest
from markupsafe import escape

from mapsto.cli import main
from mapsto.commands.folder import mark, name_for, refuse_other
from mapsto.errors import MapstoError
from mapsto.reports import page


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("patients.csv", "patients-explained"),
        ("data/patients.CSV", "patients-explained"),
        ("study.2023.csv", "study.2023-explained"),
        ("study.2024.xlsx", "study.2024-explained"),
        ("study.2024.csv.gz", "study.2024-explained"),
        ("study.v1.tar.gz", "study.v1.tar-explained"),
        ("study.2023", "study.2023-explained"),
        ("patients", "patients-explained"),
        ("my patients .csv", "my patients-explained"),
        (".csv", "table-explained"),
        (".csv.gz", "table-explained"),
        (".patients.csv", "patients-explained"),
        ("csv.csv", "csv-explained"),
        ("año 2023.últ.sav", "año 2023.últ-explained"),
    ],
)
def test_the_folder_has_the_name_of_the_table(file, folder):
    assert str(name_for(Path(file))) == folder


def report(folder, table):
    folder.mkdir(exist_ok=True)
    context = {"title": "t", "overview": [], "task": None, "run": None}
    text = page.render("run.html.jinja", **context)
    meta = f'<meta name="mapsto-input" content="{escape(mark(table, folder))}">\n<title>'
    (folder / "report.html").write_text(text.replace("<title>", meta), encoding="utf-8")


def test_the_report_of_another_table_is_not_overwritten(tmp_path):
    folder, table = tmp_path / "a-explained", tmp_path / "a & 'b'.csv"
    refuse_other(table, folder)  # nothing is there yet
    report(folder, table)
    refuse_other(table, folder)
    for other in (tmp_path / "a.xlsx", tmp_path / "other" / "a & 'b'.csv"):
        with pytest.raises(MapstoError, match=r"^--out: .*a & 'b'.csv.*pass --out FOLDER") as refused:
            refuse_other(other, folder)
        assert "\n" not in str(refused.value)
    shutil.move(tmp_path, tmp_path.with_name("moved"))
    refuse_other(tmp_path.with_name("moved") / table.name, tmp_path.with_name("moved") / folder.name)


def test_a_report_that_does_not_say_its_table_is_overwritten_as_before(tmp_path):
    (tmp_path / "report.html").write_text("<!doctype html><title>t</title>")
    refuse_other(tmp_path / "a.csv", tmp_path)
    (tmp_path / "report.html").unlink()
    (tmp_path / "report.html").mkdir()
    refuse_other(tmp_path / "a.csv", tmp_path)


def test_the_command_refuses_the_folder_of_another_table_before_any_work(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    report(tmp_path / "a-explained", tmp_path / "a.xlsx")
    before = (tmp_path / "a-explained" / "report.html").read_bytes()
    monkeypatch.chdir(tmp_path)
    assert main(["explain", "a.csv", "--target", "y"]) == 1
    said = capsys.readouterr().err
    assert (
        "a-explained, which holds the report of a.xlsx, expected a folder for a.csv" in said and said.count("\n") == 1
    )
    assert (tmp_path / "a-explained" / "report.html").read_bytes() == before
    assert main(["explain", "a.csv", "--target", "y", "--out", "a-explained"]) == 1
    assert "a.xlsx" not in capsys.readouterr().err  # another sentence: the table is too small
