"""Fit a linear model to a data set in a few steps, with a learned matrix P that approximates an inverse.

    z_i = [basis(x_i), 1],    G = Σ w_i·z_i z_iᵀ + Λ,    s = diag(G)^−½,    P = s(1 + read(s G s))s,    α ← 0
    α ← α + P·(Σ w_i·z_i (y_i − z_iᵀα)ᵀ − Λα)  `layers` times,      out = write(α)

α are the coefficients of the linear model. The network `read` computes P from G, the second moments of the data. Λ is a
learned diagonal penalty. With P = G⁻¹, one step gives ridge regression, so the network learns to approximate the
inverse of s G s, a matrix with unit diagonal. Each further step reduces the error of an imperfect approximation
(Richardson iteration with a learned preconditioner).

All sums are over the examples, so that their order does not matter (Zaheer et al. 2017, "Deep Sets", Theorem 2). The
first step sums z·y, and each further step sums z times the residual.
"""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import checks


class MomentNetwork(nn.Module):
    """A network that reads a set of examples (x, y, w) and returns the coefficients of a linear model fitted to them.

    For k targets, the coefficients α are k · `features` weights, followed by k intercepts. This is the order of the
    parameters of `nn.Linear(features, k)`. If `write` is given, the network returns `write(α)` instead.

    Args:
        features: the number of features that `basis` returns.
        basis: a module from inputs `[n, d]` to features `[n, features]`. If None, the inputs are the features.
        write: a module from α, as one row `[1, k·(features + 1)]`, to the output. If None, the output is α.
        layers: the number of steps that improve α. Each step reads the whole set.
        hidden: the widths of the hidden layers of a network that approximates the inverse of the features' second
            moments.

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
        """Return the coefficients α, or `write(α)`, for one set of examples.

        An example of weight 0 has no effect. For an empty set, all coefficients α are 0.
        """
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
