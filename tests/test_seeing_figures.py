"""Pictures of the inside: what is drawn is what was found, frames share their scales, and the slider slides."""

import functools
import html
import importlib
import pathlib
import re
from collections.abc import Callable

import browser
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb
from torch import nn

from mapsto import figures, reports, seeing
from mapsto.episodes import Episode, examples
from mapsto.errors import MapstoError
from mapsto.explainers import Gradient
from mapsto.figures import film as pictures
from mapsto.figures.attributions import attributions
from mapsto.figures.colours import ZERO, around_zero, of_class
from mapsto.figures.film import chosen
from mapsto.figures.style import HIGHER, LOWER
from mapsto.figures.svg import svg
from mapsto.learners import MAML
from mapsto.models import MLP
from mapsto.reports.film import POLICY, SCRIPT, overview, slider
from mapsto.reports.run import write_run_report
from mapsto.seeing.film import Film
from mapsto.seeing.layers import Features
from mapsto.seeing.similarity import Similarity, cka_over
from mapsto.seeing.units import Units


@functools.cache
def film(kind: str, steps: int = 7) -> Film:
    """Film a learner of one feature ("curve", "scores"), of two ("regions", "heights"), of five, or of images."""
    torch.manual_seed(0)
    d = {"curve": 1, "scores": 1, "regions": 2, "heights": 2, "rows": 5, "answers": 5, "image": 16}[kind]
    classes = kind in ("scores", "regions", "rows", "image")
    x = torch.randn(24, d)
    y = torch.arange(24) % 3 if classes else x[:, :1].sin()
    x = x.reshape(24, 1, 4, 4) if kind == "image" else x
    learner = MAML(MLP(d, 8, 3 if classes else 1), loss="cross_entropy" if classes else "mse", lr=0.1, steps=steps)
    return seeing.film(learner, Episode(examples(x[:12], y[:12]), examples(x[12:], y[12:])), Gradient(), points=9)


KINDS = ["curve", "scores", "regions", "heights", "rows", "answers", "image"]


# --- the film


def line(axes: object, name: str) -> tuple[np.ndarray, np.ndarray]:
    return next(line.get_data() for line in axes.lines if line.get_label() == name)


def curve_law(draw: Callable) -> None:
    for i in (0, 3, 7):
        x, y = line(draw(film("curve"), i).axes[0], "the model")
        np.testing.assert_allclose(x, film("curve").grid[:, 0])
        np.testing.assert_allclose(y, film("curve").surface[i, :, 0])
    assert (film("curve").surface[7] - film("curve").surface[0]).abs().max() > 0.1


def test_the_curve_is_what_the_model_says_at_that_step() -> None:
    curve_law(pictures.film_outputs)


def test_a_picture_of_another_step_is_found_out() -> None:
    with pytest.raises(AssertionError):
        curve_law(lambda film, i: pictures.film_outputs(film, max(i - 1, 0)))


def test_each_class_has_a_curve_of_its_score_in_its_colour() -> None:
    shown = film("scores")
    drawn = pictures.film_outputs(shown, 3, ["lived", "died", "left"]).axes[0].lines
    for k, (curve, name) in enumerate(zip(drawn, ["lived", "died", "left"], strict=True)):
        np.testing.assert_allclose(curve.get_ydata(), shown.surface[3, :, k])
        assert (curve.get_label(), curve.get_color()) == (f"score of {name}", of_class(k)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_all_frames_have_the_same_scales(kind: str) -> None:
    shown = film(kind)
    for draw in (
        pictures.film_outputs,
        pictures.film_losses,
        pictures.film_path,
        pictures.film_layers,
        pictures.film_reasons,
    ):
        limits = [[(axes.get_xlim(), axes.get_ylim()) for axes in draw(shown, i).axes] for i in (0, 4, 7)]
        assert limits[0] == limits[1] == limits[2], draw.__name__


@pytest.mark.parametrize("kind", KINDS)
def test_the_strip_has_at_most_six_frames_from_the_first_to_the_last(kind: str) -> None:
    drawn = pictures.film_strip(film(kind))
    titles = [axes.get_title(loc="left") for axes in drawn.axes if axes.get_title(loc="left")]
    assert [int(re.match(r"step (\d+),", title)[1]) for title in titles] == [0, 1, 3, 4, 6, 7]
    assert svg(drawn).startswith(b"<?xml")


def test_a_short_film_is_shown_whole() -> None:
    assert chosen(1, 6) == [0] and chosen(3, 6) == [0, 1, 2] and len(chosen(100, 6)) == 6
    assert len(pictures.film_strip(film("curve", 2)).axes) == 3


def test_regions_are_those_of_the_highest_score() -> None:
    shown = film("regions")
    image = pictures.film_outputs(shown, 5).axes[0].images[0].get_array()  # [second feature, first feature, rgb]
    winner = shown.surface[5].argmax(-1).reshape(9, 9).T
    assert len(winner.unique()) > 1
    for c in winner.unique():
        assert len(np.unique(np.asarray(image)[winner == c], axis=0)) == 1
    assert len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) == len(winner.unique())


