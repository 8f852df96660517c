"""`mapsto explain --pupil` and its page: what is shaded, written and recommended is what the model computed."""

import html
import json
import re
from pathlib import Path

import browser
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

import mapsto as mt
from mapsto.cli import main
from mapsto.errors import MapstoError
from mapsto.figures import numbers
from mapsto.reports import pupils
from mapsto.reports.pupils import cases, quality
from mapsto.tasks.answer_log import read_log
from mapsto.tasks.item_difficulty import PRIOR, difficulties, share_of

NAMES = ("pupil", "item", "skill", "correct", "time")


def table(pupils=7, answers=6):
    """Return a log: even pupils are right about sums and wrong about cuts, odd ones the reverse."""
    rows = [
        (f"p{i}", f"{'sc'[j % 2]}{j % 4}", ("sums", "cuts")[j % 2], int((i + j) % 2 == 0), 10 * i + j)
        for i in range(pupils)
        for j in range(answers)
    ]
    return pd.DataFrame(rows, columns=NAMES)


def with_questions():
    extra = [("p0", "s0", "sums", None, None), ("p1", "<b>new", "cuts", None, None), ("zoe", None, None, None, None)]
    return pd.concat([table(), pd.DataFrame(extra, columns=NAMES)], ignore_index=True)


@pytest.fixture(scope="module")
def answer():
    return pupils.answer(read_log(with_questions()), ["p0", "p1", "zoe"])


@pytest.fixture(scope="module")
def page(answer):
    return pupils.text(answer, "log")


# --- the answer -------------------------------------------------------------------------------------------------------


def test_rows_without_an_answer_are_questions_and_others_are_asked_about_each_skill(answer):
    assert answer.questions.values.tolist() == [
        ["p0", "sums", "s0"],
        ["p1", "cuts", "<b>new"],
        ["zoe", "cuts", None],
        ["zoe", "sums", None],
    ]
    p = mt.PupilTracer().fit(with_questions()).predict_proba(answer.questions)[:, 1]
    np.testing.assert_allclose(answer.probabilities, p, atol=1e-6)
    assert p[0] > 0.6 and p[1] > 0.6
    assert any("1 item(s) that nobody has answered ('<b>new')" in note for note in answer.notes)
    assert pupils.answer(read_log(with_questions())).pupils == ["p0", "p1"]  # those with a question
    assert len(pupils.answer(read_log(table(3))).questions) == 6


def test_many_pupils_are_not_all_explained_and_unknown_ones_are_refused():
    with pytest.raises(MapstoError, match=r"^pupils: got 'nobody', expected a pupil of the log"):
        pupils.answer(read_log(table()), ["p0", "nobody"])
    result = pupils.answer(read_log(table(pupils=33, answers=1)))
    assert len(result.pupils) == 30 and any("3 further pupil(s) are not explained" in note for note in result.notes)


def test_contributions_are_summed_by_skill(answer):
    total, seen = answer.by_skill(0), answer.tracer.answers("p0")
    for skill in ("sums", "cuts"):
        assert total[skill] == pytest.approx(answer.reasons.values[0, : len(seen)][seen["skill"] == skill].sum())
    assert next(iter(total)) == "sums" and total["sums"] > 0 and answer.by_skill(2) == {}


def test_the_quality_is_that_of_pupils_whose_answers_did_not_say_how_difficult_items_are():
    log = read_log(table())
    found, y, predicted = quality.measured(log, 3), [], []
    groups = np.array_split(np.random.default_rng(3).permutation(7), 5)
    for group in groups:
        others = table()[~table()["pupil"].isin([f"p{i}" for i in group])]
        tracer = mt.PupilTracer().fit(log)
        tracer.difficulties_ = difficulties(read_log(others).answers)
        for i in group:
            own = table()[table()["pupil"] == f"p{i}"]
            right = own["correct"].to_numpy()
            of = [tracer.difficulties_.of(s, item) for s, item in zip(own["skill"], own["item"], strict=True)]
            so_far = [(right[:j].sum() + PRIOR * others["correct"].mean()) / (j + PRIOR) for j in range(len(right))]
            y += right.tolist()
            predicted += list(zip(tracer.follow(f"p{i}"), share_of(np.array(of)), so_far, strict=True))
    own, of_item, of_pupil = np.array(predicted).T
    assert found["measured_answers"] == 42 and found["log_loss"] == pytest.approx(log_loss(y, own))
    assert found["auc"] == pytest.approx(roc_auc_score(y, own)) and found["accuracy"] == ((own > 0.5) == y).mean()
    rivals = found["baselines"]
    assert rivals["others_on_the_item"]["log_loss"] == pytest.approx(log_loss(y, of_item))
    assert rivals["the_pupil_so_far"]["log_loss"] == pytest.approx(log_loss(y, of_pupil))
    assert found["log_loss"] < 0.6 < rivals["the_pupil_so_far"]["log_loss"]  # only the model looks at skills


def test_one_pupil_is_explained_but_not_measured():
    result = pupils.answer(read_log(table(pupils=1)))
    assert result.summary["measured_answers"] == 0 and len(result.questions) == 2
    page = pupils.text(result, "one")
    assert "cannot be measured" in page and "Only one pupil has answers" in page


# --- the page ---------------------------------------------------------------------------------------------------------


