"""Kriging of Shapley values: against a Gaussian process over all products of players, and games of known values."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.utils import _pytree as pytree

from mapsto.errors import MapstoError
from mapsto.explainers import BayesianShapley, Shapley, kriging, least_squares
from mapsto.explainers.coalitions import complements
from mapsto.views import Game

F64 = torch.float64


def products(players: int) -> list[tuple[int, ...]]:
    """All odd sets of up to five players."""
    return [chosen for size in (1, 3, 5) for chosen in itertools.combinations(range(players), size)]


@pytest.mark.parametrize(("players", "samples", "noise"), [(4, 10, 0.1), (6, 40, 0.01), (7, 60, 0.001)])
def test_the_posterior_is_that_of_random_coefficients_of_all_products(players: int, samples: int, noise: float) -> None:
    """The textbook posterior of a linear model; a wide prior on single players tends to the trend."""
    z = 2 * complements(players, samples, seed=3) - 1
    relevance = np.linspace(0.5, 1.5, players)
    weight = {size: sum(np.prod(relevance[list(t)]) for t in products(players) if len(t) == size) for size in (3, 5)}
    share = {3: 1 / weight[3], 5: kriging.FIFTH / weight[5] if weight[5] else 0.0}
    prior = np.array([1e4 if len(t) == 1 else share[len(t)] * np.prod(relevance[list(t)]) for t in products(players)])
    columns = np.stack([z[:, list(t)].prod(1) for t in products(players)], 1)  # [n, T]
    shares = np.array([[2 / len(t) * (j in t) for t in products(players)] for j in range(players)])  # [p, T]
    free = noise * np.diag((np.arange(len(z)) > 0).astype(float)) + 1e-10 * np.eye(len(z))
    inverse = np.linalg.inv(columns * prior @ columns.T + free)
    told = shares * prior @ columns.T  # [p, n]
    left = (shares**2 * prior).sum(1) - ((told @ inverse) * told).sum(1)
    found = kriging.solve(z, kriging.covariances(z, relevance), noise)
    np.testing.assert_allclose(found.weights, told @ inverse, atol=1e-4)
    np.testing.assert_allclose(found.variance, left, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("players", [6, 9])
def test_the_likelihood_is_that_of_contrasts_without_the_trend(players: int) -> None:
    """Restricted likelihood: contrasts of the outcomes that no sum over players changes, up to a constant."""
    z = 2 * complements(players, 30, seed=0) - 1
    basis = np.linalg.svd(z)[0][:, players:]  # [n, n − p]: orthogonal to the trend
    found = []
    for noise in (0.3, 0.03):
        prior = kriging.covariances(z, np.ones(players))
        covariance = prior.odd + noise * np.diag((np.arange(len(z)) > 0).astype(float)) + 1e-10 * np.eye(len(z))
        system, within = kriging.solve(z, prior, noise), basis.T @ covariance @ basis
        rest = least_squares.fitted(system.trend, np.eye(len(z)))[1]
        np.testing.assert_allclose(rest.T @ rest, basis @ np.linalg.inv(within) @ basis.T, rtol=1e-6, atol=1e-6)
        found.append(system.trend.logarithm - np.linalg.slogdet(within)[1])
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def polynomial(players: int, order: int, seed: int = 0) -> tuple[Game, Tensor]:
    """A sum of products of up to `order` players who are there; each product is shared equally among them."""
    generator = np.random.default_rng(seed)
    values, terms = torch.zeros(players, dtype=F64), []
    for size in range(1, order + 1):
        for _ in range(2 * players):
            chosen, worth = generator.choice(players, size, replace=False), generator.normal() / size
            terms.append((chosen, worth))
            values[chosen] += worth / size
    sets, worths = torch.zeros(len(terms), players), torch.tensor([worth for _, worth in terms], dtype=F64)
    for row, (chosen, _) in zip(sets, terms, strict=True):
        row[chosen] = 1
    return Game(lambda mask: ((sets @ mask == sets.sum(1)).to(F64) * worths).sum(), players), values


EXPLAINERS: list[Callable[[int], Shapley | BayesianShapley]] = [
    lambda samples: Shapley(samples),
    lambda samples: BayesianShapley(samples),
]


@pytest.mark.parametrize("make", EXPLAINERS)
@pytest.mark.parametrize("players", [3, 5, 20])
def test_sums_over_players_and_pairs_are_exact(make: Callable, players: int) -> None:
    """Pairs of players are even products: a coalition and the rest together do not see them."""
    game, values = polynomial(players, 2)
    torch.testing.assert_close(make(2 * players)(game), values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", EXPLAINERS)
def test_values_add_up_and_do_not_depend_on_the_unit_of_the_outcome(make: Callable) -> None:
    game, _ = polynomial(12, 5)
    values, ends = make(60)(game), game(torch.ones(12)) - game(torch.zeros(12))
    torch.testing.assert_close(values.sum(), ends, rtol=1e-12, atol=1e-12)
    for unit in (1e-9, 1e9):
        scaled = make(60)(Game(lambda mask, unit=unit: 5 + unit * game(mask), 12))
        torch.testing.assert_close(scaled / unit, values, rtol=1e-5, atol=1e-6)


def test_probabilities_of_classes_share_one_prior() -> None:
    game, _ = polynomial(9, 4)
    both = Game(lambda mask: torch.stack([p := torch.sigmoid(game(mask)), 1 - p]), 9)
    first, second = BayesianShapley(60)(both).T
    torch.testing.assert_close(first, -second)
    torch.testing.assert_close(first, BayesianShapley(60)(Game(lambda mask: both(mask)[0], 9)))


def test_standard_errors_assume_no_noise_where_there_is_none() -> None:
    game, _ = polynomial(12, 3)
    u = kriging.odd(vmap(game)(kriging.design(12, 240).masks))[:, None]
    system = pytree.tree_map(torch.as_tensor, kriging._system(12, 240, 0, min(kriging._NOISES)))
    least = kriging._errors(system, u)[:, 0]
    torch.testing.assert_close(Shapley(240).attribute_with_error(game)[1], least)


def test_a_score_that_never_changes_has_no_say_in_the_prior() -> None:
    game, _ = saturating(9, 1)
    both = Game(lambda mask: torch.stack([game(mask) * 0 + 0.5, game(mask)]), 9)
    torch.testing.assert_close(BayesianShapley(60)(both)[:, 1], BayesianShapley(60)(game))


def test_a_game_without_any_difference_has_values_of_0() -> None:
    values, errors = BayesianShapley(60).attribute_with_error(Game(lambda mask: mask.sum() * 0 + 3, 8))
    assert not errors.any() and not values.any()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_outcomes_that_are_not_finite_are_refused_in_one_sentence(bad: float) -> None:
    game = Game(lambda mask: torch.where(mask.sum() == 7, bad, mask.sum()), 8)
    with pytest.raises(MapstoError, match="attributions: got NaN for 1 of 1 points"):
        BayesianShapley(60)(game)


def test_many_rows_are_explained_as_one() -> None:
    weights = torch.randn(8, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
    rows = torch.randn(3, 8, generator=torch.Generator().manual_seed(1), dtype=F64)
    games = lambda row: Game(lambda mask: torch.tanh((mask * row) @ weights).sum(), 8)  # noqa: E731
    explainer = BayesianShapley(40)
    together = explainer.over(games, rows)
    torch.testing.assert_close(together, torch.stack([explainer(games(row)) for row in rows]))


def saturating(players: int, seed: int) -> tuple[Game, Tensor]:
    """A network in which some players matter much more than others; values by all coalitions."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(players, 8, generator=generator) * torch.logspace(0, -1.5, players)[:, None]
    game = Game(lambda mask: torch.tanh(2 * mask @ first + 0.5).sum(), players)
    return game, Shapley()(game)


