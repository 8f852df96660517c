"""Columns as people write them: each small input with the kind, the numbers and the sentence that are right."""

import datetime
import decimal
import warnings

import narwhals
import numpy as np
import pandas as pd
import pyarrow
import pytest
import scipy.sparse

from mapsto.errors import MapstoError
from mapsto.tables.arrays import frame_of
from mapsto.tables.columns import Columns

NAN = pytest.approx(np.nan, nan_ok=True)


def fit(cells, others=None, **reading):
    """Return the column `a` and its numbers; `others` are further columns of the table."""
    frame = pd.DataFrame({"a": pd.Series(cells, dtype=object), **(others or {})})
    columns = Columns(**reading).fit(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return columns.columns[0], columns.transform(frame)[:, 0].tolist(), columns


def later(cells, new, others=None):
    """Return the numbers of the cells `new` of a column that was fitted to `cells`."""
    frame = pd.DataFrame({"a": pd.Series(cells, dtype=object), **(others or {})})
    columns = Columns().fit(frame)
    row = {name: values[: len(new)] for name, values in (others or {}).items()}
    return columns.transform(pd.DataFrame({"a": pd.Series(new, dtype=object), **row}))[:, 0].tolist()


# --- words for a missing cell -----------------------------------------------------------------------------------------


def test_none_among_texts_is_a_category_and_said():
    column, numbers, columns = fit(["None", "Diabetes", "Cardiac", "Renal", "None", None])
    assert column.kind == "category"
    assert set(column.codes) == {"None", "Diabetes", "Cardiac", "Renal"}
    assert numbers[0] == numbers[4] == 0 and np.isnan(numbers[5])
    assert any("'None' (2 cells) read as a category" in note for note in columns.notes)


@pytest.mark.parametrize("word", ["NA", "n/a", "N/A", "None"])
def test_a_word_for_missing_can_be_a_category_among_texts(word):
    column, numbers, _ = fit([word, "left", "right", word])
    assert column.kind == "category"
    assert not np.isnan(numbers).any()


@pytest.mark.parametrize("sign", ["###", "####", "########"])
def test_what_a_narrow_column_of_a_spreadsheet_shows_is_missing(sign):
    column, numbers, columns = fit(["1", "2.5", sign, "4"] * 4)
    assert column.kind == "number" and numbers[:4] == [1, 2.5, NAN, 4]
    assert columns.notes == [f"column 'a': {sign!r} (4 cells) read as missing."]


@pytest.mark.parametrize("zero", ["0000-00-00", "0000-00-00 00:00:00", "00.00.0000", "00/00/0000"])
def test_a_date_of_zeros_is_missing(zero):
    column, numbers, columns = fit(["1970-01-02", zero, "1970-01-04", "1970-01-05"] * 4)
    assert column.kind == "date" and numbers[:4] == [1, NAN, 3, 4]
    assert columns.notes == [f"column 'a': {zero!r} (4 cells) read as missing."]


def test_a_letter_and_its_accent_are_the_same_word_however_they_are_stored():
    one, other = "caf\u00e9", "cafe\u0301"
    assert later([one, "bar"] * 9, [other, one.upper(), "bar"]) == [1, 1, 0]
    column, numbers, _ = fit([one, other, "bar"] * 4)
    assert numbers[:2] == numbers[3:5] and len(column.codes) == 2


def test_a_word_that_is_missing_among_the_numbers_of_a_table_is_missing_among_its_texts_and_said():
    column, numbers, columns = fit(["NA", "left", "right", "left"], {"b": ["1.5", "NA", "2", "3"]})
    assert set(column.codes) == {"left", "right"}
    assert np.isnan(numbers[0])
    assert "column 'a': 'NA' (1 cell) read as missing." in columns.notes
    column, numbers, _ = fit(["None", "Renal", "Cardiac", "Renal"], {"b": ["1.5", "None", "2", "3"]})
    assert "None" in column.codes  # "no comorbidity" stays one


WORDS = [
    "NA",
    "-",
    ".",
    "?",
    "k.A.",
    "n.d.",
    "unbekannt",
    "unknown",
    "#DIV/0!",
    "nan",
    "",
    "#N/A",
    "NULL",
    "missing",
    "n/a",
]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("share", [1, 6])
def test_words_for_missing_among_numbers_are_missing_however_many(word, share):
    column, numbers, columns = fit([word] * share + ["11.5", "2.5", "7", "2.5"])
    assert column.kind == "number"
    assert numbers == [NAN] * share + [11.5, 2.5, 7, 2.5]
    assert column.empty == share
    assert not word or any("read as missing" in note for note in columns.notes)


@pytest.mark.parametrize("word", ["NA", "-", "?", "unbekannt", ""])
def test_words_for_missing_among_dates_are_missing(word):
    column, numbers, _ = fit([word, word, word, "1970-01-02", "1970-01-03"])
    assert column.kind == "date"
    assert numbers == [NAN, NAN, NAN, 1, 2]


def test_strays_among_many_numbers_leave_them_numbers():
    cells = [str(value) for value in range(40)] + ["haemolysed"] * 9
    column, numbers, columns = fit(cells)
    assert column.kind == "number"
    assert numbers[:40] == list(range(40)) and np.isnan(numbers[40:]).all()
    assert "column 'a': 'haemolysed' not a number; read as missing." in columns.notes


def test_words_that_the_person_calls_missing():
    column, numbers, _ = fit(["999", "1", "2", "999"], missing=["999"])
    assert numbers == [NAN, 1, 2, NAN]
    _, numbers, _ = fit([999.0, 1, 2], missing=["999"])
    assert numbers == [NAN, 1, 2]
    columns = Columns(missing=["a=9"]).fit(frame := pd.DataFrame({"a": [9, 1, 2], "b": [9, 1, 2]}))
    np.testing.assert_array_equal(columns.transform(frame), [[np.nan, 9], [1, 1], [2, 2]])
    column, numbers, _ = fit(["left", "lost", "right"], missing=["lost"])
    assert set(column.codes) == {"left", "right"}


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "expected", "unit"),
    [
        (["12 mg/l", "3.5 mg/l", "7mg/l"], [12, 3.5, 7], "mg/l"),
        (["$5", "$7.50", "$1,200"], [5, 7.5, 1200], "$"),
        (["€ 5", "12 €", "7"], [5, 12, 7], "€"),
        (["45 %", "7%", "100 %"], [45, 7, 100], "%"),
        (["1,234", "5", "12,000"], [1234, 5, 12000], ""),
        (["1.250,50", "3,5", "7"], [1250.5, 3.5, 7], ""),
        (["61", "5,2", "7,25"], [61, 5.2, 7.25], ""),
        (["950", "1.200", "12.400"], [950, 1200, 12400], ""),
        (["1 234,5", "17,25", "2"], [1234.5, 17.25, 2], ""),
        (["1'250.50", "3", "7"], [1250.5, 3, 7], ""),
        (["1,234,567", "1,000", "3"], [1234567, 1000, 3], ""),
        (["−5", "3", "-2.5"], [-5, 3, -2.5], ""),
        (["1e-07", "2E3", "5"], [1e-07, 2000, 5], ""),
        (["5.2 H", "1.1 L", "3", "4", "3.5"], [5.2, 1.1, 3, 4, 3.5], ""),
        (["26 kg/m2", "31.5 kg/m2"], [26, 31.5], "kg/m2"),
        (["12.3 10^9/l", "4 10^9/l"], [12.3, 4], "10^9/l"),
        (["37.5 °C", "38 °C"], [37.5, 38], "°C"),
        (["01", "02", "10"], [1, 2, 10], ""),
        (["0,571", "1,234", "0,880"], [0.571, 1.234, 0.88], ""),
        (["(5)", "7", "(1,200.5)"], [-5, 7, -1200.5], ""),
        (["38+2", "39+0", "40+6"], [38 + 2 / 7, 39, 40 + 6 / 7], "weeks"),
        (["1,00,000", "2,50,000", "5"], [100000, 250000, 5], ""),
        ([decimal.Decimal("1.5"), decimal.Decimal("2")], [1.5, 2], ""),
        ([1, 2.5, "3"], [1, 2.5, 3], ""),
    ],
)
def test_numbers_that_people_write(cells, expected, unit):
    column, numbers, _ = fit(cells)
    assert column.kind == "number"
    assert numbers == expected
    assert column.unit == unit


