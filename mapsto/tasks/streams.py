"""Streams of related tasks: each remembers those before it.

    y = x·a + b_j + ε,  x ~ N(0, I),  a ~ N(0, slope² I) of all,  b_j ~ N(0, intercept²) of task j,  ε ~ N(0, noise²)

What the earlier tasks share with this one, the slope, they tell; what they do not, the intercept, this one's own
examples must. The best prediction is ridge regression on x and a column for each task, over all of them, with penalties
noise²/slope² and noise²/intercept² (Bishop 2006, "Pattern Recognition and Machine Learning", eq. 3.55).
"""

import torch

from ..episodes import Episode, Examples
from .sampling import episode, whole
from .source import Tasks


class LinearStream(Tasks):
    """Regression tasks x `[n, features]` ↦ y `[n, 1]`, planes of one slope, with `earlier` ones of theirs as context.

    `shots` support points in this task and in each earlier one, `queries` query points in this. The context's tensors
    have an axis for the earlier tasks in front: x `[earlier, shots, features]`.

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
        self.features, self.shots = whole("features", features), whole("shots", shots)
        self.queries, self.earlier = whole("queries", queries), whole("earlier", earlier)
        self.slope, self.intercept, self.noise = slope, intercept, noise

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` streams, each up to its last task; see `Tasks.draw`."""
        tasks, rows = self.earlier + 1, self.shots + self.queries
        a = self.slope * torch.randn(count, 1, self.features, 1, generator=generator)
        b = self.intercept * torch.randn(count, tasks, 1, 1, generator=generator)
        x = torch.randn(count, tasks, rows, self.features, generator=generator)  # [T, j, n, d]
        y = x @ a + b + self.noise * torch.randn(count, tasks, rows, 1, generator=generator)
        w = torch.full((count, tasks, self.shots), 1 / self.shots)
        before = [leaf[:, :-1, : self.shots] for leaf in (x, y, w)]
        return episode(x[:, -1], y[:, -1], w[:, -1])._replace(context=Examples(*before))
