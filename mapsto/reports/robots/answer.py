"""The answer to a question about a robot's task: its film, its returns, and the reasons for what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ...estimate import Estimate
from ..words import count

Rollouts = Sequence[Float[np.ndarray, "h o"]]  # the observations of each rollout, from its start to its end


@dataclass(frozen=True, eq=False)
class RobotAnswer:
    """What a policy did in one task, in blocks of rollouts after 0, 1, … updates."""

    name: str
    learner: str
    environment: str
    horizon: int
    names: Sequence[str]  # of the entries of an observation
    plane: tuple[int, int] | None
    goal: Float[np.ndarray, " 2"] | None
    blocks: Sequence[Rollouts]
    returns: Sequence[float]  # of each block
    means: Sequence[Estimate]  # over several tasks, of each block
    pushes: Float[np.ndarray, "u r"]  # of each rollout that taught, as a share of all
    reasons: Mapping[str, Float[np.ndarray, "a h o"]]  # of each method, along the first rollout after adaptation
    left_out: Mapping[str, str]  # the reason why a method has no values

    @property
    def cut(self) -> int:
        """How many rollouts of the adapted policy did not end before the horizon."""
        return sum(len(path) == self.horizon for path in self.blocks[-1])

    def about(self) -> str:
        """Describe the task and the success in it."""
        played, rollouts = len(self.blocks) - 1, len(self.blocks[-1])
        after = count(played, "update")
        ended = f"{self.cut} of {rollouts} were cut at the horizon of {self.horizon} steps"
        return (
            f"In {self.name}, {self.learner} adapted to {self.environment} by its own rollouts, "
            f"{count(rollouts, 'rollout')} for each update. Its return was {self.returns[0]:.2f} before and "
            f"{self.returns[-1]:.2f} after {after}. Of the last rollouts, {ended}."
        )

    def summary(self) -> dict[str, Any]:
        """Return the returns for a machine."""
        means = [value._asdict() for value in self.means]
        return {"name": self.name, "returns": list(self.returns), "means": means, "left_out": dict(self.left_out)}
