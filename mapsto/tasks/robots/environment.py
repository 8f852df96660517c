"""An environment whose tasks differ in what earns reward, stepped for all tasks and rollouts at once.

reset(tasks) ↦ observation,    step(action) ↦ observation, reward, done      each [T, r, ...] for T tasks, r rollouts
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from ... import checks
from ...errors import MapstoError


class Environment(ABC):
    """The base of environments: a distribution over tasks, each of which is played in several rollouts at once.

    A subclass sets the number of entries of an observation, the number of components of an action, and the `horizon`:
    the largest number of steps in an episode. An episode that has not ended by then is cut. For reports, it may name
    the entries of an observation, and say which two of them are a place in the plane.
    """

    observations: int
    actions: int
    horizon: int
    names: Sequence[str] = ()  # of the entries of an observation
    plane: tuple[int, int] | None = None  # the two entries that are a place

    @abstractmethod
    def draw(self, generator: torch.Generator, count: int, split: str) -> Shaped[Tensor, "T ..."]:
        """Draw `count` tasks of a split with random numbers from `generator`, for example their goals."""

    def goals(self, tasks: Shaped[Tensor, "T ..."]) -> Float[Tensor, "T 2"] | None:
        """Return the place that each task rewards, for reports; by default, there is none to show."""
        return None

    @abstractmethod
    def reset(
        self, tasks: Shaped[Tensor, "T ..."], rollouts: int, generator: torch.Generator
    ) -> Float[Tensor, "T r o"]:
        """Begin `rollouts` episodes of each task, and return the first observations."""

    @abstractmethod
    def step(
        self, action: Float[Tensor, "T r a"]
    ) -> tuple[Float[Tensor, "T r o"], Float[Tensor, "T r"], Bool[Tensor, "T r"]]:
        """Take one action in every episode; return the next observations, the rewards, and which episodes ended."""

    def solved(self) -> Bool[Tensor, "T r"] | None:
        """Return which episodes are at their aim after the last step; by default, None: there is no aim to tell."""
        return None

    def expert(self) -> Float[Tensor, "T r a"]:
        """Return the actions that a scripted policy, which knows the tasks, would take now.

        Raises:
            MapstoError: if there is no such policy, as by default.
        """
        raise MapstoError(f"environment: {type(self).__name__} has no scripted policy; write its method expert().")


def refuse_others(environment: object) -> None:
    """Raise MapstoError if `environment` is not one."""
    playable = isinstance(environment, Environment)
    checks.expect(playable, "environment", type(environment).__name__, "an Environment, such as Navigation()")
