"""An environment of gymnasium is played as our own are, in one process or in several."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from torch import Tensor

from mapsto.errors import MapstoError
from mapsto.learners import MAML
from mapsto.models import MLP
from mapsto.tasks import Demonstrations, Gymnasium, MetaWorld, Navigation
from mapsto.tasks.robots.paths import Paths, play

GOALS = {"train": [(0.3, -0.2), (0.1, 0.2)], "test": [(-0.4, 0.0)]}


class Point(gymnasium.Env):
    """Navigation as an environment of gymnasium."""

    observation_space, action_space = Box(-10, 10, (2,)), Box(-1, 1, (2,))

    def __init__(self, tells: bool = True, broken: bool = False):
        self.tells, self.broken = tells, broken

    def set_task(self, goal: Any) -> None:
        self.goal = np.array(goal)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        self.place, self.over = np.zeros(2), False
        return self.place, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        assert self.action_space.contains(action) and not self.over
        self.place = self.place + 0.1 * action
        away = float(np.linalg.norm(self.place - self.goal))
        info = {"success": away < 0.01} if self.tells else {}
        self.over = away < 0.01
        return self.place, np.nan if self.broken else -away, away < 0.01, False, info


def script(environment: Any, observation: Any) -> Any:
    ahead = (environment.goal - observation) / 0.1
    return ahead / max(1, np.abs(ahead).max())


def outside(workers: int = 1, **arguments: Any) -> Gymnasium:
    return Gymnasium(lambda: Point(**arguments), GOALS, expert=script, horizon=9, workers=workers)


def wander(observation: Tensor, noise: Tensor) -> Tensor:
    return 0.5 - observation + noise


def played(environment: Any, tasks: Tensor, act: Any = wander) -> Paths:
    return play(environment, tasks, 3, act, torch.Generator().manual_seed(0))


def same(a: Paths, b: Paths) -> None:
    for x, y in zip(a, b, strict=True):
        real = a.alive[..., None] if x.dim() == 4 else torch.ones_like(x, dtype=torch.bool)
        torch.testing.assert_close(torch.where(real, x, 0), torch.where(real, y, 0), atol=1e-5, rtol=1e-5)


def test_it_is_played_like_the_same_environment_of_ours() -> None:
    environment, goals = outside(), torch.tensor(GOALS["train"])
    noise = torch.Generator().manual_seed(0)
    torch.randint(2**31, (6,), generator=noise)  # the seeds of the episodes
    theirs = played(environment, torch.arange(2))
    ours = play(Navigation(horizon=9), goals, 3, wander, noise)
    same(theirs, ours)
    expert = lambda of: lambda observation, noise: of.expert()  # noqa: E731
    walked = played(environment, torch.arange(2), expert(environment))
    same(walked, played(our := Navigation(horizon=9), goals, expert(our)))
    assert walked.solved.all() and (walked.alive.sum(-1) == torch.tensor([[3], [2]])).all()


def test_processes_change_no_number() -> None:
    same(played(outside(), torch.arange(2)), played(outside(workers=2), torch.arange(2)))


def test_tasks_belong_to_their_split_and_each_comes_once_before_any_comes_again() -> None:
    environment, generator = outside(), torch.Generator().manual_seed(0)
    assert sorted(environment.draw(generator, 4, "train").tolist()) == [0, 0, 1, 1]
    assert environment.draw(generator, 3, "test").tolist() == [2, 2, 2]
    assert environment.tasks[2] == (-0.4, 0.0)
    with pytest.raises(MapstoError, match="tasks: got no task for validation, expected at least one"):
        environment.draw(generator, 1, "validation")


def test_a_learner_adapts_to_demonstrations_in_it() -> None:
    tasks = Demonstrations(outside(), shots=2, pool=2)
    got = tasks.experience(MAML(MLP(2, 8, 2), loss="mse", steps=2), 0, 2)
    assert got.returns().shape == (2, 2) and got.solved().shape == (2, 2)


def test_an_environment_that_tells_no_aim_has_none() -> None:
    assert played(outside(tells=False), torch.arange(2)).solved is None


class Choosing(Point):
    action_space = Discrete(2)  # type: ignore[assignment]


class Looking(Point):
    observation_space = Dict({"place": Box(-1, 1, (2,))})  # type: ignore[assignment]


class Seeing(Point):
    observation_space = Box(0, 1, (2, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gymnasium(Choosing, GOALS), "action_space: got Discrete(2), expected a Box with one axis"),
        (lambda: Gymnasium(Looking, GOALS), "observation_space: got Dict("),
        (lambda: Gymnasium(Seeing, GOALS), "observation_space: got Box(0.0, 1.0, (2, 2)"),
        (lambda: Gymnasium(Point, {"training": []}), "tasks: got 'training', expected one of"),
        (lambda: Gymnasium(Point, GOALS, workers=0), "workers: got 0, expected a whole number from 1."),
        (lambda: played(outside(broken=True), torch.arange(1)), "reward"),
        (lambda: Demonstrations(Gymnasium(Point, GOALS)).batch(0, 1), "Gymnasium has no scripted policy"),
    ],
)
def test_what_does_not_fit_is_said(make: Any, message: str) -> None:
    with pytest.raises(MapstoError) as caught:
        make()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_without_meta_world_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "metaworld", None)
    with pytest.raises(MapstoError, match=r'metaworld: it is not installed; pip install "mapsto\[robots\]"\.'):
        MetaWorld()
