"""The answer to a question about a robot's task: its film, its returns, and the reasons for what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ...estimate import Estimate
from ...figures.numbers import hundredths
from ..answer import Answer
from ..words import count
from . import html

Rollouts = Sequence[Float[np.ndarray, "_ o"]]  # the observations of each rollout, from its start to its end


@dataclass(frozen=True, eq=False)
class RobotAnswer(Answer):
    """What a policy did in one task, in blocks of rollouts after 0, 1, … updates, and what taught it."""

    name: str
    learner: str
    environment: str
    horizon: int
    names: Sequence[str]  # of the entries of an observation
    plane: tuple[int, int] | None
    goal: Float[np.ndarray, " 2"] | None
    lesson: str  # "rollout" if it learned from its own, or "demonstration"
    blocks: Sequence[Rollouts]
    lessons: Sequence[Rollouts]  # what taught each update
    returns: Sequence[float]  # of each block
    means: Sequence[Estimate]  # over several tasks, of each block
    solved: Sequence[Estimate] | None  # the share of rollouts that reached their aim, likewise; None if not known
    pushes: Float[np.ndarray, "u r"]  # of each path that taught, as a share of all
    reasons: Mapping[str, Float[np.ndarray, "a h o"]]  # of each method, along the first rollout after adaptation
    left_out: Mapping[str, str]  # the reason why a method has no values

    @property
    def cut(self) -> int:
        """How many rollouts of the adapted policy did not end before the horizon."""
        return sum(len(path) == self.horizon for path in self.blocks[-1])

    @property
    def imitates(self) -> bool:
        """Whether the policy learned from demonstrations, not from its own rollouts."""
        return self.lesson == "demonstration"

    def moment(self, update: int) -> str:
        """Say when a block was played."""
        if self.imitates:
            return "after the demonstrations" if update else "before any demonstration"
        return f"after {count(update, 'update')}"

    def about(self) -> str:
        """Describe the task, and the success of the policy in it."""
        taught = count(len(self.lessons[0]), self.lesson)
        own = f"{self.environment} by its own rollouts, {taught} for each update"
        to = f"{taught} in {self.environment}" if self.imitates else own
        rollouts, last = count(len(self.blocks[-1]), "last rollout"), len(self.returns) - 1
        cut = "none was" if self.cut == 0 else "1 was" if self.cut == 1 else f"{self.cut} were"
        went = f"{hundredths(self.returns[0])} {self.moment(0)} and {hundredths(self.returns[-1])} {self.moment(last)}"
        return (
            f"In {self.name}, {self.learner} adapted to {to}. Its return was {went}. Of the {rollouts}, {cut} cut at "
            f"the horizon of {self.horizon} steps."
        )

    def sections(self) -> dict[str, Any]:
        """Return all that the page shows of a robot's task; call it within `plain_style()`."""
        return html.sections(self)

    def summary(self) -> dict[str, Any]:
        """Return the returns for a machine."""
        means = [value._asdict() for value in self.means]
        solved = None if self.solved is None else [value._asdict() for value in self.solved]
        played = {"name": self.name, "returns": list(self.returns), "means": means, "solved": solved}
        return {**played, "left_out": dict(self.left_out)}