def test_an_answer_is_shaded_by_the_sign_and_the_size_of_its_contribution(answer, page):
    shown = cases.shaded(answer, 0)
    values = answer.reasons.values[0, :6]
    assert [part["value"] for part in shown["parts"]] == values.tolist() and values.max() > 0.05
    assert [part["text"] for part in shown["parts"]] == ["✓ s0", "✗ c1", "✓ s2", "✗ c3", "✓ s0", "✗ c1"]
    largest = max(0.01, np.abs(values).max())
    for part, value in zip(shown["parts"], values, strict=True):
        colour = re.findall(r"rgba\((\d+), \d+, (\d+), ([\d.]+)\)", part["style"])
        if colour:
            red, blue, opacity = (float(number) for number in colour[0])
            assert (red > blue) == (value > 0) and opacity == pytest.approx(0.55 * abs(value) / largest, abs=0.006)
        else:
            assert abs(value) < 0.04 * largest
        assert f'title="{part["skill"]}: {numbers.points(value)} percentage points">{part["text"]}<small>' in page


def test_sentences_name_the_start_the_end_the_skills_and_the_strongest_answers(answer):
    caption, e = cases.shaded(answer, 0)["caption"], answer.reasons
    p, base, best = answer.probabilities[0], e.base_values[0], int(np.abs(e.values[0]).argmax())
    assert f"From {100 * base:.1f} %, if nothing had been asked, to {100 * p:.1f} %." in caption
    assert f"about sums ({numbers.points(answer.by_skill(0)['sums'])})" in caption
    mark = "✓" if answer.tracer.answers("p0")["correct"].iloc[best] else "✗"
    item = answer.tracer.answers("p0")["item"].iloc[best]
    assert f"Moved most by answer {best + 1}, {mark} {item} ({numbers.points(e.values[0, best])})" in caption
    assert cases.shaded(answer, 2)["caption"] == f"{numbers.percent(answer.probabilities[2])}, as for every new pupil."


def test_advice_is_that_of_the_model_with_its_reason(answer, page):
    for pupil in answer.pupils:
        table = answer.tracer.recommend(pupil)
        rows = zip(cases.advice(answer, pupil), table.itertuples(index=False), strict=True)
        for row, (item, skill, p, gain, about) in rows:
            assert row["item"] == f"{item} ({skill})" and row["gain"] == gain and row["probability"] == p
            assert f"{100 * p:.0f} % right" in row["reason"] and row["reason"].endswith(f"most about {about}.")
            assert f'<td class="n">{gain:.3f}</td>' in page
    assert cases.reason(0.9, "sums").startswith("A right answer is likely (90 % right), but the other")
    assert cases.reason(0.2, "sums").startswith("A wrong answer is likely (20 % right), but the other")


def test_names_in_a_log_are_escaped(page):
    assert "&lt;b&gt;new" in page and "<b>new" not in page
    assert "No answer yet" in page and html.escape("6 answers, 3 of them right.") in page


@pytest.mark.skipif(browser.CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_is_no_wider_than_the_window(page, tmp_path, width):
    script = "<script>document.title = document.documentElement.scrollWidth - innerWidth</script></body>"
    policy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    path = tmp_path / "page.html"
    path.write_text(policy.replace("</body>", script), encoding="utf-8")
    shown = browser.run(path, f"--window-size={width},900", "--dump-dom").stdout
    assert int(re.search(r"<title>(-?\d+)</title>", shown)[1]) <= 0


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = dict(zip(NAMES, ("who", "task", "topic", "ok", "when"), strict=True))
    with_questions().rename(columns=names).to_csv("log.csv", index=False)
    return "log.csv"


OPTIONS = ["--pupil", "who", "--item", "task", "--skill", "topic", "--target", "ok", "--time", "when"]


def test_the_command_writes_a_page_and_predictions_and_json(log, capsys):
    assert main(["explain", log, *OPTIONS, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["pupils"] == 8 and printed["answers"] == 42 and printed["questions"] == 2
    best = mt.PupilTracer().fit(with_questions()).recommend("p0", 1).iloc[0]
    assert printed["ask_next"][0]["item"] == best["item"] and printed["ask_next"][0]["gain"] == best["gain"]
    table = pd.read_csv(printed["predictions"])
    assert table[["pupil", "skill", "item"]].values.tolist() == [["p0", "sums", "s0"], ["p1", "cuts", "<b>new"]]
    for _, row in table.iterrows():
        parts = json.loads(row["contributions"])
        assert row["base"] + sum(value for _, _, value in parts) == pytest.approx(row["probability of a right answer"])
    assert [part[:2] for part in json.loads(table["contributions"][0])][:2] == [["s0", 1], ["c1", 0]]
    assert "log.csv: the next answers" in Path(printed["report"]).read_text(encoding="utf-8")


def test_the_terminal_shows_predictions_and_advice(log, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["explain", log, *OPTIONS, "--ask", "p1"]) == 0
    text = capsys.readouterr().out
    best = mt.PupilTracer().fit(with_questions()).recommend("p1", 1).iloc[0]
    assert (
        "42 answers of 8 pupils" in text
        and f"{best['item']} ({best['skill']})" in text
        and f"{best['gain']:.3f}" in text
    )
    assert "p1" in text and "p0" not in text and "wrote log-explained/report.html" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pupil", "name"], r"^--pupil: got 'name', expected a column of the log"),
        (["--pupil", "who"], r"^--target: got 'correct', expected a column of the log"),
        ([*OPTIONS[:-1], "day"], r"^--time: got 'day'"),
        ([*OPTIONS, "--ask", "nobody"], r"^--ask: got 'nobody'"),
        ([*OPTIONS, "--text", "task"], r"^--text: is for tables and texts"),
        ([*OPTIONS, "--train-rows", "5"], r"^--train-rows: is for tables and texts"),
        (["--target", "ok", "--skill", "topic"], r"^--skill: .*--pupil"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_sentence(log, options, message, capsys):
    assert main(["explain", log, *options]) != 0
    assert re.search(message.replace("^", "^mapsto: "), capsys.readouterr().err.strip())