def test_bounds_lie_below_and_above_every_number():
    column, numbers, columns = fit(["<5", "7", "120", ">200", "6", "<0.5"])
    assert column.kind == "number"
    assert numbers[5] < numbers[0] < 6 and numbers[3] > 200
    assert any("'<5' (1 cell)" in note and "below" in note for note in columns.notes)
    assert later(["7", "120"], ["<5", ">150"])[0] < 7 and later(["7", "120"], [">80"])[0] == 100
    assert fit(["88", "90+", "71"])[1][1] > 88


def test_thousands_are_decided_by_the_other_columns_and_said():
    _, numbers, columns = fit(["5.556", "13.050", "6.139"], {"b": ["25,2", "30,1", "27,8"]})
    assert numbers == [5556, 13050, 6139]
    assert any("'5.556' is read as 5556" in note for note in columns.notes)
    _, numbers, columns = fit(["5.556", "13.050", "6.139"], {"b": ["25.2", "30.1", "27.8"]})
    assert numbers == [5.556, 13.05, 6.139]
    assert any("could also mean 5556" in note for note in columns.notes)


def test_another_unit_is_missing_and_said():
    cells = ["70 kg", "82 kg", "65 kg", "71 kg", "150 lb", "90 kg", "77 kg", "66 kg", "59 kg", "80 kg", "81 kg"]
    column, numbers, columns = fit(cells)
    assert column.unit == "kg" and np.isnan(numbers[4])
    assert any("'150 lb' not a number in kg" in note for note in columns.notes)


