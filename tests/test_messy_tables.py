"""Tables as people export them: every cell of each is read as a careful analyst would, or a note names it."""

import codecs
import gzip
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mapsto.errors import MapstoError
from mapsto.tables import tablefile
from mapsto.tables.columns import Columns
from mapsto.tables.outcome import read_outcome
from mapsto.tables.pairs import pair_columns, with_pairs_split


def reading(path, sheet=None):
    """Return the cells of a file as they are read (numbers, days, levels, None), by column, and all notes."""
    file = tablefile.read(path, sheet)
    frame = with_pairs_split(file.table, pair_columns(file.table))
    columns = Columns().fit(frame)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numbers = columns.transform(frame)
    cells = {}
    for column, values in zip(columns.columns, numbers.T.tolist(), strict=True):
        levels = column.levels
        cells[column.name] = [None if v != v else levels[int(v)] if levels else round(v, 9) for v in values]
    return cells, [*file.notes, *columns.notes, *(str(warning.message) for warning in caught)]


AGE, SEX, CRP = [55, 58, 74, 86, 27, 61], ["m", "w", "w", "w", "m", "m"], [12.2, 32.8, 9.4, 6.1, 15.7, 40.5]
PLAIN = {"age": AGE, "sex": SEX, "crp": CRP}


def lines(rows, sep=",", header="age,sex,crp"):
    return "\n".join([header.replace(",", sep), *(sep.join(map(str, row)) for row in rows)]) + "\n"


ROWS = list(zip(AGE, SEX, CRP, strict=True))
COMMA = [(age, sex, str(crp).replace(".", ",")) for age, sex, crp in ROWS]
CSV = lines(ROWS)


def crp(*cells):
    """Return a table whose column crp has other cells."""
    return lines([(a, s, c) for (a, s, _), c in zip(ROWS, cells, strict=True)])


def quoted(*cells):
    return crp(*(f'"{cell}"' for cell in cells))


