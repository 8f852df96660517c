"""Learning a skill from a few demonstrations: the support set holds the steps of some, the query set those of others.

    x = observation,   y = action of the scripted policy there,   recorded action = y + noise·ε,   ε ~ N(0, I)

Because noise moves the robot, but not the answers, demonstrations also show the way back from mistakes (Laskey et al.
2017, "DART: Noise Injection for Robust Imitation Learning"). Finn et al. 2017, "One-Shot Visual Imitation Learning via
Meta-Learning", learns from such tasks with MAML.
"""

import torch
from jaxtyping import Shaped
from torch import Tensor

from ... import checks
from ...adaptation.learner import Learner
from ...episodes import Episode, Examples
from ..sampling import each_once
from ..source import SPLITS, stream
from .environment import Environment, refuse_others
from .paths import Paths, play
from .played import Experience, Played, policy
from .recorded import Recorded

_AT_ONCE = 10  # tasks whose demonstrations are recorded at once


class Demonstrations(Played):
    """Imitation as regression: x is an observation, y the action that the environment's scripted policy takes there.

    Each split has a fixed number of tasks, whose demonstrations are recorded when they are first needed. A task of a
    batch is one of them, with a random choice of its demonstrations for the support set and the query set. Each
    demonstration has the same weight; steps after its end have weight 0. Train any learner of numbers on them, such as
    `MAML(body, loss="mse")`; `mt.measures.evaluate` plays it before and after it adapted.

    Args:
        environment: an environment with a scripted policy, such as `Navigation()`.
        shots: the number of demonstrations in the support set.
        queries: the number of demonstrations in the query set.
        pool: the number of tasks in each split.
        noise: the standard deviation of the noise on actions while demonstrations are recorded, in units of actions.
        rollouts: the number of episodes that are played in a task when the learner is evaluated.
        seed: the random seed of the tasks and of the noise.

    Raises:
        MapstoError: if `environment` is none, `shots`, `queries`, `pool` or `rollouts` is below 1, or `noise` is below
            0. The method `batch` raises MapstoError if the environment has no scripted policy, or an action of it is
            not finite.

    >>> from mapsto.tasks import Navigation
    >>> tasks = Demonstrations(Navigation(), shots=2, pool=10)
    >>> episode = tasks.batch(0, count=3)
    >>> episode.support.x.shape[::2], episode.support.y.shape[::2]  # tasks, and the entries of x and y
    (torch.Size([3, 2]), torch.Size([3, 2]))
    """

    lesson = "demonstration"

    def __init__(
        self,
        environment: Environment,
        shots: int = 5,
        queries: int = 1,
        pool: int = 100,
        noise: float = 0.1,
        rollouts: int = 1,
        seed: int = 0,
    ):
        refuse_others(environment)
        checks.count(shots=shots, queries=queries, pool=pool, rollouts=rollouts)
        checks.at_least(0, noise=noise)
        self.environment, self.shots, self.queries, self.pool = environment, shots, queries, pool
        self.noise, self.rollouts, self.seed = noise, rollouts, seed
        self._recorded: dict[str, tuple[Tensor, Recorded]] = {}  # shared by the copies for other splits

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks; see `Tasks.draw`."""
        return self._drawn(generator, count)[1]

    def experience(self, learner: Learner, index: int, count: int, seed: int = 0) -> Experience:
        """Return `batch(index, count, seed)` with the rollouts of the policy before and after it adapted."""
        generator = self.generator(index, count, seed)
        tasks, episodes = self._drawn(generator, count)
        nothing = episodes.support._replace(w=torch.zeros_like(episodes.support.w))
        paths = []
        for support in (nothing, episodes.support):
            scores = policy(learner, support, self.environment)
            act = lambda observation, noise: scores(observation)  # noqa: B023, E731 - played at once
            paths.append(play(self.environment, tasks, self.rollouts, act, generator))
        return Experience(tasks, paths, [self._shown(episodes.support)], episodes)

    def _shown(self, support: Examples) -> Paths:
        """Return the demonstrations of support sets as paths, without their rewards."""
        observation, action, w = (part.unflatten(1, (self.shots, -1)) for part in support)
        return Paths(observation, action, torch.zeros_like(w), w > 0)

    def _drawn(self, generator: torch.Generator, count: int) -> tuple[Tensor, Episode]:
        if self.split not in self._recorded:
            self._recorded[self.split] = self._record()
        tasks, recorded = self._recorded[self.split]
        chosen = each_once(generator, len(tasks), count)
        return tasks[chosen], recorded.draw(generator, chosen, self.shots, self.queries)

    def _record(self) -> tuple[Shaped[Tensor, "T ..."], Recorded]:
        """Play the scripted policy in the tasks of the split, with noise on its actions."""
        generator = torch.Generator().manual_seed(stream(self.seed, SPLITS.index(self.split)))
        tasks = self.environment.draw(generator, self.pool, self.split)
        parts = [self._demonstrated(some, generator) for some in tasks.split(_AT_ONCE)]
        observation, action, alive = (torch.cat(part) for part in zip(*parts, strict=True))
        longest = int(alive.sum(-1).max())
        return tasks, Recorded(observation[:, :, :longest], action[:, :, :longest], alive[:, :, :longest])

    def _demonstrated(self, tasks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        meant: list[Tensor] = []

        def act(observation: Tensor, noise: Tensor) -> Tensor:
            meant.append(self.environment.expert())
            checks.finite("mend the environment's scripted policy", action=meant[-1])
            return meant[-1] + self.noise * noise

        paths = play(self.environment, tasks, self.shots + self.queries, act, generator)
        action = torch.zeros_like(paths.action)
        action[:, :, : len(meant)] = torch.stack(meant, 2)
        return paths.observation, action, paths.alive
