"""Tables in the files of other programs, each written here and read back."""

import datetime
import importlib
import zipfile

import numpy as np
import pandas as pd
import pyreadstat
import pytest
import xlsxwriter

from mapsto.errors import MapstoError
from mapsto.tables import tablefile
from mapsto.tables.columns import Columns

FRAME = pd.DataFrame(
    {
        "age": [61.0, 48.0, np.nan],
        "pain": [0.0, 1.0, 2.0],
        "ward": ["north", "south", "north"],
        "dose": [1.5, 2.25, 3.0],
    }
)


def numbers(path, sheet=None):
    file = tablefile.read(path, sheet)
    columns = Columns().fit(file.table)
    return columns, columns.transform(file.table), file.notes


OFFICE = "http://schemas.openxmlformats.org"
MAIN, TO_SHEET = f"{OFFICE}/spreadsheetml/2006/main", f"{OFFICE}/officeDocument/2006/relationships"
RELATIONS = f'<Relationships xmlns="{OFFICE}/package/2006/relationships">{{}}</Relationships>'
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"


def xlsx(path, **sheets):
    """Write a spreadsheet: a text becomes an inline string, a number a number."""

    def cell(value):
        text = f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return "<c/>" if value is None else text if isinstance(value, str) else f"<c><v>{value}</v></c>"

    def relation(i, kind, target):
        return f'<Relationship Id="rId{i}" Type="{TO_SHEET}/{kind}" Target="{target}"/>'

    numbered = list(enumerate(sheets.items(), 1))
    kinds = "".join(f'<Override PartName="/xl/worksheets/s{i}.xml" ContentType="{SHEET}"/>' for i, _ in numbered)
    book = "".join(f'<sheet name="{name}" sheetId="{i}" r:id="rId{i}"/>' for i, (name, _) in numbered)
    links = "".join(relation(i, "worksheet", f"worksheets/s{i}.xml") for i, _ in numbered)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{OFFICE}/package/2006/content-types">{kinds}</Types>',
        "_rels/.rels": RELATIONS.format(relation(1, "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{TO_SHEET}"><sheets>{book}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": RELATIONS.format(links),
    }
    for i, (_, rows) in numbered:
        body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
        parts[f"xl/worksheets/s{i}.xml"] = f'<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>'
    return zipped(path, parts)


ODS = "application/vnd.oasis.opendocument.spreadsheet"


def ods(path, rows):
    """Write a spreadsheet of LibreOffice."""

    def cell(value):
        kind = "string" if isinstance(value, str) else "float"
        number = "" if isinstance(value, str) else f' office:value="{value}"'
        return f'<table:table-cell office:value-type="{kind}"{number}><text:p>{value}</text:p></table:table-cell>'

    table = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
    body = f'<office:spreadsheet><table:table table:name="one">{table}</table:table></office:spreadsheet>'
    names = ("office", "table", "text")
    spaces = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in names)
    content = f"<office:document-content {spaces}><office:body>{body}</office:body></office:document-content>"
    return zipped(path, {"mimetype": ODS, "content.xml": content, "META-INF/manifest.xml": "<manifest/>"})


def zipped(path, parts):
    with zipfile.ZipFile(path, "w") as file:
        for name, text in parts.items():
            file.writestr(name, text)
    return path


ROWS = [["age", "ward", "dose"], [61, "north", "12,5 mg"], [48, "south", "7 mg"], [50, "north", "NA"]]
READ = [[61, 0, 12.5], [48, 1, 7], [50, 0, np.nan]]


def test_a_spreadsheet_is_read_like_a_text(tmp_path):
    columns, cells, notes = numbers(xlsx(tmp_path / "t.xlsx", one=ROWS))
    np.testing.assert_array_equal(cells, READ)
    assert columns.columns[2].unit == "mg" and notes == []
    _, cells, notes = numbers(
        xlsx(tmp_path / "t.xlsx", one=[["Study", None, None], [None] * 3, *ROWS, ["Mean", None, 9]])
    )
    np.testing.assert_array_equal(cells, READ)
    assert notes == [
        "line 1 is above the column names; left out.",
        "line 7 is no row of the table but a summary ('Mean'); left out.",
    ]
    np.testing.assert_array_equal(numbers(ods(tmp_path / "t.ods", ROWS))[1], READ)


def test_the_first_sheet_with_a_table_is_read_or_the_one_that_is_named(tmp_path):
    path = xlsx(tmp_path / "t.xlsx", About=[["made on Monday"]], Patients=ROWS, Other=[["x"], [1], [2]])
    _, cells, notes = numbers(path)
    np.testing.assert_array_equal(cells, READ)
    assert notes == ["file: the sheet 'Patients' is read, not 'About', 'Other'; --sheet chooses."]
    columns, _, notes = numbers(path, "Other")
    assert [column.name for column in columns] == ["x"] and notes == []
    with pytest.raises(MapstoError, match=r"^sheet: got 'None'"):
        numbers(path, "None")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(MapstoError, match=r"^sheet: .* is no spreadsheet"):
        numbers(tmp_path / "t.csv", "Other")


def test_a_spreadsheet_by_another_name_is_read_too(tmp_path):
    np.testing.assert_array_equal(numbers(xlsx(tmp_path / "t.csv", one=ROWS))[1], READ)


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_columnar_files(tmp_path, ending):
    frame = FRAME.assign(day=pd.to_datetime(["1970-01-02", None, "1970-01-03"]), ok=[True, False, True])
    path = tmp_path / f"t.{ending}"
    frame.to_parquet(path) if ending == "parquet" else frame.to_feather(path)
    columns, cells, _ = numbers(path)
    np.testing.assert_array_equal(cells[:, 4:], [[1, 1], [np.nan, 0], [2, 1]])
    assert [column.kind for column in columns] == ["number", "number", "category", "number", "date", "category"]


