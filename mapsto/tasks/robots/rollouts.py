"""A robot's experience as tasks: the learner that is trained plays, and learns from what it did.

    D_0 ~ π_θ,   D_1 ~ π_adapt(D_0),   …,   query ~ π_adapt(D_0 … D_{k−1})

The support set holds one block of rollouts for each inner update, collected with the policy after the updates before
it; the query set holds rollouts of the adapted policy. A row is one step: its observation, and the action with its
advantage, its log-density when it was taken, and its worth (`adaptation.policies.Taken`). Finn, Abbeel & Levine 2017,
"Model-Agnostic Meta-Learning", Algorithm 3.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ... import checks
from ...adaptation.fitting import trainable
from ...adaptation.learner import Learner
from ...adaptation.policies import Taken, log_density, sample
from ...episodes import Episode, Examples
from ..sampling import Shots, bounds
from .environment import Environment, refuse_others
from .paths import Paths, advantages, play
from .played import Experience, Played, policy


class Rollouts(Played):
    """Tasks of an environment, as the learner's own current policy experiences them.

    Each batch plays the policy with the parameters that the learner has at this moment, so training is on-policy, and
    a batch is a function of the seed, the index and these parameters. `MAML(policy, loss="policy_gradient",
    steps=updates, minibatch=rollouts·horizon)` takes one inner step on each block of rollouts.

    Args:
        environment: the environment, such as `Navigation()`.
        learner: the learner that is trained or evaluated on these tasks. Its scores are the means and the log standard
            deviations of actions, see `mt.models.GaussianPolicy`.
        updates: the number of blocks of rollouts in a support set. If it is a pair (lowest, highest), the number is
            drawn for each batch in training, so that the policy becomes good after every number of updates; further
            blocks have weight 0. Validation and testing use the highest number.
        rollouts: the number of episodes in a block, and in the query set.
        discount: the weight of a reward falls by this factor with every step until it is earned.

    Raises:
        MapstoError: if `environment` is none, the number of updates or `rollouts` is below 1, or `discount` is not in
            [0, 1]. The method `batch` raises MapstoError if observations or actions do not fit the policy, what the
            environment returns does not have its shape, or a reward is not finite.

    >>> from mapsto.learners import MAML
    >>> from mapsto.models import GaussianPolicy
    >>> from mapsto.tasks import Navigation
    >>> learner = MAML(GaussianPolicy(2, 2), loss="policy_gradient", lr=0.1)
    >>> tasks = Rollouts(Navigation(horizon=5), learner, rollouts=4)
    >>> tasks.batch(0, count=3).query.x.shape
    torch.Size([3, 20, 2])
    """

    lesson = "rollout"

    def __init__(
        self, environment: Environment, learner: Learner, updates: Shots = 1, rollouts: int = 20, discount: float = 0.99
    ):
        refuse_others(environment)
        checks.count(rollouts=rollouts)
        checks.between(0, 1, discount=discount)
        self.environment, self.learner = environment, learner
        self.fewest, self.updates = bounds("updates", updates)
        self.rollouts, self.discount = rollouts, discount

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks, play and adapt to them; see `Tasks.draw`."""
        return self._experience(generator, count).episodes

    def experience(self, learner: Learner, index: int, count: int, seed: int = 0) -> Experience:
        """Return `batch(index, count, seed)` with the rollouts before the first update, and after each.

        Raises:
            MapstoError: if `learner` is another learner than that of these tasks.
        """
        trainable(learner, self)
        return self._experience(self.generator(index, count, seed), count)

    def _experience(self, generator: torch.Generator, count: int) -> Experience:
        tasks = self.environment.draw(generator, count, self.split)
        paths: list[Paths] = []
        blocks: list[Examples] = []
        fewest = self.fewest if self.split == "train" else self.updates
        updates = int(torch.randint(fewest, self.updates + 1, (), generator=generator))
        for _ in range(updates + 1):
            played, rows = self._played(tasks, self._support(blocks, count), generator)
            paths.append(played)
            blocks.append(rows)
        return Experience(tasks, paths, paths[:-1], Episode(self._support(blocks[:-1], count), blocks[-1]))

    def _support(self, blocks: list[Examples], count: int) -> Examples:
        """Return the blocks so far as a support set, in which the missing blocks have weight 0 and teach nothing."""
        if not blocks:
            x = torch.zeros(count, 1, self.environment.observations)
            y = torch.zeros(count, 1, self.environment.actions + len(Taken._fields) - 1)
            return Examples(x, y, x[..., 0])
        missing = blocks[-1]._replace(w=torch.zeros_like(blocks[-1].w))
        return _joined([*blocks, *[missing] * (self.updates - len(blocks))])

    def _played(self, tasks: Tensor, support: Examples, generator: torch.Generator) -> tuple[Paths, Examples]:
        """Play the policy adapted to `support`; return the paths, and every step as a row."""
        scores = policy(self.learner, support, self.environment)
        act = lambda observation, noise: sample(scores(observation), noise)  # noqa: E731
        paths = play(self.environment, tasks, self.rollouts, act, generator)
        return paths, self._rows(paths, scores(paths.observation.flatten(1, 2)))

    def _rows(self, paths: Paths, scores: Float[Tensor, "T n k"]) -> Examples:
        """Return the steps as rows, each with weight 1/n; a step after the end of its episode has weight 0."""
        steps = paths.alive.sum((1, 2), keepdim=True)
        worth = paths.reward * steps / self.rollouts
        parts = (paths.observation, paths.action, advantages(paths, self.discount), worth, paths.alive / steps)
        x, action, advantage, worth, w = (part.flatten(1, 2) for part in parts)
        return Examples(x, Taken(action, advantage, log_density(scores, action), worth).packed(), w)


def _joined(blocks: list[Examples]) -> Examples:
    """Return blocks of rows as one set, in which each block has the same total weight."""
    x, y, w = (torch.cat(parts, 1) for parts in zip(*blocks, strict=True))
    return Examples(x, y, w / len(blocks))
