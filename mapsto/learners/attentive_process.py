"""A neural process in which every point attends to the context by itself, so that it need not forget any of it.

    r = attention(x; D),      q(z|D) from Σ w_i·encoder(x_i, y_i) / Σ w_i,      p(y|x, D, z) = N(decoder(x, r, z))
    loss = −E_{z ~ q(z|D, query)} Σ w_i·log p(y_i|x_i, D, z) + (Σ w²/Σ w)·KL(q(z|D, query) ‖ q(z|D))

Kim et al. 2019, "Attentive Neural Processes", eq. 3 and Figure 2: self-attention in the deterministic path, multi-head
cross-attention whose queries and keys are inputs alone. With `models.KernelAttention` we depart in two ways, each of
which cuts the training many times over: scores are distances, not dot products, and a point attends to every layer of
the context, not to the last alone. The latent path has no self-attention, as in the paper's one-dimensional tasks.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..adaptation.labels import numbers
from ..adaptation.watching import watch
from ..episodes import Examples
from ..errors import MapstoError
from .process import LatentProcess, Normal, counts, rowwise, spread


class Attended(NamedTuple):
    """What the attention remembers of a context, and what the context says of the latent."""

    recall: Any
    latent: Normal


@runtime_checkable
class Remembers(Protocol):
    """An attention that reads a context once, for any point to attend to."""

    def remember(self, x: Tensor, y: Tensor, w: Tensor) -> Any:
        """Read a context whose examples count w."""


class ANP(LatentProcess):
    """Attentive neural process: a latent for the whole function, attention for what is near.

    Args:
        attention: as `models.KernelAttention`: `remember(x, y, w)` reads a context whose examples count w, and
            `forward(x, recall)` represents points `[n, r]`.
        encoder: from an example, input and target side by side `[n, d + k]`, to the latent's mean and raw deviation
            `[n, 2·latents]`.
        decoder: from a point, its representation and a latent `[n, d + r + latents]` to means and raw deviations
            `[n, 2k]`.
        min_std: the lower bound of the deviation; below the noise of the targets, so that it can be expressed.

    Raises MapstoError where `attention` remembers nothing, a body has batch norm or an odd number of outputs, `min_std`
    is not between 0 and 1, or tasks come without noise `[draws, latents]` or with other targets than are decoded.
    """

    def __init__(self, attention: nn.Module, encoder: nn.Module, decoder: nn.Module, min_std: float = 0.01):
        super().__init__(encoder, min_std)
        self.attention, self.decoder = rowwise("attention", attention), rowwise("decoder", decoder)
        if not isinstance(attention, Remembers):
            raise MapstoError(
                f"attention: got {type(attention).__name__}, expected a module with `remember`, as KernelAttention."
            )

    def adapt(self, support: Examples) -> Attended:
        """Read the context for attention, and return q(z|D) beside it."""
        recall = self.attention.remember(support.x, numbers(support.y), counts(support.w))  # type: ignore[operator]
        return Attended(recall, self.latent(support))

    def latent_of(self, state: Attended) -> Normal:
        """Return q(z|D)."""
        return state.latent

    def decode(self, state: Attended, x: Float[Tensor, "n ..."], z: Float[Tensor, " z"]) -> Normal:
        """Decode each point with what it attends to and the latent."""
        r = self.attention(x, state.recall)  # [n, r]
        rows = torch.cat([x.flatten(1), r, z.expand(len(x), -1)], -1)  # [n, d + r + z]
        return spread(self.decoder(rows), self.min_std)

    def features(self, state: Attended, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name what each point attends to, the output of each part of the decoder, and the deviation."""
        seen = watch(self.decoder, lambda: self.predict(state, x))
        return {"attended": self.attention(x, state.recall)} | seen | {"std": self.distribution(state, x).std}
