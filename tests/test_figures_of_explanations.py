"""Pictures of an Explanation: each number stands where it belongs, of the right class, with its sign and its unit."""

import io
import pickle

import matplotlib.collections
import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.colors import to_hex

import mapsto as mt
from mapsto import figures
from mapsto.errors import MapstoError
from mapsto.estimators.image_classifier import PATCHES
from mapsto.explanation import Explanation
from mapsto.figures import fonts, numbers
from mapsto.figures.beeswarm import PALE
from mapsto.figures.scatter import _range, groups
from mapsto.figures.style import HIGHER, LOWER, low_to_high
from mapsto.figures.unit import Amount

CELLS = np.array(
    [[3.0, "north", None, 5.0], [1.0, "south", None, None], [2.0, "north", None, 7.0], [9.0, None, None, 6.0]], object
)
NAMES = ["age", "ward", "empty", "dose"]
VALUES = np.array([[0.2, -0.1, 0, 0.05], [-0.3, 0.1, 0, 0], [0.1, -0.05, 0, -0.02], [0.4, 0.0, 0, 0.01]])


def two_classes(**parts):
    given = {"errors": np.stack([np.abs(VALUES)] * 2, 2) * 0.3 + np.array([0, 0, 0, 1])[:, None]}
    base = np.tile([0.6, 0.4], (4, 1))
    return Explanation(np.stack([-VALUES, VALUES], 2), base, CELLS, NAMES, ["well", "ill"], **given | parts)


def three_classes():
    """Class "b" is predicted for row 0; class "c" moves most in all."""
    values = VALUES[:, :, None] * np.array([-0.5, 1.5, -1.0])
    values[1:] = VALUES[1:, :, None] * np.array([0.1, 0.9, -2.0])
    return Explanation(values, np.full((4, 3), 1 / 3), CELLS, NAMES, ["a", "b", "c"])


def number(**parts):
    return Explanation(10 * VALUES, np.full(4, 47.0), CELLS, NAMES, [], **parts)


def bars(figure):
    """Return (start, width, colour, whether filled) of every bar, from top to bottom."""
    found = sorted(figure.axes[0].patches, key=lambda bar: bar.get_y())
    return [(b.get_x(), b.get_width(), to_hex(b.get_edgecolor()), b.get_facecolor()[3] > 0) for b in found]


def dots(figure):
    """Return the places of all dots that stand somewhere, with their colours."""
    parts = [c for c in figure.axes[0].collections if isinstance(c, matplotlib.collections.PathCollection)]
    return [(np.asarray(c.get_offsets()), c) for c in parts if len(c.get_offsets())]


def labels(figure):
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


# --- which class, in which unit


@pytest.mark.parametrize(("target", "side"), [(None, 1), ("ill", 1), ("well", -1)])
def test_the_bars_of_a_waterfall_lead_from_the_base_to_the_prediction_of_the_class(target, side):
    figure = figures.waterfall(two_classes(), row=1, target=target)
    found, base = bars(figure), 40 if side > 0 else 60
    assert [start for start, *_ in found] == pytest.approx([base, base - side * 30, base - side * 20])
    assert [width for _, width, *_ in found] == pytest.approx([-side * 30, side * 10, 0])
    assert [colour for _, _, colour, _ in found][:2] == ([LOWER, HIGHER] if side > 0 else [HIGHER, LOWER])
    assert labels(figure)[1] == "age\n= 1"
    assert f"probability of {target or 'ill'}" in figure.axes[0].get_xlabel()


