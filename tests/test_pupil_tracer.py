"""`PupilTracer`: laws of predictions, of explanations and of what to ask next, and the shipped network."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import mapsto as mt
from mapsto import weights
from mapsto.errors import MapstoError
from mapsto.estimators import pupil_parts, pupil_tracer
from mapsto.tasks import Pupils

ROWS = [("ann", "sums", f"s{i % 3}", int(i % 4 != 0)) for i in range(5)]
ROWS += [("ann", "cuts", f"c{i % 2}", 0) for i in range(3)] + [("bob", "cuts", f"c{i}", i % 2) for i in range(5)]
LOG = pd.DataFrame(ROWS, columns=["pupil", "skill", "item", "correct"])
ASKED = {
    "pupil": ["ann", "ann", "bob", "new"],
    "skill": ["sums", "cuts", "cuts", "sums"],
    "item": ["s1", None, "c4", None],
}


@pytest.fixture(scope="module")
def tracer():
    return mt.PupilTracer().fit(LOG)


def without(tracer, hidden, skill, item):
    """Predict as if some answers of ann had not been asked, by the network alone."""

    def row(skill, item, place):
        return [float(skill == "cuts"), float(skill == "sums"), tracer.difficulties_.of(skill, item), place / 10]

    seen = tracer.answers("ann")
    kept = [j for j in range(len(seen)) if j not in hidden]
    x = torch.tensor([row(seen["skill"].iloc[j], seen["item"].iloc[j], j) for j in kept]).view(-1, 4)
    y = torch.tensor(seen["correct"].to_numpy()[kept]).long()
    learner = weights.load_pupils()
    scores = learner.predict(learner.adapt(mt.examples(x, y)), torch.tensor([row(skill, item, len(seen))]))
    return float(scores.double().softmax(-1)[0, 1])


def test_the_network_ships_and_is_near_the_exact_filter():
    tasks = Pupils(shots=(0, 10), queries=4).test
    batch, learner = tasks.batch(7, 150), weights.load_pupils()
    predict = mt.episodes.over_tasks(lambda e: learner.predict(learner.adapt(e.support), e.query.x))
    p, best = predict(batch).double().softmax(-1)[..., 1], tasks.bayes(7, 150, order=3)
    excess = best * (best / p).log() + (1 - best) * ((1 - best) / (1 - p)).log()
    base = best * (best / 0.58).log() + (1 - best) * ((1 - best) / 0.42).log()
    assert float(excess.mean()) < 0.003 and float(base.mean()) > 0.05
    assert weights.PUPILS.stat().st_size < 2**20


def test_predictions_are_those_of_the_network_for_the_rows_of_the_log(tracer):
    p = tracer.predict_proba(ASKED)
    np.testing.assert_allclose(p.sum(1), 1)
    assert p[0, 1] == pytest.approx(without(tracer, (), "sums", "s1"), abs=1e-6)
    assert p[1, 1] == pytest.approx(without(tracer, (), "cuts", None), abs=1e-6)
    assert p[0, 1] > p[1, 1] + 0.2  # nearly all sums right, all cuts wrong
    assert p[3, 1] == pytest.approx(tracer.predict_proba({"pupil": ["other"], "skill": ["sums"]})[0, 1])
    by_item = tracer.predict_proba({"pupil": ["ann"], "item": ["s1"]})
    assert by_item[0, 1] == pytest.approx(p[0, 1])  # an item says which skill it is about


def test_contributions_are_exact_shapley_values_and_add_up(tracer):
    e = tracer.explain(ASKED)
    np.testing.assert_allclose(e.base_values + e.values.sum(1), tracer.predict_proba(ASKED)[:, 1], atol=1e-6)
    d = 8
    every = [S for n in range(d + 1) for S in itertools.combinations(range(d), n)]
    v = {S: without(tracer, set(range(d)) - set(S), "sums", "s1") for S in every}
    for j in range(d):
        share = sum(
            math.factorial(len(S)) * math.factorial(d - len(S) - 1) / math.factorial(d)
            * (v[tuple(sorted((*S, j)))] - v[S]) for S in v if j not in S
        )  # fmt: skip
        assert e.values[0, j] == pytest.approx(share, abs=1e-5)
    assert e.base_values[0] == pytest.approx(v[()], abs=1e-6)
    assert e.data[0].tolist() == list(range(8)) and e.data[2].tolist() == [0, 1, 2, 3, 4, None, None, None]
    assert (e.values[3] == 0).all() and (e.errors == 0).all()
    right = LOG[LOG["pupil"] == "ann"]["correct"].to_numpy()[:5]
    assert (e.values[0, :5][right == 1] > 0).all() and (e.values[0, :5][right == 0] < 0).all()


def test_contributions_of_many_answers_are_estimated_with_their_errors():
    many = pd.concat([LOG.assign(pupil="ann")] * 2)
    p = {"pupil": ["ann"], "skill": ["sums"]}
    one, two = (mt.PupilTracer(looks=looks).fit(many).explain(p) for looks in (256, 2048))
    assert one.values.shape == (1, 26) and (one.errors > 0).any() and two.errors.mean() < one.errors.mean()
    assert (np.abs(one.values - two.values) < 5 * (one.errors + two.errors) + 1e-3).all()
    np.testing.assert_allclose(one.predictions, two.predictions, atol=1e-9)


def test_the_gain_is_the_mutual_information_of_two_answers(tracer):
    """I(a; b) = Σ_a,b P(a, b)·log₂ P(a, b)/(P(a)·P(b)), from logs to which the answer to the item is added."""
    table = tracer.recommend("bob", count=10)
    assert set(table["item"]) == {"s0", "s1", "s2"}  # bob has answered all others
    for item, skill, p, gain, about in table.itertuples(index=False):
        assert p == pytest.approx(tracer.predict_proba({"pupil": ["bob"], "item": [item]})[0, 1], abs=1e-6)
        told = {}
        for other in ("cuts", "sums"):
            joint = np.zeros((2, 2))
            for a in (0, 1):
                answer = pd.DataFrame([("bob", skill, item, a)], columns=LOG.columns)
                longer = mt.PupilTracer().fit(pd.concat([LOG, answer]))
                longer.difficulties_ = tracer.difficulties_
                q = longer.predict_proba({"pupil": ["bob"], "skill": [other]})[0]
                joint[a] = (p if a else 1 - p) * q
            told[other] = (joint * np.log2(joint / joint.sum(1, keepdims=True) / joint.sum(0))).sum()
        assert gain == pytest.approx(sum(told.values()), abs=1e-5) and gain > 1e-4
        assert about == max(told, key=told.__getitem__)
    assert table["gain"].is_monotonic_decreasing and len(tracer.recommend("bob", 2)) == 2


def test_items_are_asked_again_if_a_pupil_has_answered_all_of_them():
    tracer = mt.PupilTracer().fit(LOG[LOG["pupil"] == "ann"])
    assert set(tracer.recommend("ann", 9)["item"]) == {"s0", "s1", "s2", "c0", "c1"}
    assert any("Only one pupil has answers" in note for note in tracer.notes_)
    assert not any("Only one" in note for note in mt.PupilTracer().fit(LOG).notes_)


def test_a_pupil_is_followed_answer_by_answer(tracer, monkeypatch):
    p = tracer.follow("ann")
    assert len(p) == 8 and len(tracer.follow("new")) == 0
    for i in (0, 3, 7):
        ann = LOG[LOG["pupil"] == "ann"]
        before = mt.PupilTracer().fit(pd.concat([ann.iloc[:i], LOG[LOG["pupil"] == "bob"]]))
        before.difficulties_ = tracer.difficulties_
        before.skills_ = tracer.skills_
        asked = {"pupil": ["ann"], "item": [ann["item"].iloc[i]], "skill": [ann["skill"].iloc[i]]}
        assert p[i] == pytest.approx(before.predict_proba(asked)[0, 1], abs=1e-6)
    monkeypatch.setattr(pupil_tracer, "WINDOW", 3)
    last = tracer.follow("ann")
    np.testing.assert_allclose(last[:4], p[:4], atol=1e-6)
    assert not np.allclose(last[4:], p[4:], atol=1e-4) and len(tracer.answers("ann")) == 3


def test_parts_of_a_batch_change_nothing(tracer, monkeypatch):
    before = tracer.explain(ASKED).values
    monkeypatch.setattr(pupil_parts, "_AT_ONCE", 7)
    np.testing.assert_allclose(tracer.explain(ASKED).values, before, atol=1e-6)


def test_an_item_nobody_has_answered_is_as_difficult_as_its_skill(tracer):
    new, typical, none = (
        tracer.predict_proba({"pupil": ["ann"], "skill": [skill], "item": [item]})[0, 1]
        for skill, item in (("sums", "s99"), ("sums", None), ("roots", "r1"))
    )
    assert new == typical and 0 < none < 1 and none != typical


@pytest.mark.parametrize("questions", [{"skill": ["sums"]}, {"pupil": ["ann"]}, {"pupil": [], "skill": []}])
def test_what_is_no_question_is_refused(tracer, questions):
    with pytest.raises(MapstoError, match=r"^questions: got"):
        tracer.predict_proba(questions)


def test_it_is_an_estimator_and_refuses_bad_settings(tracer):
    assert clone(mt.PupilTracer(looks=99)).looks == 99
    with pytest.raises(NotFittedError):
        mt.PupilTracer().answers("ann")
    with pytest.raises(MapstoError, match=r"^looks: "):
        mt.PupilTracer(looks=3).fit(LOG)
    with pytest.raises(MapstoError, match=r"^count: "):
        tracer.recommend("ann", 0)


def test_the_page_about_pupils_runs_and_its_values_are_those_of_explain():
    page = (Path(__file__).parents[1] / "docs" / "pupils.md").read_text()
    first, check = re.findall(r"```python\n(.*?)```", page, re.S)
    names: dict = {}
    exec(first, names)
    *setting, last = check.strip().split("\n")
    exec("\n".join([*setting, f"values = {last}"]), names)
    np.testing.assert_allclose(names["values"], names["e"].values[0], atol=1e-6)
    assert names["tracer"].predict_proba(names["questions"])[0, 1] < 0.5
