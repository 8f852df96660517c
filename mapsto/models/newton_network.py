"""Fit a linear classifier to a data set in a few Newton steps, with a learned starting point and a learned penalty.

    z_i = [basis(x_i), 1],    p_i = softmax((α₀ + α)ᵀz_i),    α ← 0
    α ← α + H⁻¹·(Σ w_i·z_i (y_i − p_i)ᵀ − Λα)  `layers` times,      out = write(α)
    H = Σ w_i·(diag(p_i) − p_i p_iᵀ) ⊗ z_i z_iᵀ + Λ

α₀ + α are the coefficients of a softmax regression, and y is one-hot. Λ is a learned diagonal penalty, and α₀, the
coefficients for an empty data set, is learned too. The steps lead to the penalised maximum of the likelihood, which is
the mode of the posterior for the prior mean α₀ and the prior precision Λ (iteratively reweighted least squares: Bishop
2006, "Pattern Recognition and Machine Learning", §4.3.3 and §4.3.4).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import checks


class NewtonNetwork(nn.Module):
    """A network that reads a set of examples (x, y, w) and returns the coefficients of a linear classifier.

    The labels y are one-hot `[n, classes]`. The coefficients α are `classes` · `features` weights, followed by one
    intercept for each class. This is the order of the parameters of `nn.Linear(features, classes)`. They are
    differences to the learned starting point α₀, so an empty set gives 0. If `write` is given, the network returns
    `write(α)` instead.

    If the classes are numbered in another order, α is the same in that order as long as α₀ is equal for all classes, as
    it is before training. Training makes α₀ differ if a class means the same in all tasks.

    Args:
        features: the number of features that `basis` returns.
        classes: the number of classes.
        basis: a module from inputs `[n, d]` to features `[n, features]`. If None, the inputs are the features.
        write: a module from α, as one row `[1, classes·(features + 1)]`, to the output. If None, the output is α.
        layers: the number of Newton steps. Each step reads the whole set. The steps are not damped, so they can
            overshoot if the penalty is very small.

    Raises:
        MapstoError: if a size is below 1, or there are fewer than two classes.

    >>> network = NewtonNetwork(features=3, classes=2)
    >>> network(torch.randn(6, 3), torch.eye(2).repeat(3, 1), torch.ones(6)).shape
    torch.Size([8])
    """

    def __init__(
        self,
        features: int,
        classes: int,
        basis: nn.Module | None = None,
        write: nn.Module | None = None,
        layers: int = 5,
    ):
        super().__init__()
        checks.count(features=features, layers=layers)
        checks.count(2, classes=classes)
        self.basis, self.layers, self.write = basis or nn.Identity(), layers, write or nn.Identity()
        self.start = nn.Parameter(torch.zeros(features + 1, classes))
        self.log_penalty = nn.Parameter(torch.zeros(features + 1))

    def forward(self, x: Float[Tensor, "n d"], y: Float[Tensor, "n k"], w: Float[Tensor, " n"]) -> Float[Tensor, " p"]:
        """Return the coefficients α, or `write(α)`, for one set of examples.

        An example of weight 0 has no effect. For an empty set, all coefficients α are 0.
        """
        checks.shape(("n", self.start.shape[1]), "these are one-hot labels", y=y)
        z = torch.cat([self.basis(x), torch.ones_like(y[:, :1])], -1)  # [n, q]
        alpha = torch.zeros_like(self.start)  # [q, k]
        for _ in range(self.layers):
            alpha = alpha + self._step(z, y, w, alpha)
        return self.write(torch.cat([alpha[:-1].T.flatten(), alpha[-1]])[None])[0]

    def _step(self, z: Float[Tensor, "n q"], y: Tensor, w: Tensor, alpha: Float[Tensor, "q k"]) -> Float[Tensor, "q k"]:
        """Return the Newton step H⁻¹·gradient from `alpha`."""
        penalty = self.log_penalty.exp()[:, None].expand_as(alpha)  # [q, k]
        p = (z @ (self.start + alpha)).softmax(-1)  # [n, k]
        gradient = z.T @ (w[:, None] * (y - p)) - penalty * alpha
        spread = p.diag_embed() - p[:, :, None] * p[:, None]  # [n, k, k], the covariance of the one-hot label
        hessian = torch.einsum("nq,nkl,nr->qkrl", w[:, None] * z, spread, z).flatten(2).flatten(0, 1)
        return _solve(hessian + penalty.flatten().diag(), gradient.flatten()).view_as(alpha)


def _solve(matrix: Float[Tensor, "p p"], vector: Float[Tensor, " p"]) -> Float[Tensor, " p"]:
    """Return `matrix⁻¹·vector`, computed in single precision or better."""
    precise = torch.promote_types(matrix.dtype, torch.float32)
    return torch.linalg.solve(matrix.to(precise), vector.to(precise)).to(vector.dtype)
