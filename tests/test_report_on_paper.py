"""A table's report on paper and on a dark screen: at most six pages, always dark ink on white, readable in both."""

import base64
import re
import zlib

import browser
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from mapsto.explanation import Explanation
from mapsto.figures import fonts
from mapsto.figures.style import label, shorten, width
from mapsto.figures.svg import svg
from mapsto.figures.waterfall import waterfall
from mapsto.reports.table import Answer, Question, reading
from mapsto.reports.table.html import write

needs_browser = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome is installed")
DARK = "--blink-settings=preferredColorScheme=0"


def made(columns, classes, rows=120, train=60):
    """Return an answer of random numbers that is as long as such an answer can be."""
    g = np.random.default_rng(0)
    names = [f"a column with a name, number {j}" for j in range(columns)]
    classes = [f"class number {c}" for c in range(classes)]
    cells, values = g.normal(size=(rows, columns)), g.normal(size=(rows, columns, len(classes))) / 50
    p = np.exp(g.normal(size=(rows, len(classes))))
    p /= p.sum(1, keepdims=True)
    labels, truth = (np.array(classes)[g.integers(0, len(classes), n)] for n in (train, rows))
    x = pd.DataFrame(cells, columns=names)
    question = Question(x.iloc[:train], labels, x, truth.astype(object), x[:0], labels[:0])
    scores = {"auc": 0.9, "accuracy": 0.8, "log_loss": 0.4, "calibration_error": 0.1}
    baselines = {name: {"auc": 0.8} for name in ("logistic_regression", "random_forest")}
    agreement = {"r2": 0.98, "cosine": 0.99, "covered": 0.9, "rows": 32, "columns": 10}
    summary = {**scores, "ms_per_row": 1.0, "agreement": agreement, "baselines": baselines}
    reasons = Explanation(values, p - values.sum(1), cells, names, classes)
    push = g.normal(size=(3, train, len(classes))) / 50
    notes = [f"column {name!r} is noted." for name in names[:12]]
    return Answer(question, reasons, p, [3, 5, 8], push, p, summary, notes)


def page(folder, monkeypatch, *size):
    answer = made(*size)
    parts = ("number", "mg", "0 to 1", 3, 0, 120, "The same value everywhere.", True)
    columns = [reading.Reading(name, *parts) for name in answer.columns]
    monkeypatch.setattr(reading, "readings", lambda answer: columns)
    return write(answer, folder / "report.html", "A table")