@pytest.mark.parametrize(("value", "said"), [(999, "'999'"), (-9, "'-9'"), (9999, "'9999'")])
def test_a_value_far_outside_the_rest_is_noted(value, said):
    _, numbers, columns = fit([value, 31, 48, 61, 52, 77])
    assert numbers[0] == value
    assert any(said in note and "--missing" in note for note in columns.notes)
    assert fit([99, 98, 97, 80, 75])[2].notes == []


def test_large_integers_are_not_the_same_value():
    for cells in ([2**53, 2**53 + 1, 2**53 + 2], [str(2**53 + i) for i in range(3)]):
        _column, numbers, columns = fit(cells)
        assert numbers == [0, 1, 2] and columns.informative[0]
    frame = pd.DataFrame({"a": [2**62, 2**62 + 1]})
    assert Columns().fit(frame).transform(frame)[:, 0].tolist() == [0, 1]


@pytest.mark.parametrize(
    "cells", [["01", "02", "A1", "02"], ["1a", "2b", "3c", "1a"], ["A1", "B2", "A1"], ["1a", "1b", "1a"]]
)
def test_codes_are_categories(cells):
    assert fit(cells)[0].kind == "category"


# --- dates and times --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1970-01-02T12:00:00Z", "1970-01-03T00:00:00Z"], [1.5, 2]),
        (["1970-01-02 00:00:00+00:00", "1970-01-03 02:00:00+02:00"], [1, 2]),
        (["1970-01-02 12:00:00+00", "1970-01-03 00:00:00.000+00"], [1.5, 2]),
        (["02.01.1970", "31.01.1970"], [1, 30]),
        (["13/01/1970", "02/01/1970"], [12, 1]),
        (["01/13/1970", "01/02/1970"], [12, 1]),
        (["02-Jan-1970", "31-Jan-1970"], [1, 30]),
        (["2. Januar 1970", "31. Mai 1970"], [1, 150]),
        (["Jan 2, 1970", "May 31, 1970"], [1, 150]),
        (["02.01.70", "31.01.70"], [1, 30]),
        (["02.01.1970 12:00", "31.01.1970 18:00:00"], [1.5, 30.75]),
        (["19700102", "19700131"], [1, 30]),
        (["1970/01/02", "1970/01/31"], [1, 30]),
        (["1970-01", "1970-02"], [0, 31]),
        (["1970Q1", "1970Q2"], [0, 90]),
        ([datetime.date(1970, 1, 2), None], [1, NAN]),
        (list(pd.period_range("1970-01", periods=2, freq="M")), [0, 31]),
    ],
)
def test_dates_in_many_spellings(cells, expected):
    column, numbers, _ = fit(cells)
    assert column.kind == "date"
    assert numbers == expected


