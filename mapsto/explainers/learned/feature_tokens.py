"""Tokens of a model feature, for attention: one for each position, or for each channel if there are no positions.

    token_nct = own(f_nt) + contrast(d_ct) + product(f_nt ⊙ d_ct) + code_t

`f` is the feature of row n at position t, d_c the mean of class c in the support set minus the mean of the other
classes; own, contrast and product are linear. A vector such as an embedding mixes all players, so an explainer must
find the channels that a player changes: each channel is a token with a learned code. `f ⊙ d` is how a prototype scores
a row, channel by channel.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FeatureTokens(nn.Module):
    """Map a feature `[n, t, c]` with `c` channels to tokens `[n, 1 or k, t or c, width]`.

    Args:
        channels: the number c of channels.
        width: the number of channels of a token.
        by_class: True if the means `[k, t, c]` of k classes are read, too; there is then one set of tokens a class.
    """

    def __init__(self, channels: int, width: int, by_class: bool):
        super().__init__()
        self.own = nn.Linear(channels, width)
        self.codes = nn.Parameter(torch.randn(channels, width))
        self.contrast = nn.Linear(channels, width, bias=False) if by_class else None
        self.product = nn.Linear(channels, width, bias=False) if by_class else None

    def forward(
        self, feature: Float[Tensor, "n t c"], means: Float[Tensor, "k t c"] | None = None
    ) -> Float[Tensor, "n g t2 width"]:
        """Return the tokens; without class means, there is one set of them (g = 1)."""
        alone = feature.shape[1] == 1
        own = self._projected(self.own, feature)[:, None]
        tokens = (own + self.codes) if alone else placed(own)
        if self.contrast is None or self.product is None or means is None:
            return tokens
        apart = against_mean_of_others(means)
        product = self._projected(self.product, feature[:, None] * apart)
        return tokens + self._projected(self.contrast, apart) + product

    def _projected(self, project: nn.Linear, feature: Float[Tensor, "... t c"]) -> Float[Tensor, "... t2 width"]:
        """Project each position or, if there is only one, each channel by itself."""
        if feature.shape[-2] > 1:
            return project(feature)
        return feature.mT * project.weight.T


def against_mean_of_others(means: Float[Tensor, "k ..."]) -> Float[Tensor, "k ..."]:
    """Return each class's mean minus the mean of the other classes' means.

    >>> against_mean_of_others(torch.tensor([[1.0], [3.0], [5.0]]))
    tensor([[-3.],
            [ 0.],
            [ 3.]])
    """
    return means - (means.sum(0) - means) / max(len(means) - 1, 1)


def placed(tokens: Float[Tensor, "... t v"]) -> Float[Tensor, "... t v"]:
    """Add the sine codes of the positions (Vaswani et al. 2017, §3.5)."""
    t, width = tokens.shape[-2:]
    rate = 100 ** -(torch.arange(width // 2) / (width // 2))
    angle = torch.arange(t)[:, None] * rate
    return tokens + torch.cat([angle.sin(), angle.cos(), torch.zeros(t, width % 2)], 1).to(tokens)
