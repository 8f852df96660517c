"""Straight lines (planes) with Gaussian slopes: the regression task whose best learner has a closed form.

    y = x·a + b + ε,  x ~ N(0, I),  a ~ N(0, slope² I),  b ~ N(0, intercept²),  ε ~ N(0, noise²)

The Bayes-optimal prediction is ridge regression on the columns [x, 1] with penalties noise²/slope² and
noise²/intercept² (Bishop 2006, "Pattern Recognition and Machine Learning", eq. 3.55): an oracle for any learner.
"""

import torch

from ..episodes import Episode
from .sampling import Shots, bounds, episode, weights, whole
from .source import Tasks


class Linear(Tasks):
    """Regression tasks x `[n, features]` ↦ y `[n, 1]`, one noisy plane each.

    `shots` support points (a pair draws their number anew for each task, padding the rest) and `queries` query points;
    `slope`, `intercept` and `noise` are the standard deviations of a, b and ε. Query targets are noisy too.

    >>> Linear(features=3, shots=5).batch(0, count=2).support.x.shape
    torch.Size([2, 5, 3])
    """

    def __init__(
        self,
        features: int = 1,
        shots: Shots = 10,
        queries: int = 10,
        slope: float = 1.0,
        intercept: float = 1.0,
        noise: float = 0.1,
    ):
        self.features = whole("features", features)
        self.shots, self.queries = bounds("shots", shots), whole("queries", queries)
        self.slope, self.intercept, self.noise = slope, intercept, noise

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` planes; see `Tasks.draw`."""
        rows = self.shots[1] + self.queries
        a = self.slope * torch.randn(count, self.features, 1, generator=generator)
        b = self.intercept * torch.randn(count, 1, 1, generator=generator)
        x = torch.randn(count, rows, self.features, generator=generator)  # [T, n, d]
        y = x @ a + b + self.noise * torch.randn(count, rows, 1, generator=generator)  # [T, n, 1]
        return episode(x, y, weights(generator, count, self.shots))
