"""Several gymnasium environments that one process steps one after another."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

Make = Callable[[], Any]  # ↦ an environment of gymnasium
Assign = Callable[[Any, Any], None]  # (environment, task)
Expert = Callable[[Any, Float[np.ndarray, " o"]], Float[np.ndarray, " a"]]  # (environment, observation) ↦ action
_ENDED_WELL = ("success", "is_success")  # entries of `info`, in Meta-World and in gymnasium-robotics


class Bundle:
    """As many environments as there are episodes; an episode that has ended is not stepped any more."""

    def __init__(self, make: Make, assign: Assign, expert: Expert | None):
        self.make, self.assign, self.script = make, assign, expert or _nothing
        self.environments: list[Any] = []

    def reset(self, tasks: Sequence[Any], seeds: Sequence[int]) -> Float[np.ndarray, "n o"]:
        """Begin one episode of each task."""
        while len(self.environments) < len(tasks):
            self.environments.append(self.make())
        first = []
        for environment, task, seed in zip(self.environments, tasks, seeds, strict=False):
            self.assign(environment, task)
            first.append(_flat(environment.reset(seed=seed)[0]))
        n = len(tasks)
        self.observation = np.stack(first)
        self.done, self.aim = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        self.tells = False  # whether `info` says that an episode reached its aim
        return self.observation

    def step(
        self, actions: Float[np.ndarray, "n a"]
    ) -> tuple[Float[np.ndarray, "n o"], Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """Take one action in every episode; return the next observations, the rewards, and which episodes ended."""
        reward = np.zeros(len(actions))
        for i in np.flatnonzero(~self.done):
            environment = self.environments[i]
            space = environment.action_space
            action = np.clip(actions[i].reshape(space.shape).astype(space.dtype), space.low, space.high)
            observation, reward[i], terminated, truncated, info = environment.step(action)
            self.observation[i] = _flat(observation)
            self.done[i] = terminated or truncated
            self.tells |= any(name in info for name in _ENDED_WELL)
            self.aim[i] = any(bool(info.get(name)) for name in _ENDED_WELL)
        return self.observation, reward, self.done

    def solved(self) -> Bool[np.ndarray, " n"] | None:
        """Return which episodes are at their aim, or ended there; None if the environments do not say."""
        return self.aim if self.tells else None

    def expert(self) -> Float[np.ndarray, "n a"]:
        """Return the action of the scripted policy in every episode, 0 in those that have ended."""
        size = int(np.prod(self.environments[0].action_space.shape))
        actions = np.zeros((len(self.done), size))
        for i in np.flatnonzero(~self.done):
            actions[i] = np.ravel(self.script(self.environments[i], self.observation[i]))
        return actions


def _nothing(environment: Any, observation: np.ndarray) -> np.ndarray:
    return np.zeros(environment.action_space.shape)


def _flat(observation: Any) -> Float[np.ndarray, " o"]:
    return np.asarray(observation, dtype=np.float64).ravel()
