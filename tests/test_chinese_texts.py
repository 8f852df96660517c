"""The page of texts in Chinese: no English word is left on it, and no word of the user is changed."""

import html
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_chinese import ABROAD, BACK, blocks, english
from test_texts_report import LONG, SENTENCES, table

from mapsto.cli import main
from mapsto.reports import texts
from mapsto.reports.phrases import translation
from mapsto.reports.private import hide, shown
from mapsto.reports.table.headlines import headlines
from mapsto.reports.texts import Answer

DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")
PRIVATE = re.compile("[\U00010600-\U0001077f]")
PHRASES = [  # as `plain` words, so that those of a class are the same in all alphabets
    *("the predictions", "3 rows", "x < 5 & y", "in short", "a, b and c", "moved most by “9” (+1.0) and 7", "no words"),
    *("row 4: rain, 50 % of all", "training text", "the true class is", 'don\'t say "no" now', "word"),
]


# --- answers ----------------------------------------------------------------------------------------------------------


@cache
def unmeasured() -> Answer:
    """Explain texts without a class: short ones, a long one, an empty one and a number."""
    return texts.answer(texts.of_texts(table().set_axis(range(1, 20)), "label", "body", None, 0))


@cache
def known() -> Answer:
    """Explain texts with a class, some of them predicted wrongly, from two files with names of rows."""
    frame = table(labelled=5).iloc[:15]
    asked = frame.assign(label=[*frame["label"][1:], "card"], no=[f"no. {i}" for i in range(15)])
    answer = texts.answer(texts.of_two_files(asked, frame, "label", "body", None, 0, ("new", "old")))
    rows = answer.question.rows.set_axis([f"no. {i}" for i in range(14)] + ["15"])
    return replace(answer, question=replace(answer.question, rows=rows))


@cache
def long() -> Answer:
    train = pd.DataFrame([(text, kind) for kind, of in SENTENCES.items() for text in of], columns=["body", "label"])
    new = pd.DataFrame({"body": [LONG, f"{LONG} It will rain. {LONG}"]})
    return texts.answer(texts.of_two_files(new, train, "label", "body", None, 0))


@cache
def mixed() -> Answer:
    """Explain short texts and a long one by texts, two of which repeat, in two scripts."""
    rows = [("мне нужна карта", "card"), ("我 的 卡", "card"), ("мне нужна карта", "card"), ("который час", "time")]
    rows += [("what time", "time"), ("который час", "card"), ("", "card"), (LONG, None), ("карта", None), ("", None)]
    return texts.answer(texts.of_texts(pd.DataFrame(rows, columns=["body", "label"]), "label", "body", None, 0))


def judged(**changed: Any) -> Answer:
    """Return an answer with other measures; those of the rival "tf_idf_and_naive_bayes" are `changed["rival"]`."""
    summary, rival = dict(known().summary), changed.pop("rival", {})
    rivals = {name: dict(scores) for name, scores in summary["baselines"].items()}
    rivals["tf_idf_and_naive_bayes"] |= rival
    rivals["base_rates"] |= changed.pop("base_rates", {})
    return replace(known(), summary={**summary, "baselines": rivals, "measured_rows": 40, **changed})


def ahead(auc: float, log_loss: float) -> dict[str, Any]:
    by = {"auc": auc, "log_loss": log_loss}
    apart = {name: {"value": d, "low": d - 0.01, "high": d + 0.01} for name, d in by.items()}
    return {"auc": 0.9, "log_loss": 0.1, "difference": apart}


def unsure(value: float) -> dict[str, Any]:
    return {"log_loss": value, "difference": {"log_loss": {"value": 0.1, "low": -1.0, "high": 1.0}}}


