"""New tasks from a learned model of tasks: a neural process, trained on some, makes up others.

    z ~ q(z | context),   y_i ~ N(mean_z(x_i), std_z(x_i)²)  at the inputs x_i of another source's tasks

Of no context at all these are draws from its prior over functions, as in Garnelo et al. 2018b, "Neural Processes",
Figure 4; given a context, functions that go through it.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.func import vmap

from ..episodes import Episode, Examples
from ..errors import MapstoError
from .source import Tasks


@runtime_checkable
class Process(Protocol):
    """What a neural process with a latent is asked for."""

    def adapt(self, support: Examples) -> Any:
        """Read a context."""

    def latent_of(self, state: Any) -> Any:
        """Return the latent's distribution: `mean` and `std`, `[z]` each."""

    def decode(self, state: Any, x: Tensor, z: Tensor) -> Any:
        """Return mean and deviation of the targets, `[n, k]` each."""


class Imagined(Tasks):
    """The tasks of `tasks` with targets that `process` makes up for their inputs.

    Args:
        tasks: gives inputs, weights and the shape of the targets.
        process: a trained `NP` or `ANP`, at whose present parameters targets are drawn; nothing is differentiated.
        context: what the functions go through; nothing by default.

    Raises MapstoError for a process without a latent.

    >>> from mapsto.learners import NP
    >>> from mapsto.tasks import Sinusoids
    >>> process = NP(torch.nn.Linear(2, 6), torch.nn.Linear(4, 2))
    >>> Imagined(Sinusoids(shots=5, queries=7), process).batch(0, count=3).query.y.shape
    torch.Size([3, 7, 1])
    """

    def __init__(self, tasks: Tasks, process: Process, context: Examples | None = None):
        if not isinstance(process, Process):
            raise MapstoError(f"process: got {type(process).__name__}, expected a process with a latent, NP or ANP.")
        self.tasks, self.process, self.context, self.split = tasks, process, context, tasks.split

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks, then a function for each; see `Tasks.draw`."""
        drawn = self.tasks.of(self.split).draw(generator, count)
        inputs, targets = (torch.cat([a, b], 1) for a, b in zip(drawn.support[:2], drawn.query[:2], strict=True))
        y = self._targets(generator, inputs, targets)  # [T, n + m, k]
        n = drawn.support.w.shape[1]
        real = (drawn.support.w > 0)[..., None]
        support = drawn.support._replace(y=torch.where(real, y[:, :n], 0))
        return drawn._replace(support=support, query=drawn.query._replace(y=y[:, n:]))

    @torch.no_grad()
    def _targets(self, generator: torch.Generator, x: Tensor, like: Tensor) -> Tensor:
        state = self.process.adapt(self.context or _nothing(x, like))
        latent = self.process.latent_of(state)
        z = latent.mean + latent.std * _noise(generator, latent.mean, len(x), *latent.mean.shape)  # [T, z]
        mean, std = vmap(lambda x, z: tuple(self.process.decode(state, x, z)))(x, z)
        return mean + std * _noise(generator, mean, *mean.shape)


def _noise(generator: torch.Generator, like: Tensor, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator).to(like)


def _nothing(x: Tensor, y: Tensor) -> Examples:
    """Return a context of one row that weighs nothing."""
    return Examples(torch.zeros_like(x[0, :1]), torch.zeros_like(y[0, :1]), x.new_zeros(1))
