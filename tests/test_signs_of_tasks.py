"""Signs and units of what a run's report and `mapsto explain RUN` tell of one task: numbers by hand, found as read.

Two queries of two columns, three teaching examples; once with classes, once with numbers.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from torch import nn

from mapsto import views
from mapsto.commands.explain_run import query_line
from mapsto.episodes import Episode, examples, unstack
from mapsto.estimate import Estimate
from mapsto.explainers.learned.attribution import PairwiseAttribution
from mapsto.figures.style import GRID, HIGHER, INK, LOWER
from mapsto.figures.svg import plain_style
from mapsto.joint import SelfExplaining
from mapsto.learners import InContext, Learner, PrototypicalNetwork, RidgeHead
from mapsto.measures.faithfulness.trust import Trust
from mapsto.models import SetTransformer
from mapsto.reports import page
from mapsto.reports.run_folder import with_interval
from mapsto.reports.task.answer import Reasons, TaskAnswer, Teaching
from mapsto.reports.task.features import query_reasons
from mapsto.reports.task.question import task_question
from mapsto.reports.task.sections import _drawn, sections
from mapsto.reports.task.teaching import change, draw_images
from mapsto.tasks import Tables

SHAPLEY = np.array([[0.30, -0.05], [-0.10, 0.02]])
CELLS = np.array([[0.02, -0.01], [0.0, -0.03], [0.04, 0.0]])
TRUST = {
    "gap": Trust(Estimate(0.5, 0.1), Estimate(-0.2, 0.1), Estimate(0.3, 0.1)),
    "infidelity": Trust(Estimate(0.02, 0.01), Estimate(0.4, 0.1), Estimate(0.6, 0.1)),
    "max-sensitivity": Trust(Estimate(0.7, 0.2), None, None),
}
CLASSES = TaskAnswer(
    "test task 0", "MAML", np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 1]), np.array([[0.2, 0.8], [0.7, 0.3]]),
    np.array([[1.0, 1.0], [5.0, 5.0], [2.0, 3.0]]), np.array([0, 1, 1]), ["lived", "died"], ["age", "dose"],
    reasons=Reasons({"Shapley": SHAPLEY}, {"Shapley": "Shares."}, {"Shapley": TRUST}, {}),
    teaching=Teaching(0, CELLS, np.array([0.04, -0.06, 0.001]), True),
)  # fmt: skip
NUMBERS = replace(
    CLASSES, y=np.array([[1.0], [0.0]]), outputs=np.array([[1.5], [-0.25]]), classes=None,
    support_y=np.array([[0.5], [2.0], [-1.0]]),
)  # fmt: skip

Told = tuple[dict, list[tuple[str, Figure]]]


def told(facts: TaskAnswer) -> Iterator[Told]:
    """Yield what the page says of the task, and its pictures with what is said of them."""
    drawn: list[tuple[str, Figure]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "picture", lambda figure, alt: drawn.append((alt, figure)) or alt)
        with plain_style():
            yield sections(facts), drawn


@pytest.fixture(scope="module")
def classes() -> Iterator[Told]:
    yield from told(CLASSES)


@pytest.fixture(scope="module")
def numbers() -> Iterator[Told]:
    yield from told(NUMBERS)


def bars(axes: object) -> list[tuple[float, str]]:
    """Return length and colour of the bars from top to bottom."""
    found = sorted(axes.patches, key=lambda bar: bar.get_y())
    return [(round(bar.get_width(), 9), to_hex(bar.get_facecolor())) for bar in found]


def figure(told: Told, begins: str) -> Figure:
    return next(figure for alt, figure in told[1] if alt.startswith(begins))


# --- the report's words


def test_the_answers_are_told_right_from_wrong(classes: Told, numbers: Told) -> None:
    assert "it put 1 in the right class" in classes[0]["about"]
    rows = classes[0]["answers"]["rows"]
    assert [(row["answer"], row["truth"], row["right"]) for row in rows] == [
        ("died, 80 %", "died", True),
        ("lived, 70 %", "died", False),
    ]
    assert "it was off by 0.375 on average" in numbers[0]["about"]
    rows = numbers[0]["answers"]["rows"]
    assert [(row["answer"], row["truth"], row["off"]) for row in rows] == [
        ("1.5", "1", "+0.5"),
        ("−0.25", "0", "−0.25"),
    ]


def test_what_an_example_gave_has_its_sign_and_unit(classes: Told, numbers: Told) -> None:
    assert classes[0]["teaching"]["most"] == "The example that did most is number 1, of died: −6.0 points."
    assert numbers[0]["teaching"]["most"] == "The example that did most is number 1, with target 2: −0.06."
    assert "number 1, of died (−6.0 points) and number 0, of lived (+4.0 points)" in next(
        alt for alt, _ in classes[1] if alt.startswith("Teaching")
    )
    assert classes[0]["unit"] == "percentage points" and numbers[0]["unit"] == "units of output"


def test_trust_is_told_with_its_interval_and_beside_its_baselines(classes: Told) -> None:
    trust = classes[0]["trust"]
    assert trust["rows"] == [
        ("Shapley", ["0.5 ± 0.1", "0.02 ± 0.01", "0.7 ± 0.2"]),
        ("(random values)", ["−0.2 ± 0.1", "0.4 ± 0.1", "–"]),
        ("(size of the input)", ["0.3 ± 0.1", "0.6 ± 0.1", "–"]),
    ]
    assert trust["heads"] == [
        ("Insertion − deletion", "larger is better"),
        ("Infidelity", "smaller is better"),
        ("Max-sensitivity", "smaller is better"),
    ]
    axes = figure(classes, "Insertion").axes[0]
    ends, dot, random, size = (line.get_xdata() for line in axes.lines)
    np.testing.assert_allclose([*ends, *dot, random[0], size[0]], [0.4, 0.6, 0.5, -0.2, 0.3])


def test_an_evaluation_is_told_with_its_interval() -> None:
    assert with_interval({"mean": -0.25, "interval": 0.125}) == "-0.2500 ± 0.1250"


# --- the report's pictures


def test_bars_have_the_unit_and_colour_of_what_they_show(classes: Told, numbers: Told) -> None:
    for facts, scale, unit in ((classes, 100, "percentage points"), (numbers, 1, "units of output")):
        assert facts[0]["unit"] == unit and figure(facts, "Heatmap: what each cell").axes[1].get_ylabel().count(unit)
        reasons = [figure(facts, f"Signed bars: why the model says {said}") for said in facts_answers(facts)]
        assert [bars(one.axes[0]) for one in reasons] == [
            [(0.30 * scale, HIGHER), (-0.05 * scale, LOWER)],
            [(-0.10 * scale, LOWER), (0.02 * scale, HIGHER)],
        ]
        examples = figure(facts, "Teaching examples that did most").axes[0]
        assert bars(examples) == [(-0.06 * scale, LOWER), (0.04 * scale, HIGHER), (0.001 * scale, HIGHER)]
        cells = figure(facts, "Heatmap: what each cell").axes[0].images[0]
        np.testing.assert_allclose(cells.get_array(), scale * CELLS[[1, 0, 2]])
        assert [to_hex(cells.cmap(cells.norm(v))) for v in (-0.04 * scale, 0.04 * scale)] == [LOWER, HIGHER]


def facts_answers(told: Told) -> list[str]:
    return [row["answer"] for row in told[0]["answers"]["rows"]]


def test_numbers_beside_the_bars_are_per_cent(classes: Told) -> None:
    axes = figure(classes, "What the adapted model says").axes
    assert [[text.get_text() for text in one.texts] for one in axes] == [["20", "80"], ["70", "30"]]
    assert [one.get_title(loc="left") for one in axes] == ["query 0: right", "query 1: wrong"]


def test_answers_that_are_numbers_lie_over_what_is_true(numbers: Told) -> None:
    points = figure(numbers, "What the adapted model says").axes[0].lines[1]
    np.testing.assert_allclose(points.get_xdata(), [1, 0])
    np.testing.assert_allclose(points.get_ydata(), [1.5, -0.25])


def test_a_curve_runs_where_the_model_says_and_ends_at_what_is_true() -> None:
    grid = np.linspace(0, 4, 5)[:, None]
    facts = replace(NUMBERS, x=NUMBERS.x[:, :1], support_x=NUMBERS.support_x[:, :1], curve=np.hstack([grid, -2 * grid]))
    axes = _drawn(facts).axes[0]
    model, taught, true = axes.lines[:3]
    np.testing.assert_allclose(model.get_ydata(), -2 * grid[:, 0])
    np.testing.assert_allclose(np.stack(taught.get_data()), [[1, 5, 2], [0.5, 2, -1]])
    np.testing.assert_allclose(np.stack(true.get_data()), [[1, 3], [1, 0]])
    gaps = [np.asarray(segment)[:, 1].tolist() for segment in axes.collections[0].get_segments()]
    assert gaps == [[1, 1.5], [0, -0.25]]


def test_teaching_images_have_frames_and_numbers_of_what_they_gave() -> None:
    images = np.random.default_rng(0).random((3, 1, 4, 4))
    facts = replace(CLASSES, x=images[:2], support_x=images, columns=[])
    teaching = Teaching(0, np.where(np.arange(16).reshape(4, 4) == 0, 0.2, -0.1) * np.ones((3, 1, 1, 1)),
                    np.array([0.04, -0.06, 0.0001]), True)  # fmt: skip
    drawn = draw_images(facts, teaching)
    panels = [axes for axes in drawn.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [
        "query 0\ndied, 80 %", "0: lived\n+4.0 points", "1: died\n−6.0 points", "2: died\n0.0 points",
    ]  # fmt: skip
    frames = [to_hex(axes.spines["top"].get_edgecolor()) for axes in panels]
    assert frames[:3] == [INK, HIGHER, LOWER] and frames[3] not in (HIGHER, LOWER, GRID)
    heat = panels[1].images[1]
    colours = [to_hex(heat.cmap(heat.norm(v))) for v in (1, -1)]
    assert heat.get_array()[0, 0] == 1 and heat.get_array()[1, 1] == -0.5 and colours == [HIGHER, LOWER]
    scale = next(axes for axes in drawn.axes if axes.get_yticklabels() and not axes.get_title())
    assert {t: label.get_text() for t, label in zip(scale.get_yticks(), scale.get_yticklabels(), strict=True)} == {
        -1: "lowers", 0: "no effect", 1: "raises",
    }  # fmt: skip


# --- the terminal


def test_a_query_is_told_in_its_units() -> None:
    assert query_line(0.25, 1, torch.tensor(0), -0.031) == ("class 1 at 25.0 % (true: 0)", "−3.1 percentage points")
    assert query_line(-1.5, -1, torch.tensor([2.0]), 0.031) == ("output −1.5 (true: 2)", "+0.031")


def rows(classes: bool) -> tuple[Learner, Episode]:
    torch.manual_seed(0)
    x = torch.randn(8, 2)
    y = (torch.arange(8) % 2) if classes else x.sum(1, keepdim=True)
    learner = PrototypicalNetwork(nn.Identity(), ways=2) if classes else RidgeHead(nn.Identity(), 1, loss="mse")
    return learner, Episode(examples(x[:6], y[:6]), examples(x[6:] + 1, y[6:]))


@pytest.mark.parametrize("classes", [True, False])
def test_reasons_and_teachers_are_what_the_score_wins_by_them(classes: bool) -> None:
    learner, episode = rows(classes)
    x, support = episode.query.x[0], episode.support
    score, predicted, features, teachers = query_reasons(learner, episode, x)
    target = predicted if classes else None
    link = (lambda s: s.softmax(-1)) if classes else (lambda s: s.mean(-1))

    def asked(support: object, x: torch.Tensor) -> float:
        return float(views.query(learner, support, target, link)(x).detach())

    without = [asked(support._replace(w=torch.where(torch.arange(6) == j, 0.0, support.w)), x) for j in range(6)]
    assert score == pytest.approx(asked(support, x)) and (predicted >= 0) == classes
    np.testing.assert_allclose(teachers, score - np.array(without), atol=1e-5)
    assert features.sum() == pytest.approx(asked(support, x) - asked(support, 0 * x), abs=2e-3)
    assert min(abs(features.sum()), np.abs(teachers).max()) > 0.01


def test_a_mapping_that_explains_itself_gives_its_own_values() -> None:
    torch.manual_seed(0)
    learner = SelfExplaining(InContext(SetTransformer(8, 1, 2), 2, 2), PairwiseAttribution(8)).requires_grad_(False)
    episode = unstack(Tables(rows=(9, 9), columns=(3, 3), queries=4).batch(0, 1))[0]
    values, base = learner.explain(learner.adapt(episode.support), episode.query.x)
    for x, own, start in zip(episode.query.x, values, base, strict=True):
        score, predicted, features, _ = query_reasons(learner, episode, x)
        np.testing.assert_allclose(features, own[:, predicted], atol=1e-5)
        assert start[predicted] + features.sum() == pytest.approx(float(score), abs=1e-5)


def test_the_truth_has_three_digits() -> None:
    assert replace(NUMBERS, y=np.array([[1.23456], [-0.0123456]])).truth(0) == "1.23"
    assert CLASSES.truth(0) == "died"


def test_titles_say_the_class_and_its_probability() -> None:
    task = task_question(*rows(classes=True), 2)
    p = task.outputs
    assert task.titles == [f"query {i}: class {int(p[i].argmax())}, {100 * float(p[i].max()):.0f} %" for i in range(2)]
    assert p.sum(1).tolist() == pytest.approx([1, 1]) and p.max() > 0.5
    assert task_question(*rows(classes=False), 1).titles[0].startswith("query 0: output ")


@pytest.mark.parametrize(
    ("answer", "effect", "text"),
    [
        (CLASSES, 0.04, "+4.0 points"), (CLASSES, -0.06, "−6.0 points"),
        (NUMBERS, 0.5, "+0.5"), (NUMBERS, -0.25, "−0.25"),
    ],
)  # fmt: skip
def test_an_effect_is_written_with_its_sign_and_unit(answer: TaskAnswer, effect: float, text: str) -> None:
    assert change(answer, effect) == text
