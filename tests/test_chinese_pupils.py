"""The page of pupils in Chinese: no English word is left on it, and no word of the user is changed."""

import html
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_chinese import ABROAD, BACK, blocks, english
from test_chinese_texts import DIGITS, PRIVATE
from test_pupils_report import table, with_questions

from mapsto.cli import main
from mapsto.reports import pupils
from mapsto.reports.phrases import translation
from mapsto.reports.private import hide, shown
from mapsto.reports.pupils import Answer
from mapsto.reports.pupils.hidden import hidden_title
from mapsto.tasks.answer_log import read_log

WORDS = [
    *("the predictions", "a typical item of row 3", "x < 5 & y", "in short, (55 %)", "answer 2, ✗ it (−1.0) and 7"),
    *("right", "say 'no' and \"yes\"", "The log: 3 pupils; Gain.", "missing", "Ask next", "unknown", "of them right"),
]


def told(log: pd.DataFrame) -> Answer:
    """Explain all pupils of a log, those without a question by typical items."""
    read = read_log(log)
    return pupils.answer(read, read.pupils)


@cache
def words() -> dict[str, str]:
    """Return the pupils, items and skills of the logs here, each with its number."""
    log = with_questions()
    cells = [cell for name in ("pupil", "item", "skill") for cell in log[name] if isinstance(cell, str)]
    return {cell: str(n) for n, cell in enumerate(sorted(set(cells)))}


def renamed(log: pd.DataFrame, name: Callable[[int], str]) -> pd.DataFrame:
    """Return the log whose pupils, items and skills have other names, which are in the same order."""
    of = {cell: name(int(n)) for cell, n in words().items()}
    there = [column for column in ("pupil", "item", "skill") if column in log]
    return log.assign(**{column: log[column].replace(of) for column in there})


def in_words(n: int) -> str:
    return f"{chr(0x4E00 + n)} {WORDS[n % len(WORDS)]}"


def of_word(n: int) -> str:
    return f"{chr(0x4E00 + n)}{str(n).translate(DIGITS)}号"


def in_chinese(answer: Answer, folder: Path, title: str = "日志: the next answers") -> str:
    return pupils.write(answer, folder / "report.html", title, language="zh").read_text(encoding="utf-8")


# --- no English -------------------------------------------------------------------------------------------------------


def unsorted() -> pd.DataFrame:
    return with_questions().iloc[::-1].reset_index(drop=True)


def many() -> pd.DataFrame:
    """Return a log in which each pupil has given more answers than are read, and which has no times."""
    return pd.concat([table(7)] * 7).drop(columns="time")


LOGS: dict[str, Callable[[], pd.DataFrame]] = {
    "questions": with_questions,
    "unsorted": unsorted,
    "typical items": table,
    "many answers": many,
    "one pupil": lambda: table(pupils=1),
    "no skills": lambda: table(2).drop(columns=["skill", "time"]),
    "no items": lambda: table(2).drop(columns="item"),
}


@pytest.mark.parametrize("name", LOGS)
def test_no_english_word_is_left(name: str, tmp_path: Path) -> None:
    answer = told(renamed(LOGS[name](), of_word))
    page = in_chinese(answer, tmp_path)
    assert page.count('<html lang="zh-CN">') == 1 and not PRIVATE.search(page)
    assert {block: left for block in blocks(page) if (left := english(block))} == {}
    titles = re.findall(r' title="([^"]*)"', page)
    assert len(titles) > 10 and [title for title in titles if english(title)] == []
    assert "<h1>日志：接下来的作答</h1>" in page and "None" not in page and "nan" not in page


@pytest.mark.parametrize(
    "note",
    [
        "12 further pupil(s) are not explained; name those that should be.",
        f"7 item(s) that nobody has answered ('{hide('a b')}', '5' and more) are as difficult as their skill.",
        f"1 item(s) that nobody has answered ('{hide('a b')}') are as difficult as their skill.",
        "time: the answers of 3 pupil(s) were not in the order of their times; they are sorted.",
    ],
)
def test_every_number_of_a_note_is_kept(note: str) -> None:
    said = translation(note)
    assert said is not None and english(said) == []
    assert sorted(re.findall(r"\d+", said)) == sorted(re.findall(r"\d+", note))
    assert ("“a b”" in shown(said)) == ("a b" in shown(note))