# name: (content, the cells that are right, words of the notes that must be there)
MESSY = {
    "plain": (CSV, PLAIN, []),
    "semicolons": (lines(ROWS, ";"), PLAIN, []),
    "tabs": (lines(ROWS, "\t"), PLAIN, []),
    "bars": (lines(ROWS, "|"), PLAIN, ["vertical bars"]),
    "bars and blanks": (lines(ROWS, " | "), PLAIN, ["vertical bars"]),
    "blanks": (lines(ROWS, " "), PLAIN, ["blanks"]),
    "aligned blanks": (lines([(f"{a:<6}", f"{s:<4}", f"{c:>7}") for a, s, c in ROWS], " "), PLAIN, ["blanks"]),
    "row names of R": (
        '"age" "sex" "crp"\n' + "".join(f'"{i}" {a} "{s}" {c}\n' for i, (a, s, c) in enumerate(ROWS)),
        PLAIN,
        ["blanks", "column 1 numbers the rows"],
    ),
    "semicolons and decimal commas": (lines(COMMA, ";"), PLAIN, []),
    "tabs and decimal commas": (lines(COMMA, "\t"), PLAIN, []),
    "commas and quoted decimal commas": (quoted(*(row[2] for row in COMMA)), PLAIN, []),
    "a byte order mark": (codecs.BOM_UTF8 + CSV.encode(), PLAIN, []),
    "UTF-16": (CSV.encode("utf-16"), PLAIN, []),
    "UTF-16 without a mark": (CSV.encode("utf-16-le"), PLAIN, []),
    "gzip": (gzip.compress(CSV.encode(), mtime=0), PLAIN, []),
    "Latin-1": (
        lines(ROWS, ";", "Größe,Geschlecht,Überweisung").encode("latin-1"),
        {"Größe": AGE, "Geschlecht": SEX, "Überweisung": CRP},
        ["Western European"],
    ),
    "GBK": (
        lines([(a, {"m": "男", "w": "女"}[s], c) for a, s, c in ROWS], header="年龄,性别,反应蛋白").encode("gbk"),
        {"年龄": AGE, "性别": [{"m": "男", "w": "女"}[s] for s in SEX], "反应蛋白": CRP},
        ["Chinese (GBK)"],
    ),
    "carriage returns": (CSV.replace("\n", "\r\n"), PLAIN, []),
    "carriage returns alone": (CSV.replace("\n", "\r"), PLAIN, []),
    "sep=": ("sep=;\r\n" + lines(ROWS, ";"), PLAIN, []),
    "titles": ("Study SEPSIS-2,,\nExport 2024,,\n" + CSV, PLAIN, ["lines 1, 2 are above the column names"]),
    "a title without separators": ("Study SEPSIS-2\n\n" + CSV, PLAIN, ["line 1 is above the column names"]),
    "a comment": ("# exported by REDCap\n" + CSV, PLAIN, ["line 1 is a comment"]),
    "a comment of commas": ("# exported by me, on Monday, in Berlin\n" + CSV, PLAIN, ["line 1"]),
    "a header behind #": ("#" + CSV, PLAIN, ["without its #"]),
    "units below the header": (
        CSV.replace("crp\n", "crp\nyears,,mg/l\n"),
        PLAIN,
        ["line 2 is a row of units ('years', 'mg/l')"],
    ),
    "units in brackets": (CSV.replace("crp\n", "crp\n[y],,(mg/l)\n"), PLAIN, ["line 2 is a row of units"]),
    "a row of means": (CSV + "Mean,,19.45\n", PLAIN, ["line 8", "summary ('Mean')"]),
    "sums and counts": (CSV + "Total,,116.7\nN,6,6\n".replace("N,6,6\n", "Median:,,14\n"), PLAIN, ["summary"]),
    "a footer": (CSV + "\nSource: ward book\n", PLAIN, ["below the table"]),
    "a padded footer": (CSV + "Printed on Monday,,\n", PLAIN, ["line 8 is below the table"]),
    "empty rows": (CSV.replace("74,", ",,\n74,") + ",,\n", PLAIN, ["lines 4, 9 are empty"]),
    "empty columns": (
        lines([(*row, "", "") for row in ROWS], header="age,sex,crp,,"),
        PLAIN,
        ["neither a name nor cells"],
    ),
    "row numbers": (
        lines([(i, *row) for i, row in enumerate(ROWS)], header="Unnamed: 0,age,sex,crp"),
        PLAIN,
        ["numbers the rows"],
    ),
    "a nameless column": (
        lines([(*row, x) for row, x in zip(ROWS, "abaabb", strict=True)], header="age,sex,crp,"),
        {**PLAIN, "column 4": list("abaabb")},
        ["column 4 has no name"],
    ),
    "the header twice": (CSV.replace("86,", "age,sex,crp\n86,"), PLAIN, ["line 5 is the column names again"]),
    "units in cells": (crp("12.2 mg/l", "32.8 mg/l", "9.4 mg/l", "6.1 mg/l", "15.7 mg/l", "40.5 mg/l"), PLAIN, []),
    "flags": (crp("12.2 H", "32.8", "9.4", "6.1 L", "15.7", "40.5"), PLAIN, ["marks behind numbers"]),
    "thousands": (
        quoted("1,200", "950", "12,400", "3,100", "700", "1,050"),
        {**PLAIN, "crp": [1200, 950, 12400, 3100, 700, 1050]},
        ["'1,200' is read as 1200"],
    ),
    "thousands points": (
        lines(
            [(a, s, c) for (a, s, _), c in zip(ROWS, ["1.200", "950", "12.400", "3.100", "700", "1.050"], strict=True)],
            ";",
        ),
        {**PLAIN, "crp": [1200, 950, 12400, 3100, 700, 1050]},
        ["'1.200' is read as 1200"],
    ),
    "words for missing": (
        crp("NA", "-", "9.4", "n/a", "unbekannt", "40.5"),
        {**PLAIN, "crp": [None, None, 9.4, None, None, 40.5]},
        ["'NA' (1 cell)"],
    ),
    "errors of a spreadsheet": (
        crp("#DIV/0!", "32.8", "9.4", "#N/A", "15.7", "40.5"),
        {**PLAIN, "crp": [None, 32.8, 9.4, None, 15.7, 40.5]},
        ["'#DIV/0!' (1 cell)"],
    ),
    "dates of two orders": (
        lines(
            [
                ("2021-05-05", "05.05.2021", "05/05/2021"),
                ("2022-09-17", "17.09.2022", "09/17/2022"),
                ("2021-06-20", "20.06.2021", "06/20/2021"),
            ]
        ),
        {name: [18752, 19252, 18798] for name in ("age", "sex", "crp")},
        ["'05/05/2021' are read with the month first"],
    ),
    "pairs": (
        crp("166/58", "107/61", "-", "123/50", "115/62", "124/90"),
        {"age": AGE, "sex": SEX, "crp (1)": [166, 107, None, 123, 115, 124], "crp (2)": [58, 61, None, 50, 62, 90]},
        [],
    ),
    "a sentinel": (
        crp("12.2", "999", "9.4", "6.1", "15.7", "40.5"),
        {**PLAIN, "crp": [12.2, 999, 9.4, 6.1, 15.7, 40.5]},
        ["'999' (1 cell) lies far outside"],
    ),
    "percent": (crp("45 %", "7%", "9.5 %", "100 %", "1%", "0 %"), {**PLAIN, "crp": [45, 7, 9.5, 100, 1, 0]}, []),
    "steps": (
        crp("mild", "none", "severe", "mild", "none", "moderate"),
        {**PLAIN, "crp": ["mild", "none", "severe", "mild", "none", "moderate"]},
        ["none < mild < moderate < severe"],
    ),
    "spellings": (
        crp("yes", "YES", "no", "yes ", "No", "no"),
        {**PLAIN, "crp": ["yes", "yes", "no", "yes", "no", "no"]},
        ["'yes' = 'YES'"],
    ),
    "line breaks in a quoted cell": (
        CSV.replace("crp\n", '"crp\nmg/l"\n').replace("sex", '"sex"'),
        {"age": AGE, "sex": SEX, "crp mg/l": CRP},
        [],
    ),
    "headings above the names": ("Patient,,Lab\n" + CSV, PLAIN, ["line 1 is above the column names"]),
    "the same heading twice": ("Patient,Patient,Lab\n" + CSV, PLAIN, ["line 1 is above the column names"]),
    "headings above the names and their units": (
        "Patient,,Lab\n" + CSV.replace("crp\n", "crp\nyears,,mg/l\n"),
        PLAIN,
        ["line 1 is above the column names", "line 3 is a row of units"],
    ),
    "a title in each column": (
        "Study,Study,Study\nMarch,,\n" + CSV.replace("crp\n", "crp\nyears,,mg/l\n"),
        PLAIN,
        ["lines 1, 2 are above the column names", "line 4 is a row of units"],
    ),
    "a date above the names": ("Date,2024-01-01,\n" + CSV, PLAIN, ["line 1 is above the column names"]),
    "a rule below the names": (CSV.replace("crp\n", "crp\n---,---,---\n"), PLAIN, ["line 2 is a rule"]),
    "types below the names": (CSV.replace("crp\n", "crp\nint,str,float\n"), PLAIN, ["line 2 is a row of labels"]),
    "a legend": (CSV + "Legend:,m = male,\n", PLAIN, ["line 8 is below the table"]),
    "single quotation marks": (lines([[f"'{cell}'" for cell in row] for row in ROWS]), PLAIN, []),
    "formulas of a spreadsheet": (lines([[f'"=""{cell}"""' for cell in row] for row in ROWS]), PLAIN, []),
    "no header": (
        lines(ROWS[1:], header="55,m,12.2"),
        None,
        ["line 1 is read as column names, although it holds numbers"],
    ),
    "hard blanks": (CSV.replace("12.2", "\u00a012.2\u00a0"), PLAIN, []),
}
MESSY |= {
    "two rows below the names of Qualtrics": (
        CSV.replace(
            "crp\n", "crp\nAge in years,Sex,C-reactive protein\n" + ",".join(['"{""ImportId"":""Q1""}"'] * 3) + "\n"
        ),
        PLAIN,
        ["line 3 holds identifiers"],
    ),
    "a title above two columns": (
        "Study XY - export of May\nmade by A. B.\n\nage;crp\n" + "".join(f"{a};{c}\n" for a, _, c in COMMA),
        {"age": AGE, "crp": CRP},
        ["lines 1, 2 are above the column names"],
    ),
    "errors of a German spreadsheet": (
        crp("#WERT!", "####", "9.4", "#NV", "15.7", "(null)"),
        {**PLAIN, "crp": [None, None, 9.4, None, 15.7, None]},
        ["read as missing"],
    ),
    "steps in German": (
        crp("kein", "leicht", "kein", "schwer", "mittel", "kein"),
        None,
        ["kein < leicht < mittel < schwer"],
    ),
    "steps in French": (crp("aucune", "légère", "sévère", "modérée", "aucune", "sévère"), None, ["aucune < légère"]),
}


