"""Columns of a person's table: what each becomes, and that later rows are read the same way."""

import datetime
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapsto.errors import MapstoError
from mapsto.tables.columns import Columns, listing


def read(train, later=None):
    columns = Columns().fit(pd.DataFrame({"a": train}))
    return columns.transform(pd.DataFrame({"a": train if later is None else later}))[:, 0].tolist()


NAN = pytest.approx(np.nan, nan_ok=True)


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ([3, 1, 2], [3, 1, 2]),
        ([3.5, None, 2], [3.5, NAN, 2]),
        ([True, False, True], [1, 0, 1]),
        ([True, None, False], [1, NAN, 0]),
        (["2.5", "1", None], [2.5, 1, NAN]),
        (["b", "a", "c", "a"], [1, 0, 2, 0]),
        (["b", None, "a", "a"], [1, NAN, 0, 0]),
        (["nan", None, "a", "None"], [2, NAN, 1, 0]),  # words, not missing cells
        (["1970-01-02", "1970-01-11", None], [1, 10, NAN]),
        ([datetime.datetime(1970, 1, 2, 12), None], [1.5, NAN]),
        (pd.to_timedelta([1, None, 3], unit="s"), [1, NAN, 3]),
        (pd.array([7, None, 9], dtype="Int64"), [7, NAN, 9]),
        (pd.Categorical(["low", "high", "low"], ["low", "middle", "high"], ordered=True), [0, 1, 0]),
        (pd.Categorical([10, 20, None]), [0, 1, NAN]),
        ([None, None], [NAN, NAN]),
    ],
)
def test_what_each_column_becomes(train, expected):
    assert read(train) == expected


@pytest.mark.parametrize(
    ("train", "later", "expected", "said"),
    [
        (["b", "a", "a"], ["a", "z", None], [0, NAN, NAN], "'z' never seen in the training rows"),
        ([1.0, 2.0], ["2", "many"], [2, NAN], "'many' not a number"),
        (["1970-01-02", "1970-01-03"], ["1970-01-04", "soon"], [3, NAN], "'soon' not a date"),
        (["1970-01-02", "1970-01-03"], [4, 5], [NAN, NAN], "'4', '5' not a date"),
        ([1.0, 2.0], [datetime.datetime(1970, 1, 2)], [NAN], "not a number"),
        (["x", "4", "y"], [4.0, np.nan], [0, NAN], None),  # a missing cell had turned the integers into floats
        (["b", "a", "a"], pd.Categorical(["a", "b"]), [0, 1], None),
        ([1, 2], pd.Categorical([2, 1]), [2, 1], None),
    ],
)
def test_later_rows_are_read_as_the_training_rows_were(train, later, expected, said):
    if said is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read(train, later) == expected
    else:
        with pytest.warns(UserWarning, match=said):
            assert read(train, later) == expected


def test_days_and_times_mix():
    assert read(["1970-01-02", "1970-01-03 12:00", "1970-01-04T18:00"]) == [1, 2.5, 3.75]


def test_a_stray_word_among_numbers_is_missing_and_said():
    with pytest.warns(UserWarning, match="'lost' not a number"):
        assert read([*range(19), "lost"])[-2:] == [18, NAN]
    with pytest.warns(UserWarning, match="'lost' not a number"):
        assert read([*range(9), "lost"]) == [*range(9), NAN]  # one in ten


def test_many_words_among_numbers_make_categories():
    assert read(["1", "2", "old", "old"]) == [1, 2, 0, 0]  # the commonest first: no order of the alphabet


def test_texts_that_never_repeat_teach_nothing_and_are_left_out():
    frame = pd.DataFrame({"name": [f"patient {i}" for i in range(12)], "age": range(12)})
    columns = Columns().fit(frame)
    assert columns.informative.tolist() == [False, True]
    assert np.isnan(columns.transform(frame)[:, 0]).all()
    assert columns.notes == ["column 'name': no text in it repeats (a name or an identifier?), so it is left out."]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        columns.transform(frame.assign(name="someone new"))


def test_empty_and_constant_columns_are_left_out_and_said():
    columns = Columns().fit(pd.DataFrame({"none": [None, None], "same": [5, 5], "age": [1, 2]}))
    assert columns.informative.tolist() == [False, False, True]
    assert [note.split(":")[0] for note in columns.notes] == ["column 'none'", "column 'same'"]
    assert "every training cell is empty" in columns.notes[0]
    assert "the same value in every training row" in columns.notes[1]


def test_a_column_constant_but_for_missing_cells_is_constant():
    assert not Columns().fit(pd.DataFrame({"a": [5, None, 5]})).informative[0]


@pytest.mark.parametrize("sign", [1, -1])
def test_infinite_values_are_refused_by_column_and_row(sign):
    with pytest.raises(MapstoError, match=r"column 'b': got an infinite value \(row 1\)"):
        Columns().fit(pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, sign * np.inf]}))
    columns = Columns().fit(pd.DataFrame({"b": [1.0, 2.0]}))
    with pytest.raises(MapstoError, match="infinite"):
        columns.transform(pd.DataFrame({"b": [sign * np.inf]}))


