"""Interactions of many players by kriging: the Gaussian process of `kriging`, read for sets of players.

    v(S) = Σ_T c_T·χ_T,   χ_T = Π_{j∈T} z_j,   c_T ~ N(0, s_|T|·Π_{j∈T} a_j)
    a(S) = Σ_{T⊇S} g(|S|, |T|)·c_T,   g(s, t) = Σ_r C(t−s, r−s)·f(s, r)·2^r·(−1)^(t−r)

z_j is 1 if player j is present, else −1; f are the shares of an index (`interaction_indices`), and g follows, because
χ_T = Σ_{R⊆T} 2^|R|·(−1)^(|T|−|R|)·[R present]. So each index is a linear map of the same coefficients, and its
posterior mean is one linear map of the outcomes. The odd part u of a game holds products of 1, 3 and 5 players, its
even part products of 2 and 4; a coalition and the rest of the players give both. Single players and the constant are
trends without a prior.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from . import kriging
from .coalitions import widened

Share = Callable[[int, int], float]  # f(s, t)
_LOW = (2, 3)  # the even and the odd order of products whose variance is 1 in all; two orders above, it is less
_REST = ((0.1, 0.1), (0.1, 0.01), (0.1, 0.001), (0.001, 0.001))  # the variances of those, and of the noise
_POWERS, _LEAST_RELEVANCE = (0.0, 0.5, 1.0), 0.02
_JITTER, _TINY, _AT_ONCE = 1e-10, 1e-300, 2**22


def fitted(
    half: Float[Tensor, "n p"], outcomes: Float[Tensor, "c k"], sets: Sequence[tuple[int, ...]], share: Share
) -> tuple[Float[Tensor, "m k"], Float[Tensor, "m k"]]:
    """Return the values of the sets and their standard errors, given the outcomes of the pairs of `kriging.masks`."""
    z, (rest, full) = 2 * half - 1, outcomes.double().unflatten(0, (2, -1))
    size = kriging.fitted(half, (full - rest) / 2)[0].square().sum(1).sqrt() + _TINY
    relevant = (size / size.max()).clamp_min(_LEAST_RELEVANCE)
    relevances = torch.stack([relevant**power / (relevant**power).mean() for power in _POWERS])
    odd = _posterior(z, (full - rest) / 2, 1, relevances, sets, share)
    even = _posterior(z, (full + rest) / 2, 0, relevances, sets, share)
    return odd[0] + even[0], (odd[1] + even[1]).sqrt()


class _Solved(NamedTuple):
    score: Tensor
    inverse: Tensor  # [n, n]
    ahead: Tensor  # [n, q]: inverse @ trend
    inner: Tensor  # [q, q]
    squares: Tensor  # [k]: what the trend leaves, in units of the prior
    relevance: Tensor
    high: Tensor  # the variance of the higher order


def _posterior(
    z: Tensor, u: Tensor, parity: int, relevances: Tensor, sets: Sequence[tuple[int, ...]], share: Share
) -> tuple[Tensor, Tensor]:
    """Return the means and the variances `[m, k]` of the sets' values under the likeliest relevance and noise."""
    trend = z if parity else torch.ones_like(z[:, :1])
    best = kriging.likeliest([_solved(z, u, trend, parity, a, *rest) for a in relevances for rest in _REST])
    slopes = best.inner @ (best.ahead.T @ u)  # [q, k]
    residual = best.inverse @ (u - trend @ slopes)
    freedom = len(z) - trend.shape[1]
    scale = best.squares / freedom if freedom > 0 else torch.full_like(u[0], torch.nan)
    means, variances = [], []
    block = max(1, _AT_ONCE // len(z))
    for start in range(0, len(sets), block):
        for cross, own, onto in _cross(z, best, parity, sets[start : start + block], share):
            bias = onto - cross @ best.ahead
            left = own - ((cross @ best.inverse) * cross).sum(1) + ((bias @ best.inner) * bias).sum(1)
            means.append(cross @ residual + onto @ slopes)
            variances.append(left.clamp_min(0)[:, None] * scale * widened(max(freedom, 1)) ** 2)
    return torch.cat(means), torch.cat(variances)


def _solved(z: Tensor, u: Tensor, trend: Tensor, parity: int, a: Tensor, high: float, noise: float) -> _Solved:
    unit = torch.eye(len(z), dtype=z.dtype, device=z.device)
    sums = [(z * a**i) @ z.T if i % 2 else (a**i).sum() for i in range(1, 6)]
    products, total = kriging.polynomials(sums), kriging.polynomials([(a**i).sum() for i in range(1, 6)])
    prior = sum(part / total[t] * products[t] for t, part in _possible(parity, len(a), high).items())
    root = torch.linalg.cholesky_ex(prior + noise * (unit - unit[:, :1] * unit[:1]) + _JITTER * unit)[0]
    inverse = torch.cholesky_inverse(root)
    ahead = inverse @ trend
    inner = torch.linalg.inv(trend.T @ ahead)
    squares = (u * (inverse @ (u - trend @ (inner @ (ahead.T @ u))))).sum(0).clamp_min(0)
    logarithm = 2 * root.diagonal().log().sum() - torch.linalg.slogdet(inner)[1]
    score = max(len(z) - trend.shape[1], 1) * (squares.sum() + _TINY).log() + logarithm
    return _Solved(score, inverse, ahead, inner, squares, a, torch.full_like(score, high))


def _possible(parity: int, players: int, high: Any) -> dict[int, Any]:
    """Return the orders of products that the players form, and the variance of each."""
    low = _LOW[parity]
    return {t: part for t, part in ((low, 1.0), (low + 2, high)) if t <= players}


def _cross(
    z: Tensor, best: _Solved, parity: int, sets: Sequence[tuple[int, ...]], share: Share
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield, for the sets of each size, covariances `[m, n]` with outcomes, variances `[m]`, and slopes `[m, q]`."""
    a = best.relevance
    total = kriging.polynomials([(a**i).sum() for i in range(1, 6)])
    signed = kriging.polynomials([z @ a**i if i % 2 else (a**i).sum() for i in range(1, 5)])
    for s in sorted({len(chosen) for chosen in sets}):
        chosen = torch.tensor([each for each in sets if len(each) == s], device=z.device)  # [m, s]
        rest, alone, mine = signed, total, a[chosen].prod(1)
        for i in range(s):
            rest = kriging.without(rest, (z * a).T[chosen[:, i]])
            alone = kriging.without(alone, a[chosen[:, i]])
        cross, own = torch.zeros(len(chosen), len(z)).to(z), torch.zeros_like(mine)
        for t, part in _possible(parity, len(a), best.high).items():
            if t >= s:
                g = coefficient(share, s, t)
                cross = cross + g * part / total[t] * rest[t - s]
                own = own + g**2 * part / total[t] * alone[t - s]
        signs = z.T[chosen].prod(1)  # [m, n]
        onto = torch.zeros(len(chosen), len(a) if parity else 1).to(z)
        if parity and s == 1:
            onto = coefficient(share, 1, 1) * torch.eye(len(a)).to(z)[chosen[:, 0]]
        yield cross * signs * mine[:, None], own * mine, onto


def coefficient(share: Share, s: int, t: int) -> float:
    """Return g(s, t): the value of a set of s players in the product of the signs of t players that include it.

    >>> round(coefficient(lambda s, t: 1 / (t - s + 1), 1, 3), 6)  # Shapley values: odd products are shared equally
    0.666667
    """
    terms = (math.comb(t - s, r - s) * share(s, r) * 2.0**r * (-1) ** (t - r) for r in range(s, t + 1))
    return sum(terms)
