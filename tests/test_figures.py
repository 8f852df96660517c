"""The pictures' laws: a dot, a bar or a bin lies where its number says, and a law that cannot fail is no law."""

import io
import math

import matplotlib.collections
import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy.stats import binom, spearmanr

from mapsto.figures import beeswarm, influence, reliability, waterfall
from mapsto.figures import beeswarm as beeswarm_picture
from mapsto.figures.beeswarm import lines, ranking, stack
from mapsto.figures.curve import learning_curve, smooth
from mapsto.figures.influence import strongest
from mapsto.figures.numbers import as_floats, cell
from mapsto.figures.reasons import bars as bars_of_methods
from mapsto.figures.reliability import reliability_bins
from mapsto.figures.style import HIGHER, LOWER, NEUTRAL, distinct, label, low_to_high, shorten
from mapsto.figures.svg import svg
from mapsto.figures.unit import Amount
from mapsto.figures.waterfall import steps


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_numbers_beside_bars_keep_clear_of_the_names(scale):
    """A falling prediction writes its numbers towards the names of the columns, outside of wide intervals."""
    values, reach = scale * np.array([-35.0, -10, -10, -7, -2, -1.5]), scale * np.array([9.0, 6, 6, 5, 4, 4])
    figure = waterfall(values, 147 * scale, [1.5] * 6, list("abcdef"), Amount("stay", "", 50 * scale), reach=reach)
    figure.canvas.draw()
    axes = figure.axes[0]
    names = max(label.get_window_extent().x1 for label in axes.get_yticklabels())
    assert len(axes.texts) == 8 and min(text.get_window_extent().x0 for text in axes.texts) > names
    assert max(text.get_window_extent().x1 for text in axes.texts) <= figure.bbox.x1


def dots(figure):
    """Return every dot's place in a beeswarm: one array [m, 2] a scatter, with its colours."""
    found = [c for c in figure.axes[0].collections if isinstance(c, matplotlib.collections.PathCollection)]
    return [(np.asarray(c.get_offsets()), c) for c in found]


def bars(figure):
    """Return (start, width, colour) of every bar, from top to bottom."""
    found = sorted(figure.axes[0].patches, key=lambda bar: bar.get_y())
    return [(bar.get_x(), bar.get_width(), to_hex(bar.get_facecolor())) for bar in found]


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 14)) * 0.1 * np.arange(1, 15)
    return values, rng.normal(size=(30, 14)).astype(object), [f"column {j}" for j in range(14)]


# --- beeswarm


def beeswarm_law(draw, values, data, names):
    """One dot for each row on each visible column's line, at its contribution in percentage points."""
    places = np.concatenate([offsets for offsets, _ in dots(draw(values, data, names, "yes", top=5))])
    order = ranking(values)
    expected = np.concatenate([100 * values[:, j] for j in order[:5]] + [100 * values[:, order[5:]].sum(1)])
    assert len(places) == len(expected)
    np.testing.assert_allclose(np.sort(places[:, 0]), np.sort(expected), atol=1e-12)
    for line in range(6):
        mine = np.abs(places[:, 1] - line) <= 0.4 + 1e-9
        assert mine.sum() == len(values)


def test_beeswarm_has_a_dot_for_each_row_and_column(table):
    beeswarm_law(beeswarm, *table)


def test_beeswarm_law_fails_for_a_picture_that_drops_a_row(table):
    with pytest.raises(AssertionError):
        beeswarm_law(lambda v, d, *rest, **more: beeswarm(v[1:], d[1:], *rest, **more), *table)


def test_beeswarm_law_fails_for_fractions_instead_of_points(table):
    with pytest.raises(AssertionError):
        beeswarm_law(lambda v, *rest, **more: beeswarm(v / 100, *rest, **more), *table)


def test_no_contribution_lies_at_the_neutral_line():
    figure = beeswarm(np.zeros((7, 3)), np.arange(21.0).reshape(7, 3), ["a", "b", "c"], "yes")
    places = np.concatenate([offsets for offsets, _ in dots(figure)])
    assert len(places) == 21
    assert (places[:, 0] == 0).all()
    low, high = figure.axes[0].get_xlim()
    assert low < 0 < high