def printed(path, *flags):
    """Print a page to a PDF: (the number of its pages, the colours that fill shapes in it)."""
    pdf = path.with_suffix(".pdf")
    browser.run(path, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", *flags, budget=3000).check_returncode()
    content = pdf.read_bytes()
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
    texts = [zlib.decompressobj().decompress(stream) for stream in streams if stream[:1] == b"x"]
    fills = {tuple(map(float, fill.split())) for t in texts for fill in re.findall(rb"([\d.]+ [\d.]+ [\d.]+) rg", t)}
    return len(re.findall(rb"/Type /Page\b(?!s)", content)), fills


@needs_browser
@pytest.mark.parametrize("size", [(12, 2), pytest.param((100, 10), marks=pytest.mark.long)])
def test_a_report_is_printed_on_at_most_six_pages_whatever_the_screen(tmp_path, monkeypatch, size):
    path = page(tmp_path, monkeypatch, *size)
    pages, fills = printed(path, *[DARK] * (size == (12, 2)))
    assert 3 <= pages <= 6
    ink, paper = (0.1059, 0.1529, 0.2), (0.0784, 0.098, 0.1216)
    assert any(np.allclose(fill, ink, atol=0.002) for fill in fills)
    assert not any(np.allclose(fill, paper, atol=0.002) for fill in fills)
    assert len(re.findall(r"<tr><td>\d+</td>", path.read_text())) >= 120  # on the screen all rows are there


@needs_browser
def test_a_report_that_prints_all_its_rows_is_found_out(tmp_path, monkeypatch):
    path = page(tmp_path, monkeypatch, 100, 2)
    path.write_text(path.read_text().replace("nth-child(n+16)", "nth-child(n+1600)"))
    assert printed(path)[0] > 6


def brightness(path, *flags):
    """Return the brightness of each point of the upper part of a page, from 0 to 1."""
    shot = path.with_suffix(".png")
    browser.run(path, "--hide-scrollbars", "--window-size=1000,2600", f"--screenshot={shot}", *flags, budget=3000)
    return imread(shot)[..., :3].mean(-1)


@needs_browser
def test_on_a_dark_screen_paper_is_dark_and_ink_is_light_in_pictures_too(tmp_path, monkeypatch):
    path = page(tmp_path, monkeypatch, 12, 2)
    light, dark = brightness(path), brightness(path, DARK)
    assert np.median(light) > 0.97 and np.median(dark) < 0.15
    assert (light < 0.3).mean() > 0.005 and (dark > 0.7).mean() > 0.005
    assert (dark > 0.97).mean() < 0.002  # no picture stays white


def test_only_neutral_colours_change_in_the_dark():
    picture = svg(waterfall(np.array([0.2, -0.1]), 0.4, [1, 2], ["a", "b"], "yes")).decode()
    (rules,) = re.findall(r"@media screen and \(prefers-color-scheme: dark\)\{(.*?)\}\}", picture)
    assert re.findall(r"fill: (#\w+)", rules) == ["#ffffff", "#1b2733", "#55616b", "#e3e8ec"]
    assert "#d9720b" in picture and "#d9720b" not in rules


# --- letters ----------------------------------------------------------------------------------------------------------


def test_letters_that_no_font_has_are_left_to_the_reader(monkeypatch):
    monkeypatch.setattr(fonts, "family", lambda letter: None if letter in "血压" else fonts.DEFAULT)
    names = ["血压", "age", "a\x07b"]
    picture = svg(waterfall(np.array([0.2, -0.1, 0.3]), 0.4, [1, 2, 3], names, "压")).decode()
    written = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    assert "血压" in written and "probability of 压, in per cent" in written
    assert not any("age" in text or "□" in text for text in written)  # these are drawn as outlines
    assert fonts.missing("血age压血") == "血压" and fonts.drawable("a\x07血") == "a□血"


def test_a_text_that_is_drawn_by_the_reader_is_an_outline_again_in_another_picture(monkeypatch):
    figure = Figure()
    text = figure.text(0, 0, "血")
    monkeypatch.setattr(fonts, "family", lambda letter: None)
    assert b"<text" in svg(figure) and "draw" not in vars(text)
    monkeypatch.setattr(fonts, "family", lambda letter: fonts.DEFAULT)
    assert b"<text" not in svg(figure)


def test_wide_letters_count_twice():
    assert width("年齢age") == 7 and width("ñ") == 1
    assert shorten("年齢年齢", 8) == "年齢年齢" and shorten("年齢年齢年", 8) == "年齢年…"
    assert width(label("年齢" * 40, 24)) <= 24


def test_the_page_says_that_pictures_need_the_reader_s_fonts(tmp_path, monkeypatch):
    answer = made(3, 2, rows=12, train=12)
    answer.reasons.feature_names[0] = "血压"
    for family, said in ((lambda letter: None if letter in "血压" else fonts.DEFAULT, 1), (lambda letter: "any", 0)):
        monkeypatch.setattr(fonts, "family", family)
        text = write(answer, tmp_path / "report.html", "A table").read_text()
        assert text.count("<li>pictures: letters such as 血压 are drawn with the fonts of your browser") == said


def test_names_from_right_to_left_are_kept_apart(tmp_path):
    answer = made(3, 2, rows=12, train=12)
    answer.reasons.feature_names[0] = "ضغط الدم"
    text = write(answer, tmp_path / "report.html", "A table").read_text()
    assert "<bdi>ضغط الدم</bdi>" in text
    pictures = [base64.b64decode(p).decode() for p in re.findall(r"base64,([^\"]*)", text)]
    assert all("<?xml" in picture for picture in pictures)
