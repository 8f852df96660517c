"""More rows than are explained at once: batches of tables, arrays and iterables, with the values of one call."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mapsto as mt
from mapsto.errors import MapstoError
from mapsto.estimators import table as table_module

R = np.random.default_rng(0)
FRAME = pd.DataFrame({"age": R.normal(60, 9, 70).round(), "ward": R.choice(["n", "s"], 70), "crp": R.normal(size=70)})
FRAME.loc[::9, "crp"] = np.nan
CLASSES = mt.TableClassifier().fit(FRAME[:30], FRAME["age"][:30] > 60)
NUMBERS = mt.TableRegressor().fit(FRAME[:30], FRAME["age"][:30])


def same(parts: list[mt.Explanation], whole: mt.Explanation) -> None:
    for name in ("values", "base_values", "errors", "trust", "codes"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(joined, getattr(whole, name), atol=1e-6, err_msg=name)
    assert np.abs(whole.values).max() > 0.01
    assert [cell for part in parts for cell in part.data[:, 1]] == whole.data[:, 1].tolist()
    np.testing.assert_array_equal(parts[-1].ratios, whole.ratios)
    assert list(parts[0].class_names) == list(whole.class_names)


@pytest.mark.parametrize("estimator", [CLASSES, NUMBERS], ids=["classes", "numbers"])
def test_batches_have_the_values_of_one_call(estimator) -> None:
    whole = estimator.explain(FRAME)
    parts = list(estimator.explain_batches(FRAME, batch=16))
    assert [len(part) for part in parts] == [16, 16, 16, 16, 6]
    same(parts, whole)
    tables = iter([FRAME[:20], FRAME[20:25], FRAME[25:]])
    streamed = list(estimator.explain_batches(tables, batch=32))
    assert [len(part) for part in streamed] == [20, 5, 32, 13]
    same(streamed, whole)


@pytest.mark.parametrize("as_rows", [np.asarray, lambda x: x.tolist(), lambda x: [x[:5], x[5:]]])
def test_arrays_lists_and_lists_of_tables_are_streamed(as_rows) -> None:
    x = R.normal(size=(12, 3))
    clf = mt.TableClassifier().fit(x, x[:, 0] > 0)
    parts = list(clf.explain_batches(as_rows(x), batch=5))
    assert sum(map(len, parts)) == 12 and max(map(len, parts)) == 5
    np.testing.assert_allclose(np.concatenate([p.values for p in parts]), clf.explain(x).values, atol=1e-6)


def test_tables_are_read_one_at_a_time() -> None:
    read = []

    def tables() -> Iterator[pd.DataFrame]:
        for i in range(3):
            read.append(i)
            yield FRAME[:4]

    found = CLASSES.explain_batches(tables())
    assert read == []
    assert len(next(found)) == 4 and read == [0]


def test_looks_reach_every_batch() -> None:
    whole = CLASSES.explain(FRAME[:10], looks=8)
    parts = list(CLASSES.explain_batches(FRAME[:10], looks=8, batch=3))
    np.testing.assert_allclose(np.concatenate([p.values for p in parts]), whole.values, atol=1e-6)
    assert np.abs(whole.values - CLASSES.explain(FRAME[:10]).values).max() > 1e-4


def test_one_call_reads_blocks_and_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 16 rows within `explain` and `predict` change neither values nor the number of warnings."""
    unseen = FRAME.assign(ward="west")
    whole, p = NUMBERS.explain(FRAME), NUMBERS.predict_quantiles(FRAME)
    monkeypatch.setattr(table_module, "_BATCH", 16)
    monkeypatch.setattr(table_module, "_BLOCK", 16)
    np.testing.assert_allclose(NUMBERS.explain(FRAME).values, whole.values, atol=1e-6)
    assert NUMBERS.explain(FRAME).data.astype(str).tolist() == whole.data.astype(str).tolist()
    np.testing.assert_allclose(NUMBERS.predict_quantiles(FRAME), p, atol=1e-5)
    for call in (CLASSES.explain, CLASSES.predict_proba):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call(unseen)
        assert [str(each.message).partition(":")[0] for each in caught] == ["column 'ward'"]


def test_what_is_no_batch_is_refused() -> None:
    with pytest.raises(MapstoError, match=r"^batch: got 0"):
        CLASSES.explain_batches(FRAME, batch=0)
    with pytest.raises(MapstoError, match=r"^X: lacks 'crp'"):
        list(CLASSES.explain_batches(iter([FRAME, FRAME.drop(columns="crp")])))


@pytest.mark.parametrize("rows", ["a.csv", ["a.csv", "b.csv"], [Path("a.csv")]])
def test_names_of_files_are_no_tables(rows: Any) -> None:
    clf = mt.TableClassifier().fit(np.arange(12.0)[:, None], np.arange(12) > 5)
    with pytest.raises(
        MapstoError, match=r"rows: got .*, expected a table, or an iterable of tables; read files first"
    ):
        list(clf.explain_batches(rows))
