"""The outcome of a table: which rows have one, which classes there are, and whom a report is about."""

import decimal
import warnings

import numpy as np
import pandas as pd
import pyarrow
import pytest
import scipy.sparse

from mapsto.errors import MapstoError
from mapsto.estimators import TableClassifier
from mapsto.estimators.labels import classes
from mapsto.tables.outcome import positive, read_outcome

X = pd.DataFrame({"a": np.arange(12.0), "b": np.arange(12.0)[::-1] ** 2})


def outcome(*cells, **options):
    return read_outcome(pd.DataFrame({"y": pd.Series(cells, dtype=object)}), "y", "t.csv", **options)


def test_spellings_of_yes_and_no_are_two_classes_and_said():
    y, notes = outcome("Yes", "yes", "YES ", "No", "NO", "no ", "no", "yes")
    assert set(y) == {"yes", "no"}
    assert len(notes) == 2 and all("are read as one class" in note for note in notes)


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["0", "1", "", None], [0, 1, None, None]),
        ([0.0, 1.0, None], [0, 1, None]),
        (["0.0", "1.0", "?"], [0, 1, None]),
        ([True, None, False], ["True", None, "False"]),
        (["a", "NA", "b", "-"], ["a", None, "b", None]),
        (["1.5", "2,5", "3.25"], ["1.5", "2,5", "3.25"]),
        (["01", "02", "10"], ["01", "02", "10"]),
        (["-", "+", "+"], ["-", "+", "+"]),
    ],
)
def test_outcomes_as_people_write_them(cells, classes):
    y, _ = outcome(*cells)
    assert [None if pd.isna(value) else value for value in y] == classes


@pytest.mark.parametrize("third", ["unknown", "9", "unbekannt"])
def test_a_rare_third_class_is_noted_with_the_remedy(third):
    cells = ["0"] * 10 + ["1"] * 9 + [third]
    y, notes = outcome(*cells)
    assert y.nunique() == 3
    assert any(f"'{third}' (1 rows) is read as a class of its own" in n and f"--missing y={third}" in n for n in notes)
    y, notes = outcome(*cells, missing=[f"y={third}"])
    assert y.nunique() == 2 and y.isna().sum() == 1
    assert notes == [f"target 'y': '{third}' (1 cell) read as no outcome."]


@pytest.mark.parametrize(
    ("classes", "counts", "expected"),
    [
        (["ja", "nein"], [3, 9], "ja"),
        (["No", "Yes"], [3, 9], "Yes"),
        ([0, 1], [3, 9], 1),
        ([False, True], [3, 9], True),
        (["alive", "dead"], [1, 9], "dead"),
        (["case", "control"], [9, 1], "case"),
        (["benign", "malignant"], [1, 9], "malignant"),
        (["blue", "red"], [3, 9], "blue"),
        (["blue", "red"], [9, 3], "red"),
        (["blue", "red"], [5, 5], "red"),
    ],
)
def test_whom_a_report_is_about(classes, counts, expected):
    assert classes[positive(classes, counts)] == expected


def test_the_person_chooses_whom_a_report_is_about():
    assert positive(["ja", "nein"], [1, 2], "Nein") == 1
    with pytest.raises(MapstoError, match=r"^positive: got 'no', expected one of 'ja', 'nein'"):
        positive(["ja", "nein"], [1, 2], "no")


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (pd.array([True, False] * 6, dtype="boolean"), [False, True]),
        (pd.Series([1, 0] * 6, dtype="Int64"), [0, 1]),
        (pd.Series([1, 0] * 6, dtype="int64[pyarrow]"), [0, 1]),
        (pd.Series(["b", "a"] * 6, dtype="string"), ["a", "b"]),
        (pd.Series(["b", "a"] * 6, dtype="category"), ["a", "b"]),
        ([decimal.Decimal(1), decimal.Decimal(2)] * 6, [decimal.Decimal(1), decimal.Decimal(2)]),
        (list(pd.period_range("2021", periods=2, freq="Y")) * 6, list(pd.period_range("2021", periods=2, freq="Y"))),
        (pd.cut(pd.Series([1, 5] * 6), [0, 3, 9]), [pd.Interval(0, 3), pd.Interval(3, 9)]),
        (["Yes", "yes", "No", "no "] * 3, ["No", "Yes"]),
    ],
)
def test_classes_keep_their_names(y, classes):
    fitted = TableClassifier(members=1).fit(X, y)
    assert fitted.classes_.tolist() == classes
    assert [type(c) for c in fitted.classes_.tolist()] == [type(c) for c in classes]
    assert set(fitted.predict(X[:2])) <= set(classes)
    assert fitted.explain(X[:2]).class_names == classes


def test_joined_spellings_are_said():
    notes = TableClassifier(members=1).fit(X, ["Yes", "yes", "No", "no "] * 3).notes_
    assert "y: 'No', 'no ' are read as one class, 'No'." in notes


def test_a_mixture_of_numbers_and_texts_is_refused_in_these_words():
    with pytest.raises(MapstoError, match=r"^y: mixes numbers and texts"):
        TableClassifier(members=1).fit(X, pd.Series([1, "a"] * 6, dtype=object))