def test_high_values_are_orange_and_low_ones_blue():
    data = np.array([[3.0], [1.0], [2.0]])
    offsets, drawn = dots(beeswarm(np.array([[0.3], [0.1], [0.2]]), data, ["a"], "yes"))[0]
    drawn.update_scalarmappable()
    colours = {round(x): to_hex(c) for x, c in zip(offsets[:, 0], drawn.get_facecolors(), strict=True)}
    assert colours == {10: to_hex(low_to_high()(0.0)), 20: to_hex(low_to_high()(0.5)), 30: to_hex(low_to_high()(1.0))}


def test_missing_cells_are_hollow_grey_at_zero():
    values = np.array([[0.2], [0.0], [-0.1], [0.0]])
    data = np.array([[5.0], [None], [1.0], [float("nan")]], dtype=object)
    shown = dots(beeswarm(values, data, ["a"], "yes"))
    hollow = [offsets for offsets, c in shown if to_hex(c.get_edgecolor()[0]) == NEUTRAL]
    assert [len(o) for o in hollow] == [2]
    assert (hollow[0][:, 0] == 0).all()
    assert sum(len(offsets) for offsets, _ in shown) == 4


def test_categories_get_a_line_each():
    data = np.array([["x"], ["y"], ["x"], [None], ["z"]], dtype=object)
    values = np.array([[0.1], [0.2], [0.3], [0.0], [-0.4]])
    shown = {line.text: np.sort(line.x).tolist() for line in lines(values, data, ["ward"])}
    assert shown == {"ward: x": [10, 30], "ward: y": [20], "ward: z": [-40], "ward: missing": [0]}


def test_rare_categories_share_a_line_and_none_is_lost():
    data = np.array([[letter] for letter in "aaaabbbccdefg"], dtype=object)
    shown = lines(np.arange(13.0)[:, None], data, ["ward"])
    assert [line.text for line in shown] == ["ward: a", "ward: b", "ward: c", "ward: 4 others"]
    assert sorted(x for line in shown for x in line.x) == [100 * i for i in range(13)]


def test_a_rest_of_one_column_keeps_its_name(table):
    values, data, names = table
    assert len(lines(values[:, :11], data[:, :11], names[:11], top=10)) == 11
    assert lines(values, data, names, top=10)[-1].text == "4 other columns, summed"


def test_dots_do_not_overlap_while_there_is_room():
    place = stack(np.zeros(5), width=1.0)
    assert sorted(place) == pytest.approx([-0.26, -0.13, 0, 0.13, 0.26])
    assert np.abs(stack(np.zeros(500), width=1.0)).max() == pytest.approx(0.4)
    assert (stack(np.array([0.0, 10.0]), width=1.0) == 0).all()


def density_law(draw):
    """Of 3,000 rows, each bin of a line is as tall as the root of its rows and has their mean colour."""
    r = np.random.default_rng(0)
    cells = r.integers(0, 2, (3000, 1)).astype(object)  # a low value lowers, a high one raises
    values = np.where(cells == 1, 0.2, -0.1).astype(float)
    values[:500], cells[:500] = 0.0, None
    figure = draw(values, cells, ["a"], "yes", limits=(-15.0, 25.0), uncertain=values > 0)
    assert dots(figure) == []
    shown = [c for c in figure.axes[0].collections if isinstance(c, matplotlib.collections.PolyCollection)]
    bins = {}
    for c in shown:
        for path, colour in zip(c.get_paths(), [*c.get_facecolors(), *[None] * 9], strict=False):
            (left, bottom), (right, top) = path.vertices.min(0), path.vertices.max(0)
            bins[round((left + right) / 2)] = (top - bottom, colour)
            assert (top + bottom) / 2 == pytest.approx(0)
    counts = {-10: (cells == 0).sum(), 0: 500, 20: (cells == 1).sum()}
    tallest = max(counts.values())
    assert bins.keys() == counts.keys()
    for x, rows in counts.items():
        assert bins[x][0] == pytest.approx(0.8 * (rows / tallest) ** 0.5)
    assert bins[0][1] is None and to_hex(bins[-10][1]) == to_hex(low_to_high()(0.0))
    assert to_hex(bins[20][1]) == to_hex(low_to_high()(1.0))
    assert (bins[-10][1][3], bins[20][1][3]) == pytest.approx((1.0, 0.3))