def test_of_more_classes_a_row_shows_the_predicted_one_and_many_rows_the_one_that_moves_most():
    e = three_classes()
    assert (e.predictions[0].argmax(), e.importance.sum(0).argmax()) == (1, 2)
    for figure, name, factor in (
        (figures.waterfall(e, 0), "b", 1.5),
        (figures.bar(e[0]), "b", 1.5),
    ):
        assert f"probability of {name}" in figure.axes[0].get_xlabel().replace("\n", " ")
        assert "(the predicted class, of 3)" in figure.axes[0].get_xlabel()
        assert bars(figure)[0][1] == pytest.approx(20 * factor)
    for figure in (figures.beeswarm(e), figures.bar(e)):
        assert "probability of c" in figure.axes[0].get_xlabel().replace("\n", " ")
        assert "(the class that moves most, of 3)" in figure.axes[0].get_xlabel()
    chosen = figures.beeswarm(e, target="a").axes[0].get_xlabel()
    assert "probability of\na" in chosen and "(" not in chosen


def test_a_number_is_drawn_in_its_own_unit():
    assert bars(figures.waterfall(number(), 0))[0][:2] == pytest.approx((47, 2))
    assert figures.waterfall(number()).axes[0].get_xlabel() == "outcome"
    assert figures.bar(number(), "stay").axes[0].get_xlabel() == "mean |contribution| to the predicted\nstay"
    days = figures.beeswarm(number(), Amount("stay", "days", 4.0)).axes[0].get_xlabel()
    assert days == "contribution to the predicted\nstay, in days"
    assert "47.00 days" in {t.get_text() for t in figures.waterfall(number(), 0, Amount("s", "days")).axes[0].texts}


def test_scores_that_are_no_probabilities_are_not_drawn_in_per_cent():
    scores = Explanation(np.stack([-VALUES, VALUES], 2), np.full((4, 2), 3.0), CELLS, NAMES, ["well", "ill"])
    assert not scores.of_probabilities and two_classes().of_probabilities
    figure = figures.waterfall(scores, 0)
    assert bars(figure)[0][:2] == pytest.approx((3, 0.2)) and figure.axes[0].get_xlabel() == "score of ill"


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda: figures.beeswarm(two_classes(), "dead"), "target: got 'dead', expected one of 'well', 'ill'"),
        (lambda: figures.bar(two_classes(), "il"), "perhaps 'ill' is meant"),
        (lambda: figures.bar(number(), 3), "target: got 3"),
        (lambda: figures.bar(two_classes()[[]]), "e: got no rows"),
        (lambda: figures.beeswarm(two_classes()[[]]), "e: got no rows"),
        (lambda: figures.waterfall(two_classes(), 4), "row: got 4, expected the number of a row, from 0 to 3"),
        (lambda: figures.scatter(two_classes(), "Age"), "column: got 'Age', .* perhaps 'age' is meant"),
        (lambda: figures.scatter(two_classes(), 0, colour=9), "colour: got 9"),
    ],
)
def test_a_wrong_name_is_one_sentence(draw, name):
    with pytest.raises(MapstoError, match=name):
        draw()


def test_what_is_no_explanation_is_refused(unchecked):
    with pytest.raises(MapstoError, match="e: got a ndarray"):
        figures.bar(VALUES)


# --- intervals


def test_intervals_reach_across_bars_and_uncertain_signs_are_hollow_or_pale():
    e = two_classes()
    low, high = e.intervals(0.9)
    for figure, start in ((figures.waterfall(e, 0), 40), (figures.bar(e[0]), 0)):
        spans = [b[2][0].get_segments()[0][:, 0] for b in figure.axes[0].containers if hasattr(b, "has_xerr")]
        assert spans[0] == pytest.approx([start + 100 * low[0, 0, 1], start + 100 * high[0, 0, 1]])
        assert [filled for *_, filled in bars(figure)] == [True, True, False, False]
        assert "90 % intervals" in figure.get_supxlabel()
    pale = sum(len(places) for places, c in dots(figures.beeswarm(e)) if c.get_alpha() == PALE)
    assert pale == 3  # of the doses, of which one is missing
    assert PALE in dots(figures.scatter(e, "dose"))[0][1].get_facecolors()[:, 3]
    assert "90 %" not in figures.waterfall(two_classes(errors=None), 0).get_supxlabel()