def test_the_order_of_day_and_month_is_decided_for_a_column_and_said():
    _, _, columns = fit(["01/13/1970", "01/02/1970"])
    assert columns.notes == ["column 'a': dates such as '01/13/1970' are read with the month first."]
    _, numbers, columns = fit(["02/01/1970", "03/01/1970"], {"b": ["13/01/1970", "14/01/1970"]})
    assert numbers == [1, 2]  # as the other column is
    _, numbers, columns = fit(["05/05/2021", "06/05/2021"])
    assert any("leave the order open" in note for note in columns.notes)
    assert later(["13/01/1970", "14/01/1970"], ["02/01/1970"]) == [1]


def test_times_of_day_are_hours_and_said():
    column, numbers, columns = fit(["20:15", "08:30", "00:00:36"])
    assert (column.kind, column.unit, numbers) == ("number", "h", [20.25, 8.5, 0.01])
    assert columns.notes == ["column 'a': times such as '20:15' are read as hours."]
    assert fit([datetime.time(20, 15), datetime.time(8, 30)])[1] == [20.25, 8.5]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.to_timedelta([1, None, 3], unit="h")),
        pd.Series([datetime.timedelta(hours=1), None, datetime.timedelta(hours=3)], dtype=object),
        pd.Series(
            [datetime.timedelta(hours=1), None, datetime.timedelta(hours=3)],
            dtype=pd.ArrowDtype(pyarrow.duration("us")),
        ),
        pd.Series(
            [datetime.timedelta(hours=1), None, datetime.timedelta(hours=3)],
            dtype=pd.ArrowDtype(pyarrow.duration("ns")),
        ),
        pd.Series(["0 days 01:00:00", None, "0 days 03:00:00"]),
    ],
)
def test_spans_of_time_are_seconds_however_they_are_stored(values):
    frame = pd.DataFrame({"a": values})
    columns = Columns().fit(frame)
    assert columns.transform(frame)[:, 0].tolist() == [3600, NAN, 10800]
    assert columns.columns[0].unit == "s"


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "order"),
    [
        (["severe", "none", "mild", "moderate"], ["none", "mild", "moderate", "severe"]),
        (["None", "Severe", "Mild", "Mild"], ["None", "Mild", "Severe"]),
        (["low", "high", "medium"], ["low", "medium", "high"]),
        (["Strongly agree", "Agree", "Neutral", "Disagree"], ["Disagree", "Neutral", "Agree", "Strongly agree"]),
        (["never", "often", "sometimes"], ["never", "sometimes", "often"]),
        (["II", "IV", "I", "III"], ["I", "II", "III", "IV"]),
        (["NYHA III", "NYHA I", "NYHA II"], ["NYHA I", "NYHA II", "NYHA III"]),
        (["31-50", "18-30", ">50", "<18"], ["<18", "18-30", "31-50", ">50"]),
        (["(0, 18]", "(18, 40]", "(18, 40]"], ["(0, 18]", "(18, 40]"]),
        (["++", "-", "+", "+++"], ["-", "+", "++", "+++"]),
        (["keine", "schwer", "leicht", "mittel"], ["keine", "leicht", "mittel", "schwer"]),
        (["1:40", "1:160", "1:80"], ["1:40", "1:80", "1:160"]),
        (["2 - neutral", "1 - disagree", "3 - agree"], ["1 - disagree", "2 - neutral", "3 - agree"]),
        (["18-64", "<18", "≥65"], ["<18", "18-64", "≥65"]),
    ],
)
def test_well_known_words_are_ordered_and_said(cells, order):
    column, _, columns = fit(cells)
    assert (column.kind, column.levels) == ("ordered", order)
    assert f"column 'a': read as steps in the order {' < '.join(order)}." in columns.notes


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["5 mg", "1 g", "10 mg"], "'5 mg' is a number, but units or decimal marks differ"),
        (["5", "lost", "7", "lost"], "'5' is a number, but others, such as 'lost', are not"),
        (["2021-05-05", "ca. 2020", "2021-05-06"], "'2021-05-05' is a date, but others, such as 'ca. 2020', are not"),
        ([f"P{i}" for i in range(30)] + ["P1"], "30 different texts in 31 cells"),
        (["1970-01-02", "1970-01-03", "9999-12-31"], "'9999-12-31' lies far from all other dates"),
        (["0.45", "45 %", "0.5"], "cells without a sign, such as '0.45', are read as percent too"),
        (["(5)", "7", "9"], "in brackets, read as negative"),
        (["5,10-", "7,00", "9,00"], "'5,10-' (1 cell) with a minus sign at the end, read as negative"),
        (["<0.01", "0.05", "neg", "0.12", "clotted", "0.3"], "'<0.01' is a number, but others, such as 'neg', are not"),
        (["0", "1", "9", "1"], "'9' (1 cell) lies far outside the other numbers (0 to 1)"),
        (["1", "2", "99", "3", "4", "98"], "'98' (1 cell) lies far outside the other numbers (1 to 4)"),
        (["-99", "2", "-9", "3", "4"], "'-99' (1 cell) lies far outside the other numbers (2 to 4)"),
        (["01067", "10115", "80331"], "'01067' is read as a number; if it is a code, pass --type a=category"),
    ],
)
def test_doubts_are_said(cells, said):
    assert any(said in note for note in fit(cells)[2].notes)