def test_many_rows_are_drawn_by_their_density():
    density_law(beeswarm)


@pytest.mark.parametrize("wrong", ["values", "cells", "rows"])
def test_density_law_fails_for_a_wrong_picture(wrong):
    def mutant(values, cells, *rest, uncertain, **more):
        if wrong == "values":
            values = -values
        if wrong == "cells":
            cells = np.where(cells == 1, 0, np.where(cells == 0, 1, None)).astype(object)
        kept = slice(700 * (wrong == "rows"), None)
        return beeswarm(values[kept], cells[kept], *rest, uncertain=uncertain[kept], **more)

    with pytest.raises(AssertionError):
        density_law(mutant)


def test_the_picture_of_many_rows_is_small():
    r = np.random.default_rng(0)
    sizes = [
        len(svg(beeswarm(r.normal(size=(n, 3)), r.normal(size=(n, 3)), ["a", "b", "c"], "yes"))) for n in (2000, 20000)
    ]
    assert sizes[1] < 1.2 * sizes[0] < 100_000


def test_beeswarm_refuses_no_rows():
    with pytest.raises(ValueError, match="values: got no rows"):
        beeswarm(np.zeros((0, 2)), np.zeros((0, 2)), ["a", "b"], "yes")


# --- waterfall


def waterfall_law(draw, values, base):
    """Bars start at the base, each where the last ended, and end at the prediction; colours follow the direction."""
    shown = bars(draw(values, base, list(range(len(values))), [f"column {j}" for j in range(len(values))], "yes"))
    at = 100 * base
    for start, width, colour in shown:
        assert start == pytest.approx(at)
        assert colour == (HIGHER if width > 0 else LOWER if width < 0 else NEUTRAL)
        at = start + width
    assert at == pytest.approx(100 * (base + values.sum()))
    assert len(shown) == min(len(values), 8)


VALUES = np.array([0.05, -0.2, 0.11, 0.004, -0.03, 0.02, 0.01, -0.008, 0.006, 0.001, 0.0])


@pytest.mark.parametrize("values", [VALUES, -VALUES, VALUES[:3], VALUES[:1]])
def test_waterfall_leads_from_base_to_prediction(values):
    waterfall_law(waterfall, values, 0.4)


def test_waterfall_law_fails_where_small_contributions_are_dropped():
    def forgetful(values, base, row, names, target):
        return waterfall(np.where(np.abs(values) < 0.02, 0, values), base, row, names, target)

    with pytest.raises(AssertionError):
        waterfall_law(forgetful, VALUES, 0.4)


def test_waterfall_law_fails_for_another_base():
    with pytest.raises(AssertionError):
        waterfall_law(lambda values, base, *rest: waterfall(values, base + 0.01, *rest), VALUES, 0.4)


def test_largest_contribution_comes_first_with_its_cell():
    figure = waterfall(np.array([0.01, -0.3]), 0.6, [5.0, None], ["age", "dose"], "yes")
    texts = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert texts == ["no column known", "dose\n= missing", "age\n= 5", "prediction"]
    assert {text.get_text() for text in figure.axes[0].texts} == {"60.0 %", "−30.0", "+1.0", "31.0 %"}


def test_a_line_joins_the_end_of_each_bar_to_the_next_line_and_crosses_no_other_bar():
    axes = waterfall(VALUES[:4], 0.4, list(range(4)), list("abcd"), "yes").axes[0]
    ends = [start + width for start, width, _ in bars(axes.figure)]
    joints = sorted((line.get_xydata() for line in axes.lines if len(line.get_xydata()) == 2), key=lambda xy: xy[1, 1])
    for height, (end, joint) in enumerate(zip([40, *ends], joints, strict=True)):
        assert joint[:, 0] == pytest.approx([end, end])
        assert height - 0.5 < joint[0, 1] <= height and joint[1, 1] == height + 1


