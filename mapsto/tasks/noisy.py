"""Episodes that bring the noise their learner may use: latent codes, drawn with the task and so reproducible."""

import torch

from ..episodes import Episode
from .sampling import bounds
from .source import Tasks


class Noisy(Tasks):
    """The episodes of `tasks`, each with `noise`: `[rows, width]` draws of N(0, 1).

    >>> from mapsto.tasks import Sinusoids
    >>> Noisy(Sinusoids(), rows=5, width=2).batch(0, count=3).noise.shape
    torch.Size([3, 5, 2])
    """

    def __init__(self, tasks: Tasks, rows: int, width: int):
        self.tasks, self.rows, self.width = tasks, bounds("rows", rows)[0], bounds("width", width)[0]

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes, then their noise; see `Tasks.draw`."""
        drawn = self.tasks.of(self.split).draw(generator, count)
        return drawn._replace(noise=torch.randn(count, self.rows, self.width, generator=generator))
