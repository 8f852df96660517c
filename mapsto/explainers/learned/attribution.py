"""Shapley values in one forward pass: a network predicts a simple *game* whose Shapley values are cheap.

From the model's tokens of one row, the network predicts how each of `k` outputs changes if the columns S become
visible, compared with a row without visible columns:

    e(S) = Σ_{j∈S} a_j + Σ_{i<j∈S} q_ij,     q_ij = Σ_r s_r u_ir u_jr  (s_r = ±1),

The game equals the model's change if nothing (0) or everything is visible, and is trained to approximate it in between.
The outputs are unnormalised scores, but the Shapley values can be in probability too. They need additions only, without
further calls of the model: over all coalitions of up to ten columns, and over pairs of orders for more. They add up
exactly, and a missing cell gets exactly 0.

Related: FastSHAP (Jethani et al. 2022, eq. 6) and ViaSHAP (Alkhatib et al. 2025) predict the Shapley values themselves.
The game is the easier target: e(S) is one output of the model, but a Shapley value is an average over 2^d of them.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PairwiseGame(NamedTuple):
    """A game of `d` columns with a term for each column and each pair; its outcome is 0 if no column is visible.

    The fields may have any leading axes, such as rows and outputs.
    """

    single: Float[Tensor, "... d"]  # a
    factors: Float[Tensor, "... d r"]  # u
    gap: Float[Tensor, "..."] | None = None  # what was added to `single` so that the outcome of all columns is right

    @property
    def pairs(self) -> Float[Tensor, "... d d"]:
        """The term of each pair of columns, 0 for a column with itself."""
        pairs = (self.factors * _signs(self.factors)) @ self.factors.mT
        return pairs - pairs.diagonal(dim1=-2, dim2=-1).diag_embed()

    def __call__(self, masks: Float[Tensor, "... c d"]) -> Float[Tensor, "... c"]:
        """Return the outcomes `e(S)` of `c` coalitions."""
        sign = _signs(self.factors)
        pairs = (masks @ self.factors).square() - masks @ self.factors.square()  # [..., c, r]: twice the sums over i<j
        return (masks @ self.single[..., None])[..., 0] + pairs @ sign / 2


class PairwiseAttribution(nn.Module):
    """Predict, from the tokens of a row, the game whose Shapley values explain the prediction for the row.

    Args:
        width: the number of channels of a token.
        outputs: the number of outputs that the model has for a row.
        hidden: the number of units in the hidden layer.
        rank: `r`, the number of factors of the pairwise terms.
    """

    def __init__(self, width: int, outputs: int = 11, hidden: int = 64, rank: int = 8):
        super().__init__()
        self.outputs = outputs
        first, last = nn.Linear(2 * width, hidden), nn.Linear(hidden, outputs * (1 + rank))
        nn.init.normal_(last.weight, std=0.02)
        nn.init.normal_(last.bias, std=0.02)
        self.head = nn.Sequential(first, nn.GELU(approximate="tanh"), last)

    def forward(
        self,
        tokens: Float[Tensor, "... c v"],
        visible: Float[Tensor, "... d"],
        full: Float[Tensor, "... k"],
        outputs: slice = slice(None),
    ) -> PairwiseGame:
        """Predict one game for each of the `k` chosen model outputs.

        Args:
            tokens: one token for each column, then the label token.
            visible: 1 for each visible column, 0 for a missing one.
            full: the outcome of each game if all `visible` columns are shown.
            outputs: which of the model's outputs to return games for; all by default.
        """
        cells, label = tokens[..., :-1, :], tokens[..., -1:, :]
        read = self.head(torch.cat([cells, label.expand_as(cells)], -1)) * visible[..., None]
        read = read.unflatten(-1, (self.outputs, -1))[..., outputs, :].movedim(-2, -3)  # [..., k, d, 1 + r]
        game = PairwiseGame(read[..., 0], read[..., 1:])
        gap = full - game(visible[..., None, None, :])[..., 0]
        share = visible / visible.sum(-1, keepdim=True).clamp(min=1)
        return PairwiseGame(game.single + gap[..., None] * share[..., None, :], game.factors, gap)


def _signs(factors: Tensor) -> Tensor:
    """Return the signs of the factors, alternately +1 and −1."""
    return 1 - 2.0 * (torch.arange(factors.shape[-1], device=factors.device) % 2).to(factors.dtype)
