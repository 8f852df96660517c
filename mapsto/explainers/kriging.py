"""Shapley values by kriging: a Gaussian process over games, given the outcomes of pairs of complementary coalitions.

    u(S) = (v(S) − v(rest)) / 2 = Σ_j β_j·z_j + Σ_{|T|=3} c_T·χ_T + Σ_{|T|=5} c_T·χ_T + ε
    z_j = 1 if j ∈ S, else −1,   χ_T = Π_{j∈T} z_j
    c_T ~ N(0, s_|T|·Π_{j∈T} a_j),   φ_j = 2β_j + Σ_{T∋j} 2c_T/|T|,   φ̂ = E[φ | u]

Shapley values depend only on the odd part u of a game, which a coalition and the rest of the players give together: an
odd number of players whose signs are multiplied (a Walsh function) share twice the coefficient of their product. The
coefficients β of single players are a trend without a prior, found by generalised least squares (universal kriging;
Matheron 1969). Those of three and of five players are small a priori, and smaller for players of small relevance a_j.
Sums over all products are elementary symmetric polynomials of the players' terms, so that one linear system with one
unknown for each pair is enough. Whatever the prior, values add up to v(all) − v(none), and they are exact for games
that are a sum over players.

`design` has equal relevances, and is one linear map for all games. `fit` chooses them, and the noise ε, for a game:
players of large values also interact more ("heredity"; Hamada & Wu 1992), as far as the likelihood of the outcomes says
so (restricted maximum likelihood; Patterson & Thompson 1971).
"""

import functools
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import _pytree as pytree

from . import least_squares
from .coalitions import Design, complements, exact, widened

FIFTH, NOISE = 0.1, 0.01  # the variances of products of five players and of the rest; products of three have 1
_NOISES, _POWERS, _LEAST_RELEVANCE = (0.1, 0.01, 0.001), (0.5, 1.0), 0.02
_DOUBT = 1.5  # about relevances: the coefficient of players over degrees of freedom
_JITTER, _TINY, _ROUNDING = 1e-10, 1e-300, 1e-6
_MOST_PAIRS = 1024  # to choose a prior by, or two for each player


T = TypeVar("T", bound=tuple)


class System(NamedTuple):
    """The posterior of a game's values given the odd parts u of n pairs; arrays of NumPy, or tensors."""

    weights: Any  # [p, n]: values = weights @ u
    variance: Any  # [p]: of the values, at scale 1
    trend: least_squares.Whitened  # of u; what it leaves of u says the scale of the variances


