"""Represent a function by the average of its embedded examples; a decoder gives mean and deviation at every point.

    r = Σ w_i·encoder(x_i, y_i) / Σ w_i,      mean, raw = decoder(x, r)
    std = min_std + (1 − min_std)·softplus(raw),      loss = −Σ w_i·log N(y_i; mean_i, std_i²)

Garnelo et al. 2018a, "Conditional Neural Processes", eq. 1 to 4. Difference: the loss is on the query only; the paper
predicts the context too.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..adaptation.learner import Metrics
from ..adaptation.watching import watch
from ..episodes import Episode, Examples
from .process import Normal, Process, average, check_deviation, pairs, rowwise, spread


class Summary(NamedTuple):
    """The representation of a context."""

    r: Float[Tensor, " r"]


class CNP(Process):
    """Conditional neural process: the average embedding of a context, decoded at each point.

    Args:
        encoder: from an example, input and target side by side `[n, d + k]`, to its representation `[n, r]`.
        decoder: from a point and the representation `[n, d + r]` to means and raw deviations `[n, 2k]`.
        min_std: the lower bound of the deviation; choose it below the noise of the targets.

    Raises MapstoError if a body has batch norm, the decoder has an odd number of outputs, `min_std` is not between 0
    and 1, or the tasks have targets of another shape than the decoder's.

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
        """Average the embedded examples; the average of an empty context is 0."""
        return Summary(average(self.encoder(pairs(support)), support.w))

    def distribution(self, state: Summary, x: Float[Tensor, "n ..."]) -> Normal:
        """Decode each point with the representation."""
        r = state.r.expand(len(x), -1)  # [n, r]
        return spread(self.decoder(torch.cat([x.flatten(1), r], -1)), self.min_std)

    def log_likelihood(self, episode: Episode) -> Float[Tensor, " m"]:
        """Return the log-likelihood of each query target, in nats."""
        return self.distribution(self.adapt(episode.support), episode.query.x).log_density(episode.query.y)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the negative log-likelihood of the query."""
        loss = -(episode.query.w * self.log_likelihood(episode)).sum()
        return loss, {"loss": loss.detach()}

    def features(self, state: Summary, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return the output of each part of the decoder by name, and the deviation."""
        return watch(self.decoder, lambda: self.predict(state, x)) | {"std": self.distribution(state, x).std}
