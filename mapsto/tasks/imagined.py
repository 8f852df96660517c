"""New tasks from a learned model of tasks: a trained neural process draws the targets.

    z ~ q(z | context),   y_i ~ N(mean_z(x_i), std_z(x_i)²)  at the inputs x_i of another source's tasks

Without a context, these are draws from the process's prior over functions, as in Garnelo et al. 2018b, "Neural
Processes", Figure 4. With a context, the functions fit the context.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.func import vmap

from .. import checks
from ..episodes import Episode, Examples
from .source import Tasks


@runtime_checkable
class Process(Protocol):
    """The methods of a neural process with a latent variable."""

    def adapt(self, support: Examples) -> Any:
        """Return the state after reading a context."""

    def latent_of(self, state: Any) -> Any:
        """Return the distribution of the latent, with fields `mean` `[z]` and `std` `[z]`."""

    def decode(self, state: Any, x: Tensor, z: Tensor) -> Any:
        """Return the means `[n, k]` and the standard deviations `[n, k]` of the targets."""


class Imagined(Tasks):
    """The tasks of another source, with targets that are replaced by samples from a trained neural process.

    The process samples one function for each task. The new targets are noisy values of this function at the task's
    inputs.

    Args:
        tasks: the other source. The inputs, the weights and the shape of the targets are kept.
        process: a trained `NP` or `ANP`. Targets are sampled with its current parameters; no gradient flows through
            them.
        context: examples on which the sampled functions are conditioned. If None, the functions come from the process's
            prior.

    Raises:
        MapstoError: if the process has no latent variable.

    >>> from mapsto.learners import NP
    >>> from mapsto.tasks import Sinusoids
    >>> process = NP(torch.nn.Linear(2, 6), torch.nn.Linear(4, 2))
    >>> Imagined(Sinusoids(shots=5, queries=7), process).batch(0, count=3).query.y.shape
    torch.Size([3, 7, 1])
    """

    def __init__(self, tasks: Tasks, process: Process, context: Examples | None = None):
        latent = isinstance(process, Process)
        checks.expect(latent, "process", type(process).__name__, "a process with a latent variable, NP or ANP")
        self.tasks, self.process, self.context, self.split = tasks, process, context, tasks.split

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks whose targets are noisy values of sampled functions; see `Tasks.draw`."""
        batch = self.tasks.of(self.split).draw(generator, count)
        inputs, targets = (torch.cat([a, b], 1) for a, b in zip(batch.support[:2], batch.query[:2], strict=True))
        y = self._targets(generator, inputs, targets)  # [T, n + m, k]
        n = batch.support.w.shape[1]
        real = (batch.support.w > 0)[..., None]
        support = batch.support._replace(y=torch.where(real, y[:, :n], 0))
        return batch._replace(support=support, query=batch.query._replace(y=y[:, n:]))

    @torch.no_grad()
    def _targets(self, generator: torch.Generator, x: Tensor, like: Tensor) -> Tensor:
        state = self.process.adapt(self.context or _empty(x, like))
        latent = self.process.latent_of(state)
        z = latent.mean + latent.std * _noise(generator, latent.mean, len(x), *latent.mean.shape)  # [T, z]
        mean, std = vmap(lambda x, z: tuple(self.process.decode(state, x, z)))(x, z)
        return mean + std * _noise(generator, mean, *mean.shape)


def _noise(generator: torch.Generator, like: Tensor, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator).to(like)


def _empty(x: Tensor, y: Tensor) -> Examples:
    """Return a context of one row of weight 0."""
    return Examples(torch.zeros_like(x[0, :1]), torch.zeros_like(y[0, :1]), x.new_zeros(1))
