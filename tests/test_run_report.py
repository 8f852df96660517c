"""`mapsto report RUN`: what it says of a test task is what the learner says, and what cannot be had is a sentence."""

import importlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from matplotlib.colors import to_hex
from torch import nn

import mapsto as mt
from mapsto.cli import main
from mapsto.commands.configuration import load_run
from mapsto.episodes import Episode, examples
from mapsto.errors import MapstoError
from mapsto.estimate import Estimate
from mapsto.explainers import Occlusion
from mapsto.figures.answers import likely
from mapsto.figures.colours import ZERO
from mapsto.figures.reasons import reasons
from mapsto.figures.style import HIGHER, LOWER, NEUTRAL
from mapsto.figures.trusted import trusted
from mapsto.learners import MAML, PrototypicalNetwork, Reptile
from mapsto.measures.faithfulness.trust import Trust
from mapsto.reports.film import POLICY
from mapsto.reports.task import TaskAnswer, sections
from mapsto.reports.task.build import task_answer
from mapsto.reports.task.methods import available, default_methods
from mapsto.reports.task.question import real, task_question
from mapsto.reports.task.teaching import change, draw_cells, draw_images, draw_rows
from mapsto.reports.task.verdicts import about, lead, verdict

TRAIN = {
    "planted": "--learner MAML --learner.body MLP --learner.body.widths [11,8,2] --learner.body.activation silu "
    "--learner.lr 0.5 --learner.steps 2 "
    "--tasks Planted --tasks.shots 24 --tasks.queries 5",
    "wave": "--learner MAML --learner.body MLP --learner.body.widths [1,8,1] --learner.body.activation silu "
    "--learner.loss mse --learner.steps 3 "
    "--tasks Sinusoids --tasks.shots [4,6] --tasks.queries 5",
    "own": "--learner SelfExplaining --learner.learner InContext --learner.learner.body SetTransformer "
    "--learner.learner.body.width 8 --learner.learner.body.depth 1 --learner.learner.body.heads 2 "
    "--learner.explainer PairwiseAttribution --learner.explainer.width 8 "
    "--tasks Tables --tasks.rows [12,14] --tasks.columns [3,3] --tasks.queries 5",
}
PARTS = ["answers", "reasons", "taught", "film", "trust"]

pytestmark = pytest.mark.usefixtures("two_neighbours")


