"""A person's own log of answers: how it is read, what is refused, and the tasks that it makes."""

import numpy as np
import pandas as pd
import pytest
import torch

from mapsto.errors import MapstoError
from mapsto.tasks import PupilLog
from mapsto.tasks.answer_log import read_log
from mapsto.tasks.item_difficulty import PRIOR, difficulties, inverse, share_of

LOG = pd.DataFrame(
    [
        ("ann", "a1", "sums", 1, "2026-01-02 10:00"),
        ("bob", "a1", "sums", 0, "2026-01-01"),
        ("ann", "a2", "sums", 0, "2026-01-01 09:00"),
        ("ann", "b1", "cuts", 1, "2026-01-03"),
        ("bob", "b1", "cuts", None, None),
        ("cat", None, None, None, None),
    ],
    columns=["pupil", "item", "skill", "correct", "time"],
)


def test_answers_are_in_the_order_of_their_times_and_empty_ones_are_questions():
    log = read_log(LOG)
    ann = log.answers[log.answers["pupil"] == "ann"]
    assert ann["item"].tolist() == ["a2", "a1", "b1"] and ann["correct"].tolist() == [0, 1, 1]
    assert log.questions.values.tolist() == [["bob", "b1", "cuts"]] and log.pupils == ["ann", "bob", "cat"]
    assert any("1 pupil(s) were not in the order of their times; they are sorted" in note for note in log.notes)
    assert any("1 pupil(s) have no answer yet" in note for note in log.notes)


def test_a_file_with_other_names_is_the_same_log(tmp_path):
    names = {"pupil": "Kind", "item": "Aufgabe", "skill": "Thema", "correct": "richtig", "time": "Tag"}
    LOG.rename(columns=names)[list(names.values())[::-1]].to_csv(tmp_path / "log.csv", index=False)
    read = read_log(tmp_path / "log.csv", **names)
    assert read.answers.values.tolist() == read_log(LOG).answers.values.tolist() and read.pupils == [
        "ann",
        "bob",
        "cat",
    ]


@pytest.mark.parametrize(("right", "wrong"), [(1, 0), ("1", "0"), (1.0, 0.0), (True, False), ("TRUE", "false")])
def test_right_and_wrong_are_read_however_they_are_written(right, wrong):
    log = pd.DataFrame({"pupil": ["a", "a", "a"], "skill": ["s"] * 3, "correct": [right, wrong, None]}, dtype=object)
    assert read_log(log).answers["correct"].tolist() == [1, 0] and len(read_log(log).questions) == 1


def test_what_a_log_lacks_is_said():
    log = read_log(pd.DataFrame({"pupil": ["b", "a"], "item": [7, 8], "correct": [1, 0]}))
    assert log.answers.values.tolist() == [["b", "7", "-", 1], ["a", "8", "-", 0]]
    assert any(note.startswith("skill: ") for note in log.notes) and any(n.startswith("time: ") for n in log.notes)
    by_skill = read_log(LOG.drop(columns="item")).answers
    assert by_skill["item"].tolist() == by_skill["skill"].tolist() == ["sums", "sums", "sums", "cuts"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct": [1, 0, 2, 1, None, None]}, "correct: got '2' in row 3"),
        ({"correct": [1, 0, "yes", 1, None, None]}, "correct: got 'yes' in row 3"),
        ({"correct": [None] * 6}, "correct: got no answer"),
        ({"pupil": ["ann", None, "a", "b", "c", "d"]}, "pupil: got an empty cell in row 2"),
        ({"time": ["soon", *LOG["time"][1:]]}, "time: got 'soon' in row 1"),
        ({"time": [None, *LOG["time"][1:]]}, "time: got None in row 1"),
    ],
)
def test_a_cell_that_cannot_be_read_is_refused_in_one_sentence(change, message):
    with pytest.raises(MapstoError) as caught:
        read_log(LOG.assign(**{name: pd.Series(cells, dtype=object) for name, cells in change.items()}))
    assert str(caught.value).startswith(message) and str(caught.value).count(". ") == 0


@pytest.mark.parametrize(
    ("log", "columns", "name"),
    [
        (LOG, {"pupil": "child"}, "pupil"),
        (LOG, {"item": "task"}, "item"),
        (LOG, {"time": "when"}, "time"),
        (LOG.drop(columns="correct"), {}, "correct"),
        (LOG.drop(columns=["item", "skill"]), {}, "item"),
        ([1, 0], {}, "log"),
    ],
)
def test_a_missing_column_is_refused(log, columns, name):
    with pytest.raises(MapstoError, match=f"^{name}: "):
        read_log(log, **columns)