def test_how_far_a_row_can_be_trusted_is_said_below_it():
    e = two_classes(trust=np.array([0.5, 0.71, 0.9, 1.0]))
    assert "R² = 0.71" in figures.waterfall(e, 1).get_supxlabel() and "R² = 0.90" in figures.bar(e[2]).get_supxlabel()


# --- bars, dots and groups


def test_the_bar_of_a_column_is_its_mean_absolute_contribution_and_the_last_one_that_of_a_sum():
    figure = figures.bar(two_classes(), top=1)
    rest = np.abs(VALUES[:, 1:].sum(1)).mean()
    assert [width for _, width, *_ in bars(figure)] == pytest.approx([25.0, 100 * rest])
    assert labels(figure) == ["age", "3 others, summed"]
    assert {t.get_text() for t in figure.axes[0].texts} == {"25.0", f"{100 * rest:.1f}"}


def test_a_beeswarm_of_an_explanation_is_that_of_its_arrays():
    e = two_classes(errors=None)
    ours, arrays = figures.beeswarm(e), figures.beeswarm(VALUES, CELLS, NAMES, "ill")
    assert labels(ours) == labels(arrays) == ["age", "ward: north", "ward: south", "ward: missing", "dose", "empty"]
    for (places, _), (expected, _) in zip(dots(ours), dots(arrays), strict=True):
        np.testing.assert_array_equal(places, expected)


def test_a_text_that_the_model_read_as_a_number_is_drawn_as_one():
    data = np.array([["5 mg", "a"], ["100 mg", "b"], ["unread", "b"]], object)
    codes = np.array([[5.5, 0], [100, 1], [np.nan, 1]])
    values = np.array([[0.1, 0.1], [0.3, 0.1], [0.0, 0.2]])
    e = Explanation(values, np.zeros(3), data, ["dose", "ward"], [], codes=codes, kinds=["number", "category"])
    assert labels(figures.beeswarm(e)) == labels(figures.beeswarm(e[:])) == ["dose", "ward: b", "ward: a"]
    (places, _), *_ = dots(figures.scatter(e, "dose"))
    assert places[:2].tolist() == [[5.5, 0.1], [100, 0.3]] and places[2, 0] < 5.5


def test_kinds_decide_what_has_an_order_and_how_marks_are_written():
    """Category codes above any limit stay words, dates are written as dates, and steps of a scale as words."""
    words = np.array([f"ward {i % 40}" for i in range(80)], object)
    data = np.stack([words, ["2024-03-01"] * 40 + ["2024-03-31"] * 40, ["low", "high"] * 40], 1).astype(object)
    codes = np.stack([np.arange(80) % 40, np.repeat([19783.0, 19813.0], 40), [0, 1] * 40], 1).astype(float)
    kinds = ["category", "date", "ordered"]
    e = Explanation(np.ones((80, 3)), np.zeros(80), data, ["ward", "day", "step"], [], codes=codes, kinds=kinds)
    assert e.shades[:, 0].tolist() == words.tolist() and e.shades[:, 1:].tolist() == codes[:, 1:].tolist()
    assert [line for line in labels(figures.beeswarm(e)) if line[0] != "w"] == ["day", "step"]
    ticks = {
        name: [t.get_text() for t in figures.scatter(e, name).axes[0].get_xticklabels()] for name in ("day", "step")
    }
    assert ticks["step"] == ["low", "high"] and all(text.startswith("2024-0") for text in ticks["day"])
    with pytest.raises(MapstoError, match="kinds: got 2 kinds"):
        Explanation(np.ones((80, 3)), np.zeros(80), data, ["ward", "day", "step"], [], codes=codes, kinds=kinds[:2])