def test_a_row_of_missing_cells_stays_at_the_base():
    (only,) = steps(np.zeros(4), 0.3)
    assert only == ((0, 1, 2, 3), 0.3, 0.3)
    figure = waterfall(np.zeros(4), 0.3, [None] * 4, list("abcd"), "yes")
    assert figure.axes[0].get_yticklabels()[1].get_text() == "all 4 columns,\nsummed"


@pytest.mark.parametrize("base", [0.0, 0.01, 0.99])
def test_waterfall_marks_no_impossible_probability(base):
    figure = waterfall(np.array([0.005, -0.005]), base, [1, 2], ["a", "b"], "yes")
    ticks = figure.axes[0].get_xticks()
    assert len(ticks) >= 1
    assert ticks.min() >= -1e-6
    assert ticks.max() <= 100 + 1e-6


# --- influence


def test_a_row_whose_deletion_lowers_the_prediction_pushed_it_up():
    figure = influence(np.array([-0.02, 0.05, 0.0]), ["row a", "row b", "row c"], "yes")
    assert [(width, colour) for _, width, colour in bars(figure)] == [
        (pytest.approx(2.0), HIGHER),
        (pytest.approx(-5.0), LOWER),
    ]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["row a", "row b"]


def test_the_number_beside_a_bar_has_its_sign_and_enough_digits():
    figure = influence(np.array([-0.02, 0.0002, -0.0003]), ["row a", "row b", "row c"], "yes")
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"+2.0", "−0.02", "+0.03"} <= texts
    nothing = influence(np.zeros(2), ["row a", "row b"], "yes")
    assert {text.get_text() for text in nothing.axes[0].texts} >= {"0.0"}


def test_strongest_rows_are_shown_once_and_by_size():
    push = np.array([0.5, -0.1, 0.2, -0.9, 0.0, 0.3])
    assert strongest(push, 2) == [0, 5, 1, 3]
    assert strongest(push, 10) == [0, 5, 2, 1, 3]
    assert strongest(np.zeros(6), 2) == [0, 1]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: influence(np.array([-0.02, 0.05]), ["a", "b"], "yes"),
        lambda: beeswarm(np.array([[0.1, -0.2]]), np.zeros((1, 2)), ["a", "b"], "yes"),
        lambda: bars_of_methods({"one": np.array([1.0, -2.0]), "two": np.array([3.0, 4.0])}, ["a", "b"]),
    ],
    ids=["influence", "beeswarm", "reasons"],
)
def test_a_line_marks_zero(draw):
    for axes in (axes for axes in draw().axes if axes.get_xlabel() or axes.get_title()):  # not a scale of colours
        (zero,) = [line.get_xdata() for line in axes.lines if list(line.get_ydata()) == [0, 1]]
        assert list(zero) == [0, 0]


def test_influence_refuses_no_training_rows():
    with pytest.raises(ValueError, match="no training rows"):
        influence(np.zeros(0), [], "yes")


# --- reliability


def test_bins_by_hand():
    p = np.array([0.05, 0.10, 0.15, 0.95, 1.0, 0.0])
    event = np.array([0, 1, 1, 1, 1, 0], dtype=bool)
    found = reliability_bins(p, event, bins=10)
    assert found.place.tolist() == [0, 1, 9]
    assert found.rows.tolist() == [3, 1, 2]  # 0.10 lies in the first bin, 0 too, and 1 in the last
    np.testing.assert_allclose(found.predicted, [0.05, 0.15, 0.975])
    np.testing.assert_allclose(found.frequency, [1 / 3, 1, 1])


def test_a_bin_has_the_interval_of_any_other_share():
    """The ends are those of Clopper and Pearson: the shares at which a tail of the binomial distribution is 2.5 %."""
    found = reliability_bins(np.array([0.3] * 20 + [0.9] * 3), np.array([True] * 6 + [False] * 14 + [True] * 3), bins=2)
    assert binom.sf(5, 20, found.low[0]) == pytest.approx(0.025) == binom.cdf(6, 20, found.high[0])
    assert (found.low[1], found.high[1]) == (pytest.approx(0.025 ** (1 / 3)), 1)