@pytest.fixture(scope="module")
def runs(two_neighbours: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Train a tiny run of each kind."""
    root = tmp_path_factory.mktemp("runs")
    for name, line in TRAIN.items():
        assert main(["train", *line.split(), "--steps", "2", "--batch", "2", "--run", str(root / name)]) == 0
    return {name: root / name for name in TRAIN}


@pytest.fixture(scope="module")
def told(runs: dict[str, Path]) -> dict[str, TaskAnswer]:
    loaded = {name: load_run(folder) for name, folder in runs.items()}
    return {name: task_answer(run.learner, run.tasks, 1, (), 0) for name, run in loaded.items()}


def plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(style|script).*?</\1>", "", text, flags=re.DOTALL)).split())


# --- what is computed


def answers_law(task: object, run: Path) -> None:
    """What is told is what the learner says of the first queries of that task, after its real teaching examples."""
    loaded = load_run(run)
    episode = mt.episodes.unstack(loaded.tasks.test.batch(1, 1, 0))[0]
    support, query = real(episode.support), real(episode.query)
    scores = loaded.learner.predict(loaded.learner.adapt(support), query.x[:4]).detach()
    expected = scores.softmax(-1) if task.classes else scores
    np.testing.assert_allclose(task.outputs, expected, atol=1e-5)
    np.testing.assert_array_equal(task.y, query.y[:4])
    assert len(task.support_x) == len(support.w) and expected.std() > 0


@pytest.mark.parametrize("name", TRAIN)
def test_the_answers_are_the_learners(told: dict, runs: dict[str, Path], name: str) -> None:
    answers_law(told[name], runs[name])


def test_answers_of_another_task_are_found_out(runs: dict[str, Path]) -> None:
    loaded = load_run(runs["planted"])
    with pytest.raises(AssertionError):
        answers_law(task_answer(loaded.learner, loaded.tasks, 0, (), 0), runs["planted"])


@pytest.mark.parametrize("name", TRAIN)
def test_nothing_is_missing_but_the_film_of_a_learner_that_takes_no_steps(told: dict, name: str) -> None:
    assert set(told[name].missing) == ({"film"} if name == "own" else set())
    assert told[name].reasons.left_out == {} and len(told[name].reasons.values) in (3, 4)
    for values in told[name].reasons.values.values():
        assert values.shape == told[name].x.shape and np.isfinite(values).all() and np.abs(values).max() > 0


def taught_examples(task: object) -> mt.Examples:
    y = torch.from_numpy(task.support_y)
    return examples(torch.from_numpy(task.support_x).float(), y.float() if y.is_floating_point() else y)


def taught_law(task: object, run: Path) -> None:
    """What an example gave is what the score loses without it; cells add up to the way from examples all alike."""
    learner = load_run(run).learner
    x, support = torch.from_numpy(task.x[0]).float(), taught_examples(task)
    target = None if task.classes is None else int(task.outputs[0].argmax())

    def score(support: mt.Examples) -> float:
        scores = learner.predict(learner.adapt(support), x[None])[0]
        return float((scores.mean() if target is None else scores.softmax(-1)[target]).detach())

    without = support._replace(w=torch.where(torch.arange(len(support.w)) == 2, 0.0, support.w))
    assert task.teaching.examples[2] == pytest.approx(score(support) - score(without), abs=1e-5)
    alike = support._replace(x=support.x.mean(0, keepdim=True).expand_as(support.x).contiguous())
    assert task.teaching.cells.sum() == pytest.approx(score(support) - score(alike), abs=5e-3)
    assert np.abs(task.teaching.examples).max() > 1e-6 and np.abs(task.teaching.cells).max() > 1e-6


@pytest.mark.parametrize("name", ["planted", "wave"])
def test_what_was_taught_is_told(told: dict, runs: dict[str, Path], name: str) -> None:
    taught_law(told[name], runs[name])


def test_shares_of_the_wrong_example_are_found_out(told: dict, runs: dict[str, Path]) -> None:
    task = told["wave"]
    turned = replace(task, teaching=replace(task.teaching, examples=np.roll(task.teaching.examples, 1)))
    with pytest.raises(AssertionError):
        taught_law(turned, runs["wave"])


def test_own_reasons_add_up_to_the_answer(told: dict, runs: dict[str, Path]) -> None:
    task, learner = told["own"], load_run(runs["own"]).learner
    state = learner.adapt(taught_examples(task))
    base = learner.explain(state, torch.from_numpy(task.x).float())[1].detach().numpy()
    best = task.outputs.argmax(1)
    expected = task.outputs.max(1) - base[range(4), best]
    np.testing.assert_allclose(task.reasons.values["SelfExplaining"].sum(1), expected, atol=1e-4)


def test_many_teaching_examples_are_weighed_and_not_left_out(monkeypatch: pytest.MonkeyPatch, runs: dict) -> None:
    monkeypatch.setattr(importlib.import_module("mapsto.reports.task.build"), "_LEFT_OUT", 3)
    loaded = load_run(runs["wave"])
    task = task_answer(loaded.learner, loaded.tasks, 1, "Gradient", 0)
    assert not task.teaching.by_leaving_out and np.abs(task.teaching.examples).max() > 0


def test_entries_that_cannot_be_asked_are_said(monkeypatch: pytest.MonkeyPatch, runs: dict, tmp_path: Path) -> None:
    def refused(*given: object) -> None:
        raise MapstoError("cells: got too many.")

    monkeypatch.setattr(importlib.import_module("mapsto.reports.task.build"), "_cells", refused)
    assert main(["report", str(runs["planted"]), "--method", "Gradient", "--out", str(tmp_path / "r.html")]) == 0
    text = plain((tmp_path / "r.html").read_text())
    assert "What their single entries did: This part could not be made: cells: got too many." in text


# --- what cannot be had


def missing_cells(folder: Path) -> Path:
    """Train on a table of which some cells are missing."""
    rows = [{"age": i, "dose": None if i % 3 else i * i % 7, "ill": ["no", "yes"][i % 2]} for i in range(60)]
    pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
    line = (
        "--learner InContext --learner.body SetTransformer --learner.body.width 8 --learner.body.depth 1 "
        "--learner.body.heads 2 --tasks Table --tasks.target ill --tasks.shots 8 --tasks.queries 4 "
        f"--tasks.table {folder / 't.csv'} --steps 1 --batch 1 --run {folder / 'run'}"
    )
    assert main(["train", *line.split()]) == 0
    return folder / "run"


def test_own_reasons_know_missing_cells(runs: dict[str, Path]) -> None:
    loaded = load_run(runs["own"])
    tasks = (loaded.tasks.test.batch(i, 1, 0).query.x[0, :4] for i in range(40))
    index = next(i for i, x in enumerate(tasks) if x.isnan().any())
    task = task_answer(loaded.learner, loaded.tasks, index, (), 0)
    assert set(task.reasons.values) == {"SelfExplaining", "Occlusion", "LIME", "PermutationShapley"}
    own = task.reasons.values["SelfExplaining"]
    assert (own[np.isnan(task.x)] == 0).all() and np.abs(own).max() > 0 and task.teaching.cells is not None


def test_missing_cells_leave_out_what_moves_cells(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = missing_cells(tmp_path)
    capsys.readouterr()
    assert main(["report", str(run), "--json", "--method", "IntegratedGradients,Occlusion"]) == 0
    found = json.loads(capsys.readouterr().out)["task"]
    assert found["left_out"] == {"IntegratedGradients": "it moves cells, and a missing cell cannot be moved"}
    assert set(found["trust"]["Occlusion"]) == {"gap", "infidelity", "max-sensitivity"}
    assert set(found["trust"]) == {"Occlusion"} and {one["true"] for one in found["answers"]} <= {"no", "yes"}
    text = plain((run / "report.html").read_text())
    assert "IntegratedGradients is left out: it moves cells" in text and "grey cells are missing" in text
    assert main(["explain", str(run), "--method", "IntegratedGradients"]) == 1
    assert "--method: IntegratedGradients cannot explain this task: it moves cells" in capsys.readouterr().err
    assert main(["explain", str(run), "--method", "Shapley", "--json"]) == 0
    loaded = load_run(run)
    task = task_answer(loaded.learner, loaded.tasks, 0, (), 0)
    assert np.isnan(task.x).any() and set(task.reasons.values) == {"Occlusion", "LIME", "PermutationShapley"}
    for values in task.reasons.values.values():
        assert (np.abs(values[np.isnan(task.x)]) < 1e-6).all() and np.abs(values).max() > 0


def test_a_run_that_cannot_be_asked_still_tells_its_course(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for name, damage, said in (
        ("weights", lambda run: (run / "weights.safetensors").unlink(), "This page shows no test task"),
        ("class", lambda run: _change(run, "learner", {"class_path": "mapsto.learners.Nobody"}), "Nobody"),
        ("python", lambda run: _change(run, "learner", "MAML"), "trained from Python"),
    ):
        run = tmp_path / name
        shutil.copytree(runs["wave"], run)
        damage(run)
        assert main(["report", str(run)]) == 0, name
        text = (run / "report.html").read_text()
        assert said in plain(text) and "How the training went" in text and 'id="answers"' not in text, name
        assert "<script" not in text and "script-src" not in text
        capsys.readouterr()
        assert main(["report", str(run), "--episode", "1"]) == 1, name  # what was asked for is not left out silently
        assert capsys.readouterr().err.count("\n") == 1


def _change(run: Path, name: str, value: object) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | {name: value}))


def test_an_unfinished_run_is_told_as_such(runs: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["wave"], run)
    _change(run, "steps", 1000)
    assert main(["report", str(run), "--method", "Gradient"]) == 0
    text = plain((run / "report.html").read_text())
    assert "not finished: 2 of 1,000 steps" in text and "What the adapted model says" in text


def test_a_transductive_learner_is_not_asked() -> None:
    learner = PrototypicalNetwork(nn.Identity(), ways=2, transductive=True)
    with pytest.raises(ValueError, match="transductive=True"):
        task_answer(learner, mt.tasks.Planted(shots=4, queries=3), 0, (), 0)


def test_a_task_without_queries_is_refused() -> None:
    rows = examples(torch.randn(4, 2), torch.tensor([0, 1, 0, 1]))
    episode = Episode(rows, rows._replace(w=torch.zeros(4)))
    with pytest.raises(MapstoError, match="task: got one without teaching examples or without queries"):
        task_question(PrototypicalNetwork(nn.Identity(), ways=2), episode, 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "Astrology"], "--method: got 'Astrology', expected one of BayesianShapley"),
        (["--method", ","], "--method: got ',', expected names"),
        (["--episode", "-2"], "--episode: got -2, expected a number from 0, below"),
        (["--episode", "many"], "--episode: invalid int value: 'many'"),
        (["--out", "/nowhere/r.html"], "which cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(
    runs: dict[str, Path], capsys: pytest.CaptureFixture, arguments: list[str], said: str
) -> None:
    (runs["wave"] / "report.html").unlink(missing_ok=True)
    assert main(["report", str(runs["wave"]), *arguments]) == 1
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1 and "Traceback" not in err
    assert not (runs["wave"] / "report.html").exists()


def test_own_reasons_are_of_learners_that_have_some(runs: dict[str, Path], capsys: pytest.CaptureFixture) -> None:
    assert main(["explain", str(runs["wave"]), "--method", "SelfExplaining"]) == 1
    assert "--method: got SelfExplaining for MAML, expected a learner that explains itself" in capsys.readouterr().err
    assert main(["report", str(runs["wave"]), "--method", "SelfExplaining"]) == 1
    assert "--method: got SelfExplaining for MAML, expected a learner that explains itself" in capsys.readouterr().err


def test_default_methods_fit_the_rows() -> None:
    torch.manual_seed(0)

    def methods(x: torch.Tensor) -> list[str]:
        rows = examples(x, torch.arange(len(x)) % 2)
        return default_methods(task_question(PrototypicalNetwork(nn.Flatten(), ways=2), Episode(rows, rows), 2))

    assert methods(torch.rand(4, 1, 6, 6)) == ["IntegratedGradients", "Smooth", "Occlusion"]
    assert methods(torch.rand(4, 3)) == ["IntegratedGradients", "Occlusion", "Shapley"]
    assert methods(torch.rand(4, 1)) == ["Gradient", "IntegratedGradients", "Occlusion"]


# --- what is drawn and said


def test_a_bar_is_a_probability_and_its_colour_tells_right_from_wrong(told: dict) -> None:
    task = told["planted"]
    for i, axes in enumerate(sections._drawn(task).axes):
        shown = likely(task.outputs[i], int(task.y[i]), 5)
        np.testing.assert_allclose([bar.get_width() for bar in axes.patches], 100 * task.outputs[i][shown], rtol=1e-5)
        best, right = task.outputs[i].argmax(), task.outputs[i].argmax() == task.y[i]
        expected = [NEUTRAL if c != best else HIGHER if right else LOWER for c in shown]
        assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == expected


def test_bars_of_reasons_have_their_values_and_none_is_lost() -> None:
    values = {"one": np.linspace(-2, 3, 30), "two": np.ones(30)}
    drawn = reasons(np.zeros(30), values, [f"c{j}" for j in range(30)])
    for axes, one in zip(drawn.axes, values.values(), strict=True):
        widths = [bar.get_width() for bar in axes.patches]
        assert len(widths) == 12 and sum(widths) == pytest.approx(one.sum())
        colours = {to_hex(bar.get_facecolor()): np.sign(bar.get_width()) for bar in axes.patches}
        assert all({HIGHER: 1, LOWER: -1}[colour] == sign for colour, sign in colours.items())


@pytest.mark.parametrize(("methods", "first"), [(1, [0]), (3, [0]), (4, [0, 2]), (5, [0, 3]), (7, [0, 3, 6])])
def test_the_first_panel_of_each_line_names_its_bars(methods: int, first: list[int]) -> None:
    drawn = reasons(np.ones(2), {f"method {i}": np.array([2.0, 1.0]) for i in range(methods)}, ["age", "dose"])
    names = [[text.get_text() for text in axes.get_yticklabels()] for axes in drawn.axes]
    assert names == [["age = 1", "dose = 1"] if i in first else ["", ""] for i in range(methods)]


def image_facts() -> TaskAnswer:
    torch.manual_seed(0)
    x = torch.rand(8, 1, 6, 6)
    rows = examples(x, torch.arange(8) % 2)
    learner = PrototypicalNetwork(nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.Tanh()), ways=2)

    class Fixed(mt.tasks.Tasks):
        def draw(self, generator: torch.Generator, count: int) -> Episode:
            return mt.episodes.stack([Episode(rows, rows)] * count)

    return task_answer(learner, Fixed(), 0, "IntegratedGradients,Occlusion", 0)


def test_zero_is_neutral_on_every_heatmap(told: dict) -> None:
    task = image_facts()
    drawn = reasons(task.x[0], {name: one[0] for name, one in task.reasons.values.items()}, [])
    overlaid = [axes.images[1] for axes in drawn.axes if len(axes.images) == 2]
    overlaid += [axes.images[1] for axes in draw_images(task, task.teaching).axes if len(axes.images) == 2]
    assert len(overlaid) == 2 + 8
    assert all(to_hex(one.cmap(one.norm(0.0))) == "#ffffff" for one in overlaid)
    heat = task.reasons.values["Occlusion"][0].sum(0)
    np.testing.assert_allclose(overlaid[1].get_array(), heat / np.abs(heat).max(), rtol=1e-5)
    cells = draw_cells(told["planted"], told["planted"].teaching).axes[0].images[0]
    assert to_hex(cells.cmap(cells.norm(0.0))) == ZERO
    assert np.abs(cells.get_array()).max() == pytest.approx(100 * np.abs(told["planted"].teaching.cells).max(), rel=0.5)


def test_teaching_examples_are_drawn_by_what_they_gave(told: dict) -> None:
    task = told["wave"]
    presence, place = draw_rows(task, task.teaching).axes
    order = np.argsort(-np.abs(task.teaching.examples), kind="stable")
    np.testing.assert_allclose([bar.get_width() for bar in presence.patches], task.teaching.examples[order], rtol=1e-5)
    np.testing.assert_allclose([bar.get_width() for bar in place.patches], task.teaching.cells[order, 0], rtol=1e-5)


def test_an_effect_is_told_with_its_sign(told: dict) -> None:
    assert [change(told["wave"], effect) for effect in (0.25, -0.25)] == ["+0.25", "−0.25"]
    assert [change(told["planted"], effect)[0] for effect in (0.25, -0.25)] == ["+", "−"]


def test_the_baselines_are_drawn_in(told: dict) -> None:
    found = told["planted"].reasons.trust
    axes = trusted(found, "gap", "area").axes[0]
    lines = {line.get_label(): line.get_xdata()[0] for line in axes.lines if not line.get_label().startswith("_")}
    first = next(iter(found.values()))["gap"]
    assert lines == {"random values": first.random.mean, "size of the input": first.magnitude.mean}
    dots = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert dots == [one["gap"].explainer.mean for one in found.values()]


def test_the_baselines_are_the_same_whoever_measures_them() -> None:
    from mapsto.measures.faithfulness.trust import baselines, trust
    from mapsto.views import game

    x = torch.rand(5, 4, generator=torch.Generator().manual_seed(1))
    view = lambda x: (x @ torch.tensor([3.0, 0.0, -1.0, 2.0])).sigmoid()  # noqa: E731
    games = lambda x: game(view, x)  # noqa: E731
    shared = trust(Occlusion(), lambda x: view, games, x, against=baselines(games, x))
    assert shared == trust(Occlusion(), lambda x: view, games, x)
    assert shared["gap"].random.mean != shared["gap"].magnitude.mean


@pytest.mark.parametrize(
    ("gap", "infidelity", "said"),
    [
        ((0.9, 0.1, 0.2), (0.1, 0.5, 0.4), "M beats both baselines, in which parts it names first and in how large"),
        ((0.9, 0.1, 0.2), (0.45, 0.5, 0.4), "M beats both baselines in which parts it names first, but not in how"),
        ((0.15, 0.1, 0.2), (0.1, 0.5, 0.4), "M beats both baselines in how large it says parts are, but not in which"),
        ((0.15, 0.1, 0.2), (0.45, 0.5, 0.4), "M does not beat both baselines on this task"),
        ((0.21, 0.1, 0.2), (0.45, 0.5, 0.4), "names first, by so little that it may be chance, but not"),
        ((0.21, 0.1, 0.2), (0.1, 0.5, 0.4), "says they are, though the lead in insertion − deletion may be chance."),
    ],
)
def test_a_verdict_says_who_was_beaten(gap: tuple, infidelity: tuple, said: str) -> None:
    found = {name: Trust(*(Estimate(mean, 0.05) for mean in means)) for name, means in
             (("gap", gap), ("infidelity", infidelity))}  # fmt: skip
    assert said in verdict("M", found)


@pytest.mark.parametrize(("interval", "may_be_chance"), [(0.24, False), (0.25, True), (0.26, True), (np.nan, True)])
def test_a_lead_up_to_the_interval_may_be_chance(interval: float, may_be_chance: bool) -> None:
    gap = Trust(Estimate(0.75, interval), Estimate(0.5, 0.0), Estimate(0.25, 0.0))
    infidelity = Trust(Estimate(0.25, interval), Estimate(0.5, 0.0), Estimate(0.75, 0.0))
    said = verdict("M", {"gap": gap, "infidelity": infidelity})
    assert said.startswith("M beats both") and ("may be chance" in said) == may_be_chance


def test_a_lead_over_nothing_is_none() -> None:
    assert np.isnan(lead("gap", Trust(Estimate(1.0, 0.0), None, None)))
    assert "does not beat" in verdict("M", dict.fromkeys(("gap", "infidelity"), Trust(Estimate(1, 0), None, None)))


def test_every_method_is_described_without_code() -> None:
    for name, kind in available().items():
        assert len(about(name, kind.__doc__)) > 20 and "`" not in about(name, kind.__doc__)


# --- the page


@pytest.mark.parametrize("name", TRAIN)
def test_the_page_has_its_parts_in_order(runs: dict[str, Path], name: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["report", str(runs[name]), "--episode", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    text = (runs[name] / "report.html").read_text()
    order = re.findall(r'<section (?:class="\w+" )?id="(\w+)"', text)
    assert order == ["summary", *PARTS, "evaluation", "curves", "config", "files", "words"]
    assert all(len(alt) > 20 for alt in re.findall(r'<img [^>]*alt="([^"]*)"', text))
    for part in ("answers", "reasons", "taught", "trust"):
        inside = re.search(rf'<section id="{part}">.*?</section>', text, re.DOTALL)[0]
        assert inside.count("<figure") == inside.count("<figcaption") > 0 or (name, part) == ("wave", "trust")
    assert re.findall(r"(?:src|href)=\"(?!data:|#)", text) == [] and "nan" not in plain(text).lower().split()
    assert (POLICY in text) == (name != "own") == ("<script>" in text)
    assert [f"{one['says']}" in text for one in found["task"]["answers"]] == [True] * 4
    seen = plain(text)
    if name == "own":
        assert "SelfExplaining adapts without inner gradient steps" in seen
    if name == "wave":
        assert "has one part only" in seen and 'data-label="Step 0 of 3' in text
    else:
        assert seen.count(" beat") >= 3 and "(random values)" in seen
    assert "`" not in re.search(r'<section id="answers">.*<section id="evaluation">', text, re.DOTALL)[0]


@pytest.mark.long
def test_the_same_run_is_the_same_page(runs: dict[str, Path], tmp_path: Path) -> None:
    pages = []
    for name in ("a.html", "b.html"):
        arguments = ["report", str(runs["planted"]), "--out", str(tmp_path / name), "--method", "Gradient"]
        assert main(arguments) == 0
        pages.append((tmp_path / name).read_text())
    first, second = (re.sub(r'<section id="files">.*?</section>', "", page, flags=re.DOTALL) for page in pages)
    assert first == second


def test_another_learner_with_steps_is_filmed() -> None:
    torch.manual_seed(0)
    learner = Reptile(mt.models.MLP(1, 6, 1), loss="mse")
    task = task_answer(learner, mt.tasks.Sinusoids(shots=4, queries=3), 0, "Gradient", 0)
    assert task.film is not None and len(task.film.path) > 1
    assert isinstance(MAML(mt.models.MLP(1, 6, 1), loss="mse", lr=0.1, steps=1), mt.learners.Learner)
