"""Reading a person's table, and choosing who teaches."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapsto.errors import MapstoError
from mapsto.tables import tablefile
from mapsto.tables.columns import Columns
from mapsto.tables.splits import split, stratified, training_rows
from mapsto.tables.tablefile import outcomes, read_table
from mapsto.tables.target import decided

PLAIN = "age,ward,outcome\n61,north,yes\n48,south,\n,north,no\n"


def read(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", ", "),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("48,south,\n", "48,south,?\n"),
        PLAIN.replace("\n,north", "\nNA,north"),
        "\ufeff" + PLAIN,
        PLAIN.encode("utf-16"),
        gzip.compress(PLAIN.encode(), mtime=0),
        ",age,ward,outcome\n0,61,north,yes\n1,48,south,\n2,,north,no\n",  # with the row numbers that pandas writes
        "\n" + PLAIN + "\n",
    ],
)
def test_one_table_in_many_dialects(tmp_path, content):
    table = read(tmp_path, content)
    assert table.columns.tolist() == ["age", "ward", "outcome"]
    numbers = Columns().fit(table[["age", "ward"]]).transform(table[["age", "ward"]])
    np.testing.assert_array_equal(numbers, [[61, 0], [48, 1], [np.nan, 0]])
    assert outcomes(table, "outcome", "t.csv").tolist() == ["yes", None, "no"]


def test_decimal_commas_between_semicolons_are_numbers(tmp_path):
    for number in ("1,5", "1.5"):
        table = read(tmp_path, f"a;b\n{number};x\n2;y\n")
        assert table["a"].tolist() == [number, "2"]
        assert Columns().fit(table).transform(table)[:, 0].tolist() == [1.5, 2.0]


def test_a_quoted_name_may_hold_a_comma(tmp_path):
    assert read(tmp_path, '"weight, kg",outcome\n70,1\n').columns.tolist() == ["weight, kg", "outcome"]


def test_text_of_an_older_spreadsheet(tmp_path):
    assert read(tmp_path, "nom,âge\nRenée,3\n".encode("cp1252")).columns.tolist() == ["nom", "âge"]


def test_a_row_without_any_cell_is_left_out_and_said(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,outcome\n1,2,yes\n,,\n3,4,no\n")
    found = tablefile.read(tmp_path / "t.csv")
    assert found.table["a"].tolist() == ["1", "3"]
    assert found.notes == ["line 3 is empty; left out."]
    assert found.lines == [2, 4]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("  \n\n", "is empty"),
        ("a,b\n", "has no rows"),
        (b"PK\x03\x04\x00\x00zip", "is a binary file"),
        (b"a,b\n\x001,2\n", r"is a text with control characters \(the first, 0x00, is in line 2\)"),
        (b"a\x01b\n1\x012\n", r"0x01, is in line 1\), expected .* if they separate the columns"),
        ("größe,b\n".encode("cp1252") + b"1,2\n" * 60 + b"\x1b1,2\n", r"0x1b, is in line 62\)"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00", "is a binary file"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "is a damaged gzip file"),
        ("a,b,a\n1,2,3\n", "'a' more than once"),
        ("a, a\n1,2\n", "'a' more than once"),
        ("a,b\n1,2\n1,2,3\n", "not a table with equally long rows"),
        ("a,b\n1,2,3\n1,2,3\n", "not a table with equally long rows"),
        ('a,b\n1,"2\n', "not a table"),
        ('[{"a": 1, "b": 2}, {"a": 3, "b": 4}]', "is JSON"),
        ('{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "is JSON"),
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "is a PDF"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(tmp_path, content, said):
    with pytest.raises(MapstoError, match=said) as refused:
        read(tmp_path, content)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [PLAIN, PLAIN.replace(",", "\t"), PLAIN.encode("utf-16")])
def test_a_text_that_is_called_a_spreadsheet_is_read(tmp_path, content):
    assert read(tmp_path, content, "t.xls").equals(read(tmp_path, PLAIN))
    with pytest.raises(MapstoError, match="is a web page"):
        read(tmp_path, "<html><table><tr><td>1</td></tr></table></html>", "t.xls")


@pytest.mark.parametrize("separator", [",", ";", "|"])
def test_a_title_that_holds_the_separator_is_left_out_and_said(tmp_path, separator):
    title = "Study X, exported 2023-01-01\nWard 5\n\n".replace(",", separator)
    (tmp_path / "t.csv").write_text(title + PLAIN.replace(",", separator))
    found = tablefile.read(tmp_path / "t.csv")
    assert found.table.equals(read(tmp_path, PLAIN)) and found.lines == [5, 6, 7]
    assert "lines 1, 2 are above the column names; left out." in found.notes


def test_a_count_below_the_table_is_left_out_and_said(tmp_path):
    (tmp_path / "t.csv").write_text("id,age\n1,60\n2,61\n3,47\nn=3,\n")
    found = tablefile.read(tmp_path / "t.csv")
    assert found.lines == [2, 3, 4] and found.notes == ["line 5 is below the table; left out."]


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(MapstoError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(MapstoError, match="does not exist"):
        read_table(tmp_path / "none.csv")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_any_file_is_a_table_or_refused(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    try:
        assert isinstance(read(folder, content), pd.DataFrame)
    except MapstoError as refused:
        assert "\n" not in str(refused)


def test_codes_stay_as_written_however_large_the_file_is(tmp_path):
    """A parser that reads in pieces takes a piece of digits alone for numbers: 007 becomes 7."""
    columns, rows = 8000, 140  # of so many columns, pandas reads 128 rows at a time
    header = ",".join(["code", *(f"c{j}" for j in range(columns))])
    lines = [f"{code}{',' * columns}" for code in ["007"] * (rows - 1) + ["A7"]]
    assert read(tmp_path, "\n".join([header, *lines]))["code"].tolist() == ["007"] * (rows - 1) + ["A7"]


def test_outcomes_that_are_whole_stay_whole_beside_missing_ones():
    y = outcomes(pd.DataFrame({"y": [0.0, None, 1.0]}), "y", "t.csv")
    assert y.dropna().tolist() == [0, 1]
    assert y.dropna().astype(str).tolist() == ["0", "1"]
    assert outcomes(pd.DataFrame({"y": [True, None, False]}), "y", "t.csv").dropna().tolist() == ["True", "False"]


def test_an_outcome_that_is_no_column_names_those_there_are():
    with pytest.raises(
        MapstoError, match=r"^target: got 'died', which is no column of t.csv, expected one of 'age', 'outcome'"
    ):
        outcomes(pd.DataFrame({"age": [1], "outcome": [2]}), "died", "t.csv")


def test_rows_without_an_outcome_are_explained_and_all_others_teach():
    chosen = split(pd.Series(["a", None, "b", "a", None]), None, 512, 0)
    assert (chosen.train.tolist(), chosen.explain.tolist(), chosen.test.tolist()) == ([0, 2, 3], [1, 4], [])


def test_where_every_row_has_an_outcome_a_third_judges():
    y = pd.Series(["a"] * 20 + ["b"] * 10)
    chosen = split(y, None, 512, 0)
    assert sorted(y[chosen.train]) == ["a"] * 13 + ["b"] * 7
    assert chosen.explain is chosen.test
    assert sorted([*chosen.train, *chosen.test]) == list(range(30))
    assert split(y, None, 512, 0).train.tolist() == chosen.train.tolist()
    assert split(y, None, 512, 1).train.tolist() != chosen.train.tolist()


def test_fewer_teachers_leave_judges_beside_the_rows_to_explain():
    chosen = split(pd.Series(["a", "b", "a", "b", None]), 2, 512, 0)
    assert (len(chosen.train), chosen.explain.tolist(), len(chosen.test)) == (2, [4], 2)


@pytest.mark.parametrize(
    ("y", "rows", "said"),
    [
        ([None, None], None, r"^target: got 0 row.* in 'y'"),
        (["a", None], None, "target: got 1 row"),
        (["a", "b"] * 4, 9, r"got 9, expected 2 to 6 \(8 rows"),
        (["a", "b"] * 4, 1, "got 1, expected 2 to 6"),
        (["a", "b"], 2, "train_rows: got 2"),
    ],
)
def test_splits_that_cannot_be_made_are_refused(y, rows, said):
    with pytest.raises(MapstoError, match=said):
        split(pd.Series(y, name="y", dtype=object), rows, 6, 0)


def test_of_more_rows_than_are_read_a_stratified_sample_teaches_and_the_others_judge():
    y = pd.Series([*["a", "b", "b"] * 4, None], dtype=object)
    chosen = split(y, None, 6, 0)
    assert y.iloc[chosen.train].value_counts().to_dict() == {"b": 4, "a": 2}
    assert chosen.explain.tolist() == [12] and len(chosen.test) == 6


def test_teachers_of_another_table_are_its_rows_with_an_outcome():
    assert training_rows(pd.Series(["a", None, "b"]), None, 512, 0).tolist() == [0, 2]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 200), st.integers(0, 3))
def test_a_stratified_sample_keeps_the_shares(counts, rows, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    rows = min(max(rows, 1), len(y))
    drawn = stratified(y, rows, seed)
    assert len(set(drawn.tolist())) == rows
    got = np.bincount(y[drawn], minlength=len(counts))
    share = np.array(counts) * rows / len(y)
    assert (got >= min(1, rows // len(counts))).all()
    assert (got <= np.maximum(np.ceil(share), 1)).all()


@pytest.mark.parametrize("content", ["a,b,c\n1,2,3\n7,1\n", "a;b;c\n1;2;3\n\n4\n"])
def test_a_line_that_was_cut_off_is_refused(tmp_path, content):
    with pytest.raises(MapstoError, match=r"line [34] has [12] cells, expected 3"):
        read(tmp_path, content)


def test_a_nameless_last_column_may_be_left_out_of_a_line(tmp_path):
    assert read(tmp_path, "a,b,\n1,2\n3,4\n")[["a", "b"]].to_numpy().tolist() == [["1", "2"], ["3", "4"]]


def test_a_first_line_that_names_the_separator_is_passed_over(tmp_path):
    assert read(tmp_path, "sep=;\r\na;b\r\n1;2\r\n").to_numpy().tolist() == [["1", "2"]]


UNITS = "age,crp (mg/l),weight,ward,stay\n[years],,kg,,days\n61,3,70,a,3\n48,4,71.5,b,9\n50,9,60,b,4\n"


def test_a_row_of_units_that_is_left_out_gives_columns_their_units(tmp_path):
    (tmp_path / "t.csv").write_text(UNITS)
    found = tablefile.read(tmp_path / "t.csv")
    columns = Columns().fit(found.table)
    assert [column.unit for column in columns] == ["years", "mg/l", "kg", "", "days"]
    assert "line 2 is a row of units ('[years]', 'kg', 'days'); left out." in found.notes
    later = found.table.assign(weight=["70 kg", "71.5", "60 lb"])  # a later table may write the unit
    with pytest.warns(UserWarning, match="'60 lb' not a number in kg"):
        np.testing.assert_array_equal(columns.transform(later)[:, 2], [70, 71.5, np.nan])


def test_an_outcome_has_the_unit_of_its_row(tmp_path):
    rows = "".join(f"{i},{i * 7 % 23}.5\n" for i in range(30))
    (tmp_path / "t.csv").write_text(f"age,stay\nyears,days\n{rows}")
    kind = decided(tablefile.read(tmp_path / "t.csv").table, "stay", "t.csv")
    assert kind.amounts.unit == "days"


def test_a_note_about_a_row_of_labels_writes_line_breaks_as_elsewhere(tmp_path):
    (tmp_path / "t.csv").write_text('a,b,ward\n"first\nline",float,\n1,2,x\n2,3,y\n3,5,x\n')
    notes = tablefile.read(tmp_path / "t.csv").notes
    assert r"line 2 is a row of labels ('first\nline', 'float'); left out." in notes
