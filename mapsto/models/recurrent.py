"""A recurrent network for sequences, and the LSTM cell that it and several learners are made of.

    (i, f, g, o) = W·(x_t, h_{t−1}) + b,   c_t = σ(f)·c_{t−1} + σ(i)·tanh(g),   h_t = σ(o)·tanh(c_t)

Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", with the forget gate of Gers et al. 2000, "Learning to Forget",
eq. 1 to 4. Written out, because PyTorch's own have no second derivative on a GPU and no batching rule under `vmap`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import MapstoError


class Cell(nn.Module):
    """One LSTM cell, which reads its input and its last output as one vector `[..., inputs]`."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.gates = nn.Linear(inputs, 4 * width)

    def forward(self, x: Float[Tensor, "... i"], c: Float[Tensor, "... f"]) -> tuple[Tensor, Tensor]:
        """Return the output and the new cell state."""
        enter, keep, new, leave = self.gates(x).chunk(4, -1)
        c = torch.sigmoid(keep) * c + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(leave) * torch.tanh(c), c


class Recurrent(nn.Module):
    """Sequences `[n, t, features] ↦ [n, outputs]`, or the last output `[n, width]` without `outputs`.

    Raises:
        MapstoError: `features` or `width` below 1.

    >>> Recurrent(features=3, width=8, outputs=2)(torch.zeros(5, 7, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(self, features: int, width: int = 64, outputs: int | None = None):
        super().__init__()
        if min(features, width) < 1:
            raise MapstoError(f"features, width: got {features} and {width}, expected whole numbers from 1.")
        self.cell, self.width = Cell(features + width, width), width
        self.head = nn.Identity() if outputs is None else nn.Linear(width, outputs)

    def forward(self, x: Float[Tensor, "n t features"]) -> Float[Tensor, "n k"]:
        """Read each sequence from its first element to its last."""
        h = c = x.new_zeros(len(x), self.width)
        for element in x.unbind(1):
            h, c = self.cell(torch.cat([element, h], -1), c)
        return self.head(h)
