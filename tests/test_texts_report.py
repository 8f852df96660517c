"""`mapsto explain --text` and its page: what is shaded, written and printed is what the classifier computed."""

import html
import json
import re
from pathlib import Path

import browser
import numpy as np
import pandas as pd
import pytest

import mapsto as mt
from mapsto.cli import main
from mapsto.errors import MapstoError
from mapsto.figures import numbers
from mapsto.reports import texts
from mapsto.reports.table.question import Choices
from mapsto.reports.texts import cases, words
from mapsto.texts.words import join

SENTENCES = {
    "card": [
        "my card is lost",
        "I lost my credit card",
        "please block the stolen card",
        "card gone <b>",
        "someone took my card",
    ],
    "time": ["what time is it", "tell me the time in london", "the time please", "is it noon", "how late is it"],
    "rain": [
        "will it rain tomorrow",
        "how warm is it outside",
        "the forecast for paris",
        "is it snowing",
        "sun or rain today",
    ],
}
LONG = (
    "Good morning to you. I had a lovely walk along the river with the dog. My credit card is lost. "
    "The dog was happy all the same, as dogs are. We went home and had a cup of tea. Please block the stolen card. "
    "My neighbour came over and told us about her garden and the roses. Thank you."
)


def table(labelled=3):
    """Return a table whose classes are known for the first `labelled` texts of each class."""
    rows = [(text, kind if i < labelled else None) for kind, of in SENTENCES.items() for i, text in enumerate(of)]
    return pd.DataFrame([*rows, (LONG, None), ("", None), ("", "time"), ("42", None)], columns=["body", "label"])


@pytest.fixture(scope="module")
def answer():
    frame = table().set_axis(range(1, 20))
    return texts.answer(texts.of_texts(frame, "label", "body", None, 0))


@pytest.fixture(scope="module")
def page(answer):
    return texts.text(answer, "tickets")


# --- the question -----------------------------------------------------------------------------------------------------


def test_texts_without_a_class_are_explained_and_texts_with_one_teach(answer):
    question = answer.question
    taught = [text for of in SENTENCES.values() for text in of[:3]]
    assert question.train["body"].tolist() == taught and question.labels.tolist() == [
        k for k in SENTENCES for _ in range(3)
    ]
    asked = [text for of in SENTENCES.values() for text in of[3:]]
    assert question.rows["body"].tolist() == [*asked, LONG, "", "42"] and list(question.rows.index[:2]) == [4, 5]
    assert any("1 row(s) with a class but without a text are left out" in note for note in answer.notes)
    assert any("1 row(s) without a text: every class is equally probable" in note for note in answer.notes)
    classifier = mt.TextClassifier().fit(taught, question.labels)
    np.testing.assert_allclose(answer.probabilities, classifier.predict_proba(question.rows["body"]), atol=1e-6)
    assert answer.summary["measured"] == "cross-validation" and answer.summary["measured_rows"] == 9
    assert answer.evidence is not None and answer.evidence.folds.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert answer.outcomes == [None] * 9


def test_texts_with_a_class_that_do_not_teach_measure_the_quality():
    frame = table(labelled=5).iloc[:15]
    result = texts.answer(texts.of_texts(frame, "label", "body", 9, 0))
    s, question = result.summary, result.question
    assert s["training_texts"] == 9 and s["texts"] == 6 and question.has_outcome.all()
    right = [
        name == true for name, true in zip((result.classes[c] for c in result.predicted), result.outcomes, strict=True)
    ]
    assert s["accuracy"] == np.mean(right)
    p = [result.probabilities[i, result.classes.index(true)] for i, true in enumerate(result.outcomes)]
    assert s["log_loss"] == pytest.approx(-np.log(p).mean())
    assert all(0 < of["accuracy"] <= 1 for of in s["baselines"].values()) and len(s["baselines"]) == 4
    assert set(np.flatnonzero(~np.array(right))[:3]) <= set(result.cases)