def test_losses_and_the_place_on_the_way_are_marked() -> None:
    shown = film("rows")
    marks = [line for line in pictures.film_losses(shown, 3).axes[0].lines if line.get_marker() == "o"]
    assert [float(mark.get_ydata()[0]) for mark in marks] == [float(shown.support_loss[3]), float(shown.query_loss[3])]
    x, y = line(pictures.film_path(shown, 3).axes[0], "this step")
    np.testing.assert_allclose([x[0], y[0]], shown.path[3])


def test_reasons_are_bars_or_pixels_around_a_neutral_zero() -> None:
    bars = pictures.film_reasons(film("rows"), 4).axes[0].patches
    values = film("rows").attribution[4]
    np.testing.assert_allclose([bar.get_width() for bar in bars], values)
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [HIGHER if v > 0 else LOWER for v in values]
    image = pictures.film_reasons(film("image"), 4).axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), film("image").attribution[4, 0])
    assert image.norm.vmin == -image.norm.vmax and to_hex(image.cmap(image.norm(0.0))) == ZERO
    with pytest.raises(ValueError, match="film: got one without attributions"):
        pictures.film_reasons(film("rows")._replace(attribution=None), 0)


def test_reasons_of_probabilities_are_percentage_points() -> None:
    shown = film("rows")
    shares = shown._replace(predictions=shown.predictions.softmax(-1))
    axes = pictures.film_reasons(shares, 4).axes[0]
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], 100 * shown.attribution[4], rtol=1e-6)
    assert axes.get_xlabel() == "percentage points"
    assert pictures.film_reasons(shown, 4).axes[0].get_xlabel() == "in units of the score"


def test_bars_beyond_twelve_are_summed_and_none_is_lost() -> None:
    shown = film("rows")._replace(attribution=torch.randn(8, 30))
    bars = pictures.film_reasons(shown, 2).axes[0].patches
    assert len(bars) == 12
    assert sum(bar.get_width() for bar in bars) == pytest.approx(float(shown.attribution[2].sum()), abs=1e-5)


def test_the_lead_of_the_true_class_is_told_right_from_wrong() -> None:
    shown = film("rows")
    right = shown.predictions[7].argmax(-1) == shown.query.y
    bars = [(bar.get_width(), to_hex(bar.get_facecolor())) for bar in pictures.film_outputs(shown, 7).axes[0].patches]
    assert sum(width > 0 for width, _ in bars) == int(right.sum()) not in (0, len(right))
    assert all(colour == (HIGHER if width > 0 else LOWER) for width, colour in bars)


def test_query_rows_keep_their_place_in_every_frame_and_the_last_frame_sorts_them() -> None:
    shown = film("rows")
    own = shown.predictions.gather(2, shown.query.y.expand(8, -1)[..., None])
    others = shown.predictions.masked_fill(nn.functional.one_hot(shown.query.y, 3).bool(), -torch.inf)
    leads = (own[..., 0] - others.amax(-1)).numpy()  # [steps + 1, rows]
    order = np.argsort(-leads[-1])
    assert list(order) != list(np.argsort(-leads[1])) != list(np.argsort(leads[1]))
    for step in (0, 3, 7):
        bars = sorted(pictures.film_outputs(shown, step).axes[0].patches, key=lambda bar: bar.get_y())
        np.testing.assert_allclose([bar.get_width() for bar in bars], leads[step][order], rtol=1e-5)