def test_numbers_with_a_minus_sign_at_the_end_are_negative():
    assert fit(["1.234,56-", "7,50", "99,00-"])[1] == [-1234.56, 7.5, -99]


def test_later_numbers_with_another_decimal_mark_are_missing_and_the_warning_says_why():
    columns = Columns().fit(pd.DataFrame({"a": ["5,5", "6,25", "7,1"]}))
    with pytest.warns(UserWarning, match="'5.5' not a number with the decimal mark ','; read as missing"):
        columns.transform(pd.DataFrame({"a": ["5.5"]}))


def test_a_sentinel_s_option_names_its_column():
    days = pd.DataFrame({"d": ["1970-01-02", "1970-01-03", "9999-12-31 00:00"]})
    assert "--missing 'd=9999-12-31 00:00'" in Columns().fit(days).notes[0]
    assert "(--missing 'pain score=99')" in Columns().fit(pd.DataFrame({"pain score": [1, 2, 3, 99]})).notes[0]


def test_a_blood_group_is_no_negative_number():
    assert fit(["0-", "0+", "0+"])[0].kind == "category"


def test_an_option_in_a_note_can_be_pasted_into_a_shell():
    columns = Columns().fit(pd.DataFrame({"CRP (mg/l)": ["5", "lost", "7", "lost"]}))
    assert "--type 'CRP (mg/l)=number'" in columns.notes[0]


@pytest.mark.parametrize(
    "cells",
    [
        ["5±1", "6±2", "7 ± 3"],
        ["5 (3-7)", "6 (4-8)", "9 (6-12)"],
        ["1×10^3", "2x10^5", "3·10^2"],
        ["1y 6m", "2y 3m", "5y 0m"],
        ["5'4\"", "5'11\"", "6'2\""],
        ["01.02.", "05.05.", "17.06."],
        ["48.13, 11.58", "52.52, 13.40", "50.11, 8.68"],
        ["'5", "'6", "'7"],
    ],
)
def test_cells_that_begin_with_a_number_but_are_none_are_said(cells):
    column, _, columns = fit(cells * 4)
    assert column.kind == "category"
    said = f"cells such as {cells[0]!r} begin with a number, but are read as a category; to use the numbers, "
    assert columns.notes == [f"column 'a': {said}write them alone."]


@pytest.mark.parametrize(
    "cells",
    [
        ["3rd floor", "2nd floor", "1st floor"],
        ["1A2", "1B1", "2C7"],
        ["1.2.3", "1.3.0", "2.0.1"],
        ["I21.0", "I21.4", "E11.9"],
    ],
)
def test_of_codes_and_names_with_numbers_it_is_not_said(cells):
    column, _, columns = fit(cells * 4)
    assert column.kind == "category" and not any("begin with a number" in note for note in columns.notes)


def test_a_name_in_brackets_is_no_unit():
    names = pd.MultiIndex.from_tuples([("lab", "crp"), ("lab", "bmi")])
    two = Columns().fit(pd.DataFrame([[1.5, 20.0], [2.5, 30.0]], columns=names))
    one = Columns().fit(pd.DataFrame({"CRP (mg/l)": [1.5, 2.5], "(x)": [1.0, 2.0], "a (b) [%]": [1.0, 2.0]}))
    assert [column.unit for column in (*two, *one)] == ["", "", "mg/l", "", "%"]