def test_there_are_forty_of_them():
    assert len(MESSY) >= 40


@pytest.mark.parametrize("name", MESSY)
def test_a_messy_table_is_read_as_a_careful_analyst_would(tmp_path, name):
    content, expected, said = MESSY[name]
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    cells, notes = reading(path)
    assert expected is None or cells == expected
    for words in said:
        assert any(words in note for note in notes), notes
    assert said or not [note for note in notes if "same value" not in note], notes


REFUSED = {
    "two columns of one name": ("age,crp,crp\n1,2,3\n4,5,6\n", "'crp' more than once"),
    "a longer row": (CSV + "1,m,2,9\n", "line 8 has 4 cells, expected 3"),
    "a row that was cut off": (CSV + "1,m\n", "line 8 has 2 cells, expected 3"),
    "an open quotation mark": (CSV + '1,"m,2\n', "line 8"),
    "a web page": ("<html><table><tr><td>1</td></tr></table></html>", "is a web page"),
    "only titles": ("Study\nExport\n", "is not|no rows"),
}


@pytest.mark.parametrize(
    "name",
    ["two columns of one name", "a longer row", "a row that was cut off", "an open quotation mark", "a web page"],
)
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path, name):
    content, said = REFUSED[name]
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(MapstoError, match=said) as refused:
        tablefile.read(tmp_path / "t.csv")
    assert "\n" not in str(refused.value)