def test_kinds_of_a_table_are_those_of_its_model():
    table = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=30), "ward": list("abcdef") * 5, "age": range(30)})
    outcome = ["no", "yes"] * 15
    mapping = mt.TableClassifier().fit(table, outcome).explain(table[:4])
    frame = mt.explainers.Explainer(lambda rows: rows["age"] * 1.0, table)(table[:4])
    for e in (mapping, frame, mapping[1:], pickle.loads(pickle.dumps(frame))):
        assert list(e.kinds) == ["date", "category", "number"]
    assert frame.shades[:, 0].tolist() == [19723.0, 19724, 19725, 19726] == mapping.shades[:, 0].tolist()


def test_far_cells_stand_at_the_edge_and_marks_differ():
    x = np.array([*range(1_700_000_000, 1_700_000_040), 1e30, -np.inf, np.nan])
    e = Explanation(np.linspace(0, 1, 43)[:, None], np.zeros(43), x[:, None], ["id"], [])
    figure = figures.scatter(e, "id")
    axes, ((places, _), *_) = figure.axes[0], dots(figure)
    marks = [t.get_text() for t in axes.get_xticklabels()]
    assert marks[:2] == ["missing", "smaller"] and marks[-1] == "larger" and len(set(marks)) == len(marks) > 4
    assert places[:40, 0].tolist() == x[:40].tolist() and np.ptp(axes.get_xlim()) < 100
    assert places[42, 0] < places[41, 0] < x[0] and places[40, 0] > x[39]


@pytest.mark.parametrize(
    ("x", "limits"),
    [
        ([*[0] * 60, 1, 2, 1e9], (0, 2)),  # the middle half is 0
        ([*[0] * 60, 900, 1100, 1e9], (0, 1100)),
        ([*[0] * 60, 3], (0, 3)),
        ([5.0] * 9, (5, 5)),
        ([*range(9), 1e9], (0, 8)),
    ],
)
def test_numbers_that_are_far_from_the_others_do_not_stretch_an_axis(x, limits):
    assert _range(np.array(x, float)) == limits


def test_marks_of_numbers_and_dates_are_told_apart():
    assert numbers.ticks([-0.0, 0.0, 0.5]) == ["0", "0", "0.5"] and numbers.ticks([-0.0, 2.0]) == ["0", "2"]
    assert numbers.days([19783.0, 19783.5]) == ["2024-03-01", "2024-03-01 12:00"]
    quick = numbers.days([19783.0, 19783.0005, 19783.001])
    assert quick == ["2024-03-01", "2024-03-01 00:00:43", "2024-03-01 00:01:26"]
    assert numbers.days([19783.0, 19783.0 + 2e-6])[1] == "2024-03-01 00:00:00.173"


def test_dots_stand_at_their_cell_and_contribution_and_missing_ones_apart():
    figure = figures.scatter(two_classes(errors=None), "dose", colour="age")
    (places, c), axes = dots(figure)[0], figure.axes[0]
    assert places[:, 1] == pytest.approx(100 * VALUES[:, 3])
    assert places[[0, 2, 3], 0].tolist() == [5, 7, 6] and places[1, 0] < axes.get_xlim()[1] and places[1, 0] < 5
    assert axes.get_xticklabels()[0].get_text() == "missing"
    shades = [to_hex(colour) for colour in c.get_facecolors()]
    assert (shades[1], shades[3]) == (to_hex(low_to_high()(0.0)), to_hex(low_to_high()(1.0)))  # ages 1 and 9


def test_words_stand_in_groups_and_an_empty_column_in_one():
    figure = figures.scatter(two_classes(), "ward", colour="ward")
    (places, _), *_ = dots(figure)
    assert places[:, 0].round().tolist() == [0, 1, 0, 2]
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["north", "south", "missing"]
    assert "south" in {t.get_text() for t in figure.legends[0].get_texts()}
    empty = figures.scatter(two_classes(), "empty", colour="empty")
    assert [t.get_text() for t in empty.axes[0].get_xticklabels()] == ["missing"]


