"""A set network that fits a data set in a few steps, with a matrix P that it computes from the moments of the data.

    z_i = [basis(x_i), 1],    G = Σ w_i·z_i z_iᵀ + Λ,    s = diag(G)^−½,    P = s(1 + read(s G s))s,    α ← 0
    α ← α + P·(Σ w_i·z_i (y_i − z_iᵀα)ᵀ − Λα)  `layers` times,      out = write(α)

All sums are over the set, so that the order of the examples does not matter (Zaheer et al. 2017, "Deep Sets", Theorem
2). The first layer sums z·y; each further layer sums z times the residual. With P = G⁻¹ this is ridge regression, so
the network learns to approximate the inverse of a matrix with unit diagonal. Each further layer reduces the error of an
imperfect approximation (Richardson iteration with a learned preconditioner). The diagonal penalty Λ is learned too.
"""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import checks


class MomentNetwork(nn.Module):
    """Examples (x, y, w) ↦ numbers: the coefficients α, or the output of `write` for them.

    α has the `features` weights of each of the k targets, then the k intercepts. Without `basis` and `write`, these are
    the parameters of `nn.Linear(features, k)` in order.

    Args:
        features: number of features that `basis` returns.
        basis: module from inputs `[n, d]` to `[n, features]`; by default the inputs themselves.
        write: module from α as one row `[1, k·(features + 1)]` to the output; by default α itself.
        layers: number of steps, each of which reads the set.
        hidden: widths of the network that computes the matrix.

    Raises:
        MapstoError: if a size is below 1.

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
        checks.count(features=features, layers=layers)
        for size in hidden:
            checks.count(hidden=size)
        q = features + 1
        self.basis, self.layers, self.write = basis or nn.Identity(), layers, write or nn.Identity()
        self.log_penalty = nn.Parameter(torch.full((q,), -2.0))
        sizes = itertools.pairwise((q * (q - 1) // 2, *hidden, q * q))
        parts = [part for width, following in sizes for part in (nn.Linear(width, following), nn.SiLU())]
        self.read = nn.Sequential(*parts[:-1])

    def forward(self, x: Float[Tensor, "n d"], y: Float[Tensor, "n k"], w: Float[Tensor, " n"]) -> Float[Tensor, " p"]:
        """Return the output for a set; an example of weight 0 is absent, and for an empty set α is 0."""
        z = torch.cat([self.basis(x), torch.ones_like(y[:, :1])], -1)  # [n, q]
        weighted, penalty = (w[:, None] * z).T, self.log_penalty.exp()  # [q, n], [q]
        matrix = self._matrix(weighted @ z + penalty.diag())  # [q, q]
        alpha = z.new_zeros(z.shape[1], y.shape[1])  # [q, k]
        for _ in range(self.layers):
            alpha = alpha + matrix @ (weighted @ (y - z @ alpha) - penalty[:, None] * alpha)
        return self.write(torch.cat([alpha[:-1].T.flatten(), alpha[-1]])[None])[0]

    def _matrix(self, moments: Float[Tensor, "q q"]) -> Float[Tensor, "q q"]:
        """Return P: the identity plus the output of `read` for the correlations, scaled like the inverse of G."""
        scale = moments.diagonal().rsqrt()  # [q]; the penalty keeps it finite
        outer = scale[:, None] * scale
        upper = torch.triu_indices(len(moments), len(moments), 1, device=moments.device)
        correction = self.read((outer * moments)[upper[0], upper[1]]).view_as(moments)
        return outer * correction + scale.square().diag()
