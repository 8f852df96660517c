"""Products of three players that matter, found from the outcomes of many coalitions: each has a variance of its own.

    c_T ~ N(0, s₃·Π_{j∈T} a_j)  for most triples T,      c_T ~ N(0, τ)  for m triples that are found

The prior of `kriging` spreads what players do together over all products. In many games, such as those of trees, a few
products do nearly everything. They are found as in orthogonal matching pursuit (Pati et al. 1993): the products with
the largest expected coefficients get a larger variance, the coefficients are computed again, and so on. The number m is
chosen by pairs of coalitions that are left out: the same search on the others predicts their outcomes. Its errors
there, beside those that it expects, also say how much too small the selection makes the standard errors.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from . import kriging, least_squares
from .kriging import Fit, Prior, System

LEAST_PAIRS = 8  # for each player, below which nothing is searched
_COUNTS, _ROUNDS, _FOLD = (2, 6), 3, 5  # products for each player; rounds of the search; every fifth pair is left out
_OTHERS, _NOISE = 0.1, 0.1  # the variances of other products and of the noise, if some products have their own
_BETTER = 0.8  # of the squared error without products of their own, else none have
_DOUBT = 2  # of the ratio of squared errors to the expected ones: its own standard errors that are added to it
_MOST_PAIRS = 2048  # to choose their number by


class Products(NamedTuple):
    """Triples of players, and the variances of their products; those of variance 0 do not count."""

    sets: Int[Tensor, "m 3"]
    variance: Float[Tensor, " m"]

    def of(self, z: Float[Tensor, "n p"]) -> Float[Tensor, "n m"]:
        """Return the products of the signs `z` of coalitions."""
        return z[:, self.sets].prod(2)

    def rest(self, factor: float) -> Tensor:
        """Return the factor of the variances of all else: 1 if no product counts."""
        return torch.where(self.variance.amax() > 0, factor, 1.0)


def sharpened(fit: Fit) -> Fit:
    """Return the fit with variances of some products, if there are many pairs and if those left out say so."""
    n, p = fit.z.shape
    if n < LEAST_PAIRS * p or p < 4:
        return fit
    count, factor = _chosen(fit)
    system = _searched(fit, count, min(_COUNTS[-1] * p, n // 4))[0]
    return fit._replace(system=system, wider=fit.wider * factor)


def _chosen(fit: Fit) -> tuple[Tensor, Tensor]:
    """Return the number of products that predicts the pairs left out best, and its squared error over the expected."""
    n, p = fit.z.shape
    few = torch.linspace(0, n - 1, min(n, _MOST_PAIRS), dtype=torch.float64).round().long()
    last = torch.arange(len(few)) % _FOLD == _FOLD - 1  # never the first pair, which are all and no players
    rest, left = (few[part].to(fit.z.device) for part in (~last, last))
    odd = fit.prior.odd
    prior = Prior(odd[rest][:, rest], fit.prior.cross[:, rest], fit.prior.values)
    system = kriging.solve(fit.z[rest], prior, fit.noise)
    part = fit._replace(z=fit.z[rest], u=fit.u[rest], prior=prior, system=system)
    counts = [0, *(min(each * p, len(rest) // 4) for each in _COUNTS)]
    tried = [(system, _none(part.z)), *(_searched(part, odd.new_tensor(count), count) for count in counts[1:])]
    found = [_errors(part, *each, fit.z[left], fit.u[left], odd[left][:, rest], odd.diagonal()[left]) for each in tried]
    errors, expected = (torch.stack(parts) for parts in zip(*found, strict=True))
    best = torch.cat([errors[:1] * _BETTER, errors[1:]]).argmin()[None]
    ratio = (errors / expected).gather(0, best)[0] * (1 + _DOUBT * (2 / len(left)) ** 0.5)
    return odd.new_tensor(counts).gather(0, best)[0], torch.where(best[0] > 0, ratio, 1.0)


def _searched(fit: Fit, count: Tensor, most: int) -> tuple[System, Products]:
    """Return the posterior with `count` products, at most `most`, and these; if it is 0, the posterior without any."""
    p, relevance, system, products = fit.z.shape[1], fit.relevance.sqrt(), fit.system, _none(fit.z)
    for turn in range(1, _ROUNDS + 1):
        sets = _largest(fit, system, products, relevance, most)
        counts = torch.arange(len(sets), device=sets.device) < count * turn / _ROUNDS
        products = Products(sets, counts / p)
        system = kriging.solve(fit.z, _prior(fit, products), fit.noise * products.rest(_NOISE))
    return system, products


def _none(z: Tensor) -> Products:
    return Products(torch.zeros(1, 3, dtype=torch.long, device=z.device), z.new_zeros(1))


def _largest(fit: Fit, system: System, known: Products, relevance: Tensor, most: int) -> Int[Tensor, "m 3"]:
    """Return the triples with the largest expected coefficients, first the known ones that count."""
    p = fit.z.shape[1]
    left = least_squares.fitted(system.trend, fit.u)[1]
    weights = least_squares.whiten(system.trend.root, left, transposed=True)  # [n, k]
    squares = torch.stack([_coefficients(fit.z, weight).square() for weight in weights.unbind(1)]).sum(0)
    size = (squares.sqrt() * relevance[:, None, None] * relevance[:, None] * relevance).flatten()  # [p³]
    own = known.variance * (known.of(fit.z).T @ weights).square().sum(1).sqrt()
    place = known.sets @ known.sets.new_tensor([p * p, p, 1])
    size = size.scatter(0, place, torch.where(known.variance > 0, own + size.amax(), size[place]))
    first, second, third = torch.meshgrid(*[torch.arange(p, device=size.device)] * 3, indexing="ij")
    ordered = ((first < second) & (second < third)).flatten()
    chosen = torch.where(ordered, size, -1.0).topk(min(most, int(ordered.sum()))).indices
    return torch.stack([chosen // (p * p), chosen // p % p, chosen % p], 1)


def _coefficients(z: Float[Tensor, "n p"], weight: Float[Tensor, " n"]) -> Float[Tensor, "p p p"]:
    """Return Σ_i weight_i · z_ij · z_ik · z_il for all triples."""
    weighted = z * weight[:, None]
    return torch.stack([(weighted * column[:, None]).T @ z for column in z.unbind(1)])


def _prior(fit: Fit, products: Products) -> Prior:
    rest, of = products.rest(_OTHERS), products.of(fit.z)
    share = one_hot(products.sets, fit.z.shape[1]).sum(1).to(of) * 2 / 3  # [m, p]: what a coefficient adds to a value
    return Prior(
        rest * fit.prior.odd + (of * products.variance) @ of.T,
        rest * fit.prior.cross + (share.T * products.variance) @ of.T,
        rest * fit.prior.values + (share.square().T * products.variance).sum(1),
    )


def _errors(
    fit: Fit, system: System, products: Products, z: Tensor, u: Tensor, odd: Float[Tensor, "t n"], own: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the sum of squared errors of the predictions of `u [t, k]`, the odd parts of `z`, and its expected value.

    `odd` holds their covariances with the pairs of `fit`, and `own` their variances, if no product has its own.
    """
    rest = products.rest(_OTHERS)
    cross = rest * odd + (products.of(z) * products.variance) @ products.of(fit.z).T
    white = least_squares.whiten(system.trend.root, cross.T)  # [n, t]
    bias = z - white.T @ system.trend.trend
    slopes, left = least_squares.fitted(system.trend, fit.u)
    errors = (z @ slopes + white.T @ left - u).square().sum()
    variance = rest * own + products.variance.sum() + fit.noise * products.rest(_NOISE)
    variance = variance - white.square().sum(0) + ((bias @ system.trend.inner) * bias).sum(1)
    return errors, variance.sum() * left.square().sum() / (len(left) - z.shape[1])