def test_rare_words_share_a_group():
    group, names = groups(np.array([*"aabbcd", None], object), most=2)
    assert (group.tolist(), names) == ([0, 0, 1, 1, 2, 2, 3], ["a", "b", "2 others", "missing"])


def test_an_empty_word_is_a_group_of_its_own():
    group, names = groups(np.array(["x", "", "b", "x", None], object))
    assert group[0] == group[3] and len(set(group.tolist())) == 4 and names[-1] == "missing"


# --- a figure shows itself


def many(n, d):
    g = np.random.default_rng(0)
    cells = g.normal(size=(n, d)).astype(object)
    cells[:, 0] = None
    names = [f"blood pressure {j} of the laboratory at the second visit" for j in range(d)]
    return Explanation(g.normal(size=(n, d)) / 50, np.full(n, 0.5), cells, names, [], errors=np.full((n, d), 0.01))


@pytest.mark.parametrize(("n", "d"), [(1, 2), (1500, 60)])
def test_texts_lie_inside_the_picture_and_bars_of_many_columns_are_few(n, d):
    e = many(n, d)
    for figure in (figures.waterfall(e), figures.bar(e), figures.beeswarm(e), figures.scatter(e, d - 1, colour=0)):
        figure.canvas.draw()
        axes = figure.axes[0]
        low, high = sorted(axes.get_ylim())
        ticks = [text for text in axes.get_yticklabels() if low <= text.get_position()[1] <= high]  # others are hidden
        texts = (*ticks, axes.xaxis.label, axes.yaxis.label, *axes.texts)
        for text in (text for text in texts if text.get_text()):
            box = text.get_window_extent()
            assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y0 >= -1, text.get_text()
        assert len(axes.get_yticks()) <= 14


def test_a_notebook_gets_a_picture_in_fonts_that_have_the_letters():
    """Matplotlib brings a font with ⌒; its default font, like an old picture, would draw a box and warn."""
    figure = figures.bar(Explanation(np.ones((1, 1)), np.zeros(1), np.ones((1, 1)), ["Größe ⌒"], []))
    _, family = fonts.families(["⌒"])
    outlines = font_manager.get_font(
        font_manager.findfont(family)
    ).postscript_name  # the outline of a letter is named so
    png, size = figure._repr_png_()
    assert png[:4] == b"\x89PNG" and len(png) < 60_000 and size["width"] == 495
    picture = io.BytesIO()
    figure.savefig(picture, format="svg")
    assert outlines != "DejaVuSans" and outlines.encode() in picture.getvalue()


# --- the table of a notebook


def test_the_table_of_a_notebook_has_signs_units_and_intervals():
    html = two_classes(trust=np.array([0.5, 0.71, 0.9, 1.0]))._repr_html_()
    rows = html.split("<tr>")[2:]
    half, doubtful = (100 * 1.6449 * error for error in (0.3 * 0.2, 0.3 * 0.05 + 1))
    assert f"+20.0 ± {half:.1f}<br><small>3</small>" in rows[0] and "<td><b>55.0 %</b></td><td>40.0 %</td>" in rows[0]
    assert (
        "−10.0 ± 4.9<br><small>north</small>" in rows[0] and f"+5.0 ± {doubtful:.1f} ?<br><small>5</small>" in rows[0]
    )
    assert "rgba(217,114,11" in rows[0].split("+20.0")[0] and "rgba(33,102,172" in rows[1].split("−30.0")[0]
    assert "the probability of ill, in percentage points" in html and "<td>0.71</td>" in rows[1]
    assert html.index(">age<") < html.index(">ward<") < html.index(">dose<") < html.index(">empty<")


def test_of_more_classes_the_table_shows_the_predicted_one_of_each_row():
    rows = three_classes()._repr_html_().split("<tr>")[2:]
    best = three_classes().predictions.argmax(1)
    assert len(set(best.tolist())) > 1
    for row, c, p in zip(rows, best, three_classes().predictions.max(1), strict=True):
        assert f"<td>{'abc'[c]}</td><td><b>{100 * p:.1f} %</b>" in row


