"""Describe each cell of a table by numbers that do not depend on the unit and the offset of its column.

Let z be a cell's value in standard deviations from the mean of its column in the support set. A network reads z, the
rank of the cell among the support set's cells in this column, the fraction of these cells that are equal to it, sines
and cosines of the rank, and the residual u of a prediction from the other cells of the row:

    u_j = (A⁻¹z)_j / √(A⁻¹)_jj,     A = C + λI

A contains the visible columns only, and C is the covariance of the support set. So u_j is the residual of a ridge
regression of cell j on the rest of its row, in standard deviations of this residual. A small difference between two
correlated columns gives a large residual.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

STANDING, RESIDUAL = 10, 2  # the numbers of values that `standing` and `residual` return for each cell
_RIDGE = 0.03
_AT_ONCE = 2**22  # comparisons of cells in memory at a time


class Columns(NamedTuple):
    """The statistics of the columns of `t` support sets."""

    value: Float[Tensor, "t n d"]  # 0 where a cell is missing
    weight: Float[Tensor, "t n d"]  # the weight of each cell; the weights of a column sum to 1
    mean: Float[Tensor, "t 1 d"]
    deviation: Float[Tensor, "t 1 d"]
    covariance: Float[Tensor, "t d d"]  # A of the formula, the covariance of z plus the ridge


def columns(x: Float[Tensor, "t n d"], w: Float[Tensor, "t n"]) -> Columns:
    """Return the statistics of the columns of `t` support sets with weights `w`; NaN marks a missing cell."""
    here = torch.isfinite(x)
    value = torch.where(here, x, 0.0)
    weight = w[..., None] * here
    total = weight.sum(1, keepdim=True)
    weight = weight / torch.where(total > 0, total, 1.0)
    mean = (weight * value).sum(1, keepdim=True)
    variance = (weight * (value - mean).square()).sum(1, keepdim=True)
    deviation = torch.where(variance > 1e-12 * (1 + mean.square()), variance, 1.0).sqrt()
    z = _bounded((value - mean) / deviation) * here
    mass, d = in_rows(w), x.shape[-1]
    rows = mass.sum(-1, keepdim=True)
    rows = torch.where(rows > 0, rows, 1.0)
    ridge = _RIDGE * (1 + d / rows[:, 0])
    share = mass / rows
    covariance = (share[..., None] * z).mT @ z + ridge[:, None, None] * torch.eye(d, dtype=z.dtype, device=z.device)
    return Columns(value, weight, mean, deviation, covariance)


def in_rows(w: Float[Tensor, "t n"]) -> Float[Tensor, "t n"]:
    """Return the weights rescaled so that equal weights become 1; the sum is Kish's effective sample size."""
    total, square = w.sum(-1, keepdim=True), w.square().sum(-1, keepdim=True)
    return w * torch.where(total > 0, total, 1.0) / torch.where(total > 0, square, 1.0)


def scores(x: Float[Tensor, "t r d"], columns: Columns) -> Float[Tensor, "t r d"]:
    """Return each cell in standard deviations from the mean of its column; 0 for a missing cell."""
    return (torch.where(torch.isfinite(x), x, columns.mean) - columns.mean) / columns.deviation


def standing(x: Float[Tensor, "t r d"], columns: Columns) -> Float[Tensor, "t r d f"]:
    """Return 10 values for each cell that describe its position among the support set's cells in its column.

    A missing cell is treated as the mean of its column.
    """
    query = torch.where(torch.isfinite(x), x, columns.mean)
    z = scores(x, columns)
    compared = [_compare(part, columns) for part in _in_parts(query, columns)]
    below, equal = (torch.cat(parts, 1) for parts in zip(*compared, strict=True))
    rank = 2 * below + equal - 1  # in [−1, 1], 0 at the median
    waves = [f(torch.pi * 2.0**i * rank) for i in range(3) for f in (torch.sin, torch.cos)]
    return torch.stack([_bounded(z), z.tanh(), rank, equal, *waves], -1).to(x.dtype)


def residual(x: Float[Tensor, "t r d"], columns: Columns) -> Float[Tensor, "t r d f"]:
    """Return two bounded forms of each cell's residual given the other visible cells of its row; 0 if missing."""
    seen = torch.isfinite(x)
    z = _bounded(scores(x, columns))
    both = seen[..., None] & seen[..., None, :]
    alone = torch.eye(x.shape[-1], dtype=z.dtype, device=z.device)
    matrix = torch.where(both, columns.covariance[:, None], alone)  # [t, r, d, d]
    precise = torch.promote_types(matrix.dtype, torch.float32)  # half precision has no inverse
    precision = torch.linalg.inv_ex(matrix.to(precise)).inverse.to(matrix)  # positive definite: nothing to check
    u = (precision @ z[..., None])[..., 0] / precision.diagonal(dim1=-2, dim2=-1).sqrt()
    return torch.stack([_bounded(u), u.tanh()], -1).to(x.dtype)


class CellEncoder(nn.Module):
    """An MLP from the values that describe a cell `[..., f]` to a token `[..., width]`.

    Its initial weights give similar cells similar tokens.
    """

    def __init__(self, numbers: int, width: int):
        super().__init__()
        first, last = nn.Linear(numbers, width), nn.Linear(width, width)
        nn.init.orthogonal_(last.weight, gain=3.0)
        self.network = nn.Sequential(first, nn.GELU(approximate="tanh"), last)

    def forward(self, values: Float[Tensor, "... f"]) -> Float[Tensor, "... w"]:
        """Return the token of each cell."""
        return self.network(values)


def _in_parts(query: Float[Tensor, "t r d"], columns: Columns) -> Sequence[Float[Tensor, "t _ d"]]:
    """Return the rows in parts that are compared at a time; all at once in an exported graph, of any number of rows."""
    if torch.compiler.is_exporting():
        return [query]
    return query.split(max(1, _AT_ONCE // max(1, columns.value.numel())), 1)


def _compare(query: Float[Tensor, "t r d"], columns: Columns) -> tuple[Tensor, Tensor]:
    """Return, for each cell, the weight of the support set's cells below it, and of those equal to it."""
    value, weight, query = columns.value[:, None], columns.weight[:, None], query[:, :, None]
    return (weight * (value < query)).sum(2), (weight * (value == query)).sum(2)


def _bounded(z: Tensor) -> Tensor:
    """Return z, smoothly compressed into (−4, 4)."""
    return z / (1 + (z / 4).square()).sqrt()