def renamed(answer: Answer, name: Callable[[str], str]) -> Answer:
    """Return the answer with other words of the user."""
    e, q = answer.reasons, answer.question

    def of_table(frame: pd.DataFrame) -> pd.DataFrame:
        index = [name(row) if isinstance(row, str) else row for row in frame.index]
        return pd.DataFrame({name("body"): [name(text) for text in frame.iloc[:, 0]]}, index=index, dtype=object)

    def of_cells(cells: Any) -> np.ndarray:
        return np.array([None if cell is None else name(cell) for cell in cells], object)

    data = np.array([[None if part is None else name(part) for part in row] for row in e.data], object)
    reasons = replace(e, data=data, class_names=[name(of) for of in e.class_names])
    question = replace(q, train=of_table(q.train), rows=of_table(q.rows), labels=of_cells(q.labels),
                       outcomes=of_cells(q.outcomes))  # fmt: skip
    return replace(answer, question=question, reasons=reasons)


def numbered(write: Callable[[int], str]) -> Callable[[str], str]:
    """Return a function that gives each text a name by its number in the order of first sight."""
    seen: dict[str, str] = {}
    return lambda text: seen.setdefault(text, write(len(seen)))


def in_chinese(answer: Answer, folder: Path, title: str = "标题") -> str:
    return texts.write(answer, folder / "report.html", title, language="zh").read_text(encoding="utf-8")


# --- no English -------------------------------------------------------------------------------------------------------

ANSWERS: dict[str, Callable[[], Answer]] = {
    "unmeasured": unmeasured,
    "known": known,
    "long": long,
    "mixed": mixed,
    "a rival ranks better": lambda: judged(rival=ahead(0.1, 0.0)),
    "a rival ranks better, but": lambda: judged(rival=ahead(0.1, 0.1)),
    "a rival has better probabilities": lambda: judged(rival=ahead(0.0, -0.1)),
    "a rival has better probabilities, but": lambda: judged(rival=ahead(-0.1, -0.1)),
    "worse than the base rates": lambda: judged(base_rates=unsure(0.1), log_loss=0.5, intervals=None),
    "worse, but in order": lambda: judged(base_rates=unsure(0.1), log_loss=0.5, intervals={"auc": [0.6, 0.9]}),
    "perhaps better": lambda: judged(base_rates=unsure(1.2), log_loss=1.0, intervals=None),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_no_english_word_is_left(name: str, tmp_path: Path) -> None:
    answer = renamed(ANSWERS[name](), numbered(lambda n: f"词{str(n).translate(DIGITS)}"))
    assert name in ("unmeasured", "known", "long", "mixed") or headlines(answer.summary)
    page = in_chinese(answer, tmp_path)
    assert page.count('<html lang="zh-CN">') == 1 and not PRIVATE.search(page)
    assert {block: words for block in blocks(page) if (words := english(block))} == {}
    titles = re.findall(r' title="([^"]*)"', page)
    assert len(titles) > 10 and [title for title in titles if english(title)] == []


@pytest.mark.parametrize(
    "note",
    [
        "1 training text is not in Latin letters (Cyrillic).",
        "texts: 12 predicted texts are not in Latin letters (Han, Thai).",
        "texts: 12 training texts are not in Latin letters (Han, Tifinagh).",
        "3 row(s) of /home/old table.csv with a class but without a text are left out.",
        "of 1200 texts with a class, 800 are used for training and 400 for testing (a stratified split, seed 7).",
        "predictions: 3 text(s) are longer than the 32,767 characters that a cell of a sheet holds; they are cut.",
        "predictions: 2 text(s) begin with =, +, -, @ or a tab, which a spreadsheet would run as a formula; an "
        "apostrophe stands before them.",
        "predictions: a spreadsheet shows at most 1,048,575 rows and 16,384 columns, the most that a sheet can hold.",
    ],
)
def test_every_number_of_a_note_is_kept(note: str) -> None:
    said = translation(note)
    assert said is not None and sorted(re.findall(r"\d[\d,]*", said)) == sorted(re.findall(r"\d[\d,]*", note))
    kept = re.sub(r"Han, Tifinagh|/home/old table.csv", "", said)
    assert english(kept) == []


# --- the words of a user ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["unmeasured", "known", "long"])
def test_a_page_of_texts_that_are_words_of_the_page_is_the_page_of_other_texts(name: str, tmp_path: Path) -> None:
    """The texts are written in syllables of Cree first, where no phrase can meet them, and then in English."""

    def of(n: int) -> str:
        return f"{PHRASES[n % len(PHRASES)]}{' word' * (n // len(PHRASES))}"

    abroad = renamed(ANSWERS[name](), numbered(lambda n: of(n).translate(ABROAD)))
    other = in_chinese(abroad, tmp_path, "In short".translate(ABROAD)).translate(BACK)
    page = in_chinese(renamed(ANSWERS[name](), numbered(of)), tmp_path, "In short")
    assert page == other and not PRIVATE.search(page)
    assert "<h1>In short</h1>" in page and "<title>In short</title>" in page and "x &lt; 5 &amp; y" in page


def test_all_texts_classes_and_numbers_of_a_page_are_where_they_are_in_english(tmp_path: Path) -> None:
    """Between the same tags, the same texts of the user stand in the same order, and so do the numbers."""
    for name in ("unmeasured", "known", "long"):
        answer = ANSWERS[name]()
        pages = [texts.text(answer, "t"), in_chinese(answer, tmp_path, "t")]
        parts = [re.findall(r'<span class="part"[^>]*>(.*?)<sub>(.*?)</sub>', html.unescape(page)) for page in pages]
        assert parts[0] == parts[1] and len(parts[0]) > 20
        cells = [re.findall(r'<td dir="auto">(.*?)</td><td>(.*?)</td><td class="n">(.*?)</td>', p) for p in pages]
        assert cells[0] == cells[1] and len(cells[0]) > 3
        captions = [re.findall(r'<p class="caption">(.*?)</p>', html.unescape(page)) for page in pages]
        moved = [[re.findall(r"[+−]?\d+\.\d", caption) for caption in of] for of in captions]
        assert moved[0] == moved[1] and len(moved[0]) > 3
        sections = [
            re.findall(r'<section id="(?:words-of-classes|predictions|rows)">.*?</section>', p, re.S) for p in pages
        ]
        for section, translated in zip(*sections, strict=True):
            found = [re.findall(r"[+−]?\d[\d.,]*\d", re.sub(r"<[^>]*>", " ", part)) for part in (section, translated)]
            assert sorted(found[0]) == sorted(found[1]) and len(found[0]) > 5


@pytest.mark.parametrize("k", [1, 2, 3, 9])
def test_the_texts_of_every_class_are_its_own(k: int) -> None:
    names = ["card", "time", "x, y", "7", "6 and 5", "a: b", "R&D", "(c)", "last"][:k]
    parts = [f"{1000 + n:,} {hide(name)}" for n, name in enumerate(names)]
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if k > 2 else parts)
    said = translation(f"Most probable classes: {listed}.")
    assert said is not None
    told = "、".join(f"{name} {1000 + n:,}" for n, name in enumerate(names))
    assert shown(said) == f"最可能的类别（各类条数）：{told}。"