def test_the_table_escapes_what_it_shows_and_leaves_colours_of_letters_to_the_page():
    data = np.array([["<script>alert(1)</script>"]], object)
    html = Explanation(np.ones((1, 1, 2)), np.zeros((1, 2)), data, ["<b>&"], ["x", "<i>y"])._repr_html_()
    assert "<script" not in html and "<i>" not in html and "&lt;b&gt;&amp;" in html and "&lt;i&gt;y" in html
    assert "color:" not in html.replace("background-color:", "")


def test_the_table_shows_the_first_of_many_rows_and_the_largest_of_many_columns():
    e = many(500, 60)
    html = e._repr_html_()
    assert html.count("<tr>") == 21 and html.count("<small>") == 240 and len(html) < 60_000
    assert "Shown: 20 of 500 rows, the 12 most important of 60 columns." in html
    largest = int(np.abs(e.values).sum(0).argmax())
    assert html.index(f'title="{e.feature_names[largest]}"') < html.index("<tbody>")
    assert e[[]]._repr_html_().count("<tr>") == 1


def test_explanations_of_images_are_drawn_and_tabulated():
    ink = np.random.default_rng(0).random((2, 16))
    e = Explanation(np.stack([-ink, ink], 2), np.full((2, 2), 0.5), ink, PATCHES, ["a", "b"])
    assert "row 1, column 1" in e._repr_html_() and e._repr_html_().count("<tr>") == 3
    assert len(labels(figures.bar(e, top=16))) == 16 == len(labels(figures.bar(e[0], top=16)))


def test_the_table_writes_whole_numbers_whole_and_no_interval_where_none_is_known():
    data = np.array([[1234567.0, 0.123456, -2.5e20], [20260101.0, 3.0, 7.0]])
    e = Explanation(np.full((2, 3), 1e-9), np.zeros(2), data, ["id", "dose", "far"], [], errors=np.zeros((2, 3)))
    html = e._repr_html_()
    assert all(f"<small>{cell}</small>" in html for cell in ("1234567", "20260101", "0.12346", "−2.5e+20", "3"))
    assert "±" not in html
    some = np.array([[0.0, 1e-10, 0.0]] * 2)
    assert Explanation(e.values, e.base_values, data, e.feature_names, [], errors=some)._repr_html_().count("±") == 3
    day = np.array([[pd.Timestamp("2024-03-01")]], object)
    e = Explanation(np.ones((1, 1)), np.zeros(1), day, ["day"], [])
    assert "<small>2024-03-01</small>" in e._repr_html_()


@pytest.mark.parametrize(("kind", "noun"), [("patch", "patches"), ("word", "words"), ("number", "columns")])
def test_pictures_and_the_table_say_what_has_a_contribution(kind, noun):
    names = [f"part {j}" for j in range(16)]
    e = Explanation(np.ones((3, 16)), np.zeros(3), np.ones((3, 16)), names, [], kinds=[kind] * 16)
    assert f"of 16 {noun}" in repr(e) and f"of all {noun} is" in e._repr_html_() and f"of 16 {noun}." in e._repr_html_()
    assert labels(figures.waterfall(e, 0))[0] == f"no {'column' if kind == 'number' else kind} known"
    assert labels(figures.waterfall(e, 0))[-2] == labels(figures.bar(e[0], top=7))[-1] == f"the other 9 {noun},\nsummed"
    assert labels(figures.beeswarm(e))[-1] == f"6 other {noun}, summed"


@pytest.mark.parametrize("draw", [figures.bar, figures.beeswarm, figures.waterfall])
def test_an_explanation_without_columns_is_refused_in_one_sentence(draw):
    e = Explanation(np.ones((3, 0)), np.zeros(3), np.ones((3, 0)), [], [])
    for rows in (e, e[0]):
        with pytest.raises(MapstoError, match="e: got no columns"):
            draw(rows)