def missed(explainer: Shapley | BayesianShapley, games: list[tuple[Game, Tensor]]) -> float:
    errors = [(explainer(game) - values).square().sum() / values.square().sum() for game, values in games]
    return float(torch.stack(errors).median())


def test_a_fitted_prior_asks_more_of_each_coalition() -> None:
    """Median error over games: fitted below equal relevances, and these below the least squares of KernelSHAP."""
    games = [saturating(10, seed) for seed in range(12)]
    fitted, equal, least = missed(BayesianShapley(122), games), missed(Shapley(120), games), []
    for game, values in games:
        masks = kriging.design(10, 120).masks
        outcomes = vmap(game)(masks)
        size = masks.sum(1)
        mass = torch.where((size > 0) & (size < 10), 1 / (size * (10 - size)).clamp_min(1), 1e6)
        sqrt, columns = mass.sqrt()[:, None], torch.cat([torch.ones(len(masks), 1), masks], 1)
        solution = torch.linalg.lstsq((sqrt * columns).double(), (sqrt[:, 0] * outcomes).double()[:, None]).solution
        least.append((solution[1:, 0] - values).square().sum() / values.square().sum())
    assert fitted < 0.6 * equal and equal < 0.7 * float(torch.stack(least).median())


@pytest.mark.parametrize("tolerance", [0.2, 0.05, 1e-9])
def test_it_asks_until_it_is_certain(tolerance: float) -> None:
    asked = []
    game, exact = saturating(10, 0)
    counted = Game(lambda mask: asked.append(1) or game(mask), 10)
    values, errors = Shapley("auto", tolerance=tolerance, chunk_size=1).attribute_with_error(counted)
    assert errors.max() <= tolerance and (values - exact).abs().max() <= max(4 * tolerance, 1e-5)
    rounds = {0.2: 1, 0.05: 2, 1e-9: 8}[tolerance]  # 82 coalitions, then 162, … 1,024
    assert len(asked) == sum(min(80 * 2**i + 2, 1024) for i in range(rounds if tolerance > 1e-3 else 5))
    torch.testing.assert_close(values, Shapley("auto", tolerance=tolerance)(game))


