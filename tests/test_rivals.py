"""The rivals of a table's report are scikit-learn's models on the columns that the classifier reads."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import mapsto as mt
from mapsto.reports.table.rivals import rival_probabilities

N = np.arange(60)
TRAIN = pd.DataFrame({
    "dose": np.where(N % 11 == 5, np.nan, np.sin(N) * 1000), "ward": np.array(["b", "a", "d", "c"])[N % 4], "same": 1.0
})  # fmt: skip
LABELS = ((N % 4) < 2) ^ (np.sin(N) > 0.8)


def by_hand(table: pd.DataFrame) -> np.ndarray:
    train, dose = (rows[["dose"]].fillna(TRAIN["dose"].mean()).to_numpy() for rows in (TRAIN, table))
    wards = [table["ward"].to_numpy() == ward for ward in "abcd"]
    return np.column_stack([StandardScaler().fit(train).transform(dose), *wards])


def test_rivals_read_numbers_in_standard_units_and_a_column_for_each_category() -> None:
    clf = mt.TableClassifier().fit(TRAIN, LABELS)
    new = pd.DataFrame({"dose": [np.nan, 3.0, -900.0], "ward": ["a", "d", "nowhere"], "same": 1.0})
    with pytest.warns(UserWarning, match="never seen"):
        answers = rival_probabilities(clf, TRAIN, LABELS.astype(int), new, seed=3)
    models = {
        "logistic_regression": LogisticRegression(max_iter=2000),
        "random_forest": RandomForestClassifier(300, random_state=3),
    }
    assert list(answers) == list(models)
    for name, model in models.items():
        expected = model.fit(by_hand(TRAIN), LABELS).predict_proba(by_hand(new))
        np.testing.assert_allclose(answers[name], expected, atol=1e-6)
        assert np.ptp(expected[:, 1]) > 0.3


def test_without_an_informative_column_rivals_predict_the_class_frequencies() -> None:
    table = pd.DataFrame({"same": np.ones(8)})
    labels = np.arange(8) % 4 == 0
    clf = mt.TableClassifier().fit(table, labels)
    answers = rival_probabilities(clf, table, labels.astype(int), table[:2], seed=0)
    np.testing.assert_allclose(answers["logistic_regression"], [[0.75, 0.25]] * 2, atol=1e-3)
    np.testing.assert_allclose(answers["random_forest"], [[0.75, 0.25]] * 2, atol=0.05)
