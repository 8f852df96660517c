"""The page of a robot's task tells what was played, what taught it, and what moved its actions."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mapsto as mt
from mapsto.adaptation.policies import gains
from mapsto.cli import main
from mapsto.episodes import unstack
from mapsto.errors import MapstoError
from mapsto.figures import robots
from mapsto.learners import MAML
from mapsto.models import GaussianPolicy
from mapsto.reports.robots.answer import RobotAnswer
from mapsto.tasks import Navigation, Rollouts

HORIZON, ROLLOUTS, UPDATES = 8, 3, 2


class Linear(nn.Module):
    """A policy whose mean is linear in the observation."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.net(x), torch.full_like(x, -0.5)], -1)


@pytest.fixture(scope="module")
def tasks() -> Rollouts:
    torch.manual_seed(0)
    rows = HORIZON * ROLLOUTS
    learner = MAML(Linear(), loss="policy_gradient", lr=0.2, steps=UPDATES, minibatch=rows)
    return Rollouts(Navigation(HORIZON, reach=0.2), learner, UPDATES, ROLLOUTS)


@pytest.fixture(scope="module")
def page(tasks: Rollouts, tmp_path_factory: pytest.TempPathFactory) -> tuple[RobotAnswer, str]:
    path = tmp_path_factory.mktemp("robot") / "report.html"
    methods = ["IntegratedGradients", "Shapley"]
    answer = mt.reports.task(tasks.learner, tasks, index=3, methods=methods, path=path, seed=1)
    assert isinstance(answer, RobotAnswer)
    return answer, path.read_text()


def test_the_answer_is_what_was_played(tasks: Rollouts, page: tuple[RobotAnswer, str]) -> None:
    answer, played = page[0], tasks.test.experience(tasks.learner, 3, 1, 1)
    np.testing.assert_array_equal(answer.goal, played.tasks[0].numpy())
    assert [len(block) for block in answer.blocks] == [ROLLOUTS] * (UPDATES + 1)
    for block, paths, value in zip(answer.blocks, played.paths, answer.returns, strict=True):
        for path, observation, alive in zip(block, paths.observation[0], paths.alive[0], strict=True):
            np.testing.assert_array_equal(path, observation[: int(alive.sum())].numpy())
        assert value == pytest.approx(float(paths.returns()[0].mean()), rel=1e-4)
    many = tasks.test.experience(tasks.learner, 0, 20, 1).returns()
    np.testing.assert_allclose([mean.mean for mean in answer.means], many.mean(0), rtol=1e-5)
    assert answer.cut == sum(len(path) == HORIZON for path in answer.blocks[-1])


def test_a_push_is_by_how_much_the_gain_changes_if_a_rollout_counts_more(
    tasks: Rollouts, page: tuple[RobotAnswer, str]
) -> None:
    episode, answer = unstack(tasks.test.batch(3, 1, 1))[0], page[0]

    def gain(scale: torch.Tensor) -> float:
        w = episode.support.w.view(UPDATES, ROLLOUTS, HORIZON) * scale[..., None]
        state = tasks.learner.adapt(episode.support._replace(w=w.flatten()))
        scores = tasks.learner.predict(state, episode.query.x)
        return float((episode.query.w * gains(scores, episode.query.y)).sum().detach())

    slopes = torch.zeros(UPDATES, ROLLOUTS)
    for i in range(UPDATES):
        for j in range(ROLLOUTS):
            more = torch.zeros(UPDATES, ROLLOUTS)
            more[i, j] = 0.05
            slopes[i, j] = (gain(1 + more) - gain(1 - more)) / 0.1
    assert slopes.abs().min() > 0 and (slopes > 0).any() and (slopes < 0).any()
    np.testing.assert_allclose(answer.pushes, slopes / slopes.abs().sum(), atol=0.02)


