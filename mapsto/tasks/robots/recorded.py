"""Demonstrations that were recorded, and the draw of some of them for the support set and others for the query set."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...episodes import Episode, Examples
from ..sampling import choose


class Recorded(NamedTuple):
    """The demonstrations of `T` tasks, at most `d` of each, at most `h` steps long; `alive` tells the real steps."""

    observation: Float[Tensor, "T d h o"]
    action: Float[Tensor, "T d h a"]
    alive: Bool[Tensor, "T d h"]

    def draw(self, generator: torch.Generator, tasks: Int[Tensor, " T"], shots: int, queries: int) -> Episode:
        """Draw `shots` demonstrations of each task for the support set, and `queries` others for the query set."""
        counts = self.alive.any(-1).sum(-1)[tasks]
        support, query = choose(generator, counts, shots + queries).split([shots, queries], 1)
        return Episode(self._rows(tasks, support), self._rows(tasks, query))

    def _rows(self, tasks: Int[Tensor, " T"], demonstrations: Int[Tensor, "T s"]) -> Examples:
        """Return the steps of some demonstrations as rows, each demonstration with weight 1/s."""
        x, y, alive = (part[tasks[:, None], demonstrations] for part in self)
        w = alive / alive.sum(-1, keepdim=True) / demonstrations.shape[1]
        return Examples(x.flatten(1, 2), y.flatten(1, 2), w.flatten(1, 2))
