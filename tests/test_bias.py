"""The bias audit on tables whose bias is planted: direct, through a proxy, or none."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, recall_score

from mapsto.errors import MapstoError
from mapsto.measures.audit.bias import _difference
from mapsto.measures.audit.bias import bias as audit


def table(rows=400, seed=0):
    """Two groups alike in skill, apart in their district; a column that nobody uses, and one of text."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, rows)
    frame = pd.DataFrame(
        {
            "group": np.array(["a", "b"])[group],
            "skill": rng.normal(size=rows),
            "district": 1.5 * group + rng.normal(size=rows),
            "noise": rng.normal(size=rows),
            "town": rng.choice(["x", "y", "z"], rows),
        }
    )
    return frame, (frame["skill"] + 0.7 * rng.normal(size=rows) > 0).to_numpy()


def sigmoid(score):
    return 1 / (1 + np.exp(-np.asarray(score, dtype=float)))


def direct(rows):
    return sigmoid(rows["skill"] - 1.5 * (rows["group"] == "b"))


def proxied(rows):
    return sigmoid(rows["skill"] - rows["district"])


def fair(rows):
    return sigmoid(2 * rows["skill"])


RANDOM = np.random.default_rng(5)
FOUND = {}


def found(predict):
    """Audit each planted case once."""
    if predict not in FOUND:
        FOUND[predict] = audit(predict, *table(), "group")
    return FOUND[predict]


def law_direct_bias(result):
    """Hiding the column changes predictions, and the gap is gone without it."""
    assert result.direct.mean > 0.08 and result.direct.mean - result.direct.interval > 0.05
    assert result.gaps["b"].probability.mean < -0.2
    assert abs(result.gaps_hidden["b"].mean) < result.gaps_hidden["b"].interval + 0.02
    assert not result.proxies


def law_bias_by_proxy(result):
    """Hiding the column changes nothing, but it can be told from one in use, without which the gap is gone."""
    assert result.direct.mean < 1e-12 and set(result.proxies) == {"district"}
    assert result.recoverable.mean > 0.75 and result.with_proxies.mean > 0.1
    assert result.gaps["b"].probability.mean < -0.15
    assert result.gaps_hidden["b"].mean == pytest.approx(result.gaps["b"].probability.mean)
    assert abs(result.gaps_without_proxies["b"].mean) < result.gaps_without_proxies["b"].interval + 0.02


def law_no_bias(result):
    assert max(result.direct.mean, result.with_proxies.mean) < 1e-12 and not result.proxies
    assert abs(result.recoverable.mean - 0.5) < 0.1
    for measure in ("probability", "selected", "true_positives", "calibration", "accuracy"):
        gap = getattr(result.gaps["b"], measure)
        assert abs(gap.mean) < 1.6 * gap.interval < 0.3


CASES = {law_direct_bias: direct, law_bias_by_proxy: proxied, law_no_bias: fair}


@pytest.mark.parametrize("law", CASES)
def test_a_planted_case_is_found(law):
    law(found(CASES[law]))


@pytest.mark.parametrize("law", CASES)
def test_no_case_is_taken_for_another(law):
    for predict in CASES.values():
        if predict is not CASES[law]:
            with pytest.raises(AssertionError):
                law(found(predict))


def test_only_columns_in_use_can_be_proxies():
    result = found(fair)
    assert result.used["skill"].mean > 0.1 and result.used["district"].mean < 1e-12  # district tells the group, unused
    assert set(result.used) == {"skill", "district", "noise", "town"}


def test_measures_of_a_group_are_scikit_learns():
    (rows, y), result = table(), found(direct)
    inside = (rows["group"] == "b").to_numpy()
    p = direct(rows)[inside]
    group = result.groups["b"]
    assert group.rows == inside.sum()
    assert group.accuracy.mean == pytest.approx(accuracy_score(y[inside], p >= 0.5))
    assert group.true_positives.mean == pytest.approx(recall_score(y[inside], p >= 0.5))
    assert group.selected.mean == pytest.approx((p >= 0.5).mean()) and 0.02 < group.selected.mean < 0.5
    assert group.calibration.mean == pytest.approx(p.mean() - y[inside].mean())
    gap, other = result.gaps["b"], result.groups["a"]
    assert gap.accuracy.mean == pytest.approx(group.accuracy.mean - other.accuracy.mean)
    assert gap.accuracy.interval == pytest.approx(math.hypot(group.accuracy.interval, other.accuracy.interval))
    assert result.gaps["a"].selected.mean == pytest.approx(-gap.selected.mean)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """The gap of a fair model is 0: its 95 % interval should hold it in about 95 of 100 tables."""
    held = 0
    for seed in range(60):
        rows, _ = table(200, seed)
        p, inside = fair(rows), (rows["group"] == "b").to_numpy()
        ours, theirs = p[inside], p[~inside]
        gap = _difference(p, inside)
        assert gap.mean == pytest.approx(ours.mean() - theirs.mean())
        held += abs(gap.mean) <= gap.interval
    assert 51 <= held <= 60