def test_among_is_a_mask_or_positions():
    fitted = TableClassifier(members=1).fit(X, [0, 1] * 6)
    everyone = fitted.influence(X[:1])
    mask = np.arange(12) < 3
    for among in (mask, mask.tolist(), pd.Series(mask), pd.array(mask, dtype="boolean"), [0, 1, 2]):
        np.testing.assert_allclose(fitted.influence(X[:1], among=among), everyone[:, :3], atol=1e-6)
    for wrong in ([3.9], [99], [-13], mask[:5], ["a"]):
        with pytest.raises(MapstoError, match=r"^among: "):
            fitted.influence(X[:1], among=wrong)


def test_the_cells_of_an_explanation_are_those_of_the_person():
    table = pd.DataFrame(
        {
            "lab": ["<0.5", "7", "12"] * 4,
            "ok": [True, False] * 6,
            "month": list(pd.period_range("2021-01", periods=12, freq="M")),
        }
    )
    fitted = TableClassifier(members=1).fit(table, [0, 1] * 6)
    reasons = fitted.explain(table[:2])
    assert reasons.data.tolist() == table[:2].to_numpy(object).tolist()
    assert reasons.codes[0, 0] < 0.5 and reasons.codes[0, 1] == 1
    assert [column.kind for column in fitted.columns_] == ["number", "category", "date"]
    assert "lab" in repr(fitted.columns_)


def test_what_the_person_says_reaches_the_columns(tmp_path):
    table = X.assign(a=[999.0, *X["a"][1:]], pain=["hi", "lo", "mid"] * 4)
    settings = {"missing": ["a=999"], "types": {"b": "category"}, "order": {"pain": ["lo", "mid", "hi"]}}
    fitted = TableClassifier(members=1, **settings).fit(table, [0, 1] * 6)
    assert [column.kind for column in fitted.columns_] == ["number", "category", "ordered"]
    assert np.isnan(fitted.columns_.transform(table)[0, 0])
    fitted.save(tmp_path / "fitted")
    again = TableClassifier.load(tmp_path / "fitted")
    np.testing.assert_allclose(again.predict_proba(table), fitted.predict_proba(table), atol=1e-6)
    assert repr(again.columns_) == repr(fitted.columns_)


def test_masked_sparse_and_foreign_tables_are_fitted_alike():
    y, cells = [0, 1] * 6, X.to_numpy()
    expected = TableClassifier(members=1).fit(cells, y).predict_proba(cells)
    sparse = scipy.sparse.csr_matrix(cells)
    np.testing.assert_allclose(TableClassifier(members=1).fit(sparse, y).predict_proba(sparse), expected, atol=1e-6)
    arrow = pyarrow.table(X)
    fitted = TableClassifier(members=1).fit(arrow, y)
    assert fitted.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_allclose(fitted.predict_proba(arrow.select(["b", "a"])), expected, atol=1e-6)
    masked = np.ma.array(cells, mask=np.arange(24).reshape(12, 2) < 2)
    missing = np.where(masked.mask, np.nan, cells)
    np.testing.assert_allclose(fitted.fit(masked, y).predict_proba(masked), fitted.predict_proba(missing), atol=1e-6)


@pytest.mark.parametrize("as_labels", [list, tuple, pd.Series, pd.Index, lambda y: np.array(y, object), pd.Categorical])
@pytest.mark.parametrize("mixed", [[1, "no"], [True, "no"], ["2", 1.5]])
def test_numbers_and_texts_are_refused_in_labels_of_any_container(as_labels, mixed):
    with pytest.raises(MapstoError, match=r"^y: mixes numbers and texts, expected labels of one type; write all"):
        TableClassifier().fit(np.arange(8.0)[:, None], as_labels(mixed * 4))


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_label_in_a_list_of_texts_is_no_class(missing):
    with pytest.raises(MapstoError, match=r"^y: got NaN in 2 of 8 rows"):
        TableClassifier().fit(np.arange(8.0)[:, None], [missing, "a", "b", "b"] * 2)


@pytest.mark.parametrize("as_labels", [list, pd.Series, lambda y: np.array(y, object), lambda y: np.array(y, "S")])
@pytest.mark.parametrize("labels", [[b"a", b"b"], [b"\xe4", "b"], [b"1", 2]])
def test_labels_of_bytes_are_refused_with_the_way_to_read_them(as_labels, labels):
    with pytest.raises(
        MapstoError, match=r"^y: got bytes, expected texts or numbers; .*label.decode\(\) for label in y"
    ):
        TableClassifier().fit(np.arange(8.0)[:, None], as_labels(labels * 4))


def test_lists_of_one_type_are_the_classes_they_were():
    for y, kind in ((["a", "b"], "U"), ([1, 2], "i"), ([1.0, 2], "f"), ([True, False], "b"), ([["a"], ["b"]], "U")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a column vector
            different, indices = classes(y * 4, np.arange(8), 8)
        assert different.dtype.kind == kind and len(different) == 2 and len(indices) == 8
