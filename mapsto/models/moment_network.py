"""A set network of two layers: what pairs of features do together over the set, then a matrix that reads it.

    z_i = [1, basis(x_i)],    S = Σ w_i·z_i z_iᵀ / Σ w_i,    c = Σ w_i·z_i ⊗ y_i / Σ w_i,    out = read(S, c, 1/n)·c

Averages over the set forget its order (Zaheer et al. 2017, "Deep Sets", Theorem 2). Second moments are what least
squares needs: with `basis` the identity, ridge regression is out = (S + λ/n)⁻¹ c, so that all there is to learn is an
inverse, and the answer is linear in the targets where `read` does not look at c.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import MapstoError


class MomentNetwork(nn.Module):
    """Examples (x, y, w) ↦ `outputs` numbers; nothing is all zeros.

    Args:
        basis: from inputs `[n, d]` to `features` numbers each.
        features: of `basis`; with q = features + 1 the layer between has q(q + 1)/2 second moments.
        outputs: numbers to give.
        targets: numbers in a target y.
        hidden: widths of the network that makes the matrix.
        linear: whether the matrix depends on the inputs alone, so that the answer is linear in y.

    Raises MapstoError for a size below 1.

    >>> network = MomentNetwork(nn.Identity(), features=3, outputs=4)
    >>> network(torch.randn(6, 3), torch.randn(6, 1), torch.ones(6)).shape
    torch.Size([4])
    """

    def __init__(
        self,
        basis: nn.Module,
        features: int,
        outputs: int,
        targets: int = 1,
        hidden: tuple[int, ...] = (128, 128),
        linear: bool = True,
    ):
        super().__init__()
        if min(features, outputs, targets, *hidden) < 1:
            raise MapstoError(f"features, outputs, targets, hidden: got {features}, {outputs}, {targets}, {hidden}.")
        q = features + 1
        self.basis, self.outputs, self.linear = basis, outputs, linear
        inputs = q * (q + 1) // 2 + (0 if linear else q * targets)
        layers: list[nn.Module] = []
        for width, following in zip((inputs, *hidden), (*hidden, outputs * q * targets), strict=False):
            layers += [nn.Linear(width, following), nn.SiLU()]
        self.read = nn.Sequential(*layers[:-1])

    def forward(self, x: Float[Tensor, "n d"], y: Float[Tensor, "n k"], w: Float[Tensor, " n"]) -> Float[Tensor, " p"]:
        """Read a set whose examples count `w` each; 0 is absence."""
        z = torch.cat([torch.ones_like(y[:, :1]), self.basis(x)], -1)  # [n, q]
        total = torch.where(w.sum() > 0, w.sum(), 1.0)
        moments = (z * w[:, None]).T @ z / total  # [q, q]
        c = ((z * w[:, None]).T @ y / total).flatten()  # [q·k]
        upper = torch.triu_indices(*moments.shape, device=x.device)
        told = moments[upper[0], upper[1]]  # its first is 1: it makes room for how many examples there are
        told = torch.cat([1 / (1 + w.sum()).expand(1), told[1:], *([] if self.linear else [c])])
        return self.read(told).view(self.outputs, -1) @ c