def test_an_empty_row_of_a_columnar_file_is_left_out_and_said(tmp_path):
    FRAME.reindex([0, 1, 2, 3]).to_parquet(tmp_path / "t.parquet")
    file = tablefile.read(tmp_path / "t.parquet")
    assert len(file.table) == 3 and file.notes == ["1 empty row(s) are left out, the first is row 4."]


@pytest.mark.parametrize("ending", ["sav", "dta"])
def test_value_labels_are_read_as_words(tmp_path, ending):
    path, labels = str(tmp_path / f"t.{ending}"), {"pain": {0: "none", 1: "mild", 2: "severe"}}
    if ending == "sav":
        labels["dose"] = {9.0: "refused"}
        measure = {"pain": "ordinal"}
        pyreadstat.write_sav(
            FRAME.assign(dose=[1.5, 9.0, 3.0]), path, variable_value_labels=labels, variable_measure=measure
        )
    else:
        pyreadstat.write_dta(FRAME, path, variable_value_labels=labels)
    columns, cells, notes = numbers(path)
    assert columns.columns[1].levels == ["none", "mild", "severe"]
    assert cells[:, 1].tolist() == [0, 1, 2]
    assert "column 'pain': codes are read as their labels ('none', 'mild', 'severe')." in notes
    if ending == "sav":
        assert np.isnan(cells[1, 3]) and "column 'dose': 'refused' read as missing." in notes


@pytest.mark.parametrize(
    ("ending", "package"),
    [
        ("xlsx", "python-calamine"),
        ("ods", "python-calamine"),
        ("parquet", "pyarrow"),
        ("feather", "pyarrow"),
        ("sav", "pyreadstat"),
        ("dta", "pyreadstat"),
    ],
)
def test_without_its_package_a_file_is_refused_in_one_sentence(tmp_path, monkeypatch, ending, package):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    (tmp_path / f"t.{ending}").write_bytes(b"PK\x03\x04 whatever")
    with pytest.raises(MapstoError, match=rf"needs {package}; run `pip install {package}`"):
        tablefile.read(tmp_path / f"t.{ending}")


@pytest.mark.parametrize("ending", ["xlsx", "ods", "parquet", "feather", "sav", "dta"])
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, ending):
    (tmp_path / f"t.{ending}").write_bytes(b"PK\x03\x04 whatever, but no table")
    with pytest.raises(MapstoError, match=r"^file: .* is not a readable") as refused:
        tablefile.read(tmp_path / f"t.{ending}")
    assert "\n" not in str(refused.value)


# --- dates and times in the cells of a sheet


SHOWN = {  # what a sheet shows of a cell: how the cell is read
    "date": ("yyyy-mm-dd", datetime.datetime(2021, 5, 3), "2021-05-03", "date", 18750.0),
    "moment": ("yyyy-mm-dd hh:mm", datetime.datetime(2021, 5, 3, 12), "2021-05-03 12:00:00", "date", 18750.5),
    "time": ("hh:mm", datetime.time(8, 30), "08:30:00", "number", 8.5),
    "short span": ("[h]:mm:ss", datetime.timedelta(hours=2, minutes=30), "2:30:00", "number", 2.5),
    "long span": ("[h]:mm:ss", datetime.timedelta(hours=49, seconds=36), "49:00:36", "number", 49.01),
}


@pytest.mark.parametrize(("shape", "value", "shown", "kind", "number"), SHOWN.values(), ids=SHOWN)
def test_dates_times_and_spans_of_a_sheet_are_read_as_it_shows_them(tmp_path, shape, value, shown, kind, number):
    with xlsxwriter.Workbook(tmp_path / "t.xlsx") as book:
        page = book.add_worksheet()
        page.write_row(0, 0, ["when", "n"])
        for i in range(1, 4):
            page.write_datetime(i, 0, value, book.add_format({"num_format": shape}))
            page.write_number(i, 1, i)
    table = tablefile.read(tmp_path / "t.xlsx").table
    columns = Columns().fit(table)
    assert table["when"].tolist() == [shown] * 3 and columns.columns[0].kind == kind
    assert columns.transform(table)[0, 0] == pytest.approx(number)


def test_spans_below_and_above_a_day_are_in_one_unit_whatever_the_file(tmp_path):
    spans = [
        "PT08H30M00S",
        "PT30H05M07S",
        "-PT01H30M00S",
        "PT00H00M01.5S",
    ]
    times = ods(tmp_path / "t.ods", [["span", "n"], *([span, 1] for span in spans)])
    with zipfile.ZipFile(times) as file:
        text = file.read("content.xml").decode()
    for span in spans:
        text = text.replace('"string"><text:p>' + span, f'"time" office:time-value="{span}"><text:p>{span}')
    table = tablefile.read(
        zipped(times, {"mimetype": ODS, "content.xml": text, "META-INF/manifest.xml": "<manifest/>"})
    )
    columns = Columns().fit(table.table)
    hours = [8.5, 30 + 5 / 60 + 7 / 3600, -1.5, 1.5 / 3600]
    np.testing.assert_allclose(columns.transform(table.table)[:, 0], hours)
    assert columns.columns[0].unit == "h"
