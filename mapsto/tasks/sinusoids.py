"""Sine waves of random amplitude and phase, the regression task of the MAML paper.

    y = A·sin(x − φ),  A ~ U[0.1, 5],  φ ~ U[0, π],  x ~ U[−5, 5]

Finn, Abbeel & Levine 2017, "Model-Agnostic Meta-Learning", §5.1.
"""

import math

import torch

from .. import checks
from ..episodes import Episode
from .sampling import Shots, bounds, episode, weights
from .source import Tasks


class Sinusoids(Tasks):
    """Regression tasks x `[n, 1]` ↦ y `[n, 1]`; each task is one sine wave.

    Each task has `shots` support points and `queries` query points. If `shots` is a pair (low, high), each task has a
    random number of shots (from 0); other support rows up to `high` are padding with weight 0. The amplitude and phase
    of each wave are drawn uniformly from the ranges `amplitude` and `phase`. The inputs x are drawn uniformly from the
    range `span`.

    >>> Sinusoids(shots=5, queries=7).batch(0, count=3).query.x.shape
    torch.Size([3, 7, 1])
    """

    def __init__(
        self,
        shots: Shots = 10,
        queries: int = 10,
        amplitude: tuple[float, float] = (0.1, 5.0),
        phase: tuple[float, float] = (0.0, math.pi),
        span: tuple[float, float] = (-5.0, 5.0),
    ):
        checks.count(queries=queries)
        self.shots, self.queries = bounds("shots", shots, least=0), queries
        self.amplitude, self.phase, self.span = amplitude, phase, span

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks with `generator`; see `Tasks.draw`."""
        amplitude = _uniform(generator, self.amplitude, count, 1, 1)
        phase = _uniform(generator, self.phase, count, 1, 1)
        x = _uniform(generator, self.span, count, self.shots[1] + self.queries, 1)  # [T, n, 1]
        y = amplitude * torch.sin(x - phase)
        return episode(x, y, weights(generator, count, self.shots))


def _uniform(generator: torch.Generator, between: tuple[float, float], *shape: int) -> torch.Tensor:
    low, high = between
    return low + (high - low) * torch.rand(shape, generator=generator)