def test_a_bin_of_one_patient_s_visits_is_wider_than_one_of_as_many_patients():
    p, event = np.full(40, 0.3), np.arange(40) % 10 < 3
    alone, visits = (reliability_bins(p, event, 2, groups) for groups in (None, np.repeat(np.arange(10), 4)))
    same = reliability_bins(p, np.repeat(np.arange(10) < 3, 4), 2, np.repeat(np.arange(10), 4))
    assert alone.frequency == visits.frequency == same.frequency
    assert same.high - same.low > 1.5 * (alone.high - alone.low)


def test_curve_shows_the_bins():
    p, event = np.array([0.2, 0.25, 0.9, 0.8]), np.array([False, True, True, True])
    figure = reliability(p, event, "yes", bins=2)
    curve = figure.axes[0].lines[1]
    x, y = figure.axes[0].lines[0].get_data()
    assert np.array_equal(x, y) and (x[0], x[-1]) == (0, 100)  # said in per cent = seen in per cent
    np.testing.assert_allclose(curve.get_xdata(), [22.5, 85])
    np.testing.assert_allclose(curve.get_ydata(), [50, 100])
    assert [bar.get_height() for bar in figure.axes[1].patches] == [2, 2]
    assert [text.get_text() for text in figure.axes[1].texts] == ["2", "2"]


def test_reliability_refuses_no_rows():
    with pytest.raises(ValueError, match="got no rows"):
        reliability(np.zeros(0), np.zeros(0, dtype=bool), "yes")


# --- learning curve


def test_learning_curve_marks_what_is_not_finite():
    figure = learning_curve([1, 2, 3], [1.0, math.nan, 0.5], "loss")
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [1.0, 0.5])
    assert [line.get_xdata()[0] for line in axes.lines[1:]] == [2]
    assert axes.get_yscale() == "linear"
    falling = list(np.geomspace(1000, 1, 10))
    assert learning_curve(range(10), falling, "loss").axes[0].get_yscale() == "log"
    assert learning_curve(range(9), falling[:9], "loss").axes[0].get_yscale() == "linear"  # too few to see a shape


def test_running_median_ignores_a_spike():
    y = np.ones(100)
    y[50] = 1e6
    assert (smooth(y) == 1).all()
    np.testing.assert_allclose(smooth(np.arange(100.0))[10:-10], np.arange(100.0)[10:-10])


# --- text and numbers


def test_drawn_text_is_taken_literally():
    """A `$` is no mathematics, and a character that no font has neither warns nor fails."""
    names = ["$x_1$ in $", "a\nb\tc", "\U000f0000\x07", "年齢"]
    figure = beeswarm(np.ones((3, 4)), np.ones((3, 4)), names, "$5 or $6")
    drawn = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert drawn[:2] == [r"\$x_1\$ in \$", "a b c"]
    assert drawn[2] == "□□"
    assert svg(figure).startswith(b"<?xml")


def test_long_names_can_be_told_apart():
    names = [f"laboratory measurement number {i} of the second visit" for i in range(3)]
    short = distinct(names, 20)
    assert len(set(short)) == 3
    assert all(len(name) <= 20 for name in short)
    assert distinct(["heart rateabc in the morning", "heart rateabd in the morning"], 13) == [
        "hear…rateabc…",
        "hear…rateabd…",
    ]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([1, 2.5, None], [1, 2.5, math.nan]),
        ([np.float32(1), np.int64(2)], [1, 2]),
        (["1", "2"], None),
        ([True, False], None),
        ([1.0, "unknown"], None),
        ([None, math.nan], [math.nan, math.nan]),
    ],
)
def test_numbers_and_categories_are_told_apart(column, expected):
    found = as_floats(np.array(column, dtype=object))
    if expected is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.0, "0"), (1e-7, "1e−07"), (1e16, "1e+16"), (np.inf, "inf"), (None, "missing"), (True, "True")),
        *((12.5, "12.5"), (1234.56, "1235"), (-7, "−7"), (0.123456, "0.1235")),
        *((2139, "2139"), (2139.0, "2139"), (10001, "10001"), ("02139", "02139")),  # zip codes
        *(
            (2024, "2024"),
            (5551234567.0, "5551234567"),
            (np.int64(-1000000), "−1000000"),
            (10**17 + 1, "100000000000000001"),
        ),
    ],
)
def test_cells_are_written_as_they_came(value, text):
    assert cell(value) == text