def test_a_layer_without_a_gradient_does_not_change_the_scale_of_the_others() -> None:
    def scale(*norms: float) -> tuple[str, tuple[float, float]]:
        wide = torch.tensor(norms).expand(8, -1)
        shown = film("rows")._replace(gradient_norm=wide, rates=wide, layers=("a", "b", "c"))
        left = pictures.film_layers(shown, 0).axes[0]
        return left.get_xscale(), left.get_xlim()

    assert scale(0.0, 1e-3, 1.0) == scale(1e-3, 1e-3, 1.0) == ("log", (pytest.approx(5e-4), 2))
    assert scale(0.0, 0.25, 25.0) == ("linear", (0, pytest.approx(26.25)))  # up to two orders of magnitude


def test_a_line_marks_zero() -> None:
    table = attributions(np.ones((1, 2)), {"one": np.array([[1.0, -2.0]])}, ["row"])
    for drawn in (
        pictures.film_outputs(film("rows"), 3).axes[0],
        pictures.film_layers(film("rows"), 3).axes[1],
        pictures.film_reasons(film("rows"), 3).axes[0],
        table.axes[0],
    ):
        (zero,) = [line.get_xdata() for line in drawn.lines if list(line.get_ydata()) == [0, 1]]
        assert list(zero) == [0, 0]


# --- the page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("film") / "film.html"
    return reports.write_film(path, film("regions", 3), "A <film>", classes=["<b>", "$", "quince"]).read_text()


def test_the_page_needs_nothing_else_and_escapes_names(page: str) -> None:
    text = page
    assert "A &lt;film&gt;" in text and "<b>" not in text
    assert re.findall(r"(?:src|href)=\"(?!data:)", text) == []
    assert not re.findall(r"https?://", re.sub(r'src="data:[^"]*"', "", text))
    assert text.count("<script>") == 1 and f"<script>{SCRIPT}</script>" in text
    assert f"script-src {POLICY}" in re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert all(alt for alt in re.findall(r'<img [^>]*alt="([^"]*)"', text))


def test_without_scripts_the_first_frame_alone_is_seen(page: str) -> None:
    frames = re.findall(r'<div class="frame grid" data-label="([^"]*)"( hidden)?>', page)
    assert len(frames) == 4 and frames[0][0].startswith("Step 0 of 3: support loss ")
    assert [bool(hidden) for _, hidden in frames] == [False] + [True] * 3
    assert '<p class="controls" hidden>' in page


def test_a_long_film_shows_thirteen_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("mapsto.reports.film"), "_pictures", lambda *given: [])  # many
    text = slider(film("curve", 40))
    assert text.count("data-label") == 13 and 'max="12"' in text and "Step 40 of 40" in text


def test_a_page_without_a_slider_lets_no_script_run(tmp_path) -> None:
    text = write_run_report(tmp_path / "r.html", title="run", metrics=[], config="").read_text()
    assert "script-src" not in text and "<script" not in text


def browse(folder, text: str) -> str:
    """Return the page as a browser has it after its scripts ran."""
    (folder / "page.html").write_text(text)
    return browser.run(folder / "page.html", "--dump-dom", budget=5000, timeout=240).stdout


MOVE = """
const slider = document.querySelector("[data-film] input");
slider.value = 2; slider.dispatchEvent(new Event("input"));
"""


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome is installed: the slider is not moved")
def test_the_slider_shows_one_frame_and_says_which(tmp_path, page: str) -> None:
    moved = page.replace("</script>", f"</script><script>{MOVE}</script>")
    moved = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", moved)  # our own, to move it
    seen = browse(tmp_path, moved)
    frames = re.findall(r'<div class="frame grid" data-label="([^"]*)"( hidden="")?>', seen)
    assert [bool(hidden) for _, hidden in frames] == [i != 2 for i in range(4)]
    assert html.escape(frames[2][0]) in re.search(r"<output>(.*?)</output>", seen)[1]
    assert f'aria-valuetext="{frames[2][0]}"' in seen


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome is installed: the slider is not moved")
def test_the_policy_lets_this_script_run_and_no_other(tmp_path, page: str) -> None:
    assert '<p class="controls">' in browse(tmp_path, page)
    assert '<p class="controls" hidden="">' in browse(tmp_path, page.replace("show();\n}", "show(); \n}"))


