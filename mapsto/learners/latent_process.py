"""Map a context to a distribution over one global latent variable; each draw of it is a whole function.

    q(z|D) = N(mean, std²) from Σ w_i·encoder(x_i, y_i) / Σ w_i,      p(y|x, z) = N(decoder(x, z))
    loss = −E_{z ~ q(z|D, query)} Σ w_i·log p(y_i|x_i, z) + (Σ w²/Σ w)·KL(q(z|D, query) ‖ q(z|D))

Garnelo et al. 2018b, "Neural Processes", eq. 5 to 9. The draws come from `episode.noise` `[draws, latents]`.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..adaptation.watching import watch
from ..episodes import Examples
from .process import LatentProcess, Normal, rowwise, spread


class Latent(NamedTuple):
    """The distribution q(z|D) of the latent."""

    mean: Float[Tensor, " z"]
    std: Float[Tensor, " z"]


class NP(LatentProcess):
    """Neural process: a latent variable carries all the information of a context.

    Args:
        encoder: from an example, input and target side by side `[n, d + k]`, to the latent's mean and raw deviation
            `[n, 2·latents]`.
        decoder: from a point and a latent `[n, d + latents]` to means and raw deviations `[n, 2k]`.
        min_std: the lower bound of the deviation; choose it below the noise of the targets.

    Raises MapstoError if a body has batch norm or an odd number of outputs, `min_std` is not between 0 and 1, or the
    tasks have no noise `[draws, latents]` or targets of another shape than the decoder's.

    >>> learner = NP(nn.Linear(2, 6), nn.Linear(4, 2))
    >>> state = learner.adapt(Examples(torch.zeros(2, 1), torch.ones(2, 1), torch.full((2,), 0.5)))
    >>> state.mean.shape, learner.predict(state, torch.zeros(5, 1)).shape
    (torch.Size([3]), torch.Size([5, 1]))
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, min_std: float = 0.01):
        super().__init__(encoder, min_std)
        self.decoder = rowwise("decoder", decoder)

    def adapt(self, support: Examples) -> Latent:
        """Return q(z|D)."""
        return Latent(*self.latent(support))

    def latent_of(self, state: Latent) -> Normal:
        """Return q(z|D)."""
        return Normal(*state)

    def decode(self, state: Latent, x: Float[Tensor, "n ..."], z: Float[Tensor, " z"]) -> Normal:
        """Decode each point with the latent."""
        rows = torch.cat([x.flatten(1), z.expand(len(x), -1)], -1)  # [n, d + z]
        return spread(self.decoder(rows), self.min_std)

    def features(self, state: Latent, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return the output of each part of the decoder by name, and the deviation."""
        return watch(self.decoder, lambda: self.predict(state, x)) | {"std": self.distribution(state, x).std}