TEXTS = "name,ward,grade\nann,north,mild\nbob,south,severe\ncid,north,severe\n"


@pytest.mark.parametrize("title", ["Study,Study,Study\n", '"Study, part 1",,\n', "Study,Study,Study\nMarch,,\n"])
def test_a_title_above_a_table_of_texts_is_left_out_and_said(tmp_path, title):
    (tmp_path / "t.csv").write_text(title + TEXTS)
    table, notes = tablefile.read(tmp_path / "t.csv")[:2]
    assert table.columns.tolist() == ["name", "ward", "grade"] and table["name"].tolist() == ["ann", "bob", "cid"]
    assert any("above the column names" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name,,note\nann,s,first\nbob,y,second\ncid,z,\n", ["name", "column 2", "note"]),  # s and y may be units
        ("name,,age\nann,s,unknown\nbob,n,NA\ncid,h,NA\ndan,z,NA\n", ["name", "column 2", "age"]),
        ("code,age,ward\nA,61,north\nB,58,south\nC,48,north\n", ["code", "age", "ward"]),
    ],
)
def test_names_without_a_title_stay_names(tmp_path, text, names):
    (tmp_path / "t.csv").write_text(text)
    assert tablefile.read(tmp_path / "t.csv").table.columns.tolist() == names


def test_names_that_are_all_alike_are_refused_where_they_are_no_title(tmp_path):
    for text in ("a,a\nlow,high\nhigh,low\n", "1,1,1\nx,y,z\nu,v,w\n", "a,a,a\n1,2,3\n4,5,6\n"):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(MapstoError, match=r"^columns: got '.' more than once"):
            tablefile.read(tmp_path / "t.csv")


