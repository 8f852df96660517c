"""Interactions of many players by kriging: the Gaussian process of `kriging`, read for sets of players.

    v(S) = Σ_T c_T·χ_T,   χ_T = Π_{j∈T} z_j,   c_T ~ N(0, s_|T|·Π_{j∈T} a_j)
    a(S) = Σ_{T⊇S} g(|S|, |T|)·c_T,   g(s, t) = Σ_r C(t−s, r−s)·f(s, r)·2^r·(−1)^(t−r)

z_j is 1 if player j is present, else −1; f are the shares of an index (`interaction_indices`), and g follows, because
χ_T = Σ_{R⊆T} 2^|R|·(−1)^(|T|−|R|)·[R present]. So each index is a linear map of the same coefficients, and its
posterior mean is one linear map of the outcomes. The odd part u of a game holds products of 1, 3 and 5 players, its
even part products of 2 and 4; a coalition and the rest of the players give both. Single players and the constant are
trends without a prior.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from . import kriging, least_squares
from .coalitions import widened

Share = Callable[[int, int], float]  # f(s, t)
_LOW = (2, 3)  # the even and the odd order of products whose variance is 1 in all; two orders above, it is less
_REST = ((0.1, 0.1), (0.1, 0.01), (0.1, 0.001), (0.001, 0.001))  # the variances of those, and of the noise
_POWERS, _LEAST_RELEVANCE = (0.0, 0.5, 1.0), 0.02
_TINY, _AT_ONCE = 1e-300, 2**21


def fitted(
    half: Float[Tensor, "n p"], outcomes: Float[Tensor, "c k"], sets: Sequence[tuple[int, ...]], share: Share
) -> tuple[Float[Tensor, "m k"], Float[Tensor, "m k"]]:
    """Return the values of the sets and their standard errors, given the outcomes of the pairs of `kriging.masks`.

    The sets are sorted by size. As in `kriging.fit`, some of the pairs choose the prior, and all give the values.
    """
    z, (rest, full) = 2 * half - 1, outcomes.double().unflatten(0, (2, -1))
    odd, even, few = (full - rest) / 2, (full + rest) / 2, kriging.few(z)
    size = kriging.values(kriging.fit(half[few], odd[few]))[0].square().sum(1).sqrt() + _TINY
    relevant = (size / size.max()).clamp_min(_LEAST_RELEVANCE)
    relevances = [relevant**power / (relevant**power).mean() for power in _POWERS]
    posteriors = [_posterior(z, u, parity, relevances, few) for parity, u in ((1, odd), (0, even))]
    means, variances = [], []
    for _, group in itertools.groupby(sets, len):
        for chosen in torch.tensor(list(group), device=z.device).split(max(1, _AT_ONCE // len(z))):
            mean, variance = zip(*_values(z, posteriors, chosen, share), strict=True)
            means.append(torch.stack(mean).sum(0))
            variances.append(torch.stack(variance).sum(0))
    return torch.cat(means), torch.cat(variances).sqrt()


class _Prior(NamedTuple):
    score: Tensor
    relevance: Tensor
    high: Tensor  # the variance of the higher order
    noise: Tensor


class _Posterior(NamedTuple):
    parity: int
    prior: _Prior
    trend: least_squares.Whitened
    slopes: Tensor  # [q, k]
    rest: Tensor  # [n, k]: what the trend leaves, whitened
    scale: Tensor  # [k]: of the variances


def _posterior(z: Tensor, u: Tensor, parity: int, relevances: list[Tensor], few: Tensor) -> _Posterior:
    """Return the posterior under the likeliest relevance, higher order and noise."""
    best = kriging.likeliest([choice for a in relevances for choice in _choices(z[few], u[few], parity, a)])
    trend = _whitened(z, parity, _products(z, parity, best.relevance), best.high, best.noise)
    slopes, rest = least_squares.fitted(trend, u)
    freedom = len(rest) - len(slopes)
    scale = rest.square().sum(0) / freedom if freedom > 0 else torch.full_like(u[0], torch.nan)
    return _Posterior(parity, best, trend, slopes, rest, scale * widened(max(freedom, 1)) ** 2)


def _choices(z: Tensor, u: Tensor, parity: int, a: Tensor) -> Iterator[_Prior]:
    products = _products(z, parity, a)
    for high, noise in _REST:
        trend = _whitened(z, parity, products, high, noise)
        score = kriging.score(trend, least_squares.fitted(trend, u)[1].square().sum())
        yield _Prior(score, a, torch.full_like(score, high), torch.full_like(score, noise))


def _whitened(z: Tensor, parity: int, products: list[Tensor], high: Any, noise: Any) -> least_squares.Whitened:
    prior = sum(part * product for part, product in zip((1.0, high), products, strict=False))
    trend = z if parity else torch.ones_like(z[:, :1])
    return least_squares.whitened(prior + kriging.free(z, noise), trend)


def _products(z: Tensor, parity: int, a: Tensor) -> list[Tensor]:
    """Return the covariances `[n, n]` by products of the lower order and of the higher, each with variance 1 in all."""
    powers = range(1, _LOW[parity] + 3)
    pairs = kriging.polynomials([(z * a**i) @ z.T if i % 2 else (a**i).sum() for i in powers])
    total = kriging.polynomials([(a**i).sum() for i in powers])
    return [pairs[t] / total[t] for t in _possible(parity, len(a))]


def _possible(parity: int, players: int) -> list[int]:
    """Return the orders of products that the players form, beyond the trend."""
    return [t for t in (_LOW[parity], _LOW[parity] + 2) if t <= players]


def _values(z: Tensor, posteriors: list[_Posterior], chosen: Tensor, share: Share) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the means and variances `[m, k]` of sets `[m, s]` by the products of each parity that counts in them."""
    (_, p), (m, s) = z.shape, chosen.shape
    for parity, prior, trend, slopes, rest, scale in posteriors:
        g = {t: coefficient(share, s, t) for t in _possible(parity, p) if t >= s}
        onto = z.new_zeros(m, len(slopes))
        if parity and s == 1:
            onto = coefficient(share, 1, 1) * torch.eye(p).to(z)[chosen[:, 0]]
        elif not any(g.values()):
            continue
        cross, own = _cross(z, prior, chosen, g)
        white = least_squares.whiten(trend.root, cross)
        bias = onto - white.T @ trend.trend
        left = own - white.square().sum(0) + ((bias @ trend.inner) * bias).sum(1)
        yield white.T @ rest + onto @ slopes, left.clamp_min(0)[:, None] * scale


