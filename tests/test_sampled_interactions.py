"""Interactions of many players from a sample of coalitions: closed forms at 30 players and more, enumeration below."""

import itertools
import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from mapsto.errors import MapstoError
from mapsto.explainers import Interactions, Shapley, kriging_interactions
from mapsto.explainers.coalitions import complements, widened
from mapsto.explainers.interaction_indices import Index, _share
from mapsto.explainers.kriging_interactions import coefficient
from mapsto.games import Game

INDICES = get_args(Index)
F64 = torch.float64


def polynomial(players: int, seed: int, sizes: tuple[int, ...] = (1, 2, 2, 3)) -> tuple[Game, dict]:
    """Return a game of few products of players, and the worth of each product."""
    g = np.random.default_rng(seed)
    terms = {
        tuple(sorted(g.choice(players, size, replace=False).tolist())): g.normal() for size in sizes for _ in range(6)
    }

    def value(mask: Tensor) -> Tensor:
        return sum(
            (mask.to(F64)[list(chosen)].prod() * worth for chosen, worth in terms.items()), torch.zeros((), dtype=F64)
        )

    return Game(value, players), terms


def exact(terms: dict, sets: list, index: str, order: int) -> Tensor:
    share = lambda s, t: _share(index, order, len(s), len(t))  # noqa: E731
    return torch.tensor([sum(w * share(s, t) for t, w in terms.items() if set(s) <= set(t)) for s in sets], dtype=F64)


def error(got: Tensor, expected: Tensor) -> float:
    return ((got - expected).square().sum() / expected.square().sum()).item()


@pytest.mark.parametrize("index", INDICES)
def test_products_of_few_among_many_players_have_their_closed_form(index: Index) -> None:
    game, terms = polynomial(16, 0, (1, 2, 2))
    found = Interactions(index, samples=600)(game)
    expected = exact(terms, found.sets, index, 2)
    assert error(found.values[:16], expected[:16]) < 1e-4 and error(found.values[16:], expected[16:]) < 1e-4


def test_products_of_three_among_sixty_players_are_found_and_intervals_hold() -> None:
    game, terms = polynomial(60, 0)
    found, errors = Interactions("SII", samples=800).attribute_with_error(game)
    expected = exact(terms, found.sets, "SII", 2)
    assert error(found.values[:60], expected[:60]) < 0.05 and error(found.values[60:], expected[60:]) < 0.6
    assert ((found.values - expected).abs() <= 1.645 * errors).double().mean() >= 0.85


@pytest.mark.parametrize("index", INDICES)
def test_all_sizes_of_sets_are_those_of_all_coalitions(index: Index) -> None:
    """Products of up to three players leave little to guess."""
    game, _ = polynomial(7, 1)
    for order in (1, 3):
        every = Interactions(index, order)(game)
        found = Interactions(index, order, samples=120)(game)
        assert found.sets == every.sets and error(found.values, every.values) < 1e-3
        torch.testing.assert_close(Interactions(index, order, samples=128)(game).values, every.values)


def test_values_add_up_whatever_the_game_and_order_1_are_shapley_values() -> None:
    weights = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=F64)
    game = Game(lambda mask: ((mask.to(F64) @ weights).sin() * mask[0]).exp(), 12)
    everyone = game(torch.ones(12)) - game(torch.zeros(12))
    for index in ("STII", "FSII", "k-SII"):
        torch.testing.assert_close(Interactions(index, samples=100)(game).values.sum(), everyone)
    one, shapley = Interactions("SII", 1, samples=1600)(game).values, Shapley()(game)
    assert error(one, shapley) < 2e-3 and shapley.abs().max() > 0.1


