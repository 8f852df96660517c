"""A point robot that moves in the plane to a goal which it does not see.

    position ← position + 0.1·clip(action, −1, 1),   reward = −‖position − goal‖,   goal ~ U[−½, ½]²

It starts at the origin and observes its position; an episode ends within 0.01 of the goal, or after 100 steps. Finn,
Abbeel & Levine 2017, "Model-Agnostic Meta-Learning", §5.3, with actions in units of the largest velocity.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ... import checks
from .environment import Environment

_NEAR = 0.01


class Navigation(Environment):
    """Two-dimensional navigation: each task is a goal in the plane, which only the reward reveals.

    Args:
        horizon: the largest number of steps in an episode.
        speed: the largest change of each coordinate in one step, which an action of 1 (or −1) makes.
        reach: goals are uniform in the square from −reach to reach.

    Raises:
        MapstoError: if `horizon` is below 1, or `speed` or `reach` is not above 0.
    """

    observations, actions = 2, 2
    names, plane = ("x", "y"), (0, 1)

    def __init__(self, horizon: int = 100, speed: float = 0.1, reach: float = 0.5):
        checks.count(horizon=horizon)
        checks.above(0, speed=speed, reach=reach)
        self.horizon, self.speed, self.reach = horizon, speed, reach

    def draw(self, generator: torch.Generator, count: int, split: str) -> Float[Tensor, "T 2"]:
        """Draw the goals of `count` tasks."""
        return self.reach * (2 * torch.rand(count, 2, generator=generator) - 1)

    def goals(self, tasks: Float[Tensor, "T 2"]) -> Float[Tensor, "T 2"]:
        """Return the goals."""
        return tasks

    def reset(self, tasks: Float[Tensor, "T 2"], rollouts: int, generator: torch.Generator) -> Float[Tensor, "T r 2"]:
        """Place every robot at the origin."""
        self._goals = tasks[:, None]
        self.position = torch.zeros(len(tasks), rollouts, 2, device=tasks.device)
        return self.position

    def step(
        self, action: Float[Tensor, "T r 2"]
    ) -> tuple[Float[Tensor, "T r 2"], Float[Tensor, "T r"], Bool[Tensor, "T r"]]:
        """Move every robot; the reward is minus its new distance from the goal."""
        self.position = self.position + self.speed * action.clamp(-1, 1)
        distance = self._distance()
        return self.position, -distance, distance < _NEAR

    def solved(self) -> Bool[Tensor, "T r"]:
        """Return which robots are within 0.01 of their goal."""
        return self._distance() < _NEAR

    def expert(self) -> Float[Tensor, "T r 2"]:
        """Return the actions that lead straight to the goal, as fast as possible."""
        ahead = (self._goals - self.position) / self.speed
        return ahead / ahead.abs().amax(-1, keepdim=True).clamp(min=1)

    def _distance(self) -> Float[Tensor, "T r"]:
        return (self.position - self._goals).norm(dim=-1)