def test_the_words_say_whether_later_steps_helped() -> None:
    shown = film("rows")
    falls, rises = torch.tensor([3.0, 2, 1, 0.5]), torch.tensor([3.0, 1, 2, 2.5])
    tell = lambda support, query: overview(shown._replace(support_loss=support, query_loss=query, path=shown.path[:4]))  # noqa: E731
    assert len(tell(falls, falls)) == 1 and "from 3 to 0.5" in tell(falls, falls)[0]
    assert tell(falls, falls)[0].startswith("In 3 inner steps ") and len(tell(falls, falls.flip(0))) == 1
    assert "lowest at step 1: what came after it fitted the support set only" in tell(falls, rises)[1]
    assert "lowest at step 1: what came after it made both worse" in tell(rises, rises)[1]


# --- the other pictures


def way() -> tuple[MAML, Episode, Features]:
    torch.manual_seed(0)
    x = torch.randn(30, 2)
    y = (x[:, 0] > 0).long()
    task = Episode(examples(x[:10], y[:10]), examples(x[10:], y[10:]))
    learner = MAML(MLP(2, 8, 2), lr=0.3, steps=3)
    return learner, task, seeing.features_over(learner, seeing.iterates(learner, task.support).states, task.query.x)


@pytest.mark.parametrize("of", ["gradients", "updates"])
def test_histograms_show_every_entry(of: str) -> None:
    learner, task, _ = way()
    found = seeing.gradient_histograms(learner, task.support, bins=12)
    drawn = figures.draw(found, of=of)
    assert drawn.axes[-1].get_xlabel() == f"size of the {of.removesuffix('s')}, log₁₀"
    zero = found.zero_gradients if of == "gradients" else found.zero_updates
    assert 0 < zero.max() < 1
    steps = chosen(len(zero), 4)
    for j, axes in enumerate(drawn.axes):
        for patch, i in zip(axes.patches, steps, strict=True):
            assert patch.get_data().values.sum() + 100 * float(zero[i, j]) == pytest.approx(100, abs=1e-3)


def test_histograms_of_no_update_are_refused() -> None:
    learner, task, _ = way()
    learner.steps = 0
    found = seeing.gradient_histograms(learner, task.support)
    assert figures.draw(found)
    with pytest.raises(ValueError, match="of: got 'updates' of an adaptation without steps"):
        figures.draw(found, of="updates")


def test_the_matrix_is_drawn_as_it_is_with_zero_neutral() -> None:
    found = cka_over(way()[2])
    image = figures.draw(found).axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), found.matrix)
    assert to_hex(image.cmap(image.norm(0.0))) == ZERO
    assert to_hex(around_zero()(np.nan)) not in (ZERO, HIGHER, LOWER)
    labels = [label.get_text() for label in figures.draw(found).axes[0].get_yticklabels()]
    assert labels == list(found.layers)


def test_a_small_matrix_has_its_numbers_written() -> None:
    found = cka_over({name: f[[0]] for name, f in way()[2].items()})
    texts = [text.get_text() for text in figures.draw(found).axes[0].texts]
    assert texts == [f"{value:.2f}" for value in found.matrix.flatten().tolist()]


