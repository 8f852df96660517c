"""A neural process in which every point attends to the context, so that no example is lost in an average.

    r = attention(x; D),      q(z|D) from Σ w_i·encoder(x_i, y_i) / Σ w_i,      p(y|x, D, z) = N(decoder(x, r, z))
    loss = −E_{z ~ q(z|D, query)} Σ w_i·log p(y_i|x_i, D, z) + (Σ w²/Σ w)·KL(q(z|D, query) ‖ q(z|D))

Kim et al. 2019, "Attentive Neural Processes", eq. 3 and Figure 2: self-attention in the deterministic path, multi-head
cross-attention whose queries and keys are inputs only. The latent path has no self-attention, as in the paper's
one-dimensional tasks. With `models.KernelAttention` there are two differences, each of which shortens training many
times: scores are distances, not dot products, and a point attends to every layer of the context, not only to the last.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import checks
from ..adaptation.labels import numbers
from ..adaptation.watching import watch
from ..episodes import Examples
from .process import LatentProcess, Normal, counts, rowwise, spread


class Attended(NamedTuple):
    """The attention's memory of a context, and the distribution of the latent."""

    recall: Any
    latent: Normal


@runtime_checkable
class Remembers(Protocol):
    """An attention that reads a context once, for any point to attend to."""

    def remember(self, x: Tensor, y: Tensor, w: Tensor) -> Any:
        """Read a context with weights w, in examples."""


class ANP(LatentProcess):
    """Attentive neural process: a latent for the whole function, attention for nearby examples.

    Args:
        attention: such as `models.KernelAttention`: `remember(x, y, w)` reads a context with weights w in examples,
            and `forward(x, recall)` represents points `[n, r]`.
        encoder: from an example, input and target side by side `[n, d + k]`, to the latent's mean and raw deviation
            `[n, 2·latents]`.
        decoder: from a point, its representation and a latent `[n, d + r + latents]` to means and raw deviations
            `[n, 2k]`.
        min_std: the lower bound of the deviation; choose it below the noise of the targets.

    Raises MapstoError if `attention` has no `remember`, a body has batch norm or an odd number of outputs, `min_std` is
    not between 0 and 1, or the tasks have no noise `[draws, latents]` or targets of another shape than the decoder's.
    """

    def __init__(self, attention: nn.Module, encoder: nn.Module, decoder: nn.Module, min_std: float = 0.01):
        super().__init__(encoder, min_std)
        self.attention, self.decoder = rowwise("attention", attention), rowwise("decoder", decoder)
        checks.expect(
            isinstance(attention, Remembers), "attention", type(attention).__name__,
            "a module with `remember`, such as KernelAttention",
        )  # fmt: skip

    def adapt(self, support: Examples) -> Attended:
        """Return the attention's memory of the context, and q(z|D)."""
        recall = self.attention.remember(support.x, numbers(support.y), counts(support.w))  # type: ignore[operator]
        return Attended(recall, self.latent(support))

    def latent_of(self, state: Attended) -> Normal:
        """Return q(z|D)."""
        return state.latent

    def decode(self, state: Attended, x: Float[Tensor, "n ..."], z: Float[Tensor, " z"]) -> Normal:
        """Decode each point with its attended representation and the latent."""
        r = self.attention(x, state.recall)  # [n, r]
        rows = torch.cat([x.flatten(1), r, z.expand(len(x), -1)], -1)  # [n, d + r + z]
        return spread(self.decoder(rows), self.min_std)

    def features(self, state: Attended, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return the attended representation, the output of each part of the decoder by name, and the deviation."""
        parts = watch(self.decoder, lambda: self.predict(state, x))
        return {"attended": self.attention(x, state.recall)} | parts | {"std": self.distribution(state, x).std}