# --- in English, and by the command -----------------------------------------------------------------------------------


def test_the_english_page_is_the_text_as_before(tmp_path: Path) -> None:
    before = texts.text(unmeasured(), "tickets")
    in_chinese(unmeasured(), tmp_path)
    page = texts.write(unmeasured(), tmp_path / "e.html", "tickets").read_text(encoding="utf-8")
    assert page == before == texts.text(unmeasured(), "tickets")
    assert '<html lang="en">' in page and "percentage points" in page and not PRIVATE.search(page)


def test_the_command_writes_chinese(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    frame = table().assign(label=lambda f: f["label"].replace({"card": "R & D <b>", "time": "The predictions"}))
    frame.to_csv(tmp_path / "In short.csv", index=False)
    command = ["explain", str(tmp_path / "In short.csv"), "--target", "label", "--text", "body", "--language", "zh"]
    assert main([*command, "--out", str(tmp_path / "out"), "--json"]) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<h1>In short.csv: label</h1>" in page and '<html lang="zh-CN">' in page
    assert "所预测的文本" in page and "R &amp; D &lt;b&gt;" in page and "The predictions" in page
    assert "The predictions" in (tmp_path / "out" / "predictions.csv").read_text(encoding="utf-8")
    assert "are used for training" not in page and not PRIVATE.search(page)
