"""The base of tasks in which a robot acts, and the policy that a learner has become after adapting to a task."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.func import vmap

from ...adaptation.fitting import explained
from ...adaptation.learner import Learner, evaluating
from ...episodes import Episode, Examples
from ..source import Tasks
from .environment import Environment
from .paths import Paths


class Experience(NamedTuple):
    """All that was played in a batch of tasks."""

    tasks: Shaped[Tensor, "T ..."]  # as the environment drew them
    paths: list[Paths]  # before adapting, and after each update
    lessons: list[Paths]  # what the learner adapted to at each update
    episodes: Episode  # what the learner adapted to and is judged by, with a leading task axis

    def returns(self) -> Float[Tensor, "T u"]:
        """Return the mean return of the rollouts in each task, before adapting and after each update."""
        return torch.stack([paths.returns().mean(1) for paths in self.paths], 1)

    def solved(self) -> Float[Tensor, "T u"] | None:
        """Return the share of the rollouts that were ever at their aim, likewise; None if it is not known."""
        parts = [paths.solved for paths in self.paths]
        return None if None in parts else torch.stack([part.float().mean(1) for part in parts], 1)  # type: ignore[union-attr]


class Played(Tasks, ABC):
    """The base of tasks that are environments: a learner that has adapted to a task acts in it."""

    environment: Environment
    rollouts: int
    lesson: str  # the word for a path that teaches

    @abstractmethod
    def experience(self, learner: Learner, index: int, count: int, seed: int = 0) -> Experience:
        """Return `batch(index, count, seed)` with the rollouts before adapting, and after each update."""


def policy(
    learner: Learner, support: Examples, environment: Environment
) -> Callable[[Float[Tensor, "T n o"]], Float[Tensor, "T n k"]]:
    """Return the scores that the learner gives each observation of each task, after adapting to its support set.

    Raises:
        MapstoError: if the learner cannot read the observations.
    """
    support = support.to(next(learner.parameters()).device)

    def misfit(error: Exception) -> str:
        o, a, name = environment.observations, environment.actions, type(environment).__name__
        return (
            f"environment: the policy cannot read the {o} observations of {name} ({' '.join(str(error).split())}); let "
            f"its body be a mt.models.GaussianPolicy({o}, {a}), or MLP({o}, 64, {a}) for demonstrations."
        )

    with torch.no_grad(), evaluating(learner), explained(misfit):
        state = vmap(learner.adapt)(support)
        vmap(learner.predict)(state, support.x[:, :1])

    @torch.no_grad()
    def scores(observation: Float[Tensor, "T n o"]) -> Float[Tensor, "T n k"]:
        with evaluating(learner):
            return vmap(learner.predict)(state, observation.to(support.x.device)).cpu()

    return scores
