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

The standard error takes each pair of an order and its reverse as one draw, without replacement, from all N pairs:

    error² = (1 − pairs/N) · min(variance of the mean of Δ_j v, jackknife variance of φ_j) · (t/1.96)²

(Cochran 1977, §2.6; Efron & Stein 1981). The jackknife repeats the whole correction without each pair in turn, because
residuals of the fitted controls are too small. The factor t is the 97.5 % quantile of Student's t distribution, so that
intervals of ± 1.96 errors hold for few pairs too. Two or three pairs say little about the variance for one player, so
the mean over all players is added with the weight of three more pairs (Smyth 2004, with 3 prior degrees of freedom).
"""

import functools
import math
from collections.abc import Callable
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
_SHARED = 3  # degrees of freedom of the variance of all players, if there are few pairs


@final
class PermutationShapley(GameExplainer):
    """Estimate Shapley values as each player's mean marginal contribution when the players join in random orders.

    Each random order is also used in reverse. To reduce the sampling error, simple games with known Shapley values
    serve as control variates. Values are in the unit of the game's outcome. They add up to v(all) − v(none), the
    outcome with all players minus the outcome without any player. A player who never changes the outcome gets 0. The
    values are exact if the game is a sum of terms that each depend on one or two players.

    Args:
        pairs: the number of random orders, not counting their reverses. At most `2·pairs·(players−1) + 2` coalitions
            are evaluated. If it is `players!/2` or more, all orders are used once, and the values are exact.
        seed: the random seed of the orders.
        chunk_size: the number of coalitions to evaluate at a time, to limit memory; if None, the game decides.

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0, 4.0])
    >>> PermutationShapley(pairs=2)(game(lambda x: x[0] * x[1] + x[0], x, baseline=0.0))
    tensor([5., 3., 0.])
    """

    def __init__(self, pairs: int = 16, seed: int = 0, chunk_size: int | None = None):
        checks.count(pairs=pairs)
        checks.count(0, seed=seed)
        checks.chunk(chunk_size=chunk_size)
        self.pairs, self.seed, self.chunk_size = pairs, seed, chunk_size

    def attribute(self, game: Game) -> Float[Tensor, "players ..."]:
        """Return the players' values `[players]`, or `[players, k]` if the game has k scores."""
        orders, outcomes = self._outcomes(game)
        return _of_scores(lambda v: _values(v, orders, orders.shares()), outcomes)

    def attribute_with_error(self, game: Game) -> tuple[Tensor, Tensor]:
        """Return the values and the standard errors that sampling causes; NaN if one pair of several is drawn."""
        orders, outcomes = self._outcomes(game)
        values = _of_scores(lambda v: _values(v, orders, orders.shares()), outcomes)
        return values, _of_scores(lambda v: _errors(v, orders), outcomes)

    def _outcomes(self, game: Game) -> tuple["_Orders", Float[Tensor, "c ..."]]:
        masks, before, after = (torch.tensor(part) for part in _orders(game.players, self.pairs, self.seed))
        outcomes = game.outcomes(masks, self.chunk_size)  # [c] or [c, k]
        return _Orders(*(part.to(outcomes.device) for part in (masks, before, after))), outcomes


def _of_scores(compute: Callable[[Tensor], Tensor], outcomes: Float[Tensor, "c ..."]) -> Float[Tensor, "p ..."]:
    """Return `compute(v)` for the outcomes `[c]` of each score, in double precision."""
    scores = outcomes.double().reshape(len(outcomes), -1)  # [c, k or 1]
    return vmap(compute, in_dims=1, out_dims=1)(scores).reshape(-1, *outcomes.shape[1:]).to(outcomes.dtype)


class _Orders(NamedTuple):
    """The coalitions along the orders, and for each player the indices of those just before and after it joins."""

    masks: Float[Tensor, "c p"]
    before: Int[Tensor, "o p"]
    after: Int[Tensor, "o p"]

    def place(self) -> Tensor:
        """Return how many players come before each player, minus the mean number, `[o, p]`."""
        return self.masks[self.before].sum(-1) - (self.masks.shape[1] - 1) / 2

    def shares(self) -> Float[Tensor, " r"]:
        """Return the equal weights of the pairs of orders."""
        pairs = len(self.before) // 2
        return torch.full((pairs,), 1 / pairs, dtype=torch.float64, device=self.masks.device)

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


def _values(v: Float[Tensor, " c"], orders: _Orders, shares: Float[Tensor, " r"]) -> Float[Tensor, " p"]:
    """Return the values, with these weights of the pairs of orders, which sum to 1."""
    joining = orders.joining(v)  # [o, p]
    paired = _paired(joining)  # [r, p]
    plain = shares @ paired
    if len(paired) < _FEWEST_PAIRS:
        return plain
    spread, trend = shares @ (paired - plain).abs(), shares @ _paired((joining - plain) * orders.place())
    factors = torch.stack([_unit(plain), _unit(spread), _unit(trend)], 1)  # [p, 3]
    triples = torch.combinations(torch.arange(3), 3, with_replacement=True).tolist()
    exact = torch.stack([trilinear(*factors[:, triple].unbind(1)) for triple in triples], 1)  # [p, m]
    sums = orders.masks.to(v) @ factors  # [c, 3]
    controls = _paired(orders.joining(torch.stack([sums[:, triple].prod(1) for triple in triples], 1)))  # [r, p, m]
    mean = torch.einsum("r,rpm->pm", shares, controls)
    coefficients = _coefficients(controls - mean, paired - plain, shares)
    return plain - (mean - exact) @ coefficients


def _errors(v: Float[Tensor, " c"], orders: _Orders) -> Float[Tensor, " p"]:
    """Return the standard errors, widened so that intervals of ± 1.96 errors hold for few pairs too."""
    paired = _paired(orders.joining(v))  # [r, p]
    pairs, players = paired.shape
    left = 1 - pairs / coalitions.pairs_of_orders(players)
    if left == 0 or pairs == 1:
        return torch.full_like(paired[0], math.nan if left else 0.0)
    freedom, variance = pairs - 1, paired.var(0) / pairs
    if pairs < _FEWEST_PAIRS:
        variance = (freedom * variance + _SHARED * variance.mean()) / (freedom + _SHARED)
        freedom += _SHARED
    else:
        variance = torch.minimum(variance, _jackknife(v, orders))
    return (left * variance).sqrt() * coalitions.widened(freedom)


def _jackknife(v: Float[Tensor, " c"], orders: _Orders) -> Float[Tensor, " p"]:
    """Return the variance of the values, from the values without each pair of orders in turn."""
    shares = orders.shares()
    without = (1 - torch.eye(len(shares)).to(shares)) / (len(shares) - 1)  # [r, r]
    values = torch.stack([_values(v, orders, each) for each in without])
    return (values - _values(v, orders, shares)).square().sum(0) * (len(shares) - 1) / len(shares)


def _coefficients(
    controls: Float[Tensor, "r p m"], target: Float[Tensor, "r p"], shares: Float[Tensor, " r"]
) -> Float[Tensor, " m"]:
    root = shares.sqrt()[:, None]
    X, y = (root[..., None] * controls).flatten(0, 1), (root * target).flatten()
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
    place = place.reshape(-1, players + 1)  # [o, p+1]: which coalition
    rank = players - along.reshape(-1, players + 1, players).sum(1).astype(int)  # [o, p]
    return masks, np.take_along_axis(place, rank, 1), np.take_along_axis(place, rank + 1, 1)
