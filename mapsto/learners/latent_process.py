"""Map a support set to a distribution over one latent variable; each draw of this variable is a whole function.

    q(z|D) = N(mean, std²) from Σ w_i·encoder(x_i, y_i) / Σ w_i,      p(y|x, z) = N(decoder(x, z))
    loss = −E_{z ~ q(z|D, query)} Σ w_i·log p(y_i|x_i, z) + (Σ w²/Σ w)·KL(q(z|D, query) ‖ q(z|D))

D is the support set (the paper's context), and z is the latent variable. Garnelo et al. 2018b, "Neural Processes", eq.
5 to 9. Draws of z use the standard normal numbers `episode.noise` `[draws, latents]`.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ..adaptation.watching import watch
from ..episodes import Examples
from .process import LatentProcess, Normal, rowwise, spread


class Latent(NamedTuple):
    """The state: the normal distribution q(z|D) of the latent variable."""

    mean: Float[Tensor, " z"]
    std: Float[Tensor, " z"]


class NP(LatentProcess):
    """Neural process: predict from a latent variable that carries all information from the support set.

    Args:
        encoder: a module from `[n, d + k]` to `[n, 2·latents]`. Each row that it reads is one example: the d numbers of
            the input x, followed by the k numbers of the target y. Its outputs are averaged over the examples. The
            average holds the means of the latents, followed by raw numbers s; the standard deviations are
            `0.1 + 0.9·sigmoid(s)`.
        decoder: a module from `[n, d + latents]` to `[n, 2k]`. Each row that it reads is a point x, followed by a value
            of the latents. Each row that it returns holds the means of the k targets, followed by k raw numbers s; the
            standard deviations are `min_std + (1 − min_std)·softplus(s)`.
        min_std: the lower bound of the predicted standard deviations. Choose it below the standard deviation of the
            noise in the targets.

    Raises:
        MapstoError: if a module has batch norm or an odd number of outputs, `min_std` is not between 0 and 1,
            `episode.noise` is not `[draws, latents]`, or targets differ in shape from the decoder's means.

    >>> learner = NP(nn.Linear(2, 6), nn.Linear(4, 2))
    >>> state = learner.adapt(Examples(torch.zeros(2, 1), torch.ones(2, 1), torch.full((2,), 0.5)))
    >>> state.mean.shape, learner.predict(state, torch.zeros(5, 1)).shape
    (torch.Size([3]), torch.Size([5, 1]))
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, min_std: float = 0.01):
        super().__init__(encoder, min_std)
        self.decoder = rowwise("decoder", decoder)

    def adapt(self, support: Examples) -> Latent:
        """Return the distribution q(z|D) of the latent variable z given the support set D."""
        return Latent(*self.latent(support))

    def latent_of(self, state: Latent) -> Normal:
        """Return the stored distribution q(z|D) of the latent variable z given the support set D."""
        return Normal(*state)

    def decode(self, state: Latent, x: Shaped[Tensor, "n ..."], z: Float[Tensor, " z"]) -> Normal:
        """Return the distribution of the targets at `n` points, given one value `z` of the latent variable."""
        rows = torch.cat([x.flatten(1), z.expand(x.shape[0], -1)], -1)  # [n, d + z]
        return spread(self.decoder(rows), self.min_std)

    def features(self, state: Latent, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the outputs of the decoder's submodules, and with `std`.

        `std` is the predicted standard deviation of each row's targets.
        """
        return watch(self.decoder, lambda: self.predict(state, x)) | {"std": self.distribution(state, x).std}