def test_dates_with_signs_for_year_month_and_day_are_dates():
    for cells in (
        ["1970年1月2日", "1970年1月4日"],
        ["1970年 1月 2日 00:00", "1970年01月04日"],
        ["1970년 1월 2일", "1970년1월4일"],
    ):
        column, numbers, _ = fit(cells * 4)
        assert column.kind == "date" and numbers[:2] == [1, 3]


@pytest.mark.parametrize(
    "cells",
    [["0", "1", "2", "9"], ["20", "98", "99", "47"], ["7", "8", "9", "9"], ["-9", "-3", "4"], ["-1", "0", "1", "1"]],
)
def test_plausible_numbers_are_no_sentinels(cells):
    assert fit(cells)[2].notes == []


def test_a_word_that_no_scale_knows_is_missing_beside_a_scale():
    column, numbers, columns = fit(["low", "high", "unknown", "medium"])
    assert (column.levels, numbers[2]) == (["low", "medium", "high"], NAN)
    assert "column 'a': 'unknown' (1 cell) read as missing." in columns.notes


def test_an_order_of_the_person_or_of_pandas():
    column, numbers, _ = fit(["b", "c", "a", "x"], order={"a": ["c", "a", "b"]})
    assert (column.kind, numbers) == ("ordered", [2, 0, 1, NAN])
    frame = pd.DataFrame({"a": pd.Categorical(["b", "c"], ["c", "a", "b"], ordered=True)})
    assert Columns().fit(frame).columns[0].levels == ["c", "b"]


def test_other_words_are_never_ranked_by_the_alphabet():
    column, _, _ = fit(["red", "blue", "red", "green", "red", "green"])
    assert (column.kind, column.levels) == ("category", ["red", "green", "blue"])


def test_spellings_of_one_word_are_one_level_and_said():
    _column, numbers, columns = fit(["Yes", "yes", "YES ", "No", "no", "yes"])
    assert numbers == [1, 1, 1, 0, 0, 1]
    assert any("'yes' = 'YES' = 'Yes'" in note or "'yes' = 'Yes' = 'YES'" in note for note in columns.notes)
    assert len(fit(["AA", "Aa", "aa", "AA"])[0].codes) == 3  # genotypes


def test_kinds_that_the_person_says():
    assert fit(["1", "2", "3"], types={"a": "category"})[0].levels == ["1", "2", "3"]
    assert fit(["x9", "x10", "x2"], types={"a": "ordered"})[0].levels == ["x2", "x9", "x10"]
    assert fit(["1", "lost", "lost"], types={"a": "number"})[1] == [1, NAN, NAN]
    assert fit(["5 mg", "1 g", "7 mg"], types={"a": "number"})[1] == [5, NAN, 7]
    assert fit(["1", "2", "3"], types={"a": "absent"})[0].kind == "absent"
    with pytest.raises(MapstoError, match=r"^types: "):
        fit(["1"], types={"b": "number"})
    with pytest.raises(MapstoError, match=r"^types: "):
        fit(["1"], types={"a": "colour"})
    with pytest.raises(MapstoError, match=r"^order: "):
        fit(["1"], order={"a": ["x"]})


# --- later tables -----------------------------------------------------------------------------------------------------


def test_a_new_word_among_booleans_is_missing_alone():
    with pytest.warns(UserWarning, match="'unknown' never seen"):
        assert later([True, False, True], [True, "unknown", False]) == [1, NAN, 0]
    with pytest.warns(UserWarning, match="'unknown' never seen"):
        assert later(["True", "False", "True"], ["True", "unknown", "False"]) == [1, NAN, 0]


@pytest.mark.parametrize("new", [["01", "02"], [1, 2], [1.0, 2.0], ["1", "2"]])
def test_codes_stay_the_same_codes(new):
    seen = later(["01", "02", "A1", "02"], ["01", "02", "A1"])
    assert later(["01", "02", "A1", "02"], new) == seen[:2]


