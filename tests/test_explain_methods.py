"""`mapsto explain RUN --method`: every explainer by its name, on tables and images, and how far each can be trusted."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from torch import nn

import mapsto as mt
from mapsto.cli import main
from mapsto.commands.explain_run import explain_methods
from mapsto.errors import MapstoError
from mapsto.figures import attributions
from mapsto.figures.style import HIGHER, LOWER
from mapsto.learners import PrototypicalNetwork
from mapsto.measures.faithfulness.trust import explained
from mapsto.reports.task.hiding import Hiding, hiding, hiding_of
from mapsto.reports.task.methods import available, explainers_of
from mapsto.reports.task.question import TaskQuestion, task_question
from mapsto.reports.task.reasons import MEASURES, explain

TRAIN = [
    *("train", "--learner", "MAML", "--learner.body", "MLP", "--learner.body.widths", "[11, 8, 2]"),
    *("--learner.lr", "0.5", "--tasks", "Planted", "--tasks.shots", "24", "--tasks.queries", "5"),
    *("--steps", "2", "--batch", "2"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    assert main([*TRAIN, "--run", str(folder)]) == 0
    return folder


def call(capsys: pytest.CaptureFixture, *args: str) -> tuple[int, str, str]:
    code = main(list(args))
    out, err = capsys.readouterr()
    return code, out, err


def test_methods_are_explained_and_judged(run: Path, capsys: pytest.CaptureFixture) -> None:
    code, out, err = call(capsys, "explain", str(run), "--method", "IntegratedGradients,Shapley", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert set(told["trust"]) == {"IntegratedGradients", "Shapley"}
    gap = told["trust"]["Shapley"]["gap"]
    assert gap["explainer"][0] > gap["random"][0]  # exact values order the columns better than chance
    found = np.load(run / "methods.npz")
    assert found["Shapley"].shape == found["x"].shape == (4, 11) and Path(told["picture"]).stat().st_size > 10_000
    code, out, _ = call(capsys, "explain", str(run), "--method", "Shapley")
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    means = {who: [one[who][0] for one in told["trust"]["Shapley"].values() if one[who]] for who in gap}
    assert code == 0 and "insertion − deletion" in out and len(means["explainer"]) == 3
    for name, who in (("Shapley", "explainer"), ("(random)", "random"), ("(magnitude)", "magnitude")):
        assert lines[name] == [f"{mean:.3g}" for mean in means[who]]


def test_another_episode_is_another_task(run: Path, capsys: pytest.CaptureFixture) -> None:
    rows = []
    for episode in ("0", "3", "3"):
        assert call(capsys, "explain", str(run), "--method", "Gradient", "--episode", episode)[0] == 0
        rows.append(np.load(run / "methods.npz")["x"])
    assert np.array_equal(rows[1], rows[2]) and not np.array_equal(rows[0], rows[1])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--method", "Astrology"], "--method: got 'Astrology', expected one of BayesianShapley, ExpectedGradients"),
        (["--method", "GradCAM"], "GradCAM explains a layer's feature maps: in Python, see `views.feature`."),
        (["--method", " ,"], "--method: got ' ,', expected names with commas between them"),
        (["--episode", "-1"], "--episode: got -1, expected a number from 0, below 2,147,483,648."),
        (["--episode", "9" * 23], "--episode: got 99999999999999999999999, expected a number from 0"),
    ],
)
def test_what_is_no_method_or_episode_is_refused(
    run: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture
) -> None:
    code, out, err = call(capsys, "explain", str(run), *arguments)
    assert code == 1 and told in err and out == "" and err.count("\n") == 1


def test_methods_are_for_runs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,0\n2,1\n")
    code, _, err = call(capsys, "explain", str(tmp_path / "t.csv"), "--target", "y", "--method", "LIME")
    assert code == 1 and "--method: is for the folder of a run" in err


def attributed(name: str, view: mt.views.View, hide: Hiding, x: torch.Tensor) -> torch.Tensor:
    values = explained(explainers_of(name, hide)[name], lambda row: view, lambda row: hide.game(view, row), x)
    return hide.spread(values, x)


@pytest.mark.parametrize("name", sorted(available().keys() - {"BayesianShapley"}))  # which is for at most 12 parts
def test_every_explainer_that_is_available_explains_images(name: str) -> None:
    torch.manual_seed(0)
    images = torch.rand(6, 1, 12, 12)
    support = mt.examples(images[:4], torch.tensor([0, 1, 0, 1]))
    learner = PrototypicalNetwork(nn.Sequential(nn.Flatten(), nn.Linear(144, 3), nn.Tanh()), ways=2)
    view = mt.views.query(learner, support, target=1)
    hide = hiding(images[:4])
    assert hide.players == 36  # patches of two by two
    values = attributed(name, view, hide, images[4:])
    assert values.shape == (2, 1, 12, 12) and values.std() > 0 and values.isfinite().all()


def test_a_part_shares_its_value_among_its_pixels() -> None:
    images = torch.rand(3, 1, 12, 12)
    hide = hiding(images)
    values = attributed("Shapley", lambda x: x.sum(), hide, images)
    total = images.sum((1, 2, 3)) - images.mean(0).sum()
    torch.testing.assert_close(values.sum((1, 2, 3)), total, rtol=1e-4, atol=1e-4)


def question_in_units(scale: torch.Tensor, shift: torch.Tensor) -> tuple[TaskQuestion, Hiding]:
    """A task whose columns are measured in other units; the learner reads them in the old ones."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(12, 4, generator=generator, dtype=torch.float64)
    task = mt.examples(rows * scale + shift, (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0).long())

    class Old(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net((x - shift) / scale)

    question = task_question(PrototypicalNetwork(Old(), ways=2), mt.Episode(task, task))
    return question, hiding_of(question)


ONE, OTHER = (torch.ones(4).double(), torch.zeros(4).double()), (
    torch.tensor([100.0, 0.01, 3.0, 1.0]).double(), torch.tensor([500.0, 2.0, -7.0, 30.0]).double()
)  # fmt: skip


@pytest.mark.parametrize("name", ["IntegratedGradients", "ExpectedGradients", "Smooth", "Shapley", "LIME"])
def test_reasons_and_trust_do_not_depend_on_the_units_of_columns(name: str) -> None:
    results = []
    for units in (ONE, OTHER):
        question, hide = question_in_units(*units)
        values, measures, _ = explain(explainers_of(name, hide, question), question, hide)
        results.append((values[name] * (units[0] if name == "Smooth" else 1), measures[name]))
    (values, measures), (again, others) = results
    assert values.abs().max() > 0.01
    torch.testing.assert_close(again, values, rtol=1e-4, atol=1e-6)
    for measure in MEASURES if name != "Smooth" else ():
        assert others[measure].explainer.mean == pytest.approx(measures[measure].explainer.mean, rel=1e-3, abs=1e-6)


def test_paths_start_at_the_mean_teaching_example_as_in_the_game_that_judges() -> None:
    question, hide = question_in_units(*OTHER)
    explainer = explainers_of("IntegratedGradients", hide)["IntegratedGradients"]
    x, view = question.query.x[0], question.view(question.query.x[0])
    total = explainer(view, x).sum()  # type: ignore[call-arg]
    torch.testing.assert_close(total, view(x) - view(question.support.x.mean(0)), rtol=1e-4, atol=1e-5)
    result = explain({"IG": explainer}, question, hide)
    assert result.trust["IG"]["gap"].explainer.mean > max(
        result.trust["IG"]["gap"].random.mean,
        result.trust["IG"]["gap"].magnitude.mean,  # type: ignore[union-attr]
    )


def test_the_unit_of_an_entry_is_the_spread_of_the_teaching_examples() -> None:
    rows = torch.tensor([[1.0, 5.0, torch.nan], [3.0, 5.0, 2.0]])
    assert hiding(rows, missing=True).unit.tolist() == [1, 0, 0] and hiding(rows).reference.tolist() == [2, 5, 2]
    assert hiding(rows[:1, :2]).unit.tolist() == [1, 1]  # a single row has no spread
    images = torch.rand(5, 1, 8, 8)
    unit = hiding(images).unit
    assert unit.shape == (1, 8, 8) and unit.unique().numel() == 1 and 0.1 < float(unit.max()) < 0.5


def test_picture_and_trust_share_one_explanation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, explain = [], mt.explainers.Gradient.attribute

    def counted(self: mt.explainers.Gradient, view: mt.views.View, point: torch.Tensor) -> torch.Tensor:
        asked.append(1)
        return explain(self, view, point)

    monkeypatch.setattr(mt.explainers.Gradient, "attribute", counted)
    rows = mt.examples(torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 0, 1]))
    learner = PrototypicalNetwork(nn.Linear(3, 4), ways=2).requires_grad_(False)
    found = explain_methods(learner, mt.Episode(rows, rows), "Gradient", tmp_path)
    assert len(asked) == 4 + 4 * 10  # four queries one by one, and ten neighbours of each for max-sensitivity
    assert found["Gradient"]["max-sensitivity"].explainer.mean > 0


