"""Represent a function by the average of its embedded examples, and decode mean and deviation at every point.

    r = Σ w_i·encoder(x_i, y_i) / Σ w_i,      mean, raw = decoder(x, r)
    std = min_std + (1 − min_std)·softplus(raw),      loss = −Σ w_i·log N(y_i; mean_i, std_i²)

Garnelo et al. 2018a, "Conditional Neural Processes", eq. 1 to 4. Difference: the loss is on the query set only; the
paper predicts the support set (the context) too.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ..adaptation.learner import Metrics
from ..adaptation.watching import watch
from ..episodes import Episode, Examples
from .process import Normal, Process, average, check_deviation, pairs, rowwise, spread


class Summary(NamedTuple):
    """The state: the representation r of the support set."""

    r: Float[Tensor, " r"]


class CNP(Process):
    """Conditional neural process: predict each target from its input and the mean embedding of the support set.

    Args:
        encoder: a module from `[n, d + k]` to embeddings `[n, r]`. Each row that it reads is one example: the d numbers
            of the input x, followed by the k numbers of the target y.
        decoder: a module from `[n, d + r]` to `[n, 2k]`. Each row that it reads is a point x, followed by the mean
            embedding. Each row that it returns holds the means of the k targets, followed by k raw numbers s; the
            standard deviations are `min_std + (1 − min_std)·softplus(s)`.
        min_std: the lower bound of the predicted standard deviations. Choose it below the standard deviation of the
            noise in the targets.

    Raises:
        MapstoError: if a module has batch norm, the decoder has an odd number of outputs, `min_std` is not between 0
            and 1, or targets differ in shape from the decoder's means.

    >>> learner = CNP(nn.Identity(), nn.Linear(3, 2))
    >>> state = learner.adapt(Examples(torch.zeros(2, 1), torch.tensor([[1.0], [3.0]]), torch.full((2,), 0.5)))
    >>> state.r, learner.distribution(state, torch.zeros(4, 1)).std.shape
    (tensor([0., 2.]), torch.Size([4, 1]))
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, min_std: float = 0.01):
        super().__init__()
        self.encoder, self.decoder = rowwise("encoder", encoder), rowwise("decoder", decoder)
        check_deviation(min_std)
        self.min_std = min_std

    def adapt(self, support: Examples) -> Summary:
        """Return the mean of the support examples' embeddings, weighted by `w`; it is 0 if the support set is empty."""
        return Summary(average(self.encoder(pairs(support)), support.w))

    def distribution(self, state: Summary, x: Shaped[Tensor, "n ..."]) -> Normal:
        """Return normal distributions of the targets of `n` rows, decoded from each row and the mean embedding."""
        r = state.r.expand(x.shape[0], -1)  # [n, r]
        return spread(self.decoder(torch.cat([x.flatten(1), r], -1)), self.min_std)

    def log_likelihood(self, episode: Episode) -> Float[Tensor, " m"]:
        """Return the log-likelihood of each query target given the support set, in nats."""
        return self.distribution(self.adapt(episode.support), episode.query.x).log_density(episode.query.y)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss is the negative log-likelihood of the query targets, in nats.

        The log-likelihoods are weighted by `w`.
        """
        loss = -(episode.query.w * self.log_likelihood(episode)).sum()
        return loss, {"loss": loss.detach()}

    def features(self, state: Summary, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the outputs of the decoder's submodules, and with `std`.

        `std` is the predicted standard deviation of each row's targets.
        """
        return watch(self.decoder, lambda: self.predict(state, x)) | {"std": self.distribution(state, x).std}
