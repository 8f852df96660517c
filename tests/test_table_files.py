"""Tables in the files of other programs, each written here and read back."""

import importlib
import zipfile

import numpy as np
import pandas as pd
import pyreadstat
import pytest

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


def xlsx(path, **sheets):
    """Write a spreadsheet: a text becomes an inline string, a number a number."""

    def cell(value):
        if value is None:
            return "<c/>"
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    main, office = "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://schemas.openxmlformats.org"
    with zipfile.ZipFile(path, "w") as file:
        kinds, book, links = "", "", ""
        for i, (name, rows) in enumerate(sheets.items(), 1):
            body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            file.writestr(
                f"xl/worksheets/sheet{i}.xml", f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>'
            )
            kinds += f'<Override PartName="/xl/worksheets/sheet{i}.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
            book += f'<sheet name="{name}" sheetId="{i}" r:id="rId{i}"/>'
            links += f'<Relationship Id="rId{i}" Type="{office}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet{i}.xml"/>'
        file.writestr("[Content_Types].xml", f'<Types xmlns="{office}/package/2006/content-types">{kinds}</Types>')
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{office}/package/2006/relationships"><Relationship Id="rId1" Type="{office}/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        file.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}/officeDocument/2006/relationships"><sheets>{book}</sheets></workbook>',
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{office}/package/2006/relationships">{links}</Relationships>',
        )
    return path


def ods(path, rows):
    def cell(value):
        kind = "string" if isinstance(value, str) else "float"
        number = "" if isinstance(value, str) else f' office:value="{value}"'
        return f'<table:table-cell office:value-type="{kind}"{number}><text:p>{value}</text:p></table:table-cell>'

    body = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    content = f'<office:document-content {spaces}><office:body><office:spreadsheet><table:table table:name="one">{body}</table:table></office:spreadsheet></office:body></office:document-content>'
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("content.xml", content)
        file.writestr("META-INF/manifest.xml", "<manifest/>")
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
    with pytest.raises(MapstoError, match="^sheet: got 'None'"):
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