def test_hiding_keeps_hidden_columns_of_a_row_together():
    """A model that asks whether two columns agree sees them agree also when both are hidden."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"group": np.arange(60) % 2, "copy": np.arange(60) % 2, "x": rng.normal(size=60)})
    result = audit(lambda r: np.where(r["group"] == r["copy"], 0.9, 0.1), rows, np.arange(60) % 3 == 0, "group")
    assert result.direct.mean > 0.3 and set(result.proxies) == {"copy"} and result.with_proxies.mean < 1e-12


def test_arrays_and_three_groups_work_and_the_seed_decides():
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(0, 3, 120), rng.normal(size=(120, 2))])
    y = (rows[:, 1] > 0).astype(int)
    one, again, other = (
        audit(lambda r: sigmoid(r[:, 1] - r[:, 0]), rows, y, protected=0, seed=seed, draws=4) for seed in (0, 0, 1)
    )
    assert one.direct == again.direct != other.direct
    assert set(one.groups) == {0.0, 1.0, 2.0} and one.gaps[2.0].probability.mean < -0.1 < one.gaps[0.0].probability.mean
    assert "hiding the column changes a prediction by" in str(one) and "2.0: gap" in str(one)


def test_outcomes_may_be_a_series():
    rows, y = table()
    assert audit(fair, rows, pd.Series(y, index=rows.index[::-1]), "group", draws=1) == audit(
        fair, rows, y, "group", draws=1
    )


def test_an_ordered_categorical_is_audited_as_the_same_text():
    rng = np.random.default_rng(0)
    level = rng.integers(0, 3, 300)
    text = np.array(["low", "mid", "high"])[level]
    rows = pd.DataFrame({"income": text, "z": level + 0.7 * rng.normal(size=300), "skill": rng.normal(size=300)})
    order = pd.Categorical(text, ["low", "mid", "high", "never seen"], ordered=True)
    outcome = (rows["skill"] > 0).to_numpy()

    def found(rows):
        return audit(lambda r: sigmoid(r["skill"] + r["z"]), rows, outcome, "income", draws=2)

    told, ordered = found(rows), found(rows.assign(income=order))
    assert set(told.proxies) == {"z"} and told.recoverable.mean > 0.75
    assert ordered.proxies == pytest.approx(told.proxies) and ordered.recoverable == pytest.approx(told.recoverable)
    assert list(ordered.groups) == ["low", "mid", "high"] and ordered.groups == told.groups


@pytest.mark.parametrize(("threshold", "selected"), [(1.0, 0.5), (0.5, 0.5), (0.0, 1.0)])
def test_certain_predictions_are_probabilities_and_those_at_the_threshold_are_selected(threshold, selected):
    rows = pd.DataFrame({"group": ["a", "b"] * 20, "skill": np.arange(40) // 2 % 2})
    predict, y = (lambda some: some["skill"].astype(float)), rows["skill"].to_numpy()
    result = audit(predict, rows, y, "group", threshold=threshold, draws=1)
    assert {name: group.selected.mean for name, group in result.groups.items()} == {"a": selected, "b": selected}


def test_groups_may_be_ten_and_may_have_five_rows():
    def found(groups, rows):
        table = pd.DataFrame({"group": np.arange(groups * rows) % groups, "skill": 0.5})
        return audit(lambda r: r["skill"], table, np.zeros(len(table)), "group", draws=1)

    assert {name: group.rows for name, group in found(10, 5).groups.items()} == dict.fromkeys(range(10), 5)
    for groups, rows in ((11, 5), (10, 4), (1, 5)):
        with pytest.raises(MapstoError, match=f"^protected: got {groups} different"):
            found(groups, rows)


def test_the_table_is_left_as_it_was():
    rows, y = table(60)
    before = rows.copy()
    audit(fair, rows, y, "group", draws=2)
    pd.testing.assert_frame_equal(rows, before)


def test_a_group_without_positives_has_no_rate():
    rows, y = table(100)
    result = audit(fair, rows, y & (rows["group"] == "a").to_numpy(), "group", draws=2)
    assert math.isnan(result.groups["b"].true_positives.mean) and math.isnan(result.gaps["b"].true_positives.mean)


def with_missing(gap):
    rows = table()[0]
    return rows.assign(group=rows["group"].where(rows.index >= 5, gap))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protected": "ward"}, "protected: got 'ward'"),
        ({"protected": "skill"}, "protected: got 400 different"),
        ({"rows": with_missing(None)}, "protected: got no value in 5 rows"),
        ({"rows": with_missing(np.nan)}, "protected: got no value in 5 rows"),
        ({"rows": np.full((400, 2), np.nan), "protected": 0}, "protected: got no value in 400 rows"),
        ({"outcome": np.full(400, 2)}, "outcome: got 2"),
        ({"outcome": np.zeros(3)}, "outcome: got shape .3,."),
        (
            {"predict": lambda rows: np.full(len(rows), 1.5)},
            "predict: got 1.5",
        ),
        (
            {"predict": lambda rows: np.full(len(rows), np.nan)},
            "predict: got nan",
        ),
        (
            {"predict": lambda rows: np.full((len(rows), 2), 0.5)},
            "predict: got shape .32, 2.",
        ),
        ({"predict": lambda rows: RANDOM.random(len(rows))}, "predict: got different answers for the same rows"),
        ({"predict": DummyClassifier()}, "predict: got a DummyClassifier"),
        ({"outcome": np.array(["0", "1"] * 200)}, "outcome: got '0'"),
        ({"outcome": np.array([None, True] * 200)}, "outcome: got None"),
        ({"threshold": 50}, "threshold: got 50"),
        ({"threshold": math.nan}, "threshold: got nan"),
        ({"proxy_from": 60}, "proxy_from: got 60"),
        ({"draws": 2.5}, "draws: got 2.5"),
        ({"draws": 0}, "draws: got 0"),
    ],
)
def test_refused(change, message):
    rows, y = table()
    with pytest.raises(MapstoError, match=message):
        audit(**({"predict": fair, "rows": rows, "outcome": y, "protected": "group"} | change))
