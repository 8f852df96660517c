"""Numeric outcomes of tables: when they are predicted as numbers, how their cells are read, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from mapsto.errors import MapstoError
from mapsto.reports.table.question import Choices, of_table, of_two_tables
from mapsto.tables.amounts import unit_of_name
from mapsto.tables.splits import tenths
from mapsto.tables.target import Classes, Numbers, decided


def column(*cells, name="y", **other):
    return pd.DataFrame({"x": np.arange(float(len(cells))), name: pd.Series(cells, dtype=object), **other})


def read(*cells, chosen=None, name="y", missing=()):
    table = column(*cells, name=name)
    target = decided(table, name, "t.csv", missing, chosen)
    return target, *target.read(table, "t.csv")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["yes", "no", "yes"] * 5, Classes),
        (["a", "b", "c", "d"] * 5, Classes),
        (["0", "1"] * 10, Classes),
        (["7.5", "9.25"] * 10, Classes),
        (["0", "1", "2"] * 5, Classes),
        (["1", "2", "3", "4", "5"] * 6, Classes),
        (["0"] * 10 + ["1"] * 9 + ["9"], Classes),  # 9 may be a word for a missing outcome
        (["01", "02", "03", "04"] * 2, Classes),
        (["True", "False"] * 4, Classes),
        ([str(i) for i in range(1, 13)] * 3, Numbers),
        (["1", "2", "3", "4", "5", "6", "7", "8", "9"] * 4, Numbers),  # nine values of four rows
        (["1.5", "2.5", "3.5"] * 9, Numbers),
        ([0.5, 1.0, 2.25, 7.5], Numbers),
        (["12 d", "9 d", "4 d"], Numbers),
        (["5,2", "61,5", "7"], Numbers),
        (["$5.10", "$6.20", "$7"], Numbers),
        (["<5", "7", "9.5", "12"], Numbers),
        (["12", "15.5", "unknown", "9", "3"], Numbers),
    ],
)
def test_the_cells_decide_what_is_predicted(cells, kind):
    assert type(read(*cells)[0]) is kind


def test_a_doubtful_choice_is_said_with_its_remedy_and_can_be_changed():
    _, _, notes = read(*[str(i % 12) for i in range(40)])
    assert notes[0] == (
        "target 'y': 12 different numbers, predicted as numbers; if they stand for classes, pass --outcome classes."
    )
    _, _, notes = read(*["1", "2", "3"] * 9)
    assert notes[0].endswith("3 different numbers, predicted as classes; if they are amounts, pass --outcome numbers.")
    assert read(*["0", "1"] * 9)[2] == [] and read(*["yes", "no"] * 9)[2] == []
    assert type(read(*["1", "2", "3"] * 9, chosen="numbers")[0]) is Numbers
    assert type(read(*[str(i) for i in range(30)], chosen="classes")[0]) is Classes


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["5,2", "61,5", "7", ""], [5.2, 61.5, 7, np.nan]),
        (["1.234,5", "99,5", "12"], [1234.5, 99.5, 12]),
        (["12 mg/l", "9 mg/l", "4", "NA"], [12, 9, 4, np.nan]),
        (["<5", "7", "9.5", ">12"], [5, 7, 9.5, 12]),
        (["-", "3", "4.5", "?"], [np.nan, 3, 4.5, np.nan]),
        ([1.5, None, 3.0, 4.0], [1.5, np.nan, 3, 4]),
    ],
)
def test_outcomes_are_read_like_any_column_of_numbers(cells, expected):
    np.testing.assert_allclose(read(*cells)[1].to_numpy(float), expected)


def test_a_bound_and_an_unreadable_outcome_are_said():
    notes = " ".join(read("<5", "7", "9.5", "12", "8")[2])
    assert "'<5' (1 cell) read as the bound itself" in notes and "below (<)" not in notes
    _, y, notes = read("12", "15.5", "died", "9", "3", "7", "8", "4", "11", "2")
    assert y.isna().tolist() == [False] * 2 + [True] + [False] * 7
    assert any("'died' not a number; read as missing" in note for note in notes)


def test_spans_of_time_are_counted_in_the_unit_that_suits_them():
    target, y, notes = read(*[pd.Timedelta(days=d) for d in (3, 5.5, 12)])
    assert y.tolist() == [3, 5.5, 12] and target.amounts.unit == "days"
    assert "target 'y': spans of time are counted in days." in notes


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("los (days)", ("los", "days")),
        ("SBP [mmHg]", ("SBP", "mmHg")),
        ("length_of_stay_days", ("length_of_stay", "days")),
        ("weight in kg", ("weight", "kg")),
        ("stay, days", ("stay", "days")),
        ("los", ("los", "")),
        ("days", ("days", "")),
        ("model (2)", ("model (2)", "")),
        ("origin", ("origin", "")),
    ],
)
def test_the_unit_stands_in_the_name(name, parts):
    assert unit_of_name(name) == parts


def test_the_unit_of_the_cells_goes_before_that_of_the_name():
    cells = [f"{d + 0.5} h" for d in range(12)]
    table = column(*cells, name="stay (days)")
    amount = of_table(table, "stay (days)", None, 1000, 0).amount
    assert (amount.name, amount.unit) == ("stay (days)", "h")
    table = column(*range(12), name="stay (days)")
    amount = of_table(table, "stay (days)", None, 1000, 0).amount
    assert (amount.name, amount.unit) == ("stay", "days") and 2 < amount.spread < 5


def test_tenths_have_equal_shares():
    y = np.random.default_rng(0).permutation(np.append(np.arange(200.0), np.nan))
    strata = tenths(y)
    assert np.isnan(strata).tolist() == np.isnan(y).tolist()
    there = ~np.isnan(y)
    assert np.bincount(strata[there].astype(int)).tolist() == [20] * 10
    assert (np.diff(strata[there][np.argsort(y[there])]) >= 0).all()
    assert len(np.unique(tenths(np.arange(12.0)))) == 2 and np.unique(tenths(np.ones(40))).size == 1


def test_low_and_high_outcomes_teach_in_proportion_and_unknown_ones_are_predicted():
    cells = [float(i) + 0.5 for i in range(120)]
    q = of_table(column(*cells), "y", None, 1000, 0)
    assert len(q.labels) == 80 and len(q.rows) == 40 and q.labels.dtype == float
    assert np.histogram(q.labels, 10, (0, 120))[0].tolist() == [8] * 10
    some = of_table(column(*cells[:90], *[None] * 30), "y", None, 1000, 0)
    assert len(some.labels) == 90 and len(some.rows) == 30 and not some.has_outcome.any()
    np.testing.assert_allclose(np.sort([*q.labels, *q.truth]), cells)


def test_two_tables_are_read_with_one_decimal_mark():
    train = column("1,5", "2,5", "1.000,5", "7", "9", "11")
    q = of_two_tables(column("2,5", "", "3"), train, "y", None, 1000, 0)
    assert q.labels.tolist() == [1.5, 2.5, 1000.5, 7, 9, 11]
    assert len(q.rows) == 1 and q.truth.tolist() == [2.5, 3] and q.amount is not None


@pytest.mark.parametrize(
    ("cells", "choices", "said"),
    [
        (["4.5"] * 9, {"outcome": "numbers"}, r"^target: got the same outcome, 4.5, in all \d training rows"),
        (["yes", "no"] * 5, {"outcome": "numbers"}, r"^outcome: got 'yes', 'no' in 'y', expected numbers; pass"),
        ([""] * 9, {}, r"^target: got 0 row\(s\) with an outcome in 'y', expected two or more"),
        ([""] * 9, {"outcome": "numbers"}, r"^target: got 0 row\(s\) with an outcome in 'y'"),
        (["1.5", "2.5", "inf", "4"], {}, r"^target: got an infinite outcome in row 2 of 'y', expected finite numbers"),
        (["1.5", "2.5", "3.5", "4"], {"positive": "4"}, r"^positive: got '4', expected nothing; the outcome has"),
        (["2021-05-03", "2021-06-01", "2020-02-01"], {}, r"^target: got dates in 'y', expected classes or numbers"),
        (["3.5", "", ""], {}, r"^target: got 1 row\(s\) with an outcome in 'y', expected two or more"),
        (["1.5", "2.5"], {"outcome": "many"}, r"^outcome: got 'many', expected one of 'numbers', 'classes'"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_a_sentence(cells, choices, said):
    with pytest.raises(MapstoError, match=said):
        of_table(column(*cells), "y", None, 1000, 0, choices=Choices(**choices))


@pytest.mark.parametrize("cell", ["1.7e308", "-1e308", "1e160"])
def test_an_outcome_whose_square_is_beyond_every_number_is_refused(cell: str) -> None:
    table = column(*[f"{i}.5" for i in range(20)], cell)
    with pytest.raises(
        MapstoError, match=r"^target: got 1\.?7?e\+\d+ in 'y' of t\.csv, expected numbers below 1e\+100"
    ):
        of_table(table, "y", None, 100, 0, "t.csv")
