"""Cells that are written unlike the others of their column: a day as a number, a decimal point among commas."""

import numpy as np
import pandas as pd
import pytest

from mapsto.reports.table.question import of_two_tables
from mapsto.tables.columns import Columns
from mapsto.tables.drift import drifts

DATES = ["2023-03-15", "2023-03-16", "2022-01-01", "2023-12-31", "2023-05-05"]


def fitted(cells):
    table = pd.DataFrame({"a": pd.Series(cells, dtype=object)})
    columns = Columns().fit(table)
    return columns, columns.transform(table)[:, 0]


@pytest.mark.parametrize("number", ["45000", 45000, 45000.0])
def test_a_day_that_a_spreadsheet_wrote_as_a_number_is_read_as_that_day(number):
    columns, days = fitted([*DATES, number])
    assert columns.columns[0].kind == "date" and days[5] == days[0] == np.datetime64("2023-03-15").astype(int)
    assert any("45000" in note and "2023-03-15" in note for note in columns.notes)
    later = pd.DataFrame({"a": pd.Series([number, "2023-03-15", None], dtype=object)})
    np.testing.assert_array_equal(columns.transform(later)[:, 0], [days[0], days[0], np.nan])


def test_a_number_that_is_no_day_near_the_others_is_not_read():
    columns, _ = fitted(DATES)
    with pytest.warns(UserWarning, match="'99999', '450' not a date"):
        assert np.isnan(columns.transform(pd.DataFrame({"a": ["99999", "450"]}))).all()
    mostly_numbers = pd.DataFrame({"a": ["45000", "45010", "46000", "2023-03-15", *["45020"] * 20]})
    assert Columns().fit(mostly_numbers).columns[0].kind == "number"


@pytest.mark.parametrize(("taught", "later"), [(["1,5", "0,25", "3"], "1.234"), (["1.5", "0.25", "3"], "1,234")])
def test_a_number_with_the_other_mark_is_said(taught, later):
    columns, _ = fitted(taught)
    with pytest.warns(UserWarning, match=f"'{later}' is read as 1234, because the decimal mark") as warned:
        assert columns.transform(pd.DataFrame({"a": [later, "2", later]}))[0, 0] == 1234
    assert len(warned) == 1


@pytest.mark.parametrize("later", ["1234", "1,234", "12.345.678", "1.234 l"])
def test_numbers_that_can_only_be_read_in_one_way_are_not_said(later):
    columns, _ = fitted(["1,5", "0,25", "3", "2,125"])
    _, sentences = columns.read(pd.DataFrame({"a": [later]}))
    assert not any("because the decimal mark" in sentence for sentence in sentences)


def test_thousands_among_thousands_are_not_said():
    columns, _ = fitted(["950,5", "1.200,5", "12.400,25", "2"])
    assert columns.read(pd.DataFrame({"a": ["1.234", "2.345"]}))[1] == []


def test_levels_that_no_training_row_has_are_not_counted_as_missing():
    columns, ward = fitted(["north", "south"] * 20)
    later = pd.DataFrame({"a": ["west"] * 15 + [None] * 2 + ["north", "south"] * 3})
    unread = columns.columns[0].unread(later["a"])
    assert unread.tolist() == [True] * 15 + [False] * 8
    numbers, _ = columns.read(later)
    said = drifts(columns.columns, ward[:, None], numbers, unread[:, None])
    assert len(said) == 1 and said[0].startswith("column 'a': levels that no training row has in 65% of the rows")
    empty = pd.DataFrame({"a": [None] * 17 + ["north", "south"] * 3})
    said = drifts(
        columns.columns, ward[:, None], columns.read(empty)[0], columns.columns[0].unread(empty["a"])[:, None]
    )
    assert len(said) == 1 and "missing in 0% of the training rows and in 74%" in said[0]


