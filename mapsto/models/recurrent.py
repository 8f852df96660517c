"""A recurrent network for sequences, made of gated recurrent units.

    r_t = σ(W_r·(x_t, h_{t−1})),   u_t = σ(W_u·(x_t, h_{t−1})),   n_t = tanh(W_n·x_t + r_t ∘ V_n·h_{t−1})
    h_t = (1 − u_t) ∘ n_t + u_t ∘ h_{t−1}

Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder", eq. 5 to 8, with the reset after the
matrix product as in PyTorch. PyTorch's own network is not used because it has no batching rule for `vmap`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import checks


class Recurrent(nn.Module):
    """A recurrent network for sequences, made of gated recurrent units (GRU).

    The network maps sequences `[n, t, features]` to `[n, outputs]`. If `outputs` is None, it returns the states
    `[n, width]` after the last element of each sequence.

    Raises:
        MapstoError: if `features` or `width` is below 1.

    >>> Recurrent(features=3, width=8, outputs=2)(torch.zeros(5, 7, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(self, features: int, width: int = 64, outputs: int | None = None):
        super().__init__()
        checks.count(features=features, width=width)
        self.of_input, self.of_state = nn.Linear(features, 3 * width), nn.Linear(width, 3 * width)
        self.width = width
        self.head = nn.Identity() if outputs is None else nn.Linear(width, outputs)

    def forward(self, x: Float[Tensor, "n t features"]) -> Float[Tensor, "n k"]:
        """Return the outputs (or states, if `outputs` is None) after the last element of each sequence."""
        h = x.new_zeros(x.shape[0], self.width)
        for element in self.of_input(x).unbind(1):
            h = self._next(element, h)
        return self.head(h)

    def _next(self, element: Tensor, h: Tensor) -> Tensor:
        reset, update, new = element.chunk(3, -1)
        r, u, n = self.of_state(h).chunk(3, -1)
        u = torch.sigmoid(update + u)
        return (1 - u) * torch.tanh(new + torch.sigmoid(reset + r) * n) + u * h
