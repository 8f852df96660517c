"""Meta-World's ML1: a simulated arm whose tasks differ in where it should go, which it does not see.

Yu et al. 2019, "Meta-World: A Benchmark and Evaluation for Multi-Task and Meta Reinforcement Learning". ML1 has 50
training tasks and 50 test tasks; the last ten training tasks validate here. An episode goes on after it has succeeded.
"""

import pickle
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...errors import MapstoError
from .gymnasium_environment import Gymnasium

_VALIDATION = 10
_GOAL_DRAWN = ("reach-v3", "push-v3", "pick-place-v3")  # their task ends with the place of the goal
_AXES = ("x", "y", "z")
_STATE = (
    *(f"hand {i}" for i in _AXES), "gripper", *(f"object {i}" for i in _AXES), *(f"object turn {i}" for i in "abcd"),
    *(f"second object {i}" for i in "abcdefg"),
)  # fmt: skip
_START = np.array([0.0, 0.6, 0.2])  # where the hand begins, in metres
_PLACES = [slice(i, i + 3) for i in (0, 4, 18, 22)]  # of the hand and the object, now and before
_UNIT = 0.1  # metres


class MetaWorld(Gymnasium):
    """One skill of Meta-World ("reach-v3", "push-v3", "pick-place-v3", …), each of whose tasks is a hidden goal.

    Observations have 39 entries: the present state, the one before it, and three zeros in place of the goal. Places of
    the hand and the object are in decimetres from where the hand begins (in Meta-World, in metres from a point of the
    table). Actions are the motion of the hand along x, y and z, and the gripper, each from −1 to 1. `expert` is the
    scripted policy that Meta-World gives for the skill. The class needs the extra `robots`: `pip install
    "mapsto[robots]"`.

    Args:
        skill: the name of the skill in Meta-World.
        horizon: the largest number of steps in an episode; 500 in Meta-World.
        workers: the number of processes, see `Gymnasium`.
        seed: the random seed of the tasks.

    Raises:
        MapstoError: if Meta-World is not installed, the skill is unknown, or a number is below 1.
    """

    names = (*_STATE, *(f"{name} before" for name in _STATE), *(f"goal {i}" for i in _AXES))
    plane = (0, 1)

    def __init__(self, skill: str = "reach-v3", horizon: int = 500, workers: int = 1, seed: int = 0):
        try:
            import metaworld
            from metaworld.policies import ENV_POLICY_MAP
        except ImportError as error:
            raise MapstoError('metaworld: it is not installed; pip install "mapsto[robots]".') from error
        if skill not in ENV_POLICY_MAP:
            raise MapstoError(
                f"skill: got {skill!r}, expected one of Meta-World's: {', '.join(sorted(ENV_POLICY_MAP))}."
            )
        benchmark = metaworld.ML1(skill, seed=seed)
        train = benchmark.train_tasks
        tasks = {"train": train[:-_VALIDATION], "validation": train[-_VALIDATION:], "test": benchmark.test_tasks}
        self.skill = skill
        environment, policy = benchmark.train_classes[skill], ENV_POLICY_MAP[skill]()  # type: ignore[abstract]
        super().__init__(_Making(environment), tasks, expert=_Scripted(policy), horizon=horizon, workers=workers)

    def goals(self, tasks: Int[Tensor, " T"]) -> Float[Tensor, "T 2"] | None:
        """Return the places of the goals, seen from above, if the skill has such goals."""
        if self.skill not in _GOAL_DRAWN:
            return None
        goals = np.stack([pickle.loads(self.tasks[i].data)["rand_vec"][-3:] for i in tasks.tolist()])
        return torch.from_numpy((goals - _START) / _UNIT)[:, :2].float()


class _Making:
    """Make an environment whose places are in our units."""

    def __init__(self, kind: Any):
        self.kind = kind

    def __call__(self) -> Any:
        from gymnasium.wrappers import TransformObservation

        return TransformObservation(self.kind(), _in_decimetres, None)


def _in_decimetres(observation: np.ndarray) -> np.ndarray:
    observation = observation.copy()
    for place in _PLACES:
        observation[place] = (observation[place] - _START) / _UNIT
    return observation


def _in_metres(observation: np.ndarray) -> np.ndarray:
    observation = observation.copy()
    for place in _PLACES:
        observation[place] = observation[place] * _UNIT + _START
    return observation


class _Scripted:
    """Ask Meta-World's scripted policy, which sees the goal."""

    def __init__(self, policy: Any):
        self.policy = policy

    def __call__(self, environment: Any, observation: np.ndarray) -> np.ndarray:
        seen = _in_metres(observation)
        seen[-3:] = environment.unwrapped._target_pos
        return np.clip(self.policy.get_action(seen), -1, 1)