@pytest.mark.parametrize("index", ["SII", "FSII"])
def test_the_posterior_is_that_of_random_coefficients_of_all_products(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The textbook posterior of a linear model, of each parity; a wide prior on its lowest order tends to the trend."""
    monkeypatch.setattr(kriging_interactions, "_POWERS", (0.0,))
    monkeypatch.setattr(kriging_interactions, "_REST", ((0.1, 0.01),))
    players, share, half = 7, lambda s, t: _share(index, 2, s, t), torch.tensor(complements(7, 76, seed=0))
    sets = [chosen for size in (1, 2) for chosen in itertools.combinations(range(players), size)]
    outcomes = torch.randn(2 * len(half), 1, generator=torch.Generator().manual_seed(0), dtype=F64)
    found, errors = kriging_interactions.fitted(half, outcomes, sets, share)
    z, (rest, full) = 2 * half - 1, outcomes.unflatten(0, (2, -1))
    free = torch.diag(1e-10 + 0.01 * (torch.arange(len(z)) > 0))
    expected, variance = torch.zeros_like(found), torch.zeros_like(found)
    for u, orders in (((full - rest) / 2, (1, 3, 5)), ((full + rest) / 2, (0, 2, 4))):
        products = [t for size in orders for t in itertools.combinations(range(players), size)]
        prior = torch.tensor(
            [(1e4, 1.0, 0.1)[len(t) // 2] / math.comb(players, len(t)) ** (len(t) > 1) for t in products]
        )
        columns = torch.stack([z[:, list(t)].prod(1) for t in products], 1)
        g = lambda s, t: coefficient(share, len(s), len(t)) if set(s) <= set(t) else 0.0  # noqa: E731
        told = torch.tensor([[g(s, t) for t in products] for s in sets], dtype=F64) * prior
        inverse = torch.linalg.inv(columns * prior @ columns.T + free)
        expected += told @ columns.T @ inverse @ u
        left = (told**2 / prior).sum(1) - ((told @ columns.T @ inverse) * (told @ columns.T)).sum(1)
        freedom = len(z) - (players if orders[0] else 1)
        variance += left[:, None] * (u.T @ inverse @ u) / freedom * widened(freedom) ** 2
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(errors, variance.sqrt(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("order", [2, 3])
def test_shapley_taylor_values_of_single_players_are_what_they_do_alone(order: int) -> None:
    weights = torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=F64)
    game = Game(lambda mask: torch.stack([(mask.to(F64) @ weights + 1).sin().exp(), mask[0]]), 8)
    alone = torch.stack([game(mask) for mask in torch.eye(8)]) - game(torch.zeros(8))
    for samples, asked in ((18, True), (60, True), (16, False)):  # the last asks about all players but one
        values, errors = Interactions("STII", order, samples=samples).attribute_with_error(game)
        known = torch.isclose(values.values[:8], alone, rtol=1e-12, atol=1e-12).all() and not errors[:8].any()
        assert known == asked and (errors[8:, 0] != 0).all()


def test_many_scores_and_rows_share_the_call() -> None:
    game, _ = polynomial(17, 2)
    both = Game(lambda mask: torch.stack([game(mask), -game(mask)]), 17)
    values, errors = Interactions(samples=200).attribute_with_error(both)
    assert values.values.shape == errors.shape == (17 + math.comb(17, 2), 2)
    torch.testing.assert_close(values.values.sum(1), torch.zeros_like(errors[:, 0]))
    over = Interactions(samples=200).over(
        lambda x: Game(lambda m: x * game(m), 17), torch.tensor([1.0, 2.0], dtype=F64)
    )
    torch.testing.assert_close(over.values[1], 2 * over.values[0])


def test_as_many_pairs_as_players_say_nothing_about_errors() -> None:
    game, _ = polynomial(17, 2)
    for samples, known in ((34, False), (36, True)):
        values, errors = Interactions("SII", samples=samples).attribute_with_error(game)
        assert values.values.isfinite().all() and errors.isfinite().all() == known


def test_what_cannot_be_sampled_is_refused() -> None:
    game, _ = polynomial(30, 0)
    for name, call in {
        "samples": lambda: Interactions(samples=59)(game),
        "order": lambda: Interactions(order=4, samples=100),
        "game": lambda: Interactions()(game),
        "seed": lambda: Interactions(seed=-1),
    }.items():
        with pytest.raises(MapstoError, match=f"^{name}: "):
            call()


def test_pairs_of_two_players_in_a_game_of_two_are_exact() -> None:
    game = Game(lambda mask: 3 * mask[0] * mask[1] + mask[0], 2)
    for index in INDICES:
        assert Interactions(index, samples=4)(game).of(0, 1).item() == pytest.approx(3)
    assert list(itertools.chain(*Interactions(samples=4)(game).sets)) == [0, 1, 0, 1]
