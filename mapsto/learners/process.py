"""The base of neural processes, which map a support set to a normal distribution of the target at every point.

    loss = −Σ w_i·log N(y_i; mean(x_i), std(x_i)²)                                              without a latent
    loss = −E_{z ~ q(z|D, query)} Σ w_i·log p(y_i|x_i, D, z) + (Σ w²/Σ w)·KL(q(z|D, query) ‖ q(z|D))       with one

D is the support set (the papers' context), and z is a latent variable. The second loss is minus the evidence lower
bound. Garnelo et al. 2018a, "Conditional Neural Processes", eq. 4; Garnelo et al. 2018b, "Neural Processes", eq. 9
(averaged over targets, not summed: for equal weights 1/m, Σ w²/Σ w is 1/m).
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from .. import checks
from ..adaptation.labels import numbers
from ..adaptation.learner import Learner, Metrics
from ..episodes import Episode, Examples, State
from ..errors import MapstoError


class Normal(NamedTuple):
    """Independent normal distributions, given by their means and standard deviations."""

    mean: Float[Tensor, "*n k"]
    std: Float[Tensor, "*n k"]

    def log_density(self, y: Float[Tensor, "*n k"]) -> Float[Tensor, "*n"]:
        """Return `Σ_k log N(y_k; mean_k, std_k²)` of each row, in nats.

        Raises:
            MapstoError: if `y` differs in shape from the means.
        """
        checks.shape(self.mean.shape, "give targets of the shape that is decoded", y=y)
        z = (y - self.mean) / self.std
        return -(z.square() / 2 + self.std.log() + math.log(2 * math.pi) / 2).sum(-1)

    def divergence(self, other: "Normal") -> Float[Tensor, "*n"]:
        """Return the Kullback-Leibler divergence `KL(self ‖ other)` of each row, in nats."""
        ratio, shift = self.std / other.std, (self.mean - other.mean) / other.std
        return ((ratio.square() + shift.square() - 1) / 2 - ratio.log()).sum(-1)


class Process(Learner, ABC):
    """The base of neural processes: a support set gives a distribution of the target at every point.

    `predict` returns the mean of this distribution.

    Raises:
        MapstoError: if a module has batch norm, which makes rows depend on each other.
    """

    family: ClassVar[str] = "model-based"
    loss_name = "mse"  # the kind of point predictions; training minimises `loss`

    @abstractmethod
    def distribution(self, state: State, x: Shaped[Tensor, "n ..."]) -> Normal:
        """Return the distribution of the targets of `n` rows.

        If there is a latent variable, it is set to its mean.
        """

    @abstractmethod
    def log_likelihood(self, episode: Episode) -> Float[Tensor, " m"]:
        """Return the log-likelihood of each query target given the support set, in nats.

        If there is a latent variable, the likelihood is averaged over values of this variable, drawn by means of
        `episode.noise`. The expected result is then a lower bound, which becomes tight as the number of draws grows.
        """

    def predict(self, state: State, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the mean of `distribution(state, x)`."""
        return self.distribution(state, x).mean


