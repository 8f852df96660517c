"""ROAD: fill hidden parts with values predicted from the visible ones, so that hiding is hard to notice.

    images   s_i·x_i = Σ_{j ∈ N(i)} w_ij·x_j  for every hidden pixel i,      s_i = Σ_{j ∈ N(i)} w_ij
             N(i) the up to 8 neighbours, w = 1/6 beside, above and below, 1/12 diagonally; plus noise
    tables   x_H = μ_H + Σ_HV (Σ_VV + λI)⁻¹ (x_V − μ_V),  the linear regression of the hidden columns H on the visible
             V in background rows, with their means μ and covariances Σ; plus noise

Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods": noisy linear imputation
makes "most relevant first" and "least relevant first" agree, because the filled pixels hardly show where pixels are
hidden. ROAD's curves are those of `insertion_deletion` for the games that `Imputer.game` returns. The images follow the
paper; tables apply the same idea. If nothing is visible, an image is filled with 0 (the equations leave its level
open), and a row of a table with the means. The noise is fixed by a seed, so that the same mask always gives the same
outcome.
"""

from abc import ABC, abstractmethod
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ... import checks
from ...views import Game, View

_BESIDE = dict.fromkeys([(-1, 0), (0, -1), (0, 1), (1, 0)], 1 / 6)
_DIAGONAL = dict.fromkeys([(-1, -1), (-1, 1), (1, -1), (1, 1)], 1 / 12)


class Imputer(ABC):
    """A function (x, mask) ↦ x whose hidden entries (mask 0) are filled in."""

    @abstractmethod
    def __call__(self, x: Float[Tensor, "..."], mask: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return `x` with its hidden entries filled in; the mask has the shape of `x`, or of one image channel."""

    def game(self, view: View, x: Float[Tensor, "..."], groups: Int[Tensor, "..."] | None = None) -> Game:
        """Return the game that scores `x` with the entries of hidden players filled in.

        Args:
            view: the explained function.
            x: the point, such as a row or an image.
            groups: for each entry of the mask, the index of its player (0 … players−1). If None, each entry of a row,
                or each pixel with all its channels, is a player.

        Raises:
            MapstoError: if a group is below 0.

        >>> game = NoisyLinear(noise=0.0).game(lambda x: x.sum(), torch.tensor([[1.0, 9.0, 3.0]]))
        >>> game(torch.tensor([1.0, 0.0, 1.0]))
        tensor(6.)
        """
        if groups is None:
            shape = x.shape[-2:]
            groups = torch.arange(shape.numel(), device=x.device).reshape(shape)
        checks.at_least(0, groups=int(groups.min()))
        players = int(groups.max()) + 1
        return Game(lambda mask: view(self(x, mask.to(x)[groups])), players)


@final
class NoisyLinear(Imputer):
    """Fill the hidden pixels of an image with weighted means of their neighbours, plus noise.

    `NoisyLinear()(x, mask)` returns a copy of the image `x` `[..., h, w]` in which the pixels with `mask` 0 are filled
    in. Neighbours of a hidden pixel may be hidden too, so all hidden pixels are computed together by solving a dense
    linear system of h·w equations. This is practical for images of up to about 32 × 32 pixels.

    Args:
        noise: the standard deviation of the noise, in the unit of the pixels. The authors' code uses 0.01.
        seed: the random seed of the noise.

    >>> x, mask = torch.tensor([[1.0, 9.0, 3.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    >>> NoisyLinear(noise=0.0)(x, mask)
    tensor([[1., 2., 3.]])
    """

    def __init__(self, noise: float = 0.01, seed: int = 0):
        self.noise, self.seed = noise, seed

    def __call__(self, x: Float[Tensor, "*c h w"], mask: Float[Tensor, "h w"]) -> Float[Tensor, "*c h w"]:
        """Return the image, with the pixels whose `mask` is 0 filled in.

        Raises:
            MapstoError: if the mask does not have the image's height and width.
        """
        checks.shape(tuple(x.shape[-2:]), "the height and width of the images", mask=mask)
        visible = (mask > 0.5).flatten()  # [p]
        pixels = x.flatten(-2).reshape(-1, visible.numel()).double()  # [c, p]
        weights = neighbours(*x.shape[-2:]).to(pixels)
        hidden = weights.sum(1).diag() - weights  # [p, p]: s_i·x_i − Σ w_ij·x_j
        identity = torch.eye(len(weights)).to(pixels)
        system = torch.where(visible[:, None] | ~visible.any(), identity, hidden)
        filled = torch.linalg.solve(system, (pixels * visible).mT).mT + self.noise * draw(pixels[:1], self.seed)
        return torch.where(visible, pixels, filled).to(x).reshape(x.shape)


@final
class LinearRegression(Imputer):
    """Fill the hidden columns of a table's row by linear regression on its visible columns, plus noise.

    `LinearRegression(background)(x, mask)` returns a copy of the row `x` in which the columns with `mask` 0 are filled
    in.

    Args:
        background: the rows to which the regression is fitted, `[b, d]`.
        ridge: the ridge penalty λ, as a multiple of the mean variance of the columns.
        noise: the standard deviation of the noise, as a multiple of the column's standard deviation.
        seed: the random seed of the noise.

    Raises:
        MapstoError: if there are fewer than two background rows, or some of their cells are missing.

    >>> x = torch.arange(4.0)
    >>> impute = LinearRegression(torch.stack([x, 2 * x], 1), noise=0.0)
    >>> impute(torch.tensor([5.0, 0.0]), torch.tensor([1.0, 0.0])).round(decimals=3)
    tensor([ 5., 10.])
    """

    def __init__(self, background: Float[Tensor, "b d"], ridge: float = 1e-6, noise: float = 0.01, seed: int = 0):
        checks.expect(len(background) >= 2, "background", f"{len(background)} row(s)", "at least two")
        checks.finite("leave out rows with missing cells", background=background)
        rows = background.double()
        self.mean, self.deviation = rows.mean(0), rows.std(0, correction=0)
        self.covariance = (rows - self.mean).T @ (rows - self.mean) / len(rows)
        self.ridge = ridge * self.deviation.square().mean().clamp(min=1e-12)
        self.noise, self.seed = noise, seed

    def __call__(self, x: Float[Tensor, " d"], mask: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
        """Return the row `x`, with the columns whose `mask` is 0 filled in.

        Raises:
            MapstoError: if the row or the mask is not as wide as the background.
        """
        checks.shape(tuple(self.mean.shape), "as wide as the background", x=x, mask=mask)
        visible = mask > 0.5
        seen = visible.double()
        away = torch.where(visible, x.double() - self.mean, 0.0)
        system = seen[:, None] * self.covariance * seen + torch.diag(self.ridge * seen + (1 - seen))
        filled = self.mean + self.covariance @ (seen * torch.linalg.solve(system, away))
        filled = filled + self.noise * self.deviation * draw(filled, self.seed)
        return torch.where(visible, x, filled.to(x))


def neighbours(h: int, w: int) -> Float[Tensor, "p p"]:
    """Return the weight `w_ij` of each pixel j (column) in the mean of the neighbours of each pixel i (row)."""
    row, column = torch.arange(h).repeat_interleave(w), torch.arange(w).repeat(h)
    down, right = row - row[:, None], column - column[:, None]
    parts = [((down == di) & (right == dj)) * weight for (di, dj), weight in (_BESIDE | _DIAGONAL).items()]
    return torch.stack(parts).sum(0)


def draw(like: Tensor, seed: int) -> Tensor:
    """Return standard normal numbers in the shape of a tensor; `seed` fixes them."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(like.shape)).to(like)  # vmap bars torch.randn
