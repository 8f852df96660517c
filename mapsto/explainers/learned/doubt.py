"""How far predicted Shapley values are from the exact values: a network learns it without ever seeing exact values.

    ε_S = v(S) − v(S̄) − Σ_j z_j φ̂_j,    u_S = ½·H_{d−1} · P z ε_S,    E_S[u_S] = φ − φ̂
    ‖φ − φ̂‖² = E[u_S · u_T]  for independent S and T

S and its complement S̄ are a pair of coalitions of the d visible players in the weights of KernelSHAP, z_j is 1 if j is
in S and −1 if not, P subtracts the mean over the players, and H_n = 1 + ½ + … + 1/n. The exact values φ minimise
E[(v(S) − v(S̄) − Σ z_j φ_j)²] for a given sum (Lundberg & Lee 2017, Theorem 2), and P·E[z zᵀ]·P = (2 / H_{d−1})·P.
So the product of two pairs is an unbiased, though noisy, measure of the squared error of a row.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

_START = -4.0  # squared errors of probabilities are small; from 0, Adam would need a thousand steps to get there


class Doubt(nn.Module):
    """Predict the squared error of each row's Shapley values, from the tokens of its players.

    Args:
        width: the number of channels of a token.
        signs: the number of positive numbers by which an error shows, such as the spread of the values.
    """

    def __init__(self, width: int, signs: int = 1):
        super().__init__()
        last = nn.Linear(width, 1)
        nn.init.constant_(last.bias, _START)
        self.network = nn.Sequential(nn.Linear(width + signs, width), nn.GELU(), last)

    def forward(self, tokens: Float[Tensor, "n g p v"], *signs: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the logarithm of the squared error. Its inputs are not trained by it."""
        pooled = tokens.detach().mean((1, 2))
        return self.network(torch.cat([pooled, *((s.detach() + 1e-6).log()[:, None] for s in signs)], 1))[:, 0]

    def loss(self, doubt: Float[Tensor, "..."], error: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the loss of each row, whose minimum in expectation is the logarithm of the mean error.

        It is that of a Poisson regression: it is linear in the measured error, which may be negative by chance.
        """
        return doubt.exp() - error.detach() * doubt


def trust(doubt: Float[Tensor, " n"], spread: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return the expected R² of each row's values to the exact values, from 0 to 1, given the log squared error.

    The exact values are spread by the spread of the predicted values plus the squared error, because a prediction that
    minimises the squared error is the mean of the exact values that are possible.

    >>> trust(torch.tensor([0.01]).log(), torch.tensor([0.04]))
    tensor([0.8000])
    """
    return spread / (spread + doubt.exp()).clamp(min=1e-12)


def spread(values: Float[Tensor, "n k p"], visible: Bool[Tensor, "n p"]) -> Float[Tensor, " n"]:
    """Return the squared distance of a row's values from their mean over the visible players, summed over outcomes.

    >>> spread(torch.tensor([[[1.0, 3.0, 0.0]]]), torch.tensor([[True, True, False]]))
    tensor([2.])
    """
    return _centred(values, visible).square().sum((1, 2))


def trust_of(values: Float[np.ndarray, "n d ..."], errors: Float[np.ndarray, "n d ..."]) -> Float[np.ndarray, " n"]:
    """Return the `trust` of each row, given its values and their expected errors."""
    by_class, doubt = (
        torch.as_tensor(part.reshape(*part.shape[:2], -1 if part.size else 1)) for part in (values, errors)
    )
    square = doubt.square().sum((1, 2))
    return torch.where(square > 0, trust(square.log(), spread(by_class.mT, doubt.any(2))), 1.0).numpy()


def measured(
    error: Float[Tensor, "n m k"], masks: Float[Tensor, "n m p"], visible: Bool[Tensor, "n p"]
) -> Float[Tensor, " n"]:
    """Return an unbiased estimate of the squared error of a row's values, summed over outcomes.

    Args:
        error: the error ε of the predicted difference of outcomes, for each of `m` independent pairs of coalitions.
        masks: the first coalition of each pair.
        visible: the players that are not missing.
    """
    m, d = error.shape[1], visible.sum(1)
    harmonic = (1 / torch.arange(1, visible.shape[1]).to(error)).cumsum(0)  # H_1 … H_{p−1}
    scale = harmonic[(d - 2).clamp(min=0)] / 2
    z = (2 * masks - 1)[:, :, None]  # [n, m, 1, p]
    u = scale[:, None, None, None] * _centred(error[..., None] * z, visible[:, None])  # [n, m, k, p]
    total, each = u.sum(1).square().sum((1, 2)), u.square().sum((1, 2, 3))
    return (total - each) / (m * (m - 1))


def _centred(values: Float[Tensor, "n ..."], visible: Bool[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """Return the distance of each value from the mean over the visible players; 0 for missing players."""
    there = visible[..., None, :].to(values)
    mean = (values * there).sum(-1, keepdim=True) / there.sum(-1, keepdim=True).clamp(min=1)
    return (values - mean) * there