# --- difficulties -----------------------------------------------------------------------------------------------------


def test_difficulties_are_shrunk_shares_of_right_answers_on_the_scale_of_a_typical_pupil():
    rows = [("s", "easy", 1)] * 9 + [("s", "easy", 0)] + [("s", "hard", 0)] * 8 + [("t", "only", 1)] * 2
    found = difficulties(pd.DataFrame(rows, columns=["skill", "item", "correct"]))
    overall = (11 + PRIOR / 2) / (20 + PRIOR)
    of_skill = (9 + PRIOR * overall) / (18 + PRIOR)
    expected = {"easy": (9 + PRIOR * of_skill) / (10 + PRIOR), "hard": PRIOR * of_skill / (8 + PRIOR)}
    for item, share in expected.items():
        d = np.array([found.of("s", item)])
        np.testing.assert_allclose(share_of(d), share, atol=1e-4)
        known, unknown = 1 / (1 + np.exp(d - np.log(9))), 1 / (1 + np.exp(d - np.log(0.25)))  # slip .1, guess .2
        np.testing.assert_allclose(share_of(d), 0.55 * known + 0.45 * unknown)
    assert found.of("s", "easy") < found.of("s", "new") == found.of_skill["s"] < found.of("s", "hard")
    assert found.of("s", "easy") < found.typical == found.of("other", None)
    np.testing.assert_allclose(share_of(np.array([found.of_skill["s"], found.typical])), [of_skill, overall], atol=1e-4)
    assert inverse(np.array([0.0, 1.0])).tolist() == [3.0, -3.0]


# --- tasks ------------------------------------------------------------------------------------------------------------


def long_log(pupils=10, answers=6):
    rows = [(f"p{i}", f"item {j % 3}", "st"[j % 2], (i + j) % 2, j) for i in range(pupils) for j in range(answers)]
    return pd.DataFrame(rows, columns=LOG.columns)


def test_tasks_are_moments_of_pupils_of_their_split():
    tasks = PupilLog(long_log(), shots=(0, 4), splits={"train": ["p0", "p2", "p4", "p5"], "test": ["p8", "p9"]})
    scale = difficulties(read_log(long_log()).answers.query("pupil in @tasks.pools['train']"))
    lengths = set()
    for split, first in (("train", {0, 1}), ("test", {0, 1})):
        batch = tasks.of(split).batch(0, 60)
        for x, y, w, query in zip(*batch.support, batch.query.x[:, 0], strict=True):
            n = int((w > 0).sum())
            lengths.add(n)
            start = int(y[0]) if n else None
            assert start is None or start in first
            for j in range(n):
                item = [float(j % 2 == 0), float(j % 2), scale.of("st"[j % 2], f"item {j % 3}"), j / 10]
                torch.testing.assert_close(x[j], torch.tensor(item).flip(0)[[3, 2, 1, 0]])
                assert int(y[j]) == (start + j) % 2 and float(w[j]) == pytest.approx(1 / n)
            assert (x[n:] == 0).all() and float(query[-1]) == pytest.approx(n / 10)
            assert float(query[0 if n % 2 == 0 else 1]) == 1
        answered = (batch.support.w > 0).sum(1)
        some = answered > 0
        assert torch.equal(batch.query.y[some, 0], (batch.support.y[some, 0] + answered[some]) % 2)
    assert lengths == {0, 1, 2, 3, 4} and tasks.skills == ["s", "t"]
    assert torch.equal(tasks.batch(1, 3).query.x, tasks.batch(1, 3).query.x)


def test_a_log_that_makes_no_tasks_is_refused():
    with pytest.raises(MapstoError, match=r"^log: got 1 pupil\(s\), expected two or more with over 0 answers"):
        PupilLog(long_log(pupils=1))
    with pytest.raises(MapstoError, match=r"^log: got 0 pupil\(s\), expected two or more with over 6 answers"):
        PupilLog(long_log(), shots=6)
    with pytest.raises(MapstoError, match=r"^splits: got no training pupil"):
        PupilLog(long_log(), splits=(0, 0.5, 0.5))
    with pytest.raises(MapstoError, match=r"^splits: got no pupil for validation"):
        PupilLog(long_log(), splits=(1, 0, 0)).validation.batch(0, 1)
