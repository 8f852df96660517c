"""Dictionaries, record arrays and what is no table at all, in place of a DataFrame."""

import collections

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from mapsto.errors import MapstoError
from mapsto.estimators import TableClassifier
from mapsto.tables.arrays import frame_of

AGE, WARD = [61.0, None, 48.0, 52.5], ["north", "south", "north", None]
FRAME = pd.DataFrame({"age": AGE, "ward": WARD})
RECORDS = np.array([(61, "north"), (np.nan, "south"), (48, "north"), (52.5, "")], [("age", ">f4"), ("ward", "U5")])


@pytest.mark.parametrize(
    "table",
    [
        {"age": AGE, "ward": WARD},
        collections.OrderedDict(age=tuple(AGE), ward=pd.Series(WARD, index=[3, 2, 1, 0])),
        {"age": np.array(AGE, float), "ward": pd.Categorical(WARD)},
        {"age": torch.tensor([61, torch.nan, 48, 52.5]), "ward": pd.Index(WARD)},
        {"age": np.ma.array([61, 0, 48, 52.5], mask=[0, 1, 0, 0]), "ward": np.array(WARD, object)},
        [{"age": age, "ward": ward} for age, ward in zip(AGE, WARD, strict=True)],
        [{"age": 61.0, "ward": "north"}, *({"ward": w, "age": a} for a, w in zip(AGE[1:], WARD[1:], strict=True))],
        RECORDS,
        RECORDS.view(np.recarray),
        np.ma.array(RECORDS.astype([("age", "f8"), ("ward", "O")]), mask=[(0, 0), (1, 0), (0, 0), (0, 1)]),
    ],
)
def test_named_columns_are_read_as_a_frame_of_these_names(table):
    frame = frame_of(table)
    assert frame.columns.tolist() == ["age", "ward"] and frame.index.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(frame["age"].to_numpy(float, na_value=np.nan), [61, np.nan, 48, 52.5])
    assert [ward or None for ward in frame["ward"].astype(object).where(frame["ward"].notna(), None)] == WARD


def test_fit_and_predict_accept_any_form_of_the_same_table():
    frame = pd.DataFrame({"age": np.arange(12.0), "ward": ["north", "south", "east"] * 4})
    fitted = TableClassifier(members=1).fit(frame.to_dict("list"), [0, 1] * 6)
    assert fitted.feature_names_in_.tolist() == ["age", "ward"]
    expected = fitted.predict_proba(frame)
    assert np.ptp(expected) > 0
    for rows in (frame[["ward", "age"]].to_dict("list"), frame.to_dict("records"), frame.to_records(index=False)):
        np.testing.assert_array_equal(fitted.predict_proba(rows), expected)
    with pytest.raises(MapstoError, match=r"^X: lacks 'ward'"):
        fitted.predict({"age": [1.0]})


def test_a_sparse_matrix_that_is_a_dictionary_is_still_a_matrix():
    np.testing.assert_array_equal(frame_of(scipy.sparse.dok_matrix(np.eye(3))), np.eye(3))


@pytest.mark.parametrize(
    ("table", "got"),
    [
        (None, "got None, expected a table; "),
        ("patients.csv", "got a str, expected a table; "),
        (3, "got a int, expected a table; "),
        ({1, 2}, "got a set, expected a table; "),
        ((row for row in [[1]]), "got a generator, expected a table; "),
        ({}, "got a dictionary without columns"),
        ({"a": [1, 2], "b": [1]}, "got columns of 1 and 2 cells, expected equally long columns"),
        ({"a": 1, "b": 2}, "in column 'a', expected one cell for each row; a single row is a list of one dictionary"),
        ({"a": [1, 2], "b": "xy"}, "in column 'b', expected one cell for each row"),
        ({"a": {0: 1}}, "in column 'a', expected one cell for each row"),
        ({"a": np.ones((2, 2))}, "in column 'a', expected one cell for each row"),
        ({"a": [[1], [2]]}, "in column 'a', expected one cell for each row"),
        ([{"a": 1, "b": 2}, {"a": 1}], "got 'b' in only one of rows 0 and 1, expected the same keys in each row"),
        ([{"a": 1}, {"a": 1, "c": 2}], "got 'c' in only one of rows 0 and 1"),
        ([{"a": 1}, [1]], "got a list in row 1 beside dictionaries"),
        ([[1], {"a": 1}], "got a list in row 0 beside dictionaries"),
        (np.zeros((2, 2), [("a", "f8")]), r"got a record array of shape \(2, 2\)"),
        (np.zeros(2, [("a", "f8", 3)]), "in column 'a', expected one cell for each row"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(table, got):
    with pytest.raises(MapstoError, match=rf"^X: .*{got}"):
        TableClassifier().fit(table, [0, 1])
