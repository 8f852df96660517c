"""The report in Chinese: no English word is left on it, and no word of the user is changed."""

import ast
import html
import json
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text
from test_number_report import evidence, stays
from test_report import Page, explained, unknown

import mapsto as mt
from mapsto.cli import main
from mapsto.commands import explain
from mapsto.explanation import Explanation
from mapsto.reports import language, page, phrases
from mapsto.reports.private import hide, hide_quoted, shown, shown_in_html
from mapsto.reports.table import Answer, NumberAnswer, Question
from mapsto.reports.table.answer import answer as answered
from mapsto.reports.table.evidence import Evidence
from mapsto.reports.table.html import write
from mapsto.reports.table.number_quality import measures as number_measures
from mapsto.reports.table.quality import measures

ROOT = Path(__file__).parents[1] / "mapsto"
ASCII = string.ascii_letters + ",.;:()=%"
TEMPLATES = ("base", "table", "table_classes", "table_numbers", "texts", "pupils")
KEPT = ("mapsto", "AUC", "R²", "TF-IDF", "predictions.csv", "Noto Sans", "UTF-8", "days")
COMMAND = re.compile(r"--[a-z]+(-[a-z]+)*( COLUMN(=KIND|=WORD)?| '[^']*'| [a-z]+)?|(types|missing)=[\[{].*?[\]}]")
BLOCK = re.compile(r"</?(?:p|li|h\d|t[dhr]|caption|figcaption|d[td]|summary|title|small|span|b|figure|div)\b[^>]*>")


