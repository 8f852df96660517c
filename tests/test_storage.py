"""A fitted estimator on disk: the same answers afterwards, nothing pickled, and one sentence for any other file."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors
from sklearn.exceptions import NotFittedError

import mapsto as mt
from mapsto import weights
from mapsto.errors import MapstoError


def table(n: int = 24) -> tuple[pd.DataFrame, np.ndarray]:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({
        "age": generator.normal(60, 9, n).round(), "ward": generator.choice(["north", "south", "east"], n),
        "seen": pd.date_range("2024-01-01", periods=n).astype(str), "same": 1,
    })  # fmt: skip
    frame.loc[3, "age"] = np.nan
    return frame, generator.normal(size=n) + (frame["ward"] == "north")


@pytest.mark.parametrize(
    "name",
    [lambda y: y > 0, lambda y: np.where(y > 0, "ill", "well"), lambda y: (y > 0) + 1.0, lambda y: y.round() // 2],
)
def test_a_classifier_answers_the_same_afterwards(tmp_path: Path, name) -> None:
    X, y = table()
    clf = mt.TableClassifier(members=3).fit(X, name(y))
    clf.save(tmp_path / "patients.safetensors")
    again = mt.TableClassifier.load(tmp_path / "patients.safetensors")
    assert again.classes_.tolist() == clf.classes_.tolist() and again.notes_ == clf.notes_ != []
    assert again.members == 3 and list(again.feature_names_in_) == list(X.columns)
    np.testing.assert_allclose(again.predict_proba(X), clf.predict_proba(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(again.predict(X), clf.predict(X))
    np.testing.assert_allclose(again.explain(X).values, clf.explain(X).values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(again.influence(X[:2], among=[1]), clf.influence(X[:2], among=[1]), rtol=1e-5, atol=1e-6)


def test_a_regressor_answers_the_same_afterwards(tmp_path: Path) -> None:
    X, y = table()
    reg = mt.TableRegressor().fit(X, 1000 * y)
    reg.save(tmp_path / "patients.safetensors")
    again = mt.TableRegressor.load(tmp_path / "patients.safetensors")
    np.testing.assert_allclose(again.predict_interval(X), reg.predict_interval(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(again.explain(X).base_values, reg.explain(X).base_values, rtol=1e-5, atol=1e-6)
    with pytest.raises(MapstoError, match=r"^path: .*TableRegressor\.load"):
        mt.TableClassifier.load(tmp_path / "patients.safetensors")


def test_the_file_says_that_it_holds_the_training_rows(tmp_path: Path) -> None:
    X, y = table()
    mt.TableClassifier().fit(X, y > 0).save(tmp_path / "a.safetensors")
    with safetensors.safe_open(tmp_path / "a.safetensors", "np") as file:
        assert file.metadata()["content"] == "this file holds the training rows"
        assert json.loads(file.metadata()["about"])["class"] == "TableClassifier"
        assert file.get_tensor("support.x").shape == (24, 3)


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table()
    mt.TableClassifier().fit(X, y > 0).save(tmp_path / "a.safetensors")
    monkeypatch.setattr(weights, "fingerprint", lambda path: "others")
    with pytest.raises(MapstoError, match="this version ships others; install that version, or fit again"):
        mt.TableClassifier.load(tmp_path / "a.safetensors")


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("patients")
    for path in (tmp_path / "none.safetensors", tmp_path / "text.safetensors", tmp_path):
        with pytest.raises(MapstoError, match="cannot be read"):
            mt.TableClassifier.load(path)
    with pytest.raises(MapstoError, match="holds no fitted estimator"):
        mt.TableClassifier.load(weights.FOLDER / "tables.safetensors")


def test_what_cannot_be_saved_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    X, y = table()
    with pytest.raises(NotFittedError):
        mt.TableClassifier().save(tmp_path / "a.safetensors")
    with pytest.raises(MapstoError, match="classes: got"):
        mt.TableClassifier().fit(X, pd.to_datetime(np.where(y > 0, "2024", "2025"))).save(tmp_path / "a.safetensors")
    with pytest.raises(MapstoError, match="cannot be written"):
        mt.TableClassifier().fit(X, y > 0).save(tmp_path / "no folder" / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("path", [None, 3])
def test_what_is_no_path_is_named(path: object) -> None:
    X, y = table()
    for use in (mt.TableClassifier().fit(X, y > 0).save, mt.TableClassifier.load):
        with pytest.raises(MapstoError, match=r"^path: got "):
            use(path)


def test_weights_that_are_no_numbers_are_named() -> None:
    X, y = table()
    with pytest.raises(MapstoError, match=r"^sample_weight: got "):
        mt.TableClassifier().fit(X, y > 0, sample_weight=["heavy"] * len(X))
