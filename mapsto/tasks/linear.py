"""Straight lines (planes) with Gaussian slopes, a regression task whose best learner has a closed form.

    y = x·a + b + ε,  x ~ N(0, I),  a ~ N(0, slope² I),  b ~ N(0, intercept²),  ε ~ N(0, noise²)

The Bayes-optimal prediction is ridge regression on the columns [x, 1] with penalties noise²/slope² and
noise²/intercept² (Bishop 2006, "Pattern Recognition and Machine Learning", eq. 3.55). No learner can do better on
average.
"""

import torch

from .. import checks
from ..episodes import Episode
from .sampling import Shots, bounds, episode, weights
from .source import Tasks


class Linear(Tasks):
    """Regression tasks y = a·x + b + ε, with x `[n, features]` and y `[n, 1]`; each task has its own a and b.

    Each task has `shots` support points and `queries` query points. If `shots` is a pair (low, high), each task has a
    random number of shots (from 0); other support rows up to `high` are padding with weight 0. The argument `slope` is
    the standard deviation of the entries of the vector a, `intercept` that of b, and `noise` that of ε. The targets of
    the query set are noisy too.

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
        checks.count(features=features, queries=queries)
        self.features, self.shots, self.queries = features, bounds("shots", shots, least=0), queries
        self.slope, self.intercept, self.noise = slope, intercept, noise

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks with `generator`; see `Tasks.draw`."""
        rows = self.shots[1] + self.queries
        a = self.slope * torch.randn(count, self.features, 1, generator=generator)
        b = self.intercept * torch.randn(count, 1, 1, generator=generator)
        x = torch.randn(count, rows, self.features, generator=generator)  # [T, n, d]
        y = x @ a + b + self.noise * torch.randn(count, rows, 1, generator=generator)  # [T, n, 1]
        return episode(x, y, weights(generator, count, self.shots))