def test_a_second_file_teaches():
    train, new = table(labelled=5).iloc[:15], pd.DataFrame({"body": ["lost card", "rain?"], "n": [1, 2]})
    question = texts.of_two_files(new, train, "label", "body", None, 0)
    assert len(question.labels) == 15 and question.rows["body"].tolist() == ["lost card", "rain?"]
    result = texts.answer(question)
    assert [result.classes[c] for c in result.predicted] == ["card", "rain"]
    known = texts.answer(texts.of_two_files(new.assign(label=["card", "time"]), train, "label", "body", None, 0))
    assert known.summary["accuracy"] == 0.5 and known.outcomes == ["card", "time"]


def test_a_column_names_the_rows_even_if_names_repeat():
    choices = Choices(id="n")
    frame = table().assign(n=[f"ticket {i // 2}" for i in range(19)])
    question = texts.of_texts(frame, "label", "body", None, 0, choices=choices)
    assert list(question.rows.index[:3]) == ["ticket 1", "ticket 2", "ticket 4"]
    assert question.rows["body"].tolist() == texts.of_texts(table(), "label", "body", None, 0).rows["body"].tolist()
    new = frame.iloc[[3, 4]].drop(columns="label")
    two = texts.of_two_files(new, table(5).iloc[:15], "label", "body", None, 0, choices=choices)
    assert list(two.rows.index) == ["ticket 1", "ticket 2"] and len(two.labels) == 15


@pytest.mark.parametrize(
    ("arguments", "name"), [(("label", "text"), "text"), (("label", "label"), "text"), (("kind", "body"), "target")]
)
def test_columns_that_are_not_there_are_refused(arguments, name):
    with pytest.raises(MapstoError, match=f"^{name}: "):
        texts.of_texts(table(), *arguments, None, 0)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_a_part_is_shaded_by_the_sign_and_the_size_of_its_contribution(answer, page):
    shown = cases.shaded(answer, 0)
    c = int(answer.predicted[0])
    values = answer.reasons.values[0, : len(shown["parts"]), c]
    assert [part["value"] for part in shown["parts"]] == values.tolist() and values.max() > 0.1
    largest = np.abs(values).max()
    for part, value in zip(shown["parts"], values, strict=True):
        colour = re.findall(r"rgba\((\d+), \d+, (\d+), ([\d.]+)\)", part["style"])
        if colour:
            red, blue, opacity = (float(number) for number in colour[0])
            assert (red > blue) == (value > 0)
            assert opacity == pytest.approx(0.55 * abs(value) / largest, abs=0.006)
        else:
            assert abs(value) < 0.04 * largest
    for part in shown["parts"]:
        written = f'title="{numbers.points(part["value"])} percentage points">{html.escape(part["text"])}<sub>'
        assert written.replace("&lt;b&gt;", "&lt;b&gt;") in page
    assert "".join((" " if part["space"] else "") + part["text"] for part in shown["parts"]) == "card gone <b>"
    assert "<b>gone" not in page and "card gone <b>" not in page


def test_a_long_text_is_shaded_by_sentences_and_its_extract_is_told(answer):
    i = answer.question.rows["body"].tolist().index(LONG)
    shown = cases.shaded(answer, i)
    assert shown["unit"] == "sentences" and shown["prediction"] == "card"
    assert {"My credit card is lost.", "Please block the stolen card."} <= set(shown["extract"]) and len(
        shown["extract"]
    ) <= 3
    assert join([part["text"] for part in shown["parts"]]) == LONG.strip()


def test_the_numbers_of_a_caption_are_those_of_the_prediction(answer):
    for i in range(len(answer.predicted)):
        c = answer.predicted[i]
        caption = cases.shaded(answer, i)["caption"]
        assert f"from 33.3 %, without any word, to {numbers.percent(answer.probabilities[i, c])}." in caption
    assert cases.strongest(["a", "b", "c", "d"], np.array([0.1, -0.3, 0.0, 0.05])) == (
        "Moved most by “b” (−30.0), “a” (+10.0) and “d” (+5.0)."
    )
    assert "“\u2068כרטיס\u2069” (−30.0)" in cases.strongest(["כרטיס"], np.array([-0.3]))


