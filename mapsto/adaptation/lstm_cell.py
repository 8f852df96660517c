"""The LSTM cell that several learners use.

    (i, f, g, o) = W·(x_t, h_{t−1}) + b,   c_t = σ(f)·c_{t−1} + σ(i)·tanh(g),   h_t = σ(o)·tanh(c_t)

Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", with the forget gate of Gers et al. 2000, "Learning to Forget",
eq. 1 to 4. PyTorch's own cell is not used because it has no second derivative on a GPU and no rule for `vmap`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Cell(nn.Module):
    """One LSTM cell that takes its input and its previous output concatenated into one vector `[..., inputs]`.

    `inputs` is the size of this vector, and `width` is the size of the output.
    """

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.gates = nn.Linear(inputs, 4 * width)

    def forward(self, x: Float[Tensor, "... i"], c: Float[Tensor, "... f"]) -> tuple[Tensor, Tensor]:
        """Return the new output and the new cell state, given the concatenated input `x` and the old cell state `c`."""
        enter, keep, new, leave = self.gates(x).chunk(4, -1)
        c = torch.sigmoid(keep) * c + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(leave) * torch.tanh(c), c
