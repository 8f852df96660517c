"""Intervals of contributions as a person meets them: in the pictures, on the page, on the terminal."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mapsto.estimators import TableClassifier
from mapsto.figures.beeswarm import beeswarm
from mapsto.figures.unit import Amount
from mapsto.figures.waterfall import waterfall
from mapsto.reports.table import Question, html
from mapsto.reports.table.answer import answer
from mapsto.reports.table.lines import prediction_line

VALUES, REACH = np.array([0.3, -0.2, 0.05]), np.array([0.02, 0.06, 0.08])


def test_a_line_across_the_end_of_each_bar_is_its_interval():
    axes = waterfall(VALUES, 0.4, [1, 2, 3], ["a", "b", "c"], "ill", reach=REACH).axes[0]
    ends = 100 * (0.4 + np.cumsum(VALUES))
    spans = [bar[2][0].get_segments()[0][:, 0] for bar in axes.containers if hasattr(bar, "has_xerr")]
    assert np.allclose(spans, np.stack([ends - 100 * REACH, ends + 100 * REACH], 1))
    hollow = [bar.get_facecolor()[3] == 0 for bar in axes.patches]
    assert hollow == [False, False, True]  # 5 ± 8 points may as well lower the probability
    assert [t.get_text() for t in axes.texts if "±" in t.get_text()] == ["+30.0 ± 2.0", "−20.0 ± 6.0", "+5.0 ± 8.0"]


def test_without_intervals_and_for_sums_nothing_is_drawn_across():
    plain = waterfall(VALUES, 0.4, [1, 2, 3], ["a", "b", "c"], "ill").axes[0]
    summed = waterfall(VALUES, 0.4, [1, 2, 3], ["a", "b", "c"], Amount("stay", "days"), top=1, reach=REACH).axes[0]
    assert sum("±" in t.get_text() for t in plain.texts) == 0
    assert all(bar.get_facecolor()[3] for bar in plain.patches)
    assert sum("±" in t.get_text() for t in summed.texts) == 1


def test_contributions_of_uncertain_sign_are_pale():
    values = np.array([[0.3, 0.1], [-0.2, 0.1], [0.1, -0.1]])
    uncertain = np.array([[False, True], [False, True], [True, True]])
    figure = beeswarm(values, np.arange(6.0).reshape(3, 2), ["a", "b"], "ill", uncertain=uncertain)
    dots = [(len(part.get_offsets()), part.get_alpha()) for part in figure.axes[0].collections]
    assert sorted(dots, key=str) == [(1, 0.3), (2, None), (3, 0.3)]
    assert "sign not certain" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert not beeswarm(values, np.arange(6.0).reshape(3, 2), ["a", "b"], "ill").legends


@pytest.fixture(scope="module")
def answered():
    generator = np.random.default_rng(0)
    x = pd.DataFrame(generator.normal(size=(60, 4)), columns=list("abcd"))
    y = np.where(x["a"] + 0.5 * x["b"] > 0, "ill", "well")
    asked = Question(x[:40], y[:40], x[40:50], y[40:50].astype(object), x[50:50], y[50:50], 0, [])
    return answer(asked, TableClassifier().fit(x[:40], y[:40]))


def test_the_page_and_the_terminal_print_half_the_width_of_the_interval(answered):
    i = answered.cases[0]
    c = answered.predicted(i)
    low, high = answered.reasons.intervals(0.9)
    j = int(np.abs(answered.values[i, :, c]).argmax())
    half = 100 * (high - low)[i, j, c] / 2
    assert half > 0.05 and f" ± {half:.1f}" in prediction_line(answered, i)[2]
    text = html.text(answered, "title")
    assert f" ± {half:.1f}" in text and "90 % interval for the exact Shapley value" in text
    unknown = replace(answered, reasons=replace(answered.reasons, errors=None))
    assert "±" not in prediction_line(unknown, i)[2]
    assert "for the exact Shapley value." not in html.text(unknown, "title")
