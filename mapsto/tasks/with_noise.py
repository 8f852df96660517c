"""The tasks of another source, with standard normal numbers that a learner can use as noise.

A learner draws no random numbers itself, so that its loss is a pure function of the episode. A neural process turns
`episode.noise` into draws of its latent variable, by the reparameterisation of Kingma & Welling 2014, "Auto-Encoding
Variational Bayes", §2.4.
"""

from collections.abc import Sequence

import torch

from .. import checks
from ..episodes import Episode
from .source import Tasks


class WithNoise(Tasks):
    """The tasks of another source, with standard normal random numbers in the field `noise` of each episode.

    `shape` is the shape of this field in one episode. For a neural process, it is `(draws, latents)`: the number of
    samples of the latent variable, and the number of its dimensions.

    Raises:
        MapstoError: if `shape` is empty or a size is below 1.

    >>> from mapsto.tasks import Sinusoids
    >>> WithNoise(Sinusoids(), (8, 64)).batch(0, count=3).noise.shape
    torch.Size([3, 8, 64])
    """

    def __init__(self, tasks: Tasks, shape: Sequence[int]):
        valid = isinstance(shape, Sequence) and min(shape, default=0) >= 1
        checks.expect(valid, "shape", shape, "one or more sizes from 1, such as (draws, latents)")
        self.tasks, self.shape, self.split = tasks, tuple(shape), tasks.split

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks, then their noise; see `Tasks.draw`."""
        batch = self.tasks.of(self.split).draw(generator, count)
        return batch._replace(noise=torch.randn(count, *self.shape, generator=generator))
