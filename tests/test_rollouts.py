"""A policy's experience as tasks: it is what the environment gave, collected by the policy that it says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import mapsto as mt
from mapsto.adaptation.policies import log_density, taken
from mapsto.episodes import Episode, Examples, unstack
from mapsto.errors import MapstoError
from mapsto.learners import MAML
from mapsto.models import GaussianPolicy
from mapsto.tasks import Environment, Navigation, Rollouts
from mapsto.tasks.robots.paths import Paths, advantages, baseline, play

HORIZON, ROLLOUTS = 6, 3


def learner(updates: int = 1, seed: int = 0) -> MAML:
    torch.manual_seed(seed)
    body = GaussianPolicy(2, 2, hidden=(8,), log_std=-0.5)
    return MAML(body, loss="policy_gradient", lr=0.2, steps=updates, minibatch=HORIZON * ROLLOUTS)


def rollouts(updates: int = 1, of: MAML | None = None, **arguments: object) -> Rollouts:
    environment = arguments.pop("environment", Navigation(horizon=HORIZON))
    return Rollouts(environment, of or learner(updates), updates, ROLLOUTS, **arguments)


class Recorded(Navigation):
    """Navigation that keeps the sum of the rewards of each reset, until the end of each episode."""

    def __init__(self) -> None:
        super().__init__(HORIZON, speed=0.3, reach=0.2)
        self.sums: list[Tensor] = []

    def reset(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> Tensor:
        self.sums.append(torch.zeros(len(tasks), rollouts))
        self.going = torch.ones(len(tasks), rollouts, dtype=torch.bool)
        return super().reset(tasks, rollouts, generator)

    def step(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        observation, reward, done = super().step(action)
        done = reward > -0.1  # so that many episodes end
        self.sums[-1] += torch.where(self.going, reward, 0.0)
        self.going &= ~done
        return observation, reward, done


def to_goal(observation: Tensor, noise: Tensor, goal: Tensor) -> Tensor:
    return (goal - observation) / 0.1


def test_a_robot_that_knows_its_goal_walks_straight_to_it() -> None:
    environment, goal = Navigation(), torch.tensor([[0.35, -0.2]])
    policy = lambda observation, noise: to_goal(observation, noise, goal)  # noqa: E731
    paths = play(environment, goal, 2, policy, torch.Generator().manual_seed(0))
    assert paths.alive.sum(-1).tolist() == [[4, 4]]
    expected = [[0, 0], [0.1, -0.1], [0.2, -0.2], [0.3, -0.2]]
    torch.testing.assert_close(paths.observation[0, 0, :4], torch.tensor(expected))
    distances = [np.hypot(0.25, 0.1), 0.15, 0.05, 0.0]
    torch.testing.assert_close(paths.returns(), torch.full((1, 2), -float(sum(distances))))
    assert not paths.reward[..., 4:].any()


def test_nothing_is_earned_after_the_end_of_an_episode() -> None:
    environment, goals = Navigation(horizon=9), torch.tensor([[0.35, -0.2], [0.1, 0.0]])
    policy = lambda observation, noise: to_goal(observation, noise, goals[:, None]) + 1e-2  # noqa: E731
    paths = play(environment, goals, 2, policy, torch.Generator().manual_seed(0))
    assert paths.alive.sum(-1).tolist() == [[4, 4], [1, 1]]
    assert not paths.reward[1, :, 1:].any() and (paths.reward[0, :, 1:4] != 0).all()


def test_goals_fill_the_square_and_differ_between_splits() -> None:
    tasks = rollouts()
    draw = lambda of: Navigation().draw(of.generator(0, 500), 500, of.split)  # noqa: E731
    goals = draw(tasks)
    assert goals.abs().max() <= 0.5 and goals.abs().amax(0).min() > 0.45 and goals.mean(0).abs().max() < 0.05
    assert not torch.equal(goals, draw(tasks.test))


def test_an_episode_that_never_ends_is_cut_at_the_horizon() -> None:
    batch = rollouts(environment=Navigation(horizon=HORIZON, reach=100.0)).batch(0, 2)
    assert (batch.query.w > 0).all() and batch.query.x.shape == (2, ROLLOUTS * HORIZON, 2)


def test_returns_are_those_of_the_environment() -> None:
    environment = Recorded()
    tasks = rollouts(2, environment=environment)
    played = tasks.experience(tasks.learner, 0, 5)
    batch = played.episodes
    ended = [int((part.w == 0).sum()) for part in batch[:2]]
    assert min(ended) > 0
    expected = torch.stack([sums.mean(1) for sums in environment.sums], 1)  # [T, updates + 1]
    torch.testing.assert_close(played.returns(), expected)
    one = tasks.learner.loss(unstack(batch)[3])[0]
    torch.testing.assert_close(-one.detach(), expected[3, -1])


def test_weights_are_equal_within_a_block_and_0_after_the_end() -> None:
    batch = rollouts(2, environment=Recorded()).batch(0, 4)
    for part, blocks in ((batch.support, 2), (batch.query, 1)):
        w = part.w.view(4, blocks, ROLLOUTS, HORIZON)
        torch.testing.assert_close(w.sum((2, 3)), torch.full((4, blocks), 1 / blocks))
        assert all(len(block[block > 0].unique()) == 1 for block in w.flatten(0, 1))
        assert (w.diff(dim=-1) <= 0).all()  # a dead episode stays dead


def density(of: MAML, steps: int, episode: Episode, rows: Examples) -> Tensor:
    """Return the log-density of the actions of `rows` under the policy after so many updates."""
    twin = learner(steps)
    twin.load_state_dict(of.state_dict())
    state = twin.adapt(Examples(*(part[: steps * HORIZON * ROLLOUTS] for part in episode.support)))
    return log_density(twin.predict(state, rows.x), taken(rows.y).action)


def test_each_block_is_played_by_the_policy_after_the_updates_before_it() -> None:
    tasks = rollouts(2)
    for episode in unstack(tasks.batch(0, 3)):
        n = HORIZON * ROLLOUTS
        blocks = [Examples(*(part[i * n : (i + 1) * n] for part in episode.support)) for i in range(2)]
        for i, block in enumerate([*blocks, episode.query]):
            steps = min(i, 2)
            if i == 1:  # of two blocks of half the weight each, the first alone has weight 1
                support = episode.support._replace(w=2 * episode.support.w)
                first = episode._replace(support=support)
            log_p = density(tasks.learner, steps, first if i == 1 else episode, block)
            real = block.w > 0
            torch.testing.assert_close(taken(block.y).log_p[real], log_p[real], atol=1e-4, rtol=1e-4)
            other = density(tasks.learner, (steps + 1) % 3, episode, block)
            assert (taken(block.y).log_p[real] - other[real]).abs().max() > 1e-3


def test_adapting_to_the_support_set_takes_one_step_on_each_block() -> None:
    tasks = rollouts(2)
    episode, n = unstack(tasks.batch(0, 1))[0], HORIZON * ROLLOUTS
    of, params = tasks.learner, dict(tasks.learner.body.named_parameters())
    for i in range(2):
        x, y, w = (part[i * n : (i + 1) * n] for part in episode.support)
        scores = torch.func.functional_call(of.body, params, (x,))
        grads = torch.autograd.grad(of.criterion(scores, y, 2 * w), list(params.values()))
        params = {name: p - 0.2 * g for (name, p), g in zip(params.items(), grads, strict=True)}
    for name, p in of.adapt(episode.support).params.items():
        torch.testing.assert_close(p, params[name])


def test_a_batch_is_a_function_of_the_seed_the_index_and_the_parameters() -> None:
    tasks = rollouts(2)
    first, again = tasks.batch(3, 2, seed=1), tasks.batch(3, 2, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first.query, again.query, strict=True))
    assert not torch.equal(first.query.y, tasks.batch(3, 2, seed=2).query.y)
    with torch.no_grad():
        tasks.learner.body.spread += 0.1
    assert not torch.equal(first.support.y, tasks.batch(3, 2, seed=1).support.y)


def test_a_resumed_run_is_the_run_that_was_stopped(tmp_path: Path, unchecked: None) -> None:
    whole, before = learner(), learner(seed=1)
    list(mt.train(whole, rollouts(of=whole), steps=4, batch=2))
    steps = mt.train(before, rollouts(of=before), steps=4, batch=2, run=tmp_path, init=None)
    before.load_state_dict(learner().state_dict())
    next(steps), next(steps)
    steps.close()
    after = learner(seed=2)
    list(mt.train(after, rollouts(of=after), steps=4, batch=2, run=tmp_path, resume=True))
    assert all(map(torch.equal, whole.parameters(), after.parameters()))
    assert not any(map(torch.equal, whole.parameters(), learner().parameters()))


def random_paths(shape: tuple[int, int, int] = (2, 5, 7)) -> Paths:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, shape[2] + 1, shape[:2], generator=generator)
    alive = torch.arange(shape[2]) < lengths[..., None]
    reward = torch.where(alive, torch.randn(shape, generator=generator), 0.0)
    observation = torch.randn(*shape, 2, generator=generator)
    return Paths(observation, torch.zeros(*shape, 1), reward, alive)


def test_the_baseline_is_the_linear_regression_of_numpy() -> None:
    paths = random_paths()
    ahead = paths.reward.flip(-1).cumsum(-1).flip(-1)
    got = baseline(paths, ahead)
    for task in range(2):
        s = paths.observation[task].numpy().astype(float)
        t = np.broadcast_to(np.linspace(0, 1, 7)[:, None], (5, 7, 1))
        features = np.concatenate([s, s**2, t, t**2, t**3, np.ones_like(t)], -1)
        alive = paths.alive[task].numpy()
        beta = np.linalg.lstsq(features[alive], ahead[task].numpy()[alive], rcond=None)[0]
        np.testing.assert_allclose(got[task].numpy()[alive], features[alive] @ beta, atol=2e-3)
    assert (got - ahead)[paths.alive].abs().mean() > 0.1


def test_advantages_are_standardised_returns_to_go_above_the_baseline() -> None:
    paths = random_paths()
    got, discount = advantages(paths, 0.9), 0.9
    for task in range(2):
        reward, alive = paths.reward[task].tolist(), paths.alive[task]
        ahead = torch.tensor([[sum(discount ** (u - t) * r[u] for u in range(t, 7)) for t in range(7)] for r in reward])
        gain = (ahead - baseline(paths, ahead.expand(2, 5, 7).clone())[task])[alive]
        torch.testing.assert_close(
            got[task][alive], (gain - gain.mean()) / gain.std(correction=0), atol=1e-4, rtol=1e-4
        )
        assert not got[task][~alive].any()


def test_meta_learning_makes_the_adapted_policy_better(unchecked: None) -> None:
    torch.manual_seed(0)
    of = MAML(GaussianPolicy(2, 2, hidden=(16,), log_std=-0.5), loss="policy_gradient", lr=0.2)
    tasks = Rollouts(Navigation(horizon=20), of, rollouts=8)
    before = tasks.test.experience(of, 0, 20).returns().mean(0)
    list(mt.train(of, tasks, steps=30, batch=8, lr=2e-2))
    score = mt.evaluate(of, tasks.test, episodes=20)
    assert score.returns[1].mean > float(before[1]) + 1.5 and score.returns[1].mean > score.returns[0].mean + 2
    torch.testing.assert_close(score.values.mean(), np.float64(score.returns[1].mean))
    assert "after 0 to 1 updates (20 tasks); solved " in str(score)


class Broken(Navigation):
    """Navigation whose rewards become NaN."""

    def step(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        observation, reward, done = super().step(action)
        return observation, reward * torch.nan, done


class Misshapen(Navigation):
    """Navigation with one more axis on the observation, the reward or the end of episodes."""

    def __init__(self, part: int):
        super().__init__(HORIZON)
        self.part = part

    def step(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = list(super().step(action))
        parts[self.part] = parts[self.part][..., None]
        return tuple(parts)


class Lost(Navigation):
    """Navigation that observes one number for all rollouts, where two for each are due."""

    def reset(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> Tensor:
        return super().reset(tasks, rollouts, generator)[:, :1, :1]


class Wide(Navigation):
    """Navigation that says it has another number of observations or of actions than the policy."""

    def __init__(self, observations: int = 2, actions: int = 2):
        super().__init__(HORIZON)
        self.observations, self.actions = observations, actions


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rollouts(0), "^updates: got 0"),
        (lambda: Rollouts(Navigation(), learner(), rollouts=0), "^rollouts: got 0"),
        (lambda: rollouts(discount=1.5), "^discount: got 1.5"),
        (lambda: Navigation(horizon=0), "^horizon: got 0"),
        (lambda: Navigation(speed=0.0), "^speed: got 0.0"),
        (lambda: rollouts(environment=Broken(HORIZON)).batch(0, 1), "^reward: got NaN"),
        (lambda: rollouts(environment=Misshapen(0)).batch(0, 3), "^observation: got shape"),
        (lambda: rollouts(environment=Misshapen(1)).batch(0, 3), "^reward: got shape"),
        (lambda: rollouts(environment=Misshapen(2)).batch(0, 3), "^done: got shape"),
        (lambda: rollouts(environment=Lost(HORIZON)).batch(0, 3), "^observation: got shape"),
        (lambda: rollouts(environment="Navigation"), "^environment: got str"),
        (lambda: rollouts(environment=Wide(observations=3)).batch(0, 1), "^environment: the policy cannot read the 3"),
        (lambda: rollouts(environment=Wide(actions=1)).batch(0, 1), "^scores: got 4 for actions of 1"),
        (lambda: next(mt.train(learner(), rollouts(), 1, 1)), "^tasks: got rollouts of another policy"),
        (lambda: mt.evaluate(learner(), rollouts()), "^tasks: got rollouts of another policy"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], object], message: str, unchecked: None) -> None:
    with pytest.raises(MapstoError, match=message):
        make()


def test_an_environment_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Environment()


def test_the_number_of_updates_is_drawn_for_each_batch_in_training_only() -> None:
    of = learner(3)
    tasks = Rollouts(Navigation(horizon=HORIZON), of, (1, 3), ROLLOUTS)
    seen = set()
    for index in range(12):
        batch = tasks.batch(index, 2)
        played = (batch.support.w.view(2, 3, -1).sum(-1) > 0).sum(1)
        assert len(played.unique()) == 1
        seen.add(int(played[0]))
        log_p = taken(batch.query.y).log_p
        state = of.adapt(unstack(batch)[0].support)  # the steps on blocks of weight 0 stay where they are
        scores = of.predict(state, batch.query.x[0])
        torch.testing.assert_close(log_density(scores, taken(batch.query.y).action[0]), log_p[0], atol=1e-4, rtol=1e-4)
    assert seen == {1, 2, 3}
    assert all((tasks.test.batch(index, 1).support.w.view(3, -1).sum(-1) > 0).all() for index in range(4))