def _cross(z: Tensor, prior: _Prior, chosen: Tensor, g: dict[int, float]) -> tuple[Tensor, Tensor]:
    """Return the covariances `[n, m]` of outcomes with the values of sets, and the variances `[m]` of the values."""
    a, (_, s) = prior.relevance, chosen.shape
    powers = range(1, max(g) - s + 1)
    signed = kriging.polynomials([z @ a[:, None] ** i if i % 2 else (a**i).sum() for i in powers])  # [n, 1] each
    alone, signs = kriging.polynomials([(a**i).sum() for i in powers]), torch.ones_like(z[:, :1])
    for j in chosen.T:
        signed, alone = kriging.without(signed, (z * a)[:, j]), kriging.without(alone, a[j])
        signs = signs * z[:, j]
    total, mine = kriging.polynomials([(a**i).sum() for i in range(1, max(g) + 1)]), a[chosen].prod(1)
    parts = {t: share * (prior.high if t > max(_LOW) else 1.0) / total[t] for t, share in g.items()}
    cross = sum(part * signed[t - s] for t, part in parts.items())
    own = sum(g[t] * part * alone[t - s] for t, part in parts.items())
    return cross * signs * mine, own * mine


def coefficient(share: Share, s: int, t: int) -> float:
    """Return g(s, t): the value of a set of s players in the product of the signs of t players that include it.

    >>> round(coefficient(lambda s, t: 1 / (t - s + 1), 1, 3), 6)  # Shapley values: odd products are shared equally
    0.666667
    """
    terms = (math.comb(t - s, r - s) * share(s, r) * 2.0**r * (-1) ** (t - r) for r in range(s, t + 1))
    return sum(terms)