def test_bars_have_the_sign_and_length_of_their_values() -> None:
    values = np.array([[1.0, -2.0, 0.5]])
    axes = attributions(np.zeros((1, 3)), {"one": values}, ["query 0"], ["a", "b", "c"]).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [1.0, -2.0, 0.5]
    assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == [HIGHER, LOWER, HIGHER]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c"]


def test_zero_is_neutral_and_signs_have_their_colours_on_images() -> None:
    heat = np.zeros((1, 1, 4, 4))
    heat[0, 0, 0, :2] = [3.0, -3.0]
    drawn = attributions(np.zeros((1, 1, 4, 4)), {"one": heat}, ["query 0"]).axes[1].images[1]
    colours = [to_hex(drawn.cmap(drawn.norm(value))) for value in drawn.get_array()[0, :3]]
    assert colours == [HIGHER, LOWER, "#ffffff"]


def test_all_images_of_a_method_share_a_scale_that_is_written_below() -> None:
    heat = np.zeros((2, 1, 4, 4))
    heat[0, 0, 0, 0], heat[1, 0, 1, 1] = 4.0, -1.0
    axes = attributions(np.zeros((2, 1, 4, 4)), {"one": heat}, ["query 0", "query 1"]).axes
    drawn = [panel.images[1].get_array() for panel in (axes[1], axes[3])]
    assert drawn[0].max() == 1 and drawn[1].min() == -0.25
    assert axes[1].get_xlabel() == axes[3].get_xlabel() == "0 ± 4"