def design(players: int, samples: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Design:
    """Return about `samples` coalitions, the empty and the full one, and the weights from their outcomes to values.

    All coalitions, with exact weights, if there are no more.

    Raises:
        MapstoError: if the coalitions do not determine the values.
    """
    if samples >= 2**players - 2:
        return exact(players, dtype)
    weights = _system(players, samples, seed).weights
    return Design(masks(players, samples, seed), torch.tensor(np.concatenate([-weights, weights], 1) / 2, dtype=dtype))


def masks(players: int, samples: int, seed: int) -> Float[Tensor, "c p"]:
    """Return about `samples` coalitions, the empty and the full one: first the rest of each pair, then its coalition.

    Raises:
        MapstoError: if they do not determine the values.
    """
    half = complements(players, samples, seed)
    return torch.tensor(np.concatenate([1 - half, half]), dtype=torch.float32)


def error(players: int, samples: int, seed: int, outcomes: Float[Tensor, "c k"]) -> Float[Tensor, "p k"]:
    """Return the standard errors of the values of `design`, given the outcomes of its coalitions.

    Their noise is, for each score, the most likely of the three that `fit` compares, because products of many
    players need more than `design` assumes. The errors are NaN if there are not more pairs of coalitions than players:
    such outcomes say nothing about products.
    """
    if samples >= 2**players - 2:
        return torch.zeros(players, outcomes.shape[1], device=outcomes.device)
    u, scores, errors = odd(outcomes), [], []
    for noise in _NOISES:
        system = pytree.tree_map(
            lambda part: torch.as_tensor(part, device=u.device), _system(players, samples, seed, noise)
        )
        scores.append(score(system.trend, _squares(system, u)))
        errors.append(_errors(system, u))
    best = torch.stack(scores).argmin(0)  # [k]
    return torch.stack(errors).gather(0, best.expand(1, players, -1))[0]


def odd(outcomes: Float[Tensor, "c ..."]) -> Float[Tensor, "n ..."]:
    """Return the odd part of a game, given the outcomes of the coalitions of `design`: two coalitions, one number."""
    rest, half = outcomes.double().unflatten(0, (2, -1))
    return (half - rest) / 2


class Fit(NamedTuple):
    """The prior that fits the outcomes of a game, and what follows from it."""

    z: Float[Tensor, "n p"]  # the signs of the pairs
    u: Float[Tensor, "n k"]  # their odd parts
    relevance: Float[Tensor, " p"]
    noise: Tensor
    prior: "Prior"
    system: System
    wider: Any  # a factor of the variances of the values


def fit(half: Float[Tensor, "n p"], u: Float[Tensor, "n k"]) -> Fit:
    """Return the prior that fits the odd parts `u` of the coalitions best.

    First, three levels of noise are compared at equal relevances. The values that fit best then give relevances |φ|^½
    and |φ|, which are compared with them. At most 1,024 pairs choose (two for each player, if these are more); all give
    the values. All scores share one prior, so that the values of probabilities add up to 0 over the classes.

    The fewer pairs there are, the less is known about relevances: the variances lie between those of the prior that
    fits best and those of equal relevances, if the latter are larger.
    """
    z = 2 * half - 1
    chosen, equal = few(z), torch.ones_like(z[0])
    first = likeliest(_choices(z[chosen], u[chosen], equal))
    size = (first.values.square().sum(1) + _TINY).sqrt()
    relevant = (size / size.max()).clamp_min(_LEAST_RELEVANCE)
    others = (relevant**power / (relevant**power).mean() for power in _POWERS)
    best = likeliest([first, *(choice for other in others for choice in _choices(z[chosen], u[chosen], other))])
    prior = covariances(z, best.relevance)
    wider = ((first.variances + _TINY) / (best.variances + _TINY) - 1).clamp_min(0)
    doubt = min(1, _DOUBT * z.shape[1] / max(len(z) - z.shape[1], 1))
    return Fit(z, u, best.relevance, best.noise, prior, solve(z, prior, best.noise), 1 + doubt * wider)


def values(fit: Fit) -> tuple[Float[Tensor, "p k"], Float[Tensor, "p k"]]:
    """Return the values and their standard errors."""
    return fit.system.weights @ fit.u, _errors(fit.system, fit.u) * fit.wider.sqrt()


def few(z: Float[Tensor, "n p"]) -> Tensor:
    """Return the indices of the pairs that choose a prior."""
    most = max(_MOST_PAIRS, 2 * z.shape[1])
    return torch.linspace(0, len(z) - 1, min(len(z), most), dtype=torch.float64).round().long().to(z.device)


class _Choice(NamedTuple):
    score: Tensor
    values: Tensor
    variances: Tensor
    relevance: Tensor
    noise: Tensor


def _choices(z: Tensor, u: Tensor, relevance: Tensor) -> list[_Choice]:
    prior, choices = covariances(z, relevance), []
    for noise in _NOISES:
        system = solve(z, prior, noise)
        found = score(system.trend, _squares(system, u).sum())
        values, variances = system.weights @ u, _errors(system, u).square()
        choices.append(_Choice(found, values, variances, relevance, torch.full_like(found, noise)))
    return choices


def likeliest(choices: list[T]) -> T:
    """Return the named tuple of tensors whose `score` is the smallest; also under `vmap`.

    The first is kept if no other is better by more than rounding, as when outcomes are too few to tell.
    """
    scores = torch.stack([choice.score for choice in choices])  # type: ignore[attr-defined]
    which = torch.cat([scores[:1] - _ROUNDING * (1 + scores[:1].abs()), scores[1:]]).argmin()
    parts = zip(*choices, strict=True)  # type: ignore[call-overload]
    return type(choices[0])(*(torch.stack(part).index_select(0, which[None])[0] for part in parts))


def score(trend: least_squares.Whitened, squares: Tensor) -> Tensor:
    """Return minus twice the restricted log likelihood, up to a constant."""
    freedom = max(len(trend.trend) - len(trend.inner), 1)
    return freedom * (squares + _TINY).log() + trend.logarithm


def _squares(system: System, u: Tensor) -> Tensor:
    return least_squares.fitted(system.trend, u)[1].square().sum(0)  # [k]: what the trend leaves, in units of the prior


def _errors(system: System, u: Tensor) -> Tensor:
    freedom = len(u) - len(system.weights)
    scale = _squares(system, u) / freedom if freedom > 0 else torch.full_like(u[0], torch.nan)
    return (scale * system.variance.clamp_min(0)[:, None]).sqrt() * widened(max(freedom, 1))


@functools.lru_cache(maxsize=16)  # of n² numbers each
def _system(players: int, samples: int, seed: int, noise: float = NOISE) -> System:
    # Only NumPy arrays are cached: a tensor born inside grad or vmap belongs to that transform and must not outlive it.
    return solve(2 * complements(players, samples, seed) - 1, _prior(players, samples, seed), noise)


@functools.lru_cache(maxsize=1)
def _prior(players: int, samples: int, seed: int) -> "Prior":
    return covariances(2 * complements(players, samples, seed) - 1, np.ones(players))


class Prior(NamedTuple):
    """Covariances beyond the trend, where products of three players have variance 1 in all; arrays, or tensors."""

    odd: Any  # [n, n]: of the odd parts u of n pairs
    cross: Any  # [p, n]: of values with odd parts
    values: Any  # [p]: the variances of values


def covariances(z: Any, relevance: Any) -> Prior:
    """Return the prior of the outcomes of pairs with the signs `z [n, p]`, for players of positive relevance `[p]`."""
    a, players = relevance, z.shape[1]
    total = polynomials([(a**i).sum() for i in range(1, 6)])
    third, fifth = 1 / total[3], FIFTH / total[5] if players >= 5 else 0.0
    pairs = polynomials([(z * a**i) @ z.T if i % 2 else (a**i).sum() for i in range(1, 6)])
    others = without(polynomials([z @ a**i if i % 2 else (a**i).sum() for i in range(1, 5)]), (z * a).T)
    own = without(total, a)
    return Prior(
        third * pairs[3] + fifth * pairs[5],
        (z * a).T * (third * 2 / 3 * others[2] + fifth * 2 / 5 * others[4]),
        a * (third * 4 / 9 * own[2] + fifth * 4 / 25 * own[4]),
    )


def free(z: Any, noise: Any) -> Any:
    """Return the covariance `[n, n]` of ε, of variance `noise`; the outcomes of all and of no players have none."""
    of: Any = torch if isinstance(z, Tensor) else np
    return of.diag(_JITTER + noise * (of.arange(len(z), device=z.device) > 0))


def solve(z: Any, prior: Prior, noise: Any) -> System:
    """Return the posterior, given the signs `z [n, p]` of pairs of coalitions, of which the first is all players.

    `noise` is the variance of ε. The outcomes of all and of no players have none, so that the values add up.
    """
    of: Any = torch if isinstance(z, Tensor) else np
    own = of.eye(z.shape[1], dtype=z.dtype, device=z.device)
    trend = least_squares.whitened(prior.odd + free(z, noise), z)
    cross = least_squares.whiten(trend.root, prior.cross.T)  # [n, p]
    bias = 2 * own - cross.T @ trend.trend  # [p, p]: how values depend on the trend, beyond what products tell
    weights = least_squares.whiten(trend.root, cross + trend.trend @ (trend.inner @ bias.T), transposed=True).T
    variance = prior.values - (cross**2).sum(0) + ((bias @ trend.inner) * bias).sum(1)
    left = 2 * (of.arange(len(z), device=z.device) == 0) - weights.sum(0)  # of the sum, by rounding and the jitter
    return System(weights + left / len(weights), variance, trend)


def polynomials(sums: list[Any]) -> list[Any]:
    """Return the elementary symmetric polynomials from order 0 on, given the sums of powers (Newton's identities)."""
    found: list[Any] = [1.0]
    for order in range(1, len(sums) + 1):
        terms = ((-1) ** (i - 1) * found[order - i] * sums[i - 1] for i in range(1, order + 1))
        found.append(sum(terms) / order)
    return found


def without(whole: list[Any], term: Any) -> list[Any]:
    """Return the elementary symmetric polynomials of all terms but one, to the same order."""
    found: list[Any] = [1.0]
    for of_all in whole[1:]:
        found.append(of_all - term * found[-1])
    return found