def test_samples_are_a_whole_number(unchecked: None) -> None:
    for samples in (0, 40.5, True, torch.tensor(40)):
        with pytest.raises(MapstoError, match=r"^samples: got .*, expected a whole number from 1"):
            Shapley(samples)  # type: ignore[arg-type]


def test_what_decides_by_numbers_explains_one_point_at_a_time() -> None:
    weights = torch.tensor([1.0, 2.0, 3.0])
    with pytest.raises(MapstoError, match="samples: got 'auto' inside a transform"):
        Shapley("auto").over(lambda row: Game(lambda mask: (mask * row) @ weights, 3), torch.ones(2, 3))


def test_more_pairs_than_choose_a_prior_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    games = [saturating(10, seed) for seed in range(6)]
    every = missed(BayesianShapley(202), games)
    monkeypatch.setattr(kriging, "_MOST_PAIRS", 40)
    few = missed(BayesianShapley(202), games)
    assert 0 < few < 4 * every and few < 0.5 * missed(BayesianShapley(80), games)


@pytest.mark.parametrize(("players", "samples"), [(2, 2), (5, 14), (8, 40), (13, 400), (30, 2400)])
def test_coalitions_are_different_and_begin_with_everyone_and_single_players(players: int, samples: int) -> None:
    half = complements(players, samples, seed=1)
    assert half.shape == (1 + min(samples, 2**players - 2) // 2, players)
    both = {tuple(row) for row in np.concatenate([half, 1 - half])}
    assert len(both) == 2 * len(half) and half[0].all() and (half[1:].sum(1) <= players / 2).all()
    assert (half.sum(1) == 1).sum() == players / (2 if players == 2 else 1)
    sizes = np.bincount(half[1 + players :].sum(1).astype(int), minlength=players // 2 + 1)[2:]
    if samples == 2400:  # in proportion to the root of the number of coalitions
        share = np.array([math.sqrt(math.comb(players, s) / (1 + (2 * s == players))) for s in range(2, 16)])
        np.testing.assert_allclose(sizes, share / share.sum() * sizes.sum(), atol=2)


def test_the_choice_of_noise_and_relevance_can_be_differentiated() -> None:
    game, _ = polynomial(6, 4)
    slope = torch.autograd.functional.jacobian(
        lambda x: BayesianShapley(40).attribute(Game(lambda mask: torch.tanh(x * game(mask)), 6)), torch.tensor(0.7)
    )
    step = 1e-3
    ahead, behind = (
        BayesianShapley(40)(Game(lambda m, x=x: torch.tanh(x * game(m)), 6)) for x in (0.7 + step, 0.7 - step)
    )
    torch.testing.assert_close(slope.double(), (ahead - behind) / (2 * step), rtol=1e-3, atol=1e-3)


def test_more_than_a_thousand_players_are_sampled() -> None:
    """They have more coalitions of one size than the largest float."""
    half = complements(1100, 2400, seed=0)
    assert half.shape == (1201, 1100)
    assert len(np.unique(half, axis=0)) == len(half)
    sizes = half[1101:].sum(1)
    assert sizes.min() > 490 and sizes.max() == 550  # other sizes have too few coalitions


def test_enough_pairs_choose_a_prior_for_any_number_of_players(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer pairs than players would leave their values, and so the prior, undetermined."""
    game, _ = saturating(10, 0)
    monkeypatch.setattr(kriging, "_MOST_PAIRS", 20)
    wanted = BayesianShapley(202)(game)
    monkeypatch.setattr(kriging, "_MOST_PAIRS", 6)
    torch.testing.assert_close(BayesianShapley(202)(game), wanted)


def test_standard_errors_hold_for_products_of_many_players() -> None:
    """Values of 2c/7 for each product of seven players, of which the fixed prior knows nothing."""
    generator, kept = np.random.default_rng(0), []
    half = complements(14, 448, seed=0)
    for _ in range(30):
        sets = np.stack([generator.permutation(14)[:7] for _ in range(150)])
        c = generator.normal(size=150)
        u = torch.tensor((2 * half - 1)[:, sets].prod(2) @ c)[:, None]
        exact = torch.tensor([2 / 7 * c[(sets == j).any(1)].sum() for j in range(14)])[:, None]
        outcomes = torch.cat([-u, u])
        missed = kriging.design(14, 448, dtype=F64).weights @ outcomes - exact
        kept.append(missed.abs() < 1.96 * kriging.error(14, 448, 0, outcomes))
    assert 0.86 < torch.cat(kept).double().mean() < 0.99


def test_standard_errors_hold_where_a_vote_is_won_or_lost() -> None:
    """A vote is decided by products of all numbers of players; a prior that fits few of its outcomes is too certain."""
    generator, kept = np.random.default_rng(0), []
    for seed in range(12):
        votes = torch.tensor(generator.integers(1, 10, 11), dtype=F64)
        game = Game(lambda mask, votes=votes: (2 * (mask.to(F64) @ votes) > votes.sum()).to(F64), 11)
        values, errors = BayesianShapley(55, seed=seed).attribute_with_error(game)
        kept.append((values - Shapley()(game)).abs() < 1.645 * errors)
    assert 0.8 < torch.cat(kept).double().mean() < 0.97


def test_rounding_does_not_choose_the_prior() -> None:
    """One pair more than players leaves one degree of freedom, to which all levels of noise are equally likely."""
    half = torch.as_tensor(complements(8, 17, seed=0))
    u = torch.randn(len(half), 1, generator=torch.Generator().manual_seed(0)).double()
    assert len(half) == 9
    found = [kriging.values(kriging.fit(half, u * (1 + k * 1e-13)))[0] for k in range(8)]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-9, atol=1e-9)