def contrast(first: object, second: object) -> float:
    """Return the contrast of two colours from 1 to 21, by the Web Content Accessibility Guidelines 2.2."""
    low, high = sorted(
        float((((np.array(to_rgb(colour)) + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])
        for colour in (first, second)
    )
    return (high + 0.05) / (low + 0.05)


def test_numbers_can_be_read_on_every_colour() -> None:
    axes = figures.draw(Similarity(tuple("abcdef"), 1, torch.linspace(-1, 1, 36).reshape(6, 6))).axes[0]
    cells = axes.images[0].to_rgba(axes.images[0].get_array()).reshape(36, 4)
    least = min(contrast(text.get_color(), cell[:3]) for text, cell in zip(axes.texts, cells, strict=True))
    assert least > 3.5


def test_rows_lie_where_the_embedding_has_them() -> None:
    _, task, features = way()
    found = seeing.embedding(features["2"][0], features["2"][-1], task.query.y)
    drawn = figures.draw(found, classes=["low", "high"])
    for axes, points, pure in zip(drawn.axes, (found.before, found.after), found.purity, strict=True):
        for c in (0, 1):
            np.testing.assert_allclose(np.stack(axes.lines[c].get_data(), 1), points[found.y == c])
        assert f"purity {100 * pure:.0f} %" in axes.get_title(loc="left")
    assert drawn.axes[0].get_xlim() == drawn.axes[1].get_xlim()
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["low", "high"]


def test_probes_lie_at_their_accuracy() -> None:
    _, task, features = way()
    found = seeing.probes(features, task.query.y)
    containers = figures.draw(found).axes[0].containers
    for bars, i in zip(containers, (0, -1), strict=True):
        np.testing.assert_allclose(bars.lines[0].get_xdata(), 100 * found.accuracy[:, i], rtol=1e-5)
    alone = found._replace(accuracy=found.accuracy[:, :1])
    assert len(figures.draw(alone).axes[0].containers) == 1


def test_units_are_drawn_by_their_share() -> None:
    found = {"a": Units(torch.zeros(4), torch.tensor([True, False, False, False]), torch.tensor([False] * 3 + [True]))}
    widths = [bar.get_width() for bar in figures.draw(found).axes[0].patches]
    assert widths == [25, 25]
    assert figures.draw(found).axes[0].texts[0].get_text() == "2 of 4"


def test_changes_are_drawn_in_per_cent() -> None:
    learner, task, _ = way()
    found = seeing.changes(learner, task.support, task.query.x)
    top, bottom = figures.draw(found).axes
    np.testing.assert_allclose([bar.get_width() for bar in top.patches], 100 * found.parameters[-1], rtol=1e-5)
    np.testing.assert_allclose([bar.get_width() for bar in bottom.patches], 100 * found.features[-1], rtol=1e-5)
    nothing = found._replace(parameters=found.parameters * float("nan"))
    assert {text.get_text() for text in figures.draw(nothing).axes[0].texts} == {"from 0"}


def test_what_a_unit_likes_is_drawn() -> None:
    learner = MAML(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)))
    state = learner.adapt(examples(torch.randn(4, 1, 4, 4), torch.tensor([0, 1, 0, 1])))
    found = seeing.maximise(seeing.unit(learner, state, "1", 0), torch.zeros(1, 4, 4), steps=5)
    drawn = figures.draw(found)
    np.testing.assert_allclose(drawn.axes[0].images[0].get_array(), found.x[0])
    assert f"The unit says {float(found.value):.3g}" in drawn._suptitle.get_text()


@pytest.mark.parametrize("given", [{"names": ["one"]}, {"classes": ["one", "two"]}])
def test_a_page_with_too_few_names_is_refused(given: dict, tmp_path: pathlib.Path) -> None:
    ((name, names),), shown = given.items(), film("regions", 3)
    with pytest.raises(MapstoError, match=f"{name}: got {len(names)}, expected "):
        reports.write_film(tmp_path / "film.html", shown, "A film", **given)


def test_a_similarity_says_its_measure() -> None:
    features = way()[2]
    bars = [figures.draw(over(features)).axes[1].get_ylabel() for over in (cka_over, seeing.rsa_over)]
    assert [bar.partition(":")[0] for bar in bars] == ["linear CKA", "RSA"]


def test_options_that_do_not_fit_are_refused() -> None:
    preferred = seeing.maximise(lambda x: x.sum(), torch.zeros(4), steps=1)
    with pytest.raises(MapstoError, match=r"^names: got 1 names"):
        figures.draw(preferred, names=["a"])
    learner, episode, _ = way()
    with pytest.raises(MapstoError, match=r"^of: got 'zzz'"):
        figures.draw(seeing.gradient_histograms(learner, episode.support), of="zzz")
    with pytest.raises(MapstoError, match=r"^result: got list"):
        figures.draw([1])
