"""Describe a table's cells relative to the support set's columns; a column's unit and offset do not matter.

For a cell z, in standard deviations from its column's mean, a network reads z itself, its rank among the support's
cells, the share of cells equal to it, waves of the rank, and its deviation from a prediction by the row's other cells:

    u_j = (A⁻¹z)_j / √(A⁻¹)_jj,     A = C + λI

over the visible columns, with the support's covariance C: the residual of a ridge regression of the cell on the rest of
its row, in its own deviations. A small difference between two correlated columns gives a large residual.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

STANDING, RESIDUAL = 10, 2  # the number of values of `standing` and `residual` for each cell
_RIDGE = 0.03
_AT_ONCE = 2**22  # comparisons of cells in memory at a time


class Columns(NamedTuple):
    """The statistics of the support set's columns."""

    value: Float[Tensor, "t n d"]  # 0 where a cell is missing
    weight: Float[Tensor, "t n d"]  # of each cell; they sum to 1 over the rows of a column
    mean: Float[Tensor, "t 1 d"]
    deviation: Float[Tensor, "t 1 d"]
    covariance: Float[Tensor, "t d d"]  # with the ridge


def columns(x: Float[Tensor, "t n d"], w: Float[Tensor, "t n"]) -> Columns:
    """Describe the columns of a support set with weights `w`; NaN is a missing cell."""
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
    """Return each example's weight in rows: 1 if the weights are equal; they sum to Kish's effective sample size."""
    total, square = w.sum(-1, keepdim=True), w.square().sum(-1, keepdim=True)
    return w * torch.where(total > 0, total, 1.0) / torch.where(total > 0, square, 1.0)


def scores(x: Float[Tensor, "t r d"], columns: Columns) -> Float[Tensor, "t r d"]:
    """Return cells in standard deviations from their column's mean; 0 for a missing cell."""
    return (torch.where(torch.isfinite(x), x, columns.mean) - columns.mean) / columns.deviation


def standing(x: Float[Tensor, "t r d"], columns: Columns) -> Float[Tensor, "t r d f"]:
    """Return the position of cells within their own columns; a missing cell is treated as the mean."""
    query = torch.where(torch.isfinite(x), x, columns.mean)
    z = scores(x, columns)
    at_once = max(1, _AT_ONCE // max(1, columns.value.numel()))
    compared = [_compare(part, columns) for part in query.split(at_once, 1)]
    below, equal = (torch.cat(parts, 1) for parts in zip(*compared, strict=True))
    rank = 2 * below + equal - 1  # in [−1, 1], 0 at the median
    waves = [f(torch.pi * 2.0**i * rank) for i in range(3) for f in (torch.sin, torch.cos)]
    return torch.stack([_bounded(z), z.tanh(), rank, equal, *waves], -1).to(x.dtype)


def residual(x: Float[Tensor, "t r d"], columns: Columns) -> Float[Tensor, "t r d f"]:
    """Return the residual of cells given the other visible cells of their rows; 0 for a missing cell."""
    seen = torch.isfinite(x)
    z = _bounded(scores(x, columns))
    both = seen[..., None] & seen[..., None, :]
    alone = torch.eye(x.shape[-1], dtype=z.dtype, device=z.device)
    matrix = torch.where(both, columns.covariance[:, None], alone)  # [t, r, d, d]
    precise = torch.promote_types(matrix.dtype, torch.float32)  # half precision has no inverse
    precision = torch.linalg.inv(matrix.to(precise)).to(matrix)
    u = (precision @ z[..., None])[..., 0] / precision.diagonal(dim1=-2, dim2=-1).sqrt()
    return torch.stack([_bounded(u), u.tanh()], -1).to(x.dtype)


class CellEncoder(nn.Module):
    """The mapping from a cell's values `[..., f]` to a token `[..., width]`, at first similar for similar cells."""

    def __init__(self, numbers: int, width: int):
        super().__init__()
        first, last = nn.Linear(numbers, width), nn.Linear(width, width)
        nn.init.orthogonal_(last.weight, gain=3.0)
        self.network = nn.Sequential(first, nn.GELU(approximate="tanh"), last)

    def forward(self, values: Float[Tensor, "... f"]) -> Float[Tensor, "... w"]:
        """Return the tokens of cells."""
        return self.network(values)


def _compare(query: Float[Tensor, "t r d"], columns: Columns) -> tuple[Tensor, Tensor]:
    """Return the weight of the support's cells below each cell, and of the cells equal to it."""
    value, weight, query = columns.value[:, None], columns.weight[:, None], query[:, :, None]
    return (weight * (value < query)).sum(2), (weight * (value == query)).sum(2)


def _bounded(z: Tensor) -> Tensor:
    """Return z, with large values squeezed into ±4."""
    return z / (1 + (z / 4).square()).sqrt()