def test_pictures_of_what_does_not_fit_are_refused() -> None:
    with pytest.raises(MapstoError, match=r"^values: got shape \(1, 2\) from one, expected \(1, 3\)"):
        attributions(np.zeros((1, 3)), {"one": np.zeros((1, 2))}, ["query 0"])
    with pytest.raises(MapstoError, match=r"points: got shape \(1, 3, 2\), expected images"):
        attributions(np.zeros((1, 3, 2)), {"one": np.zeros((1, 3, 2))}, ["query 0"])
    with pytest.raises(MapstoError, match="points, values: got none"):
        attributions(np.zeros((0, 3)), {}, [])


def test_a_folder_that_cannot_be_made_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "else")
    code, _, err = call(capsys, "explain", str(run), "--method", "Gradient", "--out", str(tmp_path / "link"))
    assert code == 1 and err.count("\n") == 1
    assert "link cannot be made: " in err and "choose another place" in err


def test_trust_in_the_reasons_of_one_number_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    wave = ["--learner", "MAML", "--learner.body", "MLP", "--learner.body.widths", "[1, 8, 1]", "--learner.loss", "mse"]
    rest = ["--learner.lr", "0.1", "--tasks", "Sinusoids", "--steps", "1", "--batch", "2", "--run", str(tmp_path / "w")]
    code, _, err = call(capsys, "train", *wave, *rest)
    assert code == 0, err
    code, out, err = call(capsys, "explain", str(tmp_path / "w"), "--method", "Gradient")
    assert code == 0 and "trust is not measured" in out and "baselines" not in out, err
