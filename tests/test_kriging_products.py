"""Products with variances of their own: the posterior of the explicit model, and which products are found."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import vmap

from mapsto.explainers import BayesianShapley, kriging, kriging_products
from mapsto.explainers.kriging_products import Products, sharpened
from mapsto.views import game

PLANTED = [(0, 1, 2), (0, 3, 7), (2, 5, 9), (4, 6, 8)]


def signs(players: int, samples: int) -> Tensor:
    masks = kriging.masks(players, samples, 0)
    return 2 * masks[len(masks) // 2 :].double() - 1


def planted(z: Tensor) -> Tensor:
    """The odd part of a game of single players and of the products `PLANTED`."""
    g = torch.Generator().manual_seed(0)
    singles = z @ torch.randn(z.shape[1], generator=g).double()
    return (singles + sum((-1) ** i * (1 + i) * z[:, list(T)].prod(1) for i, T in enumerate(PLANTED)))[:, None]


def values(players: int) -> Tensor:
    found = 2 * torch.randn(players, generator=torch.Generator().manual_seed(0)).double()
    for i, T in enumerate(PLANTED):
        found[list(T)] += (-1) ** i * (1 + i) * 2 / 3
    return found


def fit_of(z: Tensor, u: Tensor) -> kriging.Fit:
    return kriging.fit((z + 1) / 2, u)


def test_the_posterior_is_that_of_the_explicit_model() -> None:
    z = signs(6, 40)
    fit = fit_of(z, torch.randn(len(z), 1, generator=torch.Generator().manual_seed(1)).double())
    products = Products(torch.tensor([[0, 1, 2], [1, 3, 5], [0, 4, 5]]), torch.tensor([0.5, 2.0, 0.0]).double())
    found = kriging.solve(z, kriging_products._prior(fit, products), fit.noise)

    a, triples, fives = fit.relevance, list(combinations(range(6), 3)), list(combinations(range(6), 5))
    of = lambda sets: torch.stack([a[list(T)].prod() for T in sets])  # noqa: E731
    others = kriging_products._OTHERS
    variance = torch.cat([
        others * of(triples) / of(triples).sum(), others * kriging.FIFTH * of(fives) / of(fives).sum()
    ])  # fmt: skip
    for T, own in zip(products.sets.tolist(), products.variance, strict=True):
        variance[triples.index(tuple(T))] += own
    sets = triples + fives
    design = torch.cat([z, torch.stack([z[:, list(T)].prod(1) for T in sets], 1)], 1)  # β, then the products
    precision = torch.diag(torch.cat([torch.zeros(6).double(), 1 / variance]))
    noise = torch.full((len(z),), fit.noise.item() + kriging._JITTER).double()
    noise[0] = kriging._JITTER
    inner = torch.linalg.inv(precision + design.T @ (design / noise[:, None]))
    share = torch.stack([2.0 / len(T) * torch.eye(6)[list(T)].sum(0) for T in sets], 1).double()
    readout = torch.cat([2 * torch.eye(6).double(), share], 1)
    torch.testing.assert_close(
        found.weights @ fit.u, readout @ inner @ design.T @ (fit.u / noise[:, None]), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(found.variance, (readout @ inner @ readout.T).diagonal(), rtol=1e-4, atol=1e-7)


def test_products_are_found_and_the_values_become_nearly_exact() -> None:
    z = signs(12, 500)
    fit = fit_of(z, planted(z))
    _, products = kriging_products._searched(fit, torch.tensor(24.0), 24)
    assert set(PLANTED) <= set(map(tuple, products.sets.tolist()))
    before, after = (kriging.values(each)[0][:, 0] - values(12) for each in (fit, sharpened(fit)))
    assert before.square().sum() > 1000 * after.square().sum() > 0


def test_the_first_products_are_the_strongest_of_different_players() -> None:
    z = signs(10, 700)
    fit = fit_of(z, planted(z))
    found = kriging_products._largest(fit, fit.system, kriging_products._none(z), torch.ones(10).double(), 4)
    assert set(map(tuple, found.tolist())) == set(PLANTED)
    known = Products(torch.tensor([[7, 8, 9], *PLANTED[:2]]).sort(1).values, torch.tensor([0.0, 0.1, 0.1]).double())
    system = kriging.solve(z, kriging_products._prior(fit, known), fit.noise)
    kept = kriging_products._largest(fit, system, known, torch.ones(10).double(), 3)
    assert [tuple(T) for T in kept[:2].tolist()] == [PLANTED[1], PLANTED[0]]  # first those that count
    assert tuple(kept[2].tolist()) in PLANTED[2:]
    every = kriging_products._largest(fit, fit.system, kriging_products._none(z), torch.ones(10).double(), 10**6)
    assert sorted(map(tuple, every.tolist())) == list(combinations(range(10), 3))


def test_few_pairs_and_dense_games_keep_the_prior_as_it_is() -> None:
    z = signs(12, 12 * 12)
    few = fit_of(z, planted(z))
    assert sharpened(few) is few
    z = signs(12, 400)
    noise = fit_of(z, torch.randn(len(z), 1, generator=torch.Generator().manual_seed(2)).double())
    for plain, same in zip(kriging.values(noise), kriging.values(sharpened(noise)), strict=True):
        torch.testing.assert_close(plain, same, rtol=1e-5, atol=1e-8)


def test_errors_grow_if_pairs_left_out_are_predicted_worse_than_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    z = signs(12, 500)
    u = planted(z) + 0.3 * torch.randn(len(z), 1, generator=torch.Generator().manual_seed(3)).double()
    fit = fit_of(z, u)
    count, factor = kriging_products._chosen(fit)
    assert count > 0
    errors = kriging_products._errors
    monkeypatch.setattr(kriging_products, "_errors", lambda *of: (4 * errors(*of)[0], errors(*of)[1]))
    torch.testing.assert_close(kriging_products._chosen(fit), (count, 4 * factor))


def test_expected_errors_are_those_of_games_of_the_prior() -> None:
    """Mean over games drawn from the prior with products: the squared errors are as large as expected."""
    z, g = signs(8, 150), torch.Generator().manual_seed(4)
    rest, left = torch.arange(len(z)) % 5 != 4, torch.arange(len(z)) % 5 == 4
    fit = fit_of(z, torch.randn(len(z), 1, generator=g).double())
    products = Products(torch.tensor([[0, 1, 2], [3, 4, 5]]), torch.tensor([1.0, 3.0]).double())
    noise = torch.full((len(z),), fit.noise.item() * kriging_products._NOISE).double()
    noise[0] = 0.0
    covariance = kriging_products._prior(fit, products).odd + torch.diag(noise + 1e-9)
    games = torch.linalg.cholesky(covariance) @ torch.randn(len(z), 4000, generator=g).double()
    odd = fit.prior.odd
    part = kriging.Prior(odd[rest][:, rest], fit.prior.cross[:, rest], fit.prior.values)
    of_rest = fit._replace(z=z[rest], u=games[rest], prior=part)
    system = kriging.solve(of_rest.z, kriging_products._prior(of_rest, products), fit.noise * kriging_products._NOISE)
    found, expected = kriging_products._errors(
        of_rest, system, products, z[left], games[left], odd[left][:, rest], odd.diagonal()[left]
    )
    assert abs(found / expected - 1) < 0.05


def test_rows_at_once_and_scores_that_add_up() -> None:
    x = torch.tensor([[1.0, -2.0, 1.5, 0.5, 2.0, 1.0], [0.5, 1.0, -1.0, 2.0, 1.0, -1.5]]).double()

    def scores(x: Tensor) -> Tensor:
        p = torch.sigmoid(x[0] * x[1] * x[2] + x[3] * x[4] + x[5])
        return torch.stack([p, 1 - p])

    explainer = BayesianShapley(60)  # 30 pairs, of 32, would be too few: 8 a player
    explainer_many = BayesianShapley(62)
    for each in (explainer, explainer_many):
        at_once = vmap(lambda row: each.attribute(game(scores, row)))(x)  # noqa: B023
        for row, found in zip(x, at_once, strict=True):
            alone = each.attribute(game(scores, row))
            torch.testing.assert_close(found, alone)
            torch.testing.assert_close(alone.sum(0), scores(row) - scores(0 * row))
            torch.testing.assert_close(alone.sum(1), torch.zeros(6).double(), atol=1e-9, rtol=0)
    assert np.isfinite(at_once.numpy()).all()
