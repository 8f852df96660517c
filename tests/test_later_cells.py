"""Cells that are written unlike the others of their column: a day as a number, a decimal point among commas."""

import numpy as np
import pandas as pd
import pytest

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
