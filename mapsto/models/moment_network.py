"""A set network that fits a data set by reading it a few times, each time with a matrix that it makes of its moments.

    z_i = [basis(x_i), 1],    G = Σ w_i·z_i z_iᵀ + Λ,    s = diag(G)^−½,    P = s(1 + read(s G s))s,    α ← 0
    α ← α + P·(Σ w_i·z_i (y_i − z_iᵀα)ᵀ − Λα)  `layers` times,      out = write(α)

Sums over the set forget its order (Zaheer et al. 2017, "Deep Sets", Theorem 2); the first layer sums z y, each further
one what is not yet explained. Ridge regression is P = G⁻¹, so that what there is to learn is the inverse of a matrix
with unit diagonal, and each further layer shrinks the error of an imperfect one (Richardson iteration with a learned
preconditioner). Nothing tells the network the inverse or the penalty Λ, a diagonal: both are learned.
"""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import MapstoError


class MomentNetwork(nn.Module):
    """Examples (x, y, w) ↦ numbers: the coefficients α, or what `write` makes of them.

    α are the `features` weights of each of the k targets, then their k intercepts: without `basis` and `write` the
    parameters of `nn.Linear(features, k)`, in order.

    Args:
        features: of `basis`, which are the input's own by default.
        basis: from inputs `[n, d]` to `features` numbers each; default: the input.
        write: from α in this order, as one row `[1, k·(features + 1)]`, to the numbers to give; default: α itself.
        layers: how often the set is read.
        hidden: widths of the network that makes the matrix.

    Raises MapstoError for a size below 1.

    >>> network = MomentNetwork(features=3)
    >>> network(torch.randn(6, 3), torch.randn(6, 1), torch.ones(6)).shape
    torch.Size([4])
    """

    def __init__(
        self,
        features: int,
        basis: nn.Module | None = None,
        write: nn.Module | None = None,
        layers: int = 2,
        hidden: Sequence[int] = (64, 64),
    ):
        super().__init__()
        if min(features, layers, *hidden) < 1:
            raise MapstoError(f"features, layers, hidden: got {features}, {layers}, {hidden}, expected sizes from 1.")
        q = features + 1
        self.basis, self.layers, self.write = basis or nn.Identity(), layers, write or nn.Identity()
        self.log_penalty = nn.Parameter(torch.full((q,), -2.0))
        sizes = itertools.pairwise((q * (q - 1) // 2, *hidden, q * q))
        parts = [part for width, following in sizes for part in (nn.Linear(width, following), nn.SiLU())]
        self.read = nn.Sequential(*parts[:-1])

    def forward(self, x: Float[Tensor, "n d"], y: Float[Tensor, "n k"], w: Float[Tensor, " n"]) -> Float[Tensor, " p"]:
        """Read a set whose examples count `w` each; 0 is absence, and of nothing α is 0."""
        z = torch.cat([self.basis(x), torch.ones_like(y[:, :1])], -1)  # [n, q]
        weighted, penalty = (w[:, None] * z).T, self.log_penalty.exp()  # [q, n], [q]
        matrix = self._matrix(weighted @ z + penalty.diag())  # [q, q]
        alpha = z.new_zeros(z.shape[1], y.shape[1])  # [q, k]
        for _ in range(self.layers):
            alpha = alpha + matrix @ (weighted @ (y - z @ alpha) - penalty[:, None] * alpha)
        return self.write(torch.cat([alpha[:-1].T.flatten(), alpha[-1]])[None])[0]

    def _matrix(self, moments: Float[Tensor, "q q"]) -> Float[Tensor, "q q"]:
        """Return P: the unit matrix and what `read` makes of the correlations, scaled as the inverse is."""
        scale = moments.diagonal().rsqrt()  # [q]; the penalty keeps it finite
        outer = scale[:, None] * scale
        upper = torch.triu_indices(len(moments), len(moments), 1, device=moments.device)
        correction = self.read((outer * moments)[upper[0], upper[1]]).view_as(moments)
        return outer * correction + scale.square().diag()
