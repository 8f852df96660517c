"""Shapley values from random orders of the players, corrected by games whose Shapley values are known.

    φ_j = mean over orders of Δ_j v,  Δ_j v = v(those before j, and j) − v(those before j)

(Castro, Gómez & Tejada 2009), each order together with its reverse (antithetic sampling; Mitchell et al. 2022). Then

    φ ← φ − Σ_m β_m (mean over orders of Δg_m − ϕ(g_m))                     (control variates)

with games g_m whose Shapley values `ϕ(g_m)` are known exactly: the bracket is their sampling error. An order and its
reverse give the exact values for games of single players and pairs, so such games have no error to learn from. The
simplest that have one are products of three sums, `g(S) = x(S)·y(S)·z(S)` with `x(S) = Σ_{j∈S} x_j`:

    ϕ_j(xyz) = Σ x_j(Y·Z/3 + yz/6) + Σ x_j·y_j·Z/2 + x_j·y_j·z_j            X = Σ_{i≠j} x_i,  yz = Σ_{i≠j} y_i·z_i

where each plain Σ adds the three ways to exchange the roles of x, y and z. Three vectors take the places of x, y and z,
in all combinations. For each player j they hold the mean of `Δ_j v`, its mean absolute deviation over pairs of orders,
and its covariance with the place of j in the order. They are 0 for a player who changes nothing, who therefore keeps
the value 0. The coefficients β are the same for all players, so that the values still add up to v(all) − v(none). They
come from the ridge regression of the pairs' `Δv` on their `Δg` over the same orders, which costs a bias of the order of
1/pairs. Below four pairs there is no correction.
"""

import functools
from typing import NamedTuple, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import vmap

from .. import checks
from ..games import Game
from . import coalitions
from .explainer import GameExplainer

_FEWEST_PAIRS = 4  # below, the controls' coefficients are noise
_RIDGE = 0.1  # of the controls' own sums of squares


@final
class PermutationShapley(GameExplainer):
    """Estimate Shapley values as each player's mean marginal contribution when the players join in random orders.

    Each random order is also used in reverse. To reduce the sampling error, simple games with known Shapley values
    serve as control variates. Values are in the unit of the game's outcome. They add up to v(all) − v(none), the
    outcome with all players minus the outcome without any player. A player who never changes the outcome gets 0. The
    values are exact if the game is a sum of terms that each depend on one or two players.

    Args:
        pairs: the number of random orders, not counting their reverses. At most `2·pairs·(players−1) + 2` coalitions
            are evaluated.
        seed: the random seed of the orders.
        chunk_size: the number of coalitions to evaluate at a time, to limit memory; None evaluates all at once.

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0, 4.0])
    >>> PermutationShapley(pairs=2)(game(lambda x: x[0] * x[1] + x[0], x, baseline=0.0))
    tensor([5., 3., 0.])
    """

    def __init__(self, pairs: int = 16, seed: int = 0, chunk_size: int | None = None):
        checks.count(pairs=pairs)
        self.pairs, self.seed, self.chunk_size = pairs, seed, chunk_size

    def attribute(self, game: Game) -> Float[Tensor, "players ..."]:
        """Return the players' values `[players]`, or `[players, k]` if the game has k scores."""
        return self.attribute_with_error(game)[0]

    def attribute_with_error(self, game: Game) -> tuple[Tensor, Tensor]:
        """Return the values, and their standard errors over the pairs of orders; NaN if there is one pair."""
        masks, before, after = (torch.tensor(part) for part in _orders(game.players, self.pairs, self.seed))
        outcomes = vmap(game, chunk_size=self.chunk_size)(masks)  # [c] or [c, k]
        orders = _Orders(*(part.to(outcomes.device) for part in (masks, before, after)))
        scores = outcomes.double().reshape(len(masks), -1)  # [c, k or 1]
        results = vmap(lambda v: _values(v, orders), in_dims=1, out_dims=1)(scores)
        values, errors = (part.reshape(game.players, *outcomes.shape[1:]).to(outcomes.dtype) for part in results)
        return values, errors


