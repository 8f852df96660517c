"""What neural processes share: a context ↦ a normal distribution at every point, and the evidence bound of the latent.

    loss = −Σ w_i·log N(y_i; mean(x_i), std(x_i)²)                                              without a latent
    loss = −E_{z ~ q(z|D, query)} Σ w_i·log p(y_i|x_i, D, z) + (Σ w²/Σ w)·KL(q(z|D, query) ‖ q(z|D))       with one

Garnelo et al. 2018a, "Conditional Neural Processes", eq. 4; Garnelo et al. 2018b, "Neural Processes", eq. 9 (an average
a target instead of their sum: for equal weights 1/m, Σ w²/Σ w is 1/m).
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..adaptation.labels import numbers
from ..adaptation.learner import Learner, Metrics
from ..episodes import Episode, Examples, State
from ..errors import MapstoError


class Normal(NamedTuple):
    """Independent normal distributions."""

    mean: Float[Tensor, "*n k"]
    std: Float[Tensor, "*n k"]

    def log_density(self, y: Float[Tensor, "*n k"]) -> Float[Tensor, "*n"]:
        """Return `Σ_k log N(y_k; mean_k, std_k²)` of each row, in nats."""
        if y.shape != self.mean.shape:
            raise MapstoError(
                f"y: got targets of shape {tuple(y.shape)}, expected {tuple(self.mean.shape)} as decoded."
            )
        z = (y - self.mean) / self.std
        return -(z.square() / 2 + self.std.log() + math.log(2 * math.pi) / 2).sum(-1)

    def divergence(self, other: "Normal") -> Float[Tensor, "*n"]:
        """Return `KL(self ‖ other)`, in nats."""
        ratio, shift = self.std / other.std, (self.mean - other.mean) / other.std
        return ((ratio.square() + shift.square() - 1) / 2 - ratio.log()).sum(-1)


class Process(Learner, ABC):
    """context ↦ a distribution of the target at every point; `predict` answers with its mean.

    Raises MapstoError where a body has batch norm, which ties rows to each other.
    """

    family: ClassVar[str] = "model-based"
    loss_name = "mse"  # what point predictions are measured by; training minimises `loss`

    @abstractmethod
    def distribution(self, state: State, x: Float[Tensor, "n ..."]) -> Normal:
        """Return the distribution of the targets of `n` rows, a latent being at its mean."""

    @abstractmethod
    def log_likelihood(self, episode: Episode) -> Float[Tensor, " m"]:
        """Return the log-likelihood of each query target given the context, alone (marginal), in nats.

        A latent is averaged out over the draws `episode.noise`: a lower bound in expectation, tight with many.
        """

    def predict(self, state: State, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the mean of `distribution(state, x)`."""
        return self.distribution(state, x).mean


