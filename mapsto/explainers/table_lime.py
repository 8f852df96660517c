"""LIME for tables as the lime package computes it: quantile bins of training rows, or noise around the row.

    a, b = argmin Σ_s π(s) (f(x_s) − b − a·z_s)² + penalty·‖a‖²,        π(s) = exp(−‖z_s − z(x)‖² / (2·width²))

(Ribeiro, Singh & Guestrin 2016, eq. 1–2, with the choices of `LimeTabularExplainer` in lime 0.2). With bins, each cell
of x_s is drawn from a bin that is chosen by the number of training rows in it, from a normal distribution with the mean
and the standard deviation of these rows, cut off at the edges; `z_sj` is 1 if the bin is that of the row, else 0.
Without bins, `x_s = x + scale ⊙ noise`, and z is x_s in standard deviations. A categorical cell takes the value of a
random training row, and `z_sj` is 1 if this is the value of the row.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Shaped
from scipy.special import ndtr, ndtri
from torch import Tensor
from torch.func import vmap

from .. import checks
from ..games import View
from .explainer import ViewExplainer


@final
class TableLIME(ViewExplainer):
    """Attribute a score to columns by a linear model of rows drawn as in the lime package; see `LIME.of_table`."""

    def __init__(
        self,
        background: Shaped[Tensor | np.ndarray, "b d"],
        bins: int | None,
        samples: int,
        categorical: Sequence[int],
        width: float | None,
        penalty: float,
        seed: int,
        chunk_size: int | None,
    ):
        array = isinstance(background, Tensor | np.ndarray)
        kind = type(background).__name__
        checks.expect(array, "background", f"a {kind}", "a tensor or an array", "for a DataFrame, pass .to_numpy()")
        rows = np.asarray(background, float)
        checks.expect(
            rows.ndim == 2 and len(rows) > 1, "background", f"shape {rows.shape}", "rows [b, d], at least two"
        )
        checks.expect(np.isfinite(rows).all(), "background", "missing or infinite cells", "numbers", "fill them first")
        checks.count(2, samples=samples)
        if bins is not None:
            checks.count(2, bins=bins)
        if width is not None:
            checks.above(0, width=width)
        checks.at_least(0, penalty=penalty)
        checks.count(0, seed=seed)
        checks.chunk(chunk_size=chunk_size)
        players = rows.shape[1]
        inside = all(0 <= column < players for column in categorical)
        checks.expect(inside, "categorical", list(categorical), f"columns from 0 to {players - 1}")
        self.penalty, self.chunk_size, self.players = penalty, chunk_size, players
        self.width = 0.75 * players**0.5 if width is None else width
        generator = np.random.default_rng(seed)
        self.levels = torch.tensor([column in categorical for column in range(players)])
        self.binned = self.levels | (bins is not None)
        edges, places, cells = _bins(rows, bins or 2, samples, generator)
        levels = rows[generator.integers(0, len(rows), (samples, players)), np.arange(players)]
        noise = generator.normal(size=(samples, players))
        self.edges, self.places = torch.tensor(edges), torch.tensor(places)
        self.cells = torch.tensor(np.where(self.levels, levels, cells))
        self.noise, self.scale = torch.tensor(noise), torch.tensor(np.where(rows.std(0) > 0, rows.std(0), 1.0))

    def attribute(self, view: View, point: Float[Tensor, " d"]) -> Float[Tensor, "d ..."]:
        """Return the coefficients of the columns: `[d]`, or `[d, k]` if the view has k scores.

        Raises:
            MapstoError: if the point does not have the columns of the background.
        """
        checks.shape((self.players,), "one row of the columns of the background", point=point)
        scale = self.scale.to(point)
        rows = torch.where(self.binned, self.cells.to(point), point + scale * self.noise.to(point))
        rows = torch.cat([point[None], rows[1:]])  # the first is the row itself
        z = torch.where(self.binned, self._same(point).to(point), (rows - point) / scale).double()
        far = torch.where(self.binned, 1 - z, z).square().sum(1)
        scores = vmap(view, chunk_size=self.chunk_size)(rows)
        weights = torch.exp(-far / (2 * self.width**2))
        y = scores.double().reshape(len(rows), -1)
        values = _ridge(z, y, weights / weights.sum(), self.penalty / weights.sum())
        return values.reshape(self.players, *scores.shape[1:]).to(point.dtype)

    def _same(self, x: Tensor) -> Tensor:
        """Return which cells are drawn from the bin of the row's cell, or are its category; the first row is `x`."""
        place = (x[:, None] > self.edges.to(x)).sum(-1)  # edges are rounded as the row, which may lie on one
        same = torch.where(self.levels, self.cells.to(x) == x, self.places == place)
        return torch.cat([torch.ones_like(same[:1]), same[1:]])


def _ridge(
    z: Float[Tensor, "s d"], y: Float[Tensor, "s k"], weights: Float[Tensor, " s"], penalty: Tensor
) -> Float[Tensor, "d k"]:
    z, y = z - weights @ z, y - weights @ y
    weighted = z * weights[:, None]
    gram = weighted.T @ z + (penalty + 1e-12) * torch.eye(z.shape[1], dtype=z.dtype)
    return torch.cholesky_solve(weighted.T @ y, torch.linalg.cholesky(gram))


def _bins(
    rows: np.ndarray, bins: int, samples: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the inner edges of bins `[d, bins − 1]`, padded by inf, and drawn bins and cells `[samples, d]`."""
    edges, cells = np.full((rows.shape[1], bins - 1), np.inf), np.empty((samples, rows.shape[1]))
    places = np.empty(cells.shape, int)
    for j, column in enumerate(rows.T):
        inner = np.unique(np.quantile(column, np.arange(1, bins) / bins))
        edges[j, : len(inner)] = inner
        members = [column[np.searchsorted(inner, column) == i] for i in range(len(inner) + 1)]
        sizes = np.array([len(part) for part in members])
        places[:, j] = chosen = generator.choice(len(members), samples, p=sizes / sizes.sum())
        low, high = np.append(column.min(), inner), np.append(inner, column.max())
        mean = np.array([part.mean() if len(part) else 0.0 for part in members])[chosen]
        std = np.array([part.std() if len(part) else 0.0 for part in members])[chosen] + 1e-11
        share = generator.uniform(size=samples)
        below, above = ndtr((low[chosen] - mean) / std), ndtr((high[chosen] - mean) / std)
        cells[:, j] = np.clip(mean + std * ndtri(below + share * (above - below)), low[chosen], high[chosen])
    return edges, places, cells