def test_colours_differ_for_the_colour_blind():
    """Blue and orange keep their distance for a deuteranope (Viénot 1999): red and green would not."""
    assert _deuteranope_distance(HIGHER, LOWER) > 0.5
    assert _deuteranope_distance("#d62728", "#7a7a00") < 0.2


def test_figures_leave_pyplot_alone():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    beeswarm_picture(np.ones((2, 2)), np.ones((2, 2)), ["a", "b"], "yes")
    assert plt.get_fignums() == before


def test_svg_is_reproducible():
    pictures = [svg(waterfall(VALUES, 0.4, list(VALUES), [f"c{j}" for j in range(11)], "yes")) for _ in range(2)]
    assert pictures[0] == pictures[1]


def test_labels_stay_inside_the_picture(table):
    """Nothing that is written is cut off at the edge of the canvas."""
    values, data, names = table
    names = [f"a rather long column name, number {j}" for j in range(14)]
    for figure in (
        beeswarm(values, data, names, "a class with a long name"),
        waterfall(values[0] / 10, 0.5, list(data[0]), names, "a class with a long name"),
        influence(values[0], [f"row {j}: a class with a long name" for j in range(14)], "a class with a long name"),
        reliability(np.linspace(0, 1, 30), values[:, 0] > 0, "a class with a long name"),
    ):
        figure.savefig(io.BytesIO(), format="png")
        canvas = figure.bbox.padded(1)
        for text in figure.findobj(lambda artist: hasattr(artist, "get_text") and artist.get_text().strip()):
            if text.get_visible() and text.axes is not None and _in_view(text):
                box = text.get_window_extent()
                assert canvas.x0 <= box.x0 and box.x1 <= canvas.x1, text.get_text()
                assert canvas.y0 <= box.y0 and box.y1 <= canvas.y1, text.get_text()


def test_rank_colours_agree_with_scipy(table):
    values, data, names = table
    (line,) = lines(values[:, :1], data[:, :1], names[:1])
    assert spearmanr(line.shade, data[:, 0].astype(float)).statistic == pytest.approx(1)
    assert (line.shade.min(), line.shade.max()) == (0, 1)


def test_label_is_short_enough():
    assert len(label("x" * 100, 24)) == 24


@pytest.mark.parametrize("cut", [shorten, label, lambda text, limit: distinct([text], limit)[0]])
def test_a_text_of_just_the_limit_is_not_cut(cut):
    assert cut("abcdefgh", 8) == "abcdefgh"
    assert cut("abcdefghi", 8) == "abcdefg…"


def _in_view(text):
    """Leave out tick labels beyond the axis, which matplotlib keeps but does not draw."""
    axes = text.axes
    x_ticks, y_ticks = axes.get_xticklabels(), axes.get_yticklabels()
    if text in x_ticks:
        return axes.get_xlim()[0] <= text.get_position()[0] <= axes.get_xlim()[1]
    return text not in y_ticks or min(axes.get_ylim()) <= text.get_position()[1] <= max(axes.get_ylim())


def _deuteranope_distance(first, second):
    """Return the distance of two colours in linear RGB as seen without the middle-wavelength cones."""
    from matplotlib.colors import to_rgb

    lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    blind = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
    seen = [np.linalg.inv(lms) @ blind @ lms @ (np.array(to_rgb(colour)) ** 2.2) for colour in (first, second)]
    return float(np.linalg.norm(seen[0] - seen[1]))