class LatentProcess(Process, ABC):
    """A process with a global latent z, q(z|D) being independent normals read off an average over the context.

    Linear maps commute with averages, so that `encoder` gives q's means and raw deviations of each example,
    `[n, 2·latents]`, and they are averaged; std = 0.1 + 0.9·σ(raw), as in Kim et al. 2019.
    """

    def __init__(self, encoder: nn.Module, min_std: float):
        super().__init__()
        self.encoder, self.min_std = rowwise("encoder", encoder), positive("min_std", min_std)

    @abstractmethod
    def decode(self, state: State, x: Float[Tensor, "n ..."], z: Float[Tensor, " z"]) -> Normal:
        """Return the distribution of the targets of `n` rows where the latent is `z`."""

    @abstractmethod
    def latent_of(self, state: State) -> Normal:
        """Return q(z|D)."""

    def distribution(self, state: State, x: Float[Tensor, "n ..."]) -> Normal:
        """Decode at the mean of the latent."""
        return self.decode(state, x, self.latent_of(state).mean)

    def latent(self, context: Examples) -> Normal:
        """Return q(z|context): of nothing it is N(0, 0.55²)."""
        mean, raw = halves("encoder", "an example", average(self.encoder(pairs(context)), context.w))
        return Normal(mean, 0.1 + 0.9 * raw.sigmoid())

    def log_likelihood(self, episode: Episode) -> Float[Tensor, " m"]:
        """Average the likelihood of each target over draws from q(z|D)."""
        state = self.adapt(episode.support)
        told = self._decoded(state, episode, self.latent_of(state))  # [s, m]
        return told.logsumexp(0) - math.log(len(told))

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return minus the evidence lower bound, a target; z is drawn from what context and targets say of it."""
        state, w = self.adapt(episode.support), episode.query.w
        prior, posterior = self.latent_of(state), self.latent(_joined(episode.support, episode.query))
        told = self._decoded(state, episode, posterior).mean(0)  # [m]
        divergence = posterior.divergence(prior)
        loss = (w.square().sum() / positive_or_one(w.sum())) * divergence - (w * told).sum()
        return loss, {"loss": loss.detach(), "divergence": divergence.detach()}

    def _decoded(self, state: State, episode: Episode, latent: Normal) -> Float[Tensor, "s m"]:
        """Return the log-likelihood of each target, for each draw of the latent."""
        noise, (x, y, _) = episode.noise, episode.query
        if noise is None or noise.dim() != 2 or noise.shape[1:] != latent.mean.shape:
            raise MapstoError(
                f"noise: got {'none' if noise is None else tuple(noise.shape)}, expected (draws, {len(latent.mean)}) a "
                f"task; wrap the tasks in mapsto.tasks.WithNoise(tasks, (1, {len(latent.mean)}))."
            )
        draws = latent.mean + latent.std * noise  # [s, z]
        return torch.func.vmap(lambda z: self.decode(state, x, z).log_density(y))(draws)


def spread(outputs: Float[Tensor, "n two_k"], min_std: float) -> Normal:
    """Read a decoder's outputs as means and raw deviations: std = min_std + (1 − min_std)·softplus(raw)."""
    mean, raw = halves("decoder", "a row", outputs)
    return Normal(mean, min_std + (1 - min_std) * F.softplus(raw))


def halves(name: str, of: str, outputs: Float[Tensor, "... two_k"]) -> tuple[Tensor, Tensor]:
    """Return the means and the raw deviations of a network's outputs, or raise MapstoError where there are not two."""
    if outputs.shape[-1] % 2:
        raise MapstoError(
            f"{name}: got {outputs.shape[-1]} numbers {of}, expected an even number: means and as many raw deviations."
        )
    mean, raw = outputs.chunk(2, -1)
    return mean, raw


def pairs(context: Examples) -> Float[Tensor, "n f"]:
    """Put each example's input and target side by side, flattened."""
    return torch.cat([context.x.flatten(1), numbers(context.y)], -1)


def average(rows: Float[Tensor, "n f"], w: Float[Tensor, " n"]) -> Float[Tensor, " f"]:
    """Return `Σ w·row / Σ w`, 0 where nothing has weight."""
    return w @ rows / positive_or_one(w.sum())


def counts(w: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return weights in examples, `w·Σw/Σw²` (Kish's effective sample size): 1 each where they are equal.

    >>> counts(torch.tensor([0.5, 0.5, 0.0]))
    tensor([1., 1., 0.])
    """
    return w * w.sum() / positive_or_one(w.square().sum())


def positive_or_one(total: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Return a sum of weights to divide by, 1 where there is nothing."""
    return torch.where(total > 0, total, 1.0)


def rowwise(name: str, body: nn.Module) -> nn.Module:
    """Return `body`, or raise MapstoError where it has batch norm."""
    if any(isinstance(layer, nn.modules.batchnorm._NormBase) for layer in body.modules()):
        raise MapstoError(
            f"{name}: got batch norm, by which rows depend on each other; expected rows on their own: use LayerNorm."
        )
    return body


def positive(name: str, value: float) -> float:
    """Return `value`, or raise MapstoError where it is not between 0 and 1."""
    if not 0 < value < 1:
        raise MapstoError(f"{name}: got {value}, expected a deviation above 0 and below 1, as 0.01.")
    return value


def _joined(support: Examples, query: Examples) -> Examples:
    """Put context and targets in one set, in which each example counts as one."""
    w = torch.cat([counts(support.w), counts(query.w)])
    return Examples(torch.cat([support.x, query.x]), torch.cat([support.y, query.y]), w)