def test_what_is_no_number_is_unread_and_a_word_for_missing_is_not():
    columns, _ = fitted(["1.5", "2.5", "3", "4", "NA", "7", "8", "9", "10", "11", "12"])
    assert columns.columns[0].unread(pd.Series(["haemolysed", "NA", None, "5"])).tolist() == [True, False, False, False]


PERCENTS, SHARES = ["45 %", "12 %", "80 %", "0 %"], [0.45, 0.12, 0.8, 0.0]


@pytest.mark.parametrize("later", [SHARES, list(map(str, SHARES)), [*SHARES, "45 %", "<0.5", None]])
def test_shares_in_a_column_of_percents_are_said(later):
    columns, _ = fitted(PERCENTS)
    with pytest.warns(UserWarning, match=r"'0.45', are read as percent too \(0.45 %\); if they are shares, multiply"):
        assert columns.transform(pd.DataFrame({"a": pd.Series(later)}))[0, 0] == 0.45


@pytest.mark.parametrize(
    ("taught", "later"),
    [
        (PERCENTS, ["45", "12", "0.8"]),  # the other bare cells are percents
        (PERCENTS, ["0.45 %", "0 %", "0"]),
        (["0.5 %", "1.5 %", "0.2 %"], [0.45, 0.3]),  # as shares, 45 % and 30 %
        (["0.2 %", "0.7 %", "0.4 %"], ["5 %"]),
        (["45 mg/l", "12 mg/l", "80 mg/l"], [0.45, 0.12]),
    ],
)
def test_percents_that_are_no_shares_are_not_said(taught, later):
    assert fitted(taught)[0].read(pd.DataFrame({"a": pd.Series(later)}))[1] == []


def test_percents_among_shares_are_said_or_refused():
    columns, _ = fitted(SHARES)
    assert columns.read(pd.DataFrame({"a": PERCENTS[:2]}))[1] == [
        "column 'a': '45 %', '12 %' have a unit that no training row has; read as missing."
    ]
    named = Columns().fit(pd.DataFrame({"a (%)": SHARES}))
    numbers, said = named.read(pd.DataFrame({"a (%)": ["45 %", "0.5"]}))
    assert numbers[:, 0].tolist() == [45, 0.5] and len(said) == 1 and "'45 %', are read as 45, beyond" in said[0]
    assert named.read(pd.DataFrame({"a (%)": ["0.5 %", "45"]}))[1] == []
    larger = Columns().fit(pd.DataFrame({"a (%)": [45, 12, 80]}))
    assert len(larger.read(pd.DataFrame({"a (%)": [0.45, 0.2]}))[1]) == 1
    assert larger.read(pd.DataFrame({"a (%)": [0.45, 20]}))[1] == []
    wide = Columns().fit(pd.DataFrame({"a (%)": [0.2, 12, 80]}))
    assert wide.read(pd.DataFrame({"a (%)": [0.3]}))[1] == []


def test_mixed_percents_and_shares_are_said_once_at_fit():
    table = pd.DataFrame({"a": [*PERCENTS, "0.45"]})
    columns = Columns().fit(table)
    assert len(columns.notes) == 1 and columns.read(table)[1] == columns.notes


@pytest.mark.parametrize("later", [SHARES, list(map(str, SHARES))])
def test_shares_in_the_outcome_of_a_later_table_are_said(later):
    x = pd.Series(np.arange(24.0))
    train = pd.DataFrame({"x": x, "fraction": [f"{20 + i} %" for i in range(24)]})
    rows = pd.DataFrame({"x": x[:4], "fraction": later})
    asked = of_two_tables(rows, train, "fraction", None, 9, 0, names=("later.csv", "train.csv"))
    said = [note for note in asked.notes if "shares" in note]
    assert len(said) == 1 and said[0].startswith("later.csv: column 'fraction': cells without a sign, such as '0.45',")
    same = of_two_tables(train[:4], train, "fraction", None, 9, 0, names=("later.csv", "train.csv"))
    assert not any(note.startswith("later.csv") for note in same.notes)
