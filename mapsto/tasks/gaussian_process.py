"""Smooth random functions, drawn from a Gaussian process, for which the exact posterior is the best learner.

    f ~ GP(0, scale²·k(r)),  r = |x − x'| / lengthscale,  y = f(x) + ε,  ε ~ N(0, noise²),  x ~ U[span]
    k(r) = exp(−r²/2)  ("rbf"),      k(r) = (1 + √5·r + 5r²/3)·exp(−√5·r)  ("matern52")

The lengthscale is drawn anew for each task, uniformly. Rasmussen & Williams 2006, "Gaussian Processes for Machine
Learning", eq. 4.9 and 4.17; the posterior is eq. 2.23 and 2.24. As in Kim et al. 2019, §4.1, context sets have random
sizes. The posterior here knows the lengthscale, which a learner does not, so no learner exceeds it on average.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks
from ..episodes import Episode, Examples
from .sampling import Shots, bounds, episode, weights
from .source import Tasks

Kernel = Literal["rbf", "matern52"]
KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "rbf": lambda r: (-r.square() / 2).exp(),
    "matern52": lambda r: (1 + 5**0.5 * r + 5 * r.square() / 3) * (-(5**0.5) * r).exp(),
}


class Posterior(NamedTuple):
    """The exact posterior of each target by itself, noise included."""

    mean: Float[Tensor, "*T m 1"]
    std: Float[Tensor, "*T m 1"]

    def log_likelihood(self, y: Float[Tensor, "*T m 1"]) -> Float[Tensor, "*T m"]:
        """Return `log N(y; mean, std²)` of each point, in nats."""
        z = (y - self.mean) / self.std
        return -(z.square() / 2 + self.std.log() + math.log(2 * math.pi) / 2)[..., 0]


class GaussianProcesses(Tasks):
    """Regression tasks x `[n, 1]` ↦ y `[n, 1]`; each task is a function drawn from a Gaussian process.

    Each task has `shots` support points and `queries` query points. If `shots` is a pair (low, high), each task has a
    random number of shots (from 0); other support rows up to `high` are padding with weight 0. `kernel` is "rbf" or
    "matern52". For each task, the kernel's lengthscale is drawn uniformly from the range `lengthscale`. The inputs x
    are drawn uniformly from the range `span`. `scale` is the standard deviation of the function values. `noise` is the
    standard deviation of the noise on all targets, including those of the query set.

    Raises:
        MapstoError: if the kernel is unknown, a range is empty, or a lengthscale, `scale` or `noise` is not positive.

    >>> tasks = GaussianProcesses(shots=(3, 10), queries=5)
    >>> tasks.batch(0, count=2).support.x.shape, tasks.log_likelihood(0, count=2).shape
    (torch.Size([2, 10, 1]), torch.Size([2, 5]))
    """

    def __init__(
        self,
        kernel: Kernel = "rbf",
        lengthscale: tuple[float, float] = (0.25, 0.5),
        scale: float = 1.0,
        noise: float = 0.02,
        span: tuple[float, float] = (-2.0, 2.0),
        shots: Shots = (3, 47),
        queries: int = 50,
    ):
        checks.one_of(get_args(Kernel), kernel=kernel)
        positive = 0 < lengthscale[0] <= lengthscale[1]
        checks.expect(positive, "lengthscale", lengthscale, "a range (lowest, highest) above 0")
        checks.expect(span[0] < span[1], "span", span, "a range (lowest, highest)")
        checks.above(0, scale=scale, noise=noise)
        checks.count(queries=queries)
        self.kernel, self.lengthscale, self.scale, self.noise, self.span = kernel, lengthscale, scale, noise, span
        self.shots, self.queries = bounds("shots", shots, least=0), queries

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks with `generator`; see `Tasks.draw`."""
        lengthscale = self._draw_lengthscales(generator, count)  # drawn first, so that `lengthscales` can draw the same
        low, high = self.span
        n = self.shots[1] + self.queries
        x = low + (high - low) * torch.rand(count, n, 1, generator=generator)  # [T, n, 1]
        covariance = covariances(self.kernel, x, x, lengthscale, self.scale)
        covariance = covariance + self.noise**2 * torch.eye(n, dtype=torch.float64)
        draws = torch.randn(count, n, 1, generator=generator, dtype=torch.float64)
        y = torch.linalg.cholesky(covariance) @ draws  # [T, n, 1]
        return episode(x, y.float(), weights(generator, count, self.shots))

    def lengthscales(self, index: int, count: int, seed: int = 0) -> Float[Tensor, " T"]:
        """Return the true lengthscale of each task of `batch(index, count, seed)`."""
        return self._draw_lengthscales(self.generator(index, count, seed), count)

    def posterior(self, index: int, count: int, seed: int = 0) -> Posterior:
        """Return the exact Gaussian posterior of each query target of `batch(index, count, seed)`.

        The posterior is conditioned on the support set and on the true lengthscale of the task, which a learner does
        not know.
        """
        tasks = self.batch(index, count, seed)
        lengthscale = self.lengthscales(index, count, seed)
        return posterior(tasks.support, tasks.query.x, self.kernel, lengthscale, self.scale, self.noise)

    def log_likelihood(self, index: int, count: int, seed: int = 0) -> Float[Tensor, "T m"]:
        """Return the log-likelihood of each query target of `batch(index, count, seed)`, in nats.

        It is the log-likelihood under the exact posterior; see `posterior`. On average, no learner reaches a higher
        log-likelihood.
        """
        return self.posterior(index, count, seed).log_likelihood(self.batch(index, count, seed).query.y.double())

    def _draw_lengthscales(self, generator: torch.Generator, count: int) -> Tensor:
        low, high = self.lengthscale
        return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)


def covariances(
    kernel: Kernel,
    x: Float[Tensor, "*T n d"],
    z: Float[Tensor, "*T m d"],
    lengthscale: Float[Tensor, "*T"],
    scale: float,
) -> Float[Tensor, "*T n m"]:
    """Return the prior covariances of f at `x` and at `z`, in double precision."""
    difference = x[..., :, None, :].double() - z[..., None, :, :].double()  # [T, n, m, d]
    return scale**2 * KERNELS[kernel](difference.norm(dim=-1) / lengthscale[..., None, None])


def posterior(
    support: Examples,
    x: Float[Tensor, "*T m d"],
    kernel: Kernel,
    lengthscale: Float[Tensor, "*T"],
    scale: float,
    noise: float,
) -> Posterior:
    """Return the exact posterior of targets at `x`.

    A support example of weight 0 is absent; any other weight counts as 1.

    mean = k*ᵀ (K + noise² I)⁻¹ y,      std² = scale² + noise² − k*ᵀ (K + noise² I)⁻¹ k*
    """
    real = support.w > 0  # [T, n]
    both = real[..., :, None] & real[..., None, :]
    k = torch.where(both, covariances(kernel, support.x, support.x, lengthscale, scale), 0.0)
    k = k + torch.diag_embed(torch.where(real, noise**2, 1.0).double())  # [T, n, n]; an absent row is decoupled
    across = torch.where(real[..., None], covariances(kernel, support.x, x, lengthscale, scale), 0.0)  # [T, n, m]
    root = torch.linalg.cholesky(k)
    solved = torch.linalg.solve_triangular(root, across, upper=False)  # [T, n, m]
    whitened = torch.linalg.solve_triangular(root, support.y.double(), upper=False)  # [T, n, 1]
    variance = scale**2 + noise**2 - solved.square().sum(-2)  # [T, m]
    return Posterior(solved.mT @ whitened, variance.sqrt()[..., None])
