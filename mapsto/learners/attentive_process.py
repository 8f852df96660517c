"""A neural process in which every point attends to the support set, so that no example is lost in an average.

    r = attention(x; D),      q(z|D) from Σ w_i·encoder(x_i, y_i) / Σ w_i,      p(y|x, D, z) = N(decoder(x, r, z))
    loss = −E_{z ~ q(z|D, query)} Σ w_i·log p(y_i|x_i, D, z) + (Σ w²/Σ w)·KL(q(z|D, query) ‖ q(z|D))

D is the support set (the paper's context), and z is a latent variable for the whole function. Kim et al. 2019,
"Attentive Neural Processes", eq. 3 and Figure 2: self-attention among the examples, then multi-head cross-attention,
whose queries and keys are inputs only. The encoder of z has no self-attention, as in the paper's one-dimensional tasks.

With `models.KernelAttention` there are two differences, each of which shortens training many times: scores are
distances, not dot products, and a point attends to the examples in every layer, not only in the last.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from .. import checks
from ..adaptation.labels import numbers
from ..adaptation.watching import watch
from ..episodes import Examples
from .process import LatentProcess, Normal, counts, rowwise, spread


class Attended(NamedTuple):
    """The state: the attention's memory of the support set, and the distribution of the latent variable."""

    recall: Any
    latent: Normal


@runtime_checkable
class Remembers(Protocol):
    """An attention module that reads a support set once, so that any number of points can attend to it later."""

    def remember(self, x: Tensor, y: Tensor, w: Tensor) -> Any:
        """Return the memory of a support set; the weights `w` are rescaled so that equal weights are 1."""


class ANP(LatentProcess):
    """Attentive neural process: predict targets from a latent variable of the task and attention to the support set.

    Args:
        attention: a module with a method `remember`, such as `models.KernelAttention`. `remember(x, y, w)` reads the
            inputs, targets and weights of the support set, and returns a memory of it. The weights `w` are rescaled so
            that equal weights become 1. `forward(x, memory)` returns a representation `[n, r]` of `n` points.
        encoder: a module from `[n, d + k]` to `[n, 2·latents]`. Each row that it reads is one example: the d numbers of
            the input x, followed by the k numbers of the target y. Its outputs are averaged over the examples. The
            average holds the means of the latents, followed by raw numbers s; the standard deviations are
            `0.1 + 0.9·sigmoid(s)`.
        decoder: a module from `[n, d + r + latents]` to `[n, 2k]`. Each row that it reads is a point x, followed by the
            representation of x and by a value of the latents. Each row that it returns holds the means of the k
            targets, followed by k raw numbers s; the standard deviations are `min_std + (1 − min_std)·softplus(s)`.
        min_std: the lower bound of the predicted standard deviations. Choose it below the standard deviation of the
            noise in the targets.

    Raises:
        MapstoError: if `attention` has no `remember`, a module has batch norm, `encoder` or `decoder` has an odd number
            of outputs, `min_std` is not between 0 and 1, `episode.noise` is not `[draws, latents]`, or targets differ
            in shape from the decoder's means.
    """

    def __init__(self, attention: nn.Module, encoder: nn.Module, decoder: nn.Module, min_std: float = 0.01):
        super().__init__(encoder, min_std)
        self.attention, self.decoder = rowwise("attention", attention), rowwise("decoder", decoder)
        checks.expect(
            isinstance(attention, Remembers), "attention", type(attention).__name__,
            "a module with `remember`, such as KernelAttention",
        )  # fmt: skip

    def adapt(self, support: Examples) -> Attended:
        """Return the attention's memory of the support set D, and the distribution q(z|D) of the latent variable."""
        recall = self.attention.remember(support.x, numbers(support.y), counts(support.w))  # type: ignore[operator]
        return Attended(recall, self.latent(support))

    def latent_of(self, state: Attended) -> Normal:
        """Return the stored distribution q(z|D) of the latent variable z given the support set D."""
        return state.latent

    def decode(self, state: Attended, x: Shaped[Tensor, "n ..."], z: Float[Tensor, " z"]) -> Normal:
        """Return the distribution of the targets at `n` points, given one value `z` of the latent variable."""
        r = self.attention(x, state.recall)  # [n, r]
        rows = torch.cat([x.flatten(1), r, z.expand(x.shape[0], -1)], -1)  # [n, d + r + z]
        return spread(self.decoder(rows), self.min_std)

    def features(self, state: Attended, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the output of each submodule of the decoder, and with `attended` and `std`.

        `attended` `[n, r]` is the output of the attention for each row. `std` is the predicted standard deviation.
        """
        parts = watch(self.decoder, lambda: self.predict(state, x))
        return {"attended": self.attention(x, state.recall)} | parts | {"std": self.distribution(state, x).std}