# --- the collection of messy exports, where its folder is there -------------------------------------------------------

FOLDER = Path(os.environ.get("MAPSTO_DATA", "")) / "messy"
NAMES = {
    "01_german.csv": dict(
        zip(
            ["age", "sex", "bmi", "crp", "creatinine", "smoker", "ward"],
            ["Alter", "Geschlecht", "Größe/BMI", "CRP (mg/l)", "Kreatinin", "Raucher", "Station"],
            strict=True,
        )
    ),
    "18b_gbk.csv": dict(
        zip(["age", "bmi", "crp", "creatinine", "ward"], ["年龄", "体重指数", "C反应蛋白", "肌酐", "病房"], strict=True)
    ),
}
AS_CLEAN = ["01_german.csv", "05_x.xlsx", "07_x.sav", "09_units.csv", "10_dates.csv", "18b_gbk.csv", "19b_header3.csv"]
AS_CLEAN += ["19c_unitrow.csv", "22_outcome_text.csv", "25_leak.csv", "30_total.csv", "32b_tab_decimal_comma.tsv"]
AS_CLEAN += [
    "33_german_thousands.csv",
    "34_pipe.csv",
    "36_bp.csv",
    "44_comment.csv",
    "12_nawords.csv",
    "12b_dash.csv",
    "11_below.csv",
]


def test_the_collection_is_read_as_its_readme_says():
    if not FOLDER.is_dir():
        return  # its deciding inputs are above
    clean, _ = reading(FOLDER / "00_clean.csv")
    for name in AS_CLEAN:
        cells, notes = reading(FOLDER / name)
        for column in NAMES.get(name, dict.fromkeys(set(clean) - {"dead"})):
            values = cells[NAMES.get(name, {}).get(column) or column]
            assert len(values) == 80, name
            same = [a == b for a, b in zip(values, clean[column], strict=True) if a is not None]
            if name == "11_below.csv" and column == "crp":
                assert all(right or value < 8.4 for right, value in zip(same, values, strict=True))
            else:
                assert all(same), (name, column)
            if None in values:
                assert any(f"column {column!r}" in note and "missing" in note for note in notes), (name, column)


def test_the_collection_s_own_columns():
    if not FOLDER.is_dir():
        return
    cells, notes = reading(FOLDER / "01_german.csv")
    assert cells["Leukozyten"][:2] == [13050, 6139] and cells["Aufnahme"][0] == 18968
    assert set(cells["Patientennr."]) == {None} and any("'Patientennr.'" in note for note in notes)
    cells, _ = reading(FOLDER / "10_dates.csv")
    assert cells["adm_iso"] == cells["adm_de"] == cells["adm_us"] == cells["adm_mon"]
    assert cells["time"][0] == round(20 + 19 / 60, 9)
    cells, _ = reading(FOLDER / "33_german_thousands.csv")
    assert cells["thrombo"][:2] == [239000, 170000] and cells["ferritin"][-1] == 1150
    cells, _ = reading(FOLDER / "36_bp.csv")
    assert (cells["bp (1)"][0], cells["bp (2)"][0]) == (166, 58)
    cells, _ = reading(FOLDER / "60_dash_int.csv")
    assert cells["score"].count(None) == 18 and cells["score"][0] == 17
    table = tablefile.read(FOLDER / "22_outcome_text.csv").table
    y, notes = read_outcome(table, "dead", "t.csv")
    assert {str(name).casefold() for name in set(y)} == {"no", "yes"} and len(notes) == 2
    y, _ = read_outcome(tablefile.read(FOLDER / "23_los_int.csv").table, "los", "t.csv")
    assert pd.api.types.is_integer_dtype(y) and np.ptp(y.to_numpy(int)) == 16
    with pytest.raises(MapstoError, match="'crp' more than once"):
        tablefile.read(FOLDER / "39_dupcols.csv")