# --- the words of a user ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["questions", "typical items"])
def test_a_page_of_names_that_are_words_of_the_page_is_the_page_of_other_names(name: str, tmp_path: Path) -> None:
    """The names are written in syllables of Cree first, where no phrase can meet them, and then in English."""
    abroad = told(renamed(LOGS[name](), lambda n: in_words(n).translate(ABROAD)))
    other = in_chinese(abroad, tmp_path, "In short".translate(ABROAD)).translate(BACK)
    page = in_chinese(told(renamed(LOGS[name](), in_words)), tmp_path, "In short")
    assert page == other and not PRIVATE.search(page)
    assert "<h1>In short</h1>" in page and "x &lt; 5 &amp; y" in page


def test_all_names_and_numbers_of_a_page_are_where_they_are_in_english(tmp_path: Path) -> None:
    answer = told(renamed(with_questions(), in_words))
    pages = [html.unescape(page) for page in (pupils.text(answer, "t"), in_chinese(answer, tmp_path, "t"))]
    for part in (r"<small>(.*?)</small>", r"<li[^>]*>(.*?)<small>", r'<article class="case card"><h3>(.*?)</h3>'):
        found = [re.findall(part, page) for page in pages]
        assert found[0] == found[1] and len(found[0]) > 1
    sections = [re.search(r'<section id="pupils">.*?</section>', page, re.S) for page in pages]
    found = [re.findall(r"[+−]?\d[\d.]*\d", re.sub(r"<[^>]*>", " ", str(part and part[0]))) for part in sections]
    assert sorted(found[0]) == sorted(found[1]) and len(found[0]) > 40


def test_strongest_answers_and_skills_keep_their_order(tmp_path: Path) -> None:
    answer = told(renamed(with_questions(), in_words))
    pages = [pupils.text(answer, "t"), in_chinese(answer, tmp_path, "t")]
    captions = [[html.unescape(text) for text in re.findall(r'<p class="caption">(.*?)</p>', page)] for page in pages]
    for before, after in zip(*captions, strict=True):
        assert re.findall(r"[+−]\d+\.\d", before) == re.findall(r"[+−]\d+\.\d", after)
        assert re.findall(r"answer (\d+), [✓✗]", before) == re.findall(r"第 (\d+) 次作答 [✓✗]", after)


# --- in English, and by the command -----------------------------------------------------------------------------------


def test_the_answer_is_the_same_after_its_page_in_chinese(tmp_path: Path) -> None:
    answer = told(with_questions())
    before = pupils.text(answer, "log")
    in_chinese(answer, tmp_path)
    page = pupils.write(answer, tmp_path / "e.html", "log").read_text(encoding="utf-8")
    assert page == before and '<html lang="en">' in page and not PRIVATE.search(page)


def test_the_command_writes_chinese(tmp_path: Path, capsys: Any) -> None:
    renamed(with_questions(), in_words).to_csv(tmp_path / "In short.csv", index=False)
    command = ["explain", str(tmp_path / "In short.csv"), "--pupil", "pupil", "--target", "correct"]
    assert main([*command, "--language", "zh", "--out", str(tmp_path / "out"), "--json"]) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<h1>In short.csv：接下来的作答</h1>" in page and '<html lang="zh-CN">' in page
    assert "x &lt; 5 &amp; y" in page and not PRIVATE.search(page)
    sheet = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert set(sheet["pupil"]) <= {in_words(n) for n in range(len(words()))}


def test_a_quality_that_is_not_better_than_a_guess_is_told(tmp_path: Path) -> None:
    answer = told(with_questions())
    summary = {**answer.summary, "log_loss": 9.0}
    page = in_chinese(replace(answer, summary=summary), tmp_path)
    assert "9.000，并不低于简单猜测" in page


def test_a_title_is_translated_only_behind_the_name_of_the_log() -> None:
    assert shown(hidden_title("In short: the next answers")) == "In short: the next answers"
    assert [
        english(hidden_title(title)) for title in ("In short: the next answers", "In short", "the next answers")
    ] == [
        ["the", "next", "answers"],
        [],
        ["the", "next", "answers"],
    ]