@pytest.mark.parametrize("new", [["True", "False"], [True, False], ["TRUE", "FALSE"], [1, 0], ["true", "false"]])
def test_booleans_are_the_same_however_they_are_written(new):
    frame = pd.DataFrame({"a": [True, False, True]})
    columns = Columns().fit(frame)
    assert columns.transform(pd.DataFrame({"a": new}))[:, 0].tolist() == [1, 0]


def test_a_kind_that_was_decided_is_applied_to_later_tables():
    assert later(["5,2", "61", "7,1"], ["1,234"]) == [1.234]
    assert later(["950", "1.200", "12.400"], ["2.500"]) == [2500]
    with pytest.warns(UserWarning, match="'x' not a number"):
        assert later(["1", "2", "3"], ["x", "NA"]) == [NAN, NAN]


def test_what_was_decided_is_kept_in_a_plain_form():
    frame = pd.DataFrame(
        {"a": ["<5", "7,5", "12"], "b": ["low", "high", "low"], "c": ["x", "y", "NA"], "d": [2**60, 2**60 + 1, 5]}
    )
    columns = Columns().fit(frame)
    again = Columns.restored(columns.state(), columns.informative)
    np.testing.assert_array_equal(again.transform(frame), columns.transform(frame))
    assert repr(again) == repr(columns)


# --- other libraries --------------------------------------------------------------------------------------------------

TABLE = {"age": ["61 y", None, "48 y"], "ward": ["north", "south", "north"], "stay": [1.5, 2.0, None]}


def test_tables_of_other_libraries_are_read_alike():
    plain = pd.DataFrame(TABLE)
    expected = Columns().fit(plain).transform(plain)
    other = pyarrow.table(TABLE)
    for table in (other, narwhals.from_native(other)):
        frame = frame_of(table)
        assert frame.columns.tolist() == ["age", "ward", "stay"]
        np.testing.assert_array_equal(Columns().fit(frame).transform(frame), expected)
    for dtype in ("string", pd.ArrowDtype(pyarrow.string()), "category"):
        frame = plain.astype({"age": dtype, "ward": dtype})
        columns = Columns().fit(frame)
        if dtype != "category":
            np.testing.assert_array_equal(columns.transform(frame), expected)


def test_masked_cells_are_missing_and_sparse_ones_zero():
    masked = np.ma.array([[1, 2], [3, 4]], mask=[[False, True], [False, False]])
    np.testing.assert_array_equal(frame_of(masked), [[1, np.nan], [3, 4]])
    texts = np.ma.array([["a", "b"]], mask=[[True, False]], dtype=object)
    assert frame_of(texts).tolist() == [[None, "b"]]
    np.testing.assert_array_equal(frame_of(scipy.sparse.csr_matrix([[0, 2], [0, 0]])), [[0, 2], [0, 0]])
    with pytest.raises(MapstoError, match=r"^X: "):
        frame_of(scipy.sparse.csr_matrix((10**6, 10**6)))


def test_a_unit_in_the_name_is_the_column_s():
    frame = pd.DataFrame({"CRP (mg/l)": ["5", "7"], "part [%]": [1, 2], "bp (1)": [1, 2], "age": [1, 2]})
    columns = Columns().fit(frame)
    assert [column.unit for column in columns] == ["mg/l", "%", "", ""]
    assert columns.transform(frame.assign(**{"CRP (mg/l)": ["5 mg/l", "7"]}))[:, 0].tolist() == [5, 7]


@pytest.mark.parametrize(
    "cells",
    [
        ["5,2", "61", "7"],
        ["<5", "7", "9"],
        ["20:15", "08:30"],
        ["0 days 01:00:00", "0 days 03:00:00"],
        ["38+2", "39+0"],
        ["19700102", "19700131"],
        ["13/01/1970", "02/01/1970 12:00"],
        ["0001-01-01", "9999-12-31"],
        ["low", "high", "medium"],
        ["red", "blue", "red"],
        [2**60, 2**60 + 2**12],
    ],
)
def test_a_number_is_written_as_a_cell_that_is_read_as_the_number(cells):
    column, numbers, _ = fit(cells)
    written = pd.DataFrame({"a": pd.Series([column.write(number) for number in numbers], dtype=object)})
    assert column.read(written["a"])[0].tolist() == numbers