def test_a_training_text_pushes_towards_a_class_if_its_deletion_lowers_it(answer):
    text, row = answer.question.rows["body"].iloc[answer.cases[0]], answer.push[0]
    question = answer.question
    keep = np.arange(9) != 2
    less = mt.TextClassifier().fit(question.train["body"][keep], question.labels[keep]).predict_proba([text])[0]
    np.testing.assert_allclose(row[2], answer.probabilities[answer.cases[0]] - less, atol=1e-5)
    for case, push, i in zip(cases.cases(answer), answer.push, answer.cases, strict=True):
        p = push[:, answer.predicted[i]]
        assert [round(t["push"], 9) for t in case["taught"][:1]] == [round(p.max(), 9)][: len(case["taught"])]


def test_words_of_a_class_are_means_over_its_texts(answer):
    rows = {name: (count, of) for name, count, of in words.of_classes(answer)}
    c = answer.classes.index("card")
    chosen = [i for i in np.flatnonzero(answer.predicted == c) if answer.reasons.units[i] == "words"]
    total = sum(
        answer.reasons.values[i, j, c]
        for i in chosen
        for j, part in enumerate(answer.reasons.parts[i])
        if part == "card"
    )
    assert rows["card"][0] == len(chosen) and f"card (+{100 * total / len(chosen):.1f})" in rows["card"][1]


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium")
def test_the_page_in_a_browser_shows_numbers_only_if_asked_but_always_in_print(page, tmp_path):
    path = tmp_path / "page.html"
    inside = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    code = """<script>
      const of = () => getComputedStyle(document.querySelector('.part sub')).display;
      const before = of(); document.getElementById('numbers').click();
      document.title = [before, of(), document.documentElement.scrollWidth <= innerWidth].join(' ');</script>"""
    path.write_text(page.replace(inside, inside + "; script-src 'unsafe-inline'") + code)
    done = browser.run(path, "--dump-dom", "--window-size=390,800", budget=2000)
    assert "<title>none inline true</title>" in done.stdout
    assert re.search(r"@media print \{ \.part sub \{ display: inline", page)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def tickets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table().to_csv("tickets.csv", index=False)
    return "tickets.csv"


def test_the_command_writes_predictions_whose_contributions_add_up(tickets, capsys):
    assert main(["explain", tickets, "--target", "label", "--text", "body", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {"accuracy", "auc", "log_loss", "calibration_error", "agreement", "baselines", "ms_per_row"} <= set(printed)
    assert printed["training_texts"] == 9 and printed["agreement"]["r2"] > 0.99
    rows = pd.read_csv(printed["predictions"], keep_default_na=False)
    assert (
        rows["text"].tolist()[:2] == ["card gone <b>", "someone took my card"] and len(rows) == 8
    )  # not the empty line
    for row in rows.to_dict("records"):
        pairs = json.loads(row["contributions"])
        total = row["base"] + sum(value for _, value in pairs)
        assert total == pytest.approx(row[f"probability of {row['prediction']}"], abs=1e-6)
        assert join([part for part, _ in pairs]) == row["text"].strip()
    assert "<title>tickets.csv: label</title>" in Path(printed["report"]).read_text()


def test_the_command_prints_predictions_with_their_words(tickets, capsys):
    assert main(["explain", tickets, "--target", "label", "--text", "body", "--out", "out", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "9 texts taught, 8 predicted and explained" in out and "card" in out and "out/predictions.csv" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text", "Body"], "^--text: got 'Body'"),
        (["--text", "nothing"], "^--text: got 'nothing'"),
        (["--text", "label"], "^--text: "),
        (["--text", "body", "--drop", "a"], "^--drop: "),
        (["--text", "body", "--type", "a=number"], "^--type: "),
        (["--text", "body", "--train-rows", "99"], "^--train-rows: "),
        (["--text", "body", "--id", "nothing"], "^--id: "),
    ],
)
def test_options_that_do_not_fit_texts_are_refused(tickets, options, message, capsys):
    assert main(["explain", tickets, "--target", "label", *options]) != 0
    assert re.search(message.replace("^", "^mapsto: "), capsys.readouterr().err.strip())


def test_a_text_column_is_not_for_runs(tickets, tmp_path, capsys):
    assert main(["explain", str(tmp_path), "--text", "body"]) != 0
    assert "--text: is for tables" in capsys.readouterr().err