def test_the_reasons_of_a_linear_policy_are_its_coefficients_times_the_deviation(
    tasks: Rollouts, page: tuple[RobotAnswer, str]
) -> None:
    answer, episode = page[0], unstack(tasks.test.batch(3, 1, 1))[0]
    weight = tasks.learner.adapt(episode.support).params["net.weight"].detach().numpy()
    background = episode.support.x[episode.support.w > 0]
    path = answer.blocks[-1][0]
    reference = background[:: max(len(background) // 32, 1)][:32].mean(0).numpy()
    expected = weight[:, None] * (path - reference)  # [a, h, o]
    assert np.abs(expected).max() > 0.05
    for values in answer.reasons.values():
        np.testing.assert_allclose(values, expected, atol=1e-3)


def test_the_page_has_its_parts(page: tuple[RobotAnswer, str]) -> None:
    answer, text = page
    for part in ('id="film"', 'id="taught"', 'id="reasons"', "IntegratedGradients", "Shapley", answer.about()):
        assert part in text
    for value, mean in zip(answer.returns, answer.means, strict=True):
        assert value < 0 and f'<td class="n">−{-value:.2f}</td>' in text
        assert f"−{-mean.mean:.2f} ± {mean.interval:.2f}" in text
    assert text.count("<img") == 5  # film, returns, teaching, and two methods


def test_rollouts_that_raised_the_return_are_orange() -> None:
    block = [np.array([[0.0, 0.0], [x, 1.0]]) for x in (-1.0, 0.0, 1.0)]
    figure = robots.film([block], np.zeros(2), ["first"], np.array([[1.0, 0.0, -1.0]]))
    red, grey, blue = (line.get_color()[:3] for line in figure.axes[0].lines[:5:2])
    assert red[0] > red[2] and blue[2] > blue[0] and max(grey) - min(grey) < 0.1


def test_strips_show_increases_in_orange() -> None:
    figure = robots.saliency(np.array([[[1.0, -0.5], [-1.0, 0.0]]]), ["x", "y"])
    image = figure.axes[0].images[0]
    up, down = (image.cmap(image.norm(value)) for value in (image.get_array()[0, 0], image.get_array()[0, 1]))
    assert up[0] > up[2] and down[2] > down[0]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["x", "y"]
    assert all(float(step).is_integer() for step in figure.axes[0].get_xticks())


def test_a_run_is_trained_evaluated_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unchecked: None
) -> None:
    config, run = Path(__file__).parents[1] / "configs" / "maml-navigation.yaml", tmp_path / "run"
    small = ["--steps", "2", "--batch", "2", "--validation_tasks", "2", "--tasks.environment.horizon", "5"]

    def mapsto(*arguments: str) -> dict:
        assert main([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    mapsto("train", "--config", str(config), "--run", str(run), *small, "--learner.minibatch", "100")
    measured = mapsto("eval", str(run), "--episodes", "3")
    assert measured["return after 0 updates"]["mean"] < 0
    told = mapsto("report", str(run))["task"]
    assert len(told["returns"]) == len(told["means"]) == 4
    assert f"{measured['return after 3 updates']['mean']:.4f}" in (run / "report.html").read_text()


def test_there_is_no_task_below_0(tasks: Rollouts, tmp_path: Path) -> None:
    with pytest.raises(MapstoError, match=r"^index: got -1"):
        mt.reports.task(tasks.learner, tasks, index=-1, path=tmp_path / "report.html")


def test_a_policy_reads_observations_without_a_plane_too(tmp_path: Path) -> None:
    class Blind(Navigation):
        plane = None
        names = ()

    torch.manual_seed(0)
    learner = MAML(GaussianPolicy(2, 2, hidden=(4,)), loss="policy_gradient")
    path = tmp_path / "report.html"
    answer = mt.reports.task(learner, Rollouts(Blind(4), learner, rollouts=2), path=path)
    assert answer.names == ["entry 0", "entry 1"] and path.read_text().count("<img") == 2


def test_the_environment_of_the_documentation_is_played(unchecked: None) -> None:
    text = (Path(__file__).parents[1] / "docs" / "robots.md").read_text()
    code = next(block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "class Line" in block)
    names: dict = {"mt": mt}
    exec(code, names)
    torch.manual_seed(0)
    learner = MAML(GaussianPolicy(1, 1, hidden=(4,)), loss="policy_gradient", lr=0.5)
    tasks = Rollouts(names["Line"](), learner)
    before, after = tasks.test.experience(tasks.learner, 0, 20).returns().mean(0).tolist()
    assert after > before + 3
