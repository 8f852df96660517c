"""Demonstrations are what the scripted policy meant, and a learner that has seen them is played as it has become."""

import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.errors import MapstoError
from mapsto.learners import MAML, RidgeHead
from mapsto.measures.evaluation.evaluate import summary
from mapsto.models import MLP
from mapsto.tasks import Demonstrations, Environment, Navigation
from mapsto.tasks.robots.paths import play


def demonstrations(environment: Environment | None = None, **arguments: object) -> Demonstrations:
    return Demonstrations(environment or Navigation(horizon=20), **{"shots": 2, "queries": 3, "pool": 12} | arguments)


def straight(place: Tensor, goal: Tensor) -> Tensor:
    ahead = (goal - place) / 0.1
    return ahead / max(1.0, float(ahead.abs().max()))


class Walked(nn.Module):
    """The place of the robot and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, torch.ones_like(x[:, :1])], 1)


def linear() -> RidgeHead:
    """Return a learner that is exact where no action is limited: action = 10·(goal − place)."""
    return RidgeHead(Walked(), ways=2, loss="mse", penalty=1e-7)


def test_targets_are_the_scripted_actions_and_not_the_noisy_ones() -> None:
    tasks = demonstrations(noise=0.3)
    goals = tasks.experience(MAML(MLP(2, 2), loss="mse"), 0, 4).tasks
    batch = tasks.batch(0, 4)
    for i, goal in enumerate(goals):
        for part in batch[:2]:
            real = part.w[i] > 0
            expected = torch.stack([straight(place, goal) for place in part.x[i][real]])
            torch.testing.assert_close(part.y[i][real], expected, atol=1e-4, rtol=1e-4)


def test_without_noise_a_demonstration_is_the_straight_line() -> None:
    tasks = demonstrations(noise=0.0)
    goal = tasks.experience(MAML(MLP(2, 2), loss="mse"), 0, 1).tasks[0]
    query = tasks.batch(0, 1).query
    place, steps = torch.zeros(2), 0
    for x, w in zip(query.x[0], query.w[0], strict=True):
        if w == 0:
            break
        torch.testing.assert_close(x, place, atol=1e-5, rtol=0)
        place, steps = place + 0.1 * straight(place, goal), steps + 1
    assert steps >= 2 and (place - goal).norm() < 0.01


def test_each_demonstration_has_the_same_weight_and_none_after_its_end() -> None:
    batch = demonstrations(noise=0.3).batch(1, 6)
    for part, count in ((batch.support, 2), (batch.query, 3)):
        w = part.w.unflatten(1, (count, -1))
        torch.testing.assert_close(w.sum(-1), torch.full((6, count), 1 / count))
        assert (w == 0).any() and (w.diff(dim=-1) <= 0).all()


def test_the_query_set_holds_other_demonstrations_of_the_same_task() -> None:
    batch = demonstrations(noise=0.3).batch(0, 20)
    taught, asked = (part.x.unflatten(1, (count, -1, 2)[:2]) for part, count in ((batch.support, 2), (batch.query, 3)))
    second = lambda part: part[:, :, 1]  # noqa: E731 - the place after the first step
    same = (second(taught)[:, :, None] == second(asked)[:, None]).all(-1)
    assert not same.any()
    orders = {tuple(second(taught)[i].flatten().tolist()) for i in range(20)}
    assert len(orders) > 12  # a task that is drawn again shows other demonstrations


def test_a_batch_is_a_function_of_the_seed_and_splits_have_other_tasks() -> None:
    tasks = demonstrations()
    assert all(torch.equal(a, b) for a, b in zip(tasks.batch(1, 3).query, tasks.batch(1, 3).query, strict=True))
    assert not torch.equal(tasks.batch(1, 3).query.x, tasks.batch(2, 3).query.x)
    goals = lambda of: of.experience(MAML(MLP(2, 2), loss="mse"), 0, 12).tasks  # noqa: E731
    train, test = goals(tasks), goals(tasks.test)
    assert len({tuple(goal.tolist()) for goal in train}) == 12  # each task once
    assert not (train[:, None] == test[None]).all(-1).any()


def test_a_learner_is_played_before_and_after_it_saw_the_demonstrations() -> None:
    tasks = demonstrations(Navigation(horizon=5, reach=0.09), rollouts=2)
    got = tasks.experience(linear(), 0, 8)
    assert torch.equal(got.solved()[:, 1], torch.ones(8)) and not got.solved()[:, 0].any()
    away = got.tasks.norm(dim=1)
    torch.testing.assert_close(got.returns()[:, 0], -5 * away)  # an untaught policy stays where it is
    assert (got.returns()[:, 1] > -0.01).all()


def test_an_evaluation_plays_the_learner() -> None:
    tasks = demonstrations(Navigation(horizon=5, reach=0.09), pool=30)
    got = mt.evaluate(linear(), tasks.test, episodes=30)
    assert got.solved[0].mean < 0.1 and got.solved[1].mean == 1 and got.tasks == 30
    first = tasks.test.experience(linear(), 0, 25).returns()[:, 1].double().numpy()
    np.testing.assert_allclose(got.values[:25], first)
    plain = summary(got)
    assert plain["solved after 1 updates"] == {"mean": 1.0, "interval": 0.0} and "return after 0 updates" in plain
    assert re.search(r"after 0 to 1 updates \(30 tasks\); solved \d\.\d ± \d\.\d, 100\.0 ± 0\.0 %$", str(got))


def test_an_episode_that_was_at_its_aim_has_solved_it_even_if_it_leaves_again() -> None:
    class Passing(Navigation):
        def step(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            observation, reward, done = super().step(action)
            return observation, reward, torch.zeros_like(done)  # never ends

        def expert(self) -> Tensor:
            return torch.ones_like(self.position)

    environment = Passing(horizon=4)
    goal = torch.tensor([[0.2, 0.2], [0.25, 0.25]])
    environment.draw = lambda generator, count, split: goal  # type: ignore[method-assign]
    always = MAML(MLP(2, 2), loss="mse", lr=0.0)
    with torch.no_grad():
        for p in always.parameters():
            p.fill_(float(p.dim() == 1))
    got = demonstrations(environment, pool=2).experience(always, 0, 2)
    solved = {tuple(of.tolist()): s.tolist() for of, s in zip(got.tasks, got.solved(), strict=True)}
    assert solved[tuple(goal[0].tolist())] == [1, 1] and solved[tuple(goal[1].tolist())] == [0, 0]


@pytest.mark.parametrize(
    ("learner", "arguments", "message"),
    [
        (MLP(2, 2), {}, "learner: got a MLP, expected a learner of mapsto"),
        (linear(), {"episodes": 0}, "episodes: got 0"),
        (linear(), {"batch": 0}, "batch: got 0"),
    ],
)
def test_an_evaluation_refuses_what_it_refuses_on_other_tasks(
    learner: object, arguments: dict[str, int], message: str, unchecked: None
) -> None:
    with pytest.raises(MapstoError, match=f"^{message}"):
        mt.evaluate(learner, demonstrations(), **arguments)  # type: ignore[arg-type]


def test_what_happens_after_the_end_of_an_episode_solves_nothing() -> None:
    class Ending(Navigation):
        def step(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            observation, reward, _ = super().step(action)
            return observation, reward, torch.tensor([[True, False]])  # the first episode ends at once

    onwards = lambda place, noise: torch.ones_like(place)  # noqa: E731 - at the goal after two steps
    paths = play(Ending(horizon=4), torch.tensor([[0.2, 0.2]]), 2, onwards, torch.Generator())
    assert paths.solved.tolist() == [[False, True]]


class NoScript(Navigation):
    expert = Environment.expert


class Mad(Navigation):
    def expert(self) -> Tensor:
        return torch.full_like(self.position, torch.nan)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Demonstrations(MLP(2, 2)), "environment: got MLP, expected an Environment, such as Navigation()"),  # type: ignore[arg-type]
        (lambda: demonstrations(shots=0), "shots: got 0, expected a whole number from 1."),
        (lambda: demonstrations(noise=-1.0), "noise: got -1.0, expected a number from 0."),
        (lambda: demonstrations(NoScript()).batch(0, 1), "environment: NoScript has no scripted policy"),
        (lambda: demonstrations(Mad()).batch(0, 1), "mend the environment's scripted policy"),
        (lambda: demonstrations().experience(MAML(MLP(3, 2), loss="mse"), 0, 1), "environment: the policy cannot read"),
    ],
)
def test_what_cannot_be_shown_or_played_is_said(make: object, message: str, unchecked: None) -> None:
    with pytest.raises(MapstoError) as caught:
        make()  # type: ignore[operator]
    assert message in str(caught.value) and "\n" not in str(caught.value)
