"""Another source's tasks, each with standard normal draws that a learner may use as its latent noise.

A learner draws nothing itself: a neural process turns `episode.noise` into its latent draws (the reparameterisation of
Kingma & Welling 2014, "Auto-Encoding Variational Bayes", §2.4), so that its loss is a pure function of the episode.
"""

from collections.abc import Sequence

import torch

from ..episodes import Episode
from ..errors import MapstoError
from .source import Tasks


class WithNoise(Tasks):
    """The tasks of `tasks`, unchanged, each with `noise` of the given shape, say `(draws, latents)`.

    Raises MapstoError where a size is below 1.

    >>> from mapsto.tasks import Sinusoids
    >>> WithNoise(Sinusoids(), (8, 64)).batch(0, count=3).noise.shape
    torch.Size([3, 8, 64])
    """

    def __init__(self, tasks: Tasks, shape: Sequence[int]):
        if not isinstance(shape, Sequence) or min(shape, default=0) < 1:
            raise MapstoError(f"shape: got {shape}, expected one or more sizes from 1, as (draws, latents).")
        self.tasks, self.shape, self.split = tasks, tuple(shape), tasks.split

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks, then their noise; see `Tasks.draw`."""
        drawn = self.tasks.of(self.split).draw(generator, count)
        return drawn._replace(noise=torch.randn(count, *self.shape, generator=generator))