def test_columns_of_one_name_are_refused():
    with pytest.raises(MapstoError, match="'age' more than once"):
        Columns().fit(pd.DataFrame([[1, 2, 3]], columns=["age", "ward", "age"]))


def test_a_listing_ends():
    assert listing(list("abcdefg")) == "'a', 'b', 'c', 'd', 'e' and 2 more"


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.text(max_size=4), st.floats(allow_infinity=False), st.integers(-9, 9)), min_size=1)
)
@pytest.mark.filterwarnings("ignore:column:UserWarning")
def test_whatever_a_column_holds_its_rows_are_read_alone_as_together(cells):
    frame = pd.DataFrame({"a": pd.Series(cells, dtype=object)})
    columns = Columns().fit(frame)
    together = columns.transform(frame)
    alone = np.concatenate([columns.transform(frame.iloc[[i]]) for i in range(len(frame))])
    np.testing.assert_array_equal(together, alone)
    assert not np.isinf(together).any()
    assert np.isnan(together[frame.isna().to_numpy()]).all()


def test_an_infinite_cell_is_named_by_the_row_s_own_name():
    with pytest.raises(MapstoError, match=r"infinite value \(row 41\)"):
        Columns().fit(pd.DataFrame({"a": [1.0, np.inf]}, index=[7, 41]))


def test_thousands_percents_and_bounds_are_numbers():
    x = pd.DataFrame({"a": ["1,000", "20", "3,500.5"] * 4, "b": ["5 %", "12%", "7"] * 4, "c": ["<9", "11", "30"] * 4})
    columns = Columns().fit(x)
    numbers = columns.transform(x)
    assert [column.kind for column in columns.columns] == ["number"] * 3
    np.testing.assert_array_equal(numbers[:3], [[1000, 5, 4.5], [20, 12, 11], [3500.5, 7, 30]])
    assert Columns().fit(pd.DataFrame({"d": ["<a", "11", "b,c"] * 4})).columns[0].kind == "category"


@pytest.mark.parametrize(
    ("texts", "placed", "sentence"),
    [
        (["<5", "7", "9"], 2.5, "every number"),
        (["<5", "5", "9"], 2.5, "every number"),
        (["<5", "1", "3", "9"], 3.0, "the middle"),  # any of 1 to 5
        (["<100", "1", "3", "9"], 5.0, "the middle"),  # any of 1 to 9
        ([">90", "30", "60"], 91.5, "every number"),
        ([">90", "30", "110"], 100.0, "the middle"),
        ([">5", "30", "110"], 70.0, "the middle"),
        (["<-5", "-4", "6"], -5.5, "every number"),
    ],
)
def test_a_bound_lies_beyond_every_number_or_among_those_that_it_may_be(texts, placed, sentence):
    x = pd.DataFrame({"a": texts * 4})
    columns = Columns().fit(x)
    assert columns.transform(x)[0, 0] == pytest.approx(placed)
    (note,) = [note for note in columns.notes if repr(texts[0]) in note]
    assert sentence in note


def test_a_word_that_ends_like_a_time_span_cannot_be_read():
    x = pd.DataFrame({"a": ["no s", *["1 days 02:00:00", "3 s", "0 days 00:01:00"] * 6]})
    columns = Columns().fit(x)
    assert columns.columns[0].style == "span"
    with pytest.warns(UserWarning, match="'no s'"):
        np.testing.assert_array_equal(columns.transform(x)[:4, 0], [np.nan, 93600, 3, 60])


HUGE = ["9" * 400, "-" + "9" * 400, 10**400, -(10**5000), Fraction(10**400), Decimal("1e999"), "9" * 6000]


@pytest.mark.parametrize("cell", HUGE, ids=range(len(HUGE)))
def test_a_number_beyond_every_float_is_refused_as_infinite(cell):
    table = pd.DataFrame({"a": pd.Series(["1", "2", cell, "4"], dtype=object)})
    with pytest.raises(MapstoError, match=r"^column 'a': got an infinite value"):
        Columns().fit(table).transform(table)
    columns = Columns().fit(table.iloc[[0, 1, 3]])
    with pytest.raises(MapstoError, match=r"^column 'a': got an infinite value"):
        columns.transform(table)


@pytest.mark.parametrize("digits", [17, 299, 301, 308])
def test_long_whole_numbers_keep_their_differences_while_floats_can_hold_them(digits):
    texts = [str(10 ** (digits - 1) + k * 10 ** (digits - 3)) for k in (0, 1, -2)]
    table = pd.DataFrame({"a": [*texts, "-" + texts[0]]})
    numbers = Columns(types={"a": "number"}).fit(table).transform(table)[:, 0]
    assert np.isfinite(numbers).all()
    assert np.allclose(np.diff(numbers) / 10.0 ** (digits - 3), [1, -3, -198], rtol=1e-9)
