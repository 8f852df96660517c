"""Streams of related regression tasks: each task comes with the examples of earlier tasks as context.

    y = x·a + b_j + ε,  x ~ N(0, I),  a ~ N(0, slope² I),  b_j ~ N(0, intercept²),  ε ~ N(0, noise²)

All tasks j of a stream share the slope a, so the earlier tasks help to estimate it. Each task has an intercept b_j of
its own, which only its own examples show. The best prediction is ridge regression over all tasks on x and one indicator
column for each task, with penalties noise²/slope² and noise²/intercept² (Bishop 2006, "Pattern Recognition and Machine
Learning", eq. 3.55).
"""

import torch

from .. import checks
from ..episodes import Episode, Examples
from .sampling import episode
from .source import Tasks


class LinearStream(Tasks):
    """Linear regression tasks x `[n, features]` ↦ y `[n, 1]`, each preceded by `earlier` tasks with the same slope.

    Tasks with the same slope form a stream; each task has its own intercept. An episode is the last task of a stream,
    with `shots` support points and `queries` query points. The episode's `context` holds the `shots` examples of each
    earlier task, with x `[earlier, shots, features]`. `slope` is the standard deviation of each entry of the slope
    vector, `intercept` that of the intercepts, and `noise` that of the noise on targets.

    >>> LinearStream(features=3, shots=2, earlier=5).batch(0, count=4).context.x.shape
    torch.Size([4, 5, 2, 3])
    """

    def __init__(
        self,
        features: int = 3,
        shots: int = 3,
        queries: int = 10,
        earlier: int = 8,
        slope: float = 1.0,
        intercept: float = 1.0,
        noise: float = 0.1,
    ):
        checks.count(features=features, shots=shots, queries=queries, earlier=earlier)
        self.features, self.shots, self.queries, self.earlier = features, shots, queries, earlier
        self.slope, self.intercept, self.noise = slope, intercept, noise

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` streams with `generator`, and return the last task of each stream; see `Tasks.draw`."""
        tasks, rows = self.earlier + 1, self.shots + self.queries
        a = self.slope * torch.randn(count, 1, self.features, 1, generator=generator)
        b = self.intercept * torch.randn(count, tasks, 1, 1, generator=generator)
        x = torch.randn(count, tasks, rows, self.features, generator=generator)  # [T, j, n, d]
        y = x @ a + b + self.noise * torch.randn(count, tasks, rows, 1, generator=generator)
        w = torch.full((count, tasks, self.shots), 1 / self.shots)
        before = [leaf[:, :-1, : self.shots] for leaf in (x, y, w)]
        return episode(x[:, -1], y[:, -1], w[:, -1])._replace(context=Examples(*before))