class LatentProcess(Process, ABC):
    """A neural process with a latent variable z, whose distribution q(z|D) is computed from the support set D.

    q(z|D) is a product of normal distributions. For each example, `encoder` returns a mean and a raw number for each
    latent, `[n, 2·latents]`. Their averages over the examples give the mean and the standard deviation 0.1 +
    0.9·σ(raw), as in Kim et al. 2019. (A linear layer after the average would give the same result as one before it.)
    """

    def __init__(self, encoder: nn.Module, min_std: float):
        super().__init__()
        check_deviation(min_std)
        self.encoder, self.min_std = rowwise("encoder", encoder), min_std

    @abstractmethod
    def decode(self, state: State, x: Shaped[Tensor, "n ..."], z: Float[Tensor, " z"]) -> Normal:
        """Return the distribution of the targets of `n` rows for one value `z` of the latent variable."""

    @abstractmethod
    def latent_of(self, state: State) -> Normal:
        """Return the distribution q(z|D) of the latent variable, given the state."""

    def distribution(self, state: State, x: Shaped[Tensor, "n ..."]) -> Normal:
        """Return the distribution of the targets of `n` rows with the latent variable at its mean."""
        return self.decode(state, x, self.latent_of(state).mean)

    def latent(self, context: Examples) -> Normal:
        """Return the distribution q(z|context) of the latent variable; for an empty context it is N(0, 0.55²)."""
        mean, raw = halves("encoder", "an example", average(self.encoder(pairs(context)), context.w))
        return Normal(mean, 0.1 + 0.9 * raw.sigmoid())

    def log_likelihood(self, episode: Episode) -> Float[Tensor, " m"]:
        """Return the log of each query target's likelihood, averaged over draws of z from q(z|D), in nats."""
        state = self.adapt(episode.support)
        likelihoods = self._decoded(state, episode, self.latent_of(state))  # [s, m]
        return likelihoods.logsumexp(0) - math.log(len(likelihoods))

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss is minus the evidence lower bound per target, in nats.

        The latent variable z is drawn from q(z|D, query).
        """
        state, w = self.adapt(episode.support), episode.query.w
        prior, posterior = self.latent_of(state), self.latent(_joined(episode.support, episode.query))
        likelihood = self._decoded(state, episode, posterior).mean(0)  # [m]
        divergence = posterior.divergence(prior)
        loss = (w.square().sum() / positive_or_one(w.sum())) * divergence - (w * likelihood).sum()
        return loss, {"loss": loss.detach(), "divergence": divergence.detach()}

    def _decoded(self, state: State, episode: Episode, latent: Normal) -> Float[Tensor, "s m"]:
        """Return the log-likelihood of each target for each draw of the latent."""
        noise, (x, y, _) = episode.noise, episode.query
        size = len(latent.mean)
        remedy = f"wrap the tasks in mapsto.tasks.WithNoise(tasks, (1, {size}))"
        if noise is None:
            raise MapstoError(f"noise: got None, expected [draws, {size}] for each task; {remedy}.")
        checks.shape(("draws", size), remedy, noise=noise)
        draws = latent.mean + latent.std * noise  # [s, z]
        return torch.func.vmap(lambda z: self.decode(state, x, z).log_density(y))(draws)


def spread(outputs: Float[Tensor, "n two_k"], min_std: float) -> Normal:
    """Return a decoder's outputs as normal distributions, with std = min_std + (1 − min_std)·softplus(raw)."""
    mean, raw = halves("decoder", "a row", outputs)
    return Normal(mean, min_std + (1 - min_std) * F.softplus(raw))


def halves(name: str, of: str, outputs: Float[Tensor, "... two_k"]) -> tuple[Tensor, Tensor]:
    """Return the first half of a network's outputs as means, and the second half as raw standard deviations.

    `name` and `of` describe the network in the error message.

    Raises:
        MapstoError: if the number of outputs is odd.
    """
    size = outputs.shape[-1]
    checks.expect(size % 2 == 0, name, f"{size} outputs for {of}", "an even number: means and as many raw deviations")
    mean, raw = outputs.chunk(2, -1)
    return mean, raw


def pairs(context: Examples) -> Float[Tensor, "n f"]:
    """Return each example's input and target, flattened and concatenated."""
    return torch.cat([context.x.flatten(1), numbers(context.y)], -1)


def average(rows: Float[Tensor, "n f"], w: Float[Tensor, " n"]) -> Float[Tensor, " f"]:
    """Return the weighted average `Σ w·row / Σ w` of the rows; 0 if all weights are 0."""
    return w @ rows / positive_or_one(w.sum())


def counts(w: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return the weights rescaled by Σw/Σw², so that equal weights become 1 (Kish's effective sample size).

    >>> counts(torch.tensor([0.5, 0.5, 0.0]))
    tensor([1., 1., 0.])
    """
    return w * w.sum() / positive_or_one(w.square().sum())


def positive_or_one(total: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Return `total`, or 1 if it is 0, for dividing by a sum of weights."""
    return torch.where(total > 0, total, 1.0)


def rowwise(name: str, body: nn.Module) -> nn.Module:
    """Return `body`, or raise MapstoError if it has batch norm, which makes rows depend on each other."""
    normed = any(isinstance(layer, nn.modules.batchnorm._NormBase) for layer in body.modules())
    checks.expect(not normed, name, "batch norm", "a network that treats each row by itself", "use LayerNorm")
    return body


def check_deviation(min_std: float) -> None:
    """Raise MapstoError if the lower bound of the standard deviation is not between 0 and 1."""
    checks.above(0, min_std=min_std)
    checks.expect(min_std < 1, "min_std", min_std, "a deviation below 1, such as 0.01")


def _joined(support: Examples, query: Examples) -> Examples:
    """Return support set and query set as one set, with weights rescaled so that equal weights are 1."""
    w = torch.cat([counts(support.w), counts(query.w)])
    return Examples(torch.cat([support.x, query.x]), torch.cat([support.y, query.y]), w)
