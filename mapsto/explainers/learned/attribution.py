"""Shapley values in one forward pass: the explainer predicts a *game* with cheap Shapley values.

From the model's tokens of one row it predicts how each of `k` outputs would change if columns were hidden,

    e(S) = Σ_{j∈S} a_j + Σ_{i<j∈S} q_ij,     q_ij = Σ_r s_r u_ir u_jr  (s_r = ±1),

which equals the model's output when nothing or everything is visible, and is trained to approximate it in between. The
Shapley values of this game, in probability too, need additions only, without further calls of the model: all coalitions
of up to ten columns, pairs of orders for more. They add up exactly, and a missing cell gets exactly 0.

Related: FastSHAP (Jethani et al. 2022, eq. 6) and ViaSHAP (Alkhatib et al. 2025) regress the values themselves; the
game is the easier target, because e(S) is one output of the model while the values are averages over 2^d of them.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PairwiseGame(NamedTuple):
    """A game on `d` columns with single and pairwise terms, worth 0 if no column is visible, with any leading axes."""

    single: Float[Tensor, "... d"]
    factors: Float[Tensor, "... d r"]

    def __call__(self, masks: Float[Tensor, "... c d"]) -> Float[Tensor, "... c"]:
        """Return `e(S)` for `c` coalitions."""
        sign = _signs(self.factors)
        pairs = (masks @ self.factors).square() - masks @ self.factors.square()  # [..., c, r]: twice the sums over i<j
        return (masks @ self.single[..., None])[..., 0] + pairs @ sign / 2


class PairwiseAttribution(nn.Module):
    """tokens of a row ↦ the game behind its prediction.

    Args:
        width: channels of a token.
        outputs: how many numbers the model predicts for a row.
        hidden: units of the two-layer head.
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
        """Predict `k` games, one for each of the model's `outputs`, worth `full` when all `visible` columns are.

        `tokens` holds one token for each column, and the label token last.
        """
        cells, label = tokens[..., :-1, :], tokens[..., -1:, :]
        read = self.head(torch.cat([cells, label.expand_as(cells)], -1)) * visible[..., None]
        read = read.unflatten(-1, (self.outputs, -1))[..., outputs, :].movedim(-2, -3)  # [..., k, d, 1 + r]
        game = PairwiseGame(read[..., 0], read[..., 1:])
        gap = full - game(visible[..., None, None, :])[..., 0]
        share = visible / visible.sum(-1, keepdim=True).clamp(min=1)
        return game._replace(single=game.single + gap[..., None] * share[..., None, :])


def _signs(factors: Tensor) -> Tensor:
    """Return the signs of the factors: half of them +1, half −1."""
    return 1 - 2.0 * (torch.arange(factors.shape[-1], device=factors.device) % 2).to(factors.dtype)