class _Orders(NamedTuple):
    """The coalitions along the orders, and for each player the indices of those just before and after it joins."""

    masks: Float[Tensor, "c p"]
    before: Int[Tensor, "o p"]
    after: Int[Tensor, "o p"]

    def place(self) -> Tensor:
        """Return how many players come before each player, minus the mean number, `[o, p]`."""
        return self.masks[self.before].sum(-1) - (self.masks.shape[1] - 1) / 2

    def joining(self, v: Tensor) -> Tensor:
        """Return the marginal contributions Δv `[o, p, ...]` from the outcomes `[c, ...]`."""
        return v[self.after] - v[self.before]


def trilinear(x: Float[Tensor, " p"], y: Float[Tensor, " p"], z: Float[Tensor, " p"]) -> Float[Tensor, " p"]:
    """Return the exact Shapley values of the game `x(S)·y(S)·z(S)`, where `x(S) = Σ_{j∈S} x_j`.

    >>> trilinear(torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 3.0, 0.0]), torch.tensor([0.0, 0.0, 5.0]))
    tensor([10., 10., 10.])
    """

    def others(a: Tensor) -> Tensor:
        return a.sum() - a

    def joins(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return a * (others(b) * others(c) / 3 + others(b * c) / 6) + b * c * others(a) / 2

    return joins(x, y, z) + joins(y, z, x) + joins(z, x, y) + x * y * z


def _values(v: Float[Tensor, " c"], orders: _Orders) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
    """Return the values and their standard errors."""
    joining = orders.joining(v)  # [o, p]
    plain, paired = joining.mean(0), _paired(joining)  # [p], [r, p]
    if len(paired) < _FEWEST_PAIRS:
        return plain, _error(paired)
    spread, trend = (paired - plain).abs().mean(0), ((joining - plain) * orders.place()).mean(0)
    factors = torch.stack([_unit(plain), _unit(spread), _unit(trend)], 1)  # [p, 3]
    triples = torch.combinations(torch.arange(3), 3, with_replacement=True).tolist()
    exact = torch.stack([trilinear(*factors[:, triple].unbind(1)) for triple in triples], 1)  # [p, m]
    sums = orders.masks.to(v) @ factors  # [c, 3]
    controls = orders.joining(torch.stack([sums[:, triple].prod(1) for triple in triples], 1))  # [o, p, m]
    coefficients = _coefficients(_paired(controls), paired)
    free = (len(paired) - 1) * len(plain)
    fitted = free / max(free - len(triples), 1)  # residuals of fitted data are too small, as in cross-validation (GCV)
    rest = paired - _paired(controls) @ coefficients
    return plain - (controls.mean(0) - exact) @ coefficients, fitted * _error(rest)


def _error(paired: Float[Tensor, "r p"]) -> Float[Tensor, " p"]:
    """Return the standard error of the mean over the pairs of orders."""
    return (paired - paired.mean(0)).square().sum(0).div(len(paired) * (len(paired) - 1)).sqrt()


def _coefficients(controls: Float[Tensor, "r p m"], target: Float[Tensor, "r p"]) -> Float[Tensor, " m"]:
    X, y = (controls - controls.mean(0)).flatten(0, 1), (target - target.mean(0)).flatten()
    gram = X.T @ X
    ridge = torch.diag(_RIDGE * gram.diagonal() + 1e-12)  # if nothing varies, the coefficients are 0
    return torch.linalg.solve(gram + ridge, X.T @ y)


def _paired(a: Tensor) -> Tensor:
    """Average each order `[o, ...]` with its reverse `[o/2, ...]`."""
    return a.unflatten(0, (2, -1)).mean(0)


def _unit(a: Tensor) -> Tensor:
    return a / (a.norm() + 1e-12)


@functools.cache
def _orders(players: int, pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # [o·(p+1), p]: the first i players of each order
    along = coalitions.permutation_arrays(players, pairs, seed)[0].astype(np.float32)
    masks, place = np.unique(along, axis=0, return_inverse=True)
    place = place.reshape(2 * pairs, players + 1)  # [o, p+1]: which coalition
    rank = players - along.reshape(2 * pairs, players + 1, players).sum(1).astype(int)  # [o, p]
    return masks, np.take_along_axis(place, rank, 1), np.take_along_axis(place, rank + 1, 1)