# --- the pages


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the texts of the pictures of pages, which are not drawn, as that takes most of the time."""
    texts: list[str] = []

    def svg(figure: Any) -> bytes:
        texts.extend(text.get_text() for text in figure.findobj(Text) if text.get_visible())
        return b"<svg/>"

    monkeypatch.setattr(page, "svg", svg)
    return texts


def renamed(answer: Answer) -> Answer:
    """Return an answer whose names have no Latin letter."""
    names = [f"列{j}" for j in range(len(answer.columns))]
    classes = {old: f"第{c}类" for c, old in enumerate(answer.classes)}
    q, r = answer.question, answer.reasons
    question = replace(
        q,
        train=q.train.set_axis(names, axis=1),
        rows=q.rows.set_axis(names, axis=1),
        others=q.others.set_axis(names, axis=1),
        labels=np.array([classes[label] for label in q.labels]),
        outcomes=np.array([classes.get(outcome) for outcome in q.outcomes], object),
        other_outcomes=np.array([classes[outcome] for outcome in q.other_outcomes], "U9"),
    )
    errors = np.abs(r.values) / 4 + 1e-3
    reasons = replace(
        r, feature_names=names, class_names=[*classes.values()], errors=errors, trust=r.values.sum((1, 2))
    )
    return replace(answer, question=question, reasons=reasons, notes=[])


def measured(answer: Answer, how: str = "on 24 rows not used for training", kind: str = "held-out rows") -> Answer:
    """Return an answer with all measures of its predictions and of a rival that knows the outcome."""
    y, p = answer.truth, answer.test_probabilities
    k = len(answer.classes)
    base, rival = np.full((len(y), k), 1 / k), 0.9 * np.eye(k)[y] + 0.1 / k
    found = Evidence(kind, how, y, p, base, {"logistic_regression": rival, "random_forest": p})
    second = {"how": "by 5-fold cross-validation of the 30 labelled rows", "auc": 0.9, "accuracy": 0.8, "log_loss": 0.3}
    second["intervals"] = {key: [0.1, 0.9] for key in ("auc", "accuracy", "log_loss")}
    summary = {**answer.summary, **measures(found, np.array(answer.classes)), "cross_validation": second}
    return replace(answer, summary=summary, evidence=found)


def two() -> Answer:
    return measured(renamed(explained()))


def crossed() -> Answer:
    how = "by 5-fold cross-validation of the 30 labelled rows, 24 of which were predicted in 4 of the 5 folds"
    return unknown(measured(renamed(explained()), how, "cross-validation"))


def three() -> Answer:
    return measured(renamed(explained("wine")))


def many() -> Answer:
    """Explain 1,008 rows, 42 times the same 24."""
    a, every = renamed(explained()), np.tile(np.arange(24), 42)
    q = a.question
    question = replace(q, rows=q.rows.iloc[every].reset_index(drop=True), outcomes=np.full(len(every), None))
    return replace(a, question=question, reasons=a.reasons[every], probabilities=a.probabilities[every])


def nothing() -> Answer:
    """Explain rows without a known cell, unchecked."""
    a = renamed(unknown(explained()))
    r, rows = a.reasons, a.question.rows * np.nan
    reasons = replace(r, values=0 * r.values, data=rows.to_numpy(), errors=None, trust=None)
    missing = dict.fromkeys(("auc", "accuracy", "log_loss", "calibration_error"))
    agreement = {"r2": None, "cosine": None, "covered": None, "rows": 0, "columns": 0}
    summary = {**a.summary, **missing, "agreement": agreement, "baselines": {}}
    question = replace(a.question, rows=rows)
    return replace(a, question=question, reasons=reasons, probabilities=r.base_values, push=0 * a.push, summary=summary)


def six() -> Answer:
    """Explain six classes by twenty columns, some of them categories, some cells empty."""
    g, n, d, k = np.random.default_rng(1), 9, 20, 6
    values = g.normal(size=(n, d, k)) * 0.005
    cells = g.normal(size=(n, d)).astype(object)
    cells[:, 0] = list("甲乙丙丁戊己庚辛壬")
    cells[::3] = None
    values[::3] = 0
    names, classes = [f"列{j}" for j in range(d)], np.array([f"第{c}类" for c in range(k)])
    table, base = pd.DataFrame(cells, columns=names), np.full((n, k), 1 / k)
    labels = classes[np.arange(n) % k]
    question = Question(table, labels, table, labels.astype(object), table[:0], labels[:0])
    p = base + values.sum(1)
    return measured(
        Answer(
            question,
            Explanation(values, base, cells, names, [*classes]),
            p,
            [0, 1],
            np.zeros((2, n, k)),
            p,
            explained().summary,
            [],
        )
    )


def told(folder: Path, table: pd.DataFrame, *options: str) -> Any:
    """Return the answer of `mapsto explain` about a table, without a check of its quality."""
    table.to_csv(folder / "表.csv", index=False)
    args = explain.parser().parse_args([str(folder / "表.csv"), *options])
    return answered(explain._question(args), quality=False)


def numbers(folder: Path, **changed: Any) -> NumberAnswer:
    table = (
        stays().set_axis(["年龄", "剂量", "病区", "住院时间 (days)"], axis=1).replace({"north": "北", "south": "南"})
    )
    answer = told(folder, table, "--target", "住院时间 (days)")
    found = replace(evidence(n=40, **changed), how="on 40 rows not used for training")
    second = {"how": "by 5-fold cross-validation of the 30 labelled rows", "r2": 0.5, "mae": 1.0, "rmse": 2.0}
    second["intervals"] = {key: [0.1, 0.9] for key in ("r2", "mae", "rmse")}
    summary = {**answer.summary, **number_measures(found), "cross_validation": second}
    return replace(answer, summary=summary, evidence=found)


def messy(folder: Path) -> Any:
    """Explain a table that gives rise to many notes."""
    g, n = np.random.default_rng(0), 60
    age = g.integers(20, 90, n)
    table = pd.DataFrame(
        {"编号": [f"号{i}" for i in range(n)], "年龄": age.astype(str), "组": g.choice(["甲", "乙"], n)}
    )
    table["日期"] = pd.date_range("2024-01-01", periods=n, freq="9D").strftime("%d/%m/%Y")
    table["血压"] = [f"{a}/{b}" for a, b in zip(g.integers(100, 180, n), g.integers(60, 100, n), strict=True)]
    table["同"], table["空"], table["泄露"] = 1, "", np.where(age > 55, "阳", "阴")
    table.loc[:3, "年龄"] = ["<20", "999", "(31)", "?"]
    table["结果"] = np.where(age > 55, "是", "否")
    table.loc[n - 8 :, "结果"] = ""
    return told(folder, table, "--target", "结果", "--id", "编号", "--group", "组")


def blocks(text: str) -> list[str]:
    """Return the texts of a page between the tags of its blocks, and the descriptions of its pictures."""
    text = re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    alts = [html.unescape(alt) for alt in re.findall(r' alt="([^"]*)"', text)]
    return [*alts, *(html.unescape(re.sub(r"<[^>]*>", "", part)).strip() for part in BLOCK.split(text))]


def english(text: str) -> list[str]:
    """Return the English words in a text that may not stay there."""
    for kept in KEPT:
        text = text.replace(kept, "")
    return re.findall(r"[A-Za-z]{2,}", COMMAND.sub("", text))


def chinese(answer: Any, folder: Path) -> str:
    return write(answer, folder / "report.html", "标题", language="zh").read_text(encoding="utf-8")


MATRIX: dict[str, Callable[[Path], Any]] = {
    "two classes": lambda _: two(),
    "cross-validation": lambda _: crossed(),
    "three classes": lambda _: three(),
    "no cell": lambda _: nothing(),
    "numbers": lambda folder: numbers(folder, rival=0.5),
    "messy": messy,
}
LONG: dict[str, Callable[[Path], Any]] = {
    "many rows": lambda _: many(),
    "six classes": lambda _: six(),
    "guesses": lambda folder: numbers(folder, noise=9.0, rival=9.0),
}


@pytest.mark.parametrize("name", [*MATRIX, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)])
def test_no_english_word_is_left(name: str, tmp_path: Path, pictures: list[str]) -> None:
    text = chinese({**MATRIX, **LONG}[name](tmp_path), tmp_path)
    assert text.count('<html lang="zh-CN">') == 1
    left = {block: words for block in [*blocks(text), *pictures] if (words := english(block))}
    assert left == {}
    assert len(pictures) > 20 and any("预测" in words for words in pictures)


# --- the phrases


def pairs(name: str = "phrases.json") -> list[tuple[str, str]]:
    return json.loads((ROOT / "reports" / name).read_text(encoding="utf-8"), object_pairs_hook=list)


def sources() -> str:
    """Return all texts of the code and of the templates that can reach a page, in small letters."""
    files = [*(ROOT / "reports").rglob("*.py"), *(ROOT / "tables").rglob("*.py"), *(ROOT / "figures").rglob("*.py")]
    files += [*(ROOT / "texts").rglob("*.py"), ROOT / "commands" / "sheet.py"]
    files += [
        ROOT / "estimators" / "chunks.py",
        ROOT / "estimators" / "pupil_tracer.py",
        ROOT / "tasks" / "answer_log.py",
    ]
    constants = (
        node for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)
    )
    texts = [constant.value for constant in constants if isinstance(constant.value, str)]
    templates = [(ROOT / "reports" / "templates" / f"{name}.html.jinja").read_text() for name in TEMPLATES]
    scripts = {unicodedata.name(chr(code), "?").split()[0] for code in range(0x370, 0x3130)}
    return "\n".join(" ".join(words(text)) for text in [*texts, *templates, *scripts])


def words(text: str) -> list[str]:
    return re.findall(r"[\w<>%'=±²-]+", text.lower())


def test_phrases_have_the_same_placeholders_and_none_is_there_twice() -> None:
    assert [english for english, n in Counter(english for english, _ in pairs()).items() if n > 1] == []
    for english, translation in pairs():
        places = [[place for place, _ in phrases._PLACE.findall(text)] for text in (english, translation)]
        assert sorted(places[0]) == sorted(set(places[1])), english
        assert len(places[0]) == len(set(places[0])), english


def test_translations_are_chinese() -> None:
    """No English word but names and commands, Chinese marks, and no blank beside them."""
    kept = re.compile(
        r"<.*?>|&\w+;|\{\w+\}|Noto Sans|R²|AUC|X：|UTF-8|Windows-1252|GBK|Windows-1251|Shift JIS|max_memory|types"
        r"|TF-IDF|predictions.csv"
    )
    for english, translation in pairs():
        text = kept.sub("", translation).replace("mapsto", "").replace("missing", "")
        assert re.findall(r"[A-Za-z]{2,}", COMMAND.sub("", text)) == [], translation
        assert not re.search(r"[\u4e00-\u9fff][,;:?!(]|[，。；：、（] | [，。；：、）]", translation), translation
        assert english.endswith((".", ":")) == translation.endswith(("。", "：")), translation


def made_of(piece: str, texts: str) -> bool:
    """Return whether few runs of words, each of which stands in the texts, make up a piece of a phrase."""
    runs, left = 0, words(piece)
    while left:
        longest = next((n for n in range(len(left), 0, -1) if " ".join(left[:n]) in texts), 0)
        if not longest:
            return False
        runs, left = runs + 1, left[longest:]
    return runs <= 2 + len(words(piece)) // 5


def test_every_phrase_is_used() -> None:
    """The words of each phrase are texts of the code or of the templates."""
    texts = sources()
    plain = [english.replace("&lt;", "<").replace("&gt;", ">") for english, _ in pairs()]
    pieces = [(english, piece) for english in plain for piece in re.split(r"\{\w+\}", english)]
    assert [english for english, piece in pieces if not made_of(piece, texts)] == []
    assert not made_of("The rows of this page have never been seen by anybody at all", texts)


# --- the words of a user

ABROAD = str.maketrans({letter: chr(0x1454 + i) for i, letter in enumerate(ASCII)})  # syllables of Cree
BACK = {ord(syllable): chr(letter) for letter, syllable in ABROAD.items()}


def called(answer: Answer, name: Callable[[str], str]) -> Answer:
    """Return the answer with names and cells that are words of the page, written by `name`."""
    columns = [
        name(word) for word in ("prediction", "a, b and c", "row: 3 rows", "outcome", "say 'no', (55 %) \"yes\"")
    ]
    classes = {"malignant": name('the other "2" columns'), "benign": name("unknown")}
    rows = [name("predicted"), name("Row"), *map(str, range(22))]
    q, r = answer.question, answer.reasons
    cells = r.data.astype(object)
    cells[:, 1] = [name(word) for word in ("high value", "missing", "high lowers; mixed")] * 8
    train = q.train.set_axis(columns, axis=1).astype(object)
    train[columns[1]] = name("missing")
    question = replace(
        q,
        train=train,
        rows=pd.DataFrame(cells, columns=columns, index=rows),
        others=train[:0],
        labels=np.array([classes[label] for label in q.labels]),
        outcomes=np.array([classes[outcome] for outcome in q.outcomes], object),
    )
    reasons = Explanation(r.values, r.base_values, cells, columns, [*classes.values()])
    notes = [f"column {column!r}: every training cell is empty, so it is left out." for column in columns]
    return replace(answer, question=question, reasons=reasons, notes=notes)


def test_a_page_with_words_of_the_page_as_names_is_the_page_with_other_names(
    tmp_path: Path, pictures: list[str]
) -> None:
    """The names are written in syllables of Cree first, where no phrase can meet them, and then in English."""
    other = chinese(called(explained(), lambda word: word.translate(ABROAD)), tmp_path).translate(BACK)
    drawn = [text.translate(BACK) for text in pictures]
    pictures.clear()
    text = chinese(called(explained(), str), tmp_path)
    assert pictures == drawn and "prediction" in "".join(pictures)
    assert text == other and text.count("prediction") > 10
    assert Page(text).faults == []
    assert all(image.keys() == {"src", "width", "height", "alt"} for image in Page(text).images)


WORDS = [word for english, _ in pairs() for word in re.split(r"\{\w+\}|[ \n]", english) if word and "<" not in word]
NAMES = st.lists(st.sampled_from([*WORDS, ",", "and", "5", "'", "(", ")", "%"]), min_size=1, max_size=6).map(" ".join)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from([pair for pair in pairs() if "{name" in pair[0]]), st.lists(NAMES, min_size=3, max_size=3))
def test_no_name_is_translated(pair: tuple[str, str], names: list[str]) -> None:
    english, _ = pair
    named = {place: names[i % 3] for i, (place, kind) in enumerate(phrases._PLACE.findall(english)) if kind == "name"}
    parts = {"n": "3", "text": "x", "rest": "unknown", "path": "a.csv", "rows": "3 rows"}
    words = {place: parts.get(kind, "3.5") for place, kind in phrases._PLACE.findall(english) if kind != "name"}
    said = phrases.translation(
        phrases._filled(english, words | {place: html.escape(hide(name), quote=False) for place, name in named.items()})
    )
    assert said is not None
    assert all(name in html.unescape(shown(said)) for name in named.values())


def test_what_is_hidden_is_shown_again() -> None:
    note = """column "it's": 'a', 'the "b"' (2 cells) read as missing."""
    assert shown(hide_quoted(note)) == note and "read as missing" in hide_quoted(note)
    assert not re.search("[ab]", re.sub("column|cells|read as missing", "", hide_quoted(note)))
    assert [len(hide(word)) for word in ("age (years)", "年龄")] == [11, 2]


# --- the command and the README


def test_the_command_writes_chinese_and_refuses_other_languages(
    tmp_path: Path, capsys: pytest.CaptureFixture, pictures: list[str]
) -> None:
    stays(30).to_csv(tmp_path / "s.csv", index=False)
    command = ["explain", str(tmp_path / "s.csv"), "--target", "stay (days)", "--out", str(tmp_path / "out")]
    assert main([*command, "--no-quality", "--language", "zh", "--json"]) == 0
    assert "所预测的行" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    capsys.readouterr()
    for options, said in (
        (["--language", "fr"], "--language"),
        (["--language", "zh", "--out", str(tmp_path / "rows.csv")], "--language"),
    ):
        assert main([*command, *options]) == 1
        error = capsys.readouterr().err.strip()
        assert said in error and error.count("\n") == 0


def test_python_writes_chinese_and_refuses_other_languages(tmp_path: Path, pictures: list[str]) -> None:
    clf = mt.TableClassifier().fit(pd.DataFrame({"age": [1.0, 2, 3, 4] * 4}), ["well", "ill"] * 8)
    rows, path = pd.DataFrame({"age": [1.5, 3.5]}), tmp_path / "r.html"
    with pytest.raises(mt.MapstoError, match=r"^language: got 'fr', expected 'en' or 'zh'"):
        mt.reports.table(clf, rows, path=path, quality=False, language="fr")
    assert not path.exists()
    mt.reports.table(clf, rows, path=path, quality=False, language="zh")
    text = path.read_text(encoding="utf-8")
    assert "<h1>预测及其理由</h1>" in text
    mt.reports.table(clf, rows, path=path, quality=False)
    assert '<html lang="en">' in path.read_text() and "In short" in path.read_text()


def test_both_readmes_have_the_same_code_and_sections() -> None:
    english, translated = ((ROOT.parent / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))
    for part in (r"^```\w*\n.*?^```$", r"^    \S.*$", r"^\|.*\| (`[^|]*`) \|$", r"\]\((?!README)([^)]*)\)"):
        found = [re.findall(part, text, re.S | re.M if "```" in part else re.M) for text in (english, translated)]
        assert found[0] == found[1] and len(found[0]) > 1
    heads = [re.findall(r"^(#+) ", re.sub(r"```.*?```", "", text, flags=re.S), re.M) for text in (english, translated)]
    assert heads[0] == heads[1]
    assert "[中文](README.zh.md)" in english[:100] and "[English](README.md)" in translated[:100]


@pytest.mark.parametrize("k", range(2, 7))
def test_the_rows_of_every_class_are_its_own(k: int) -> None:
    names = ["died", "home", "sepsis", "x, y", "7", "6 ward"][:k]
    parts = [f"{n} {hide(name)}" for n, name in enumerate(names, start=11)]
    said = phrases.translation(f"{', '.join(parts[:-1])} and {parts[-1]}")
    assert said is not None
    assert shown(said) == "、".join(f"{name} {n} 行" for n, name in enumerate(names, start=11))


@pytest.mark.parametrize("name", ["R & D", "x < 5", "P > 0.05", "a; b", 'say "x" now', "it's; so"])
def test_a_name_with_marks_of_html_is_kept(name: str) -> None:
    written = html.escape(hide(name))
    for said in (language._block(written), language._said(written)):
        assert html.unescape(shown(said)) == name


def test_a_sentence_about_names_with_marks_of_html_is_translated() -> None:
    said = language._block(html.escape(f"11 {hide('ill & old')} and 12 {hide('x < 5')}"))
    assert shown(said) == "ill & old 11 行、x < 5 12 行"
    assert shown_in_html(said) == "ill &amp; old 11 行、x &lt; 5 12 行"
