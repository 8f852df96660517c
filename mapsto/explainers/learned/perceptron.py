"""A perceptron that reads a whole row: the entries of its players, which of them are shown, and further inputs.

If it reads `by_class`, it is applied once for each class, and also reads the means of the class's support examples.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .explainer import Prediction
from .players import Players


class Perceptron(nn.Module):
    """Map rows with `c` masks of their players to `[n, c, 1, outputs]` or, by class, to `[n, c, k, outputs]`.

    Args:
        players: the players.
        inputs: the number of further inputs.
        outputs: the number of outputs, for each class if `by_class`.
        by_class: whether to read the means of the support set's classes.
        width: the number of hidden units.
    """

    def __init__(self, players: Players, inputs: int, outputs: int, by_class: bool, width: int):
        super().__init__()
        self.players, self.by_class = players, by_class
        entries = players.count * players.size
        first = nn.Linear(entries * (1 + by_class) + players.count + inputs, width)
        self.network = nn.Sequential(first, nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, outputs))

    def forward(self, prediction: Prediction, masks: Float[Tensor, "n c p"], *inputs: Float[Tensor, "..."]) -> Tensor:
        """Return the outputs, given the masks (1 if a player is shown) and further inputs, such as `[n, 1, k, i]`."""
        cells = self.players.cells(prediction.x)[:, None] * masks[..., None]  # [n, c, p, m]
        parts = [cells.flatten(2)[:, :, None], masks[:, :, None], *inputs]
        if self.by_class:
            parts.append(self.players.cells(prediction.classes["x"]).flatten(1)[None, None])
        axes = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
        return self.network(torch.cat([part.expand(*axes, -1) for part in parts], -1))


class Pooled(nn.ModuleList):
    """Map features to one vector for each row: of each feature, the mean over its positions of gelu(W·f)."""

    def __init__(self, reads: Mapping[str, int], width: int):
        super().__init__(nn.Linear(channels, width) for channels in reads.values())

    def forward(self, features: list[Float[Tensor, "_ _ _"]]) -> list[Float[Tensor, "_ _"]]:
        """Return one vector for each row `[n, width]`, for each feature `[n, t, c]`."""
        return [F.gelu(layer(f)).mean(1) for layer, f in zip(self, features, strict=True)]
