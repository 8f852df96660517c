"""Permutation Shapley: what holds for any draw, what its control variates rest on, and what they are worth."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from mapsto.errors import MapstoError
from mapsto.explainers import PermutationShapley, Shapley, coalitions
from mapsto.explainers.permutation_shapley import trilinear
from mapsto.views import Game

F64 = torch.float64
PLAYERS = 10


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def smooth(seed: int, activation: Callable[[Tensor], Tensor] = torch.tanh) -> Game:
    """A network of a row against zero, with interactions of every order."""
    first, last, row = drawn(seed, 16, PLAYERS) / 2, drawn(seed + 100, 16), drawn(seed + 200, PLAYERS)
    return Game(lambda mask: last @ activation(first @ (mask.to(F64) * row) + 0.3), PLAYERS)


def plain(game: Game, pairs: int, seed: int) -> Tensor:
    """Average the marginal contributions over the same orders, without control variates."""
    design = coalitions.permutations(game.players, pairs, seed, F64)
    return design.weights @ vmap(game)(design.masks)


def exact(game: Game) -> Tensor:
    return Shapley()(game)


def product_of_sums(x: Tensor, y: Tensor, z: Tensor) -> Game:
    return Game(lambda mask: (mask.to(F64) @ x) * (mask.to(F64) @ y) * (mask.to(F64) @ z), len(x))


def test_the_surrogates_values_are_exact() -> None:
    x, y, z = drawn(0, 3, 7)
    expected = exact(product_of_sums(x, y, z))
    assert expected.std() > 0.1
    torch.testing.assert_close(trilinear(x, y, z), expected)
    torch.testing.assert_close(trilinear(x, x, z), exact(product_of_sums(x, x, z)))
    torch.testing.assert_close(trilinear(x, x, x), exact(product_of_sums(x, x, x)))


def test_a_wrong_share_is_found() -> None:
    x, y, z = drawn(0, 3, 7)
    with pytest.raises(AssertionError):  # all that three give together to each of them
        torch.testing.assert_close(
            trilinear(x, y, z) + 2 * x * y * z / 3, exact(product_of_sums(x, y, z)), rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("pairs", [1, 4, 9])
def test_single_players_and_pairs_are_answered_exactly(pairs: int) -> None:
    alone, both = drawn(1, PLAYERS), drawn(2, PLAYERS, PLAYERS).triu(1)
    game = Game(lambda mask: mask.to(F64) @ alone + mask.to(F64) @ both @ mask.to(F64) + 3, PLAYERS)
    torch.testing.assert_close(PermutationShapley(pairs)(game), alone + (both + both.T).sum(0) / 2)


def test_a_third_order_game_is_not_but_nearly() -> None:
    x = drawn(3, PLAYERS)
    game = product_of_sums(x, x, x)  # its factors must be guessed from the outcomes
    errors = [
        [(how(game, seed) - exact(game)).square().mean() for seed in range(8)]
        for how in (lambda game, seed: PermutationShapley(16, seed)(game), lambda game, seed: plain(game, 16, seed))
    ]
    ours, theirs = (torch.stack(error).mean() for error in errors)
    assert 1e-12 < ours < theirs / 4


@pytest.mark.parametrize("activation", [torch.tanh, torch.sigmoid])
def test_control_variates_lower_the_error_at_equal_outcomes(activation: Callable[[Tensor], Tensor]) -> None:
    ours, theirs = [], []
    for network in range(4):
        game = smooth(network, activation)
        truth = exact(game)
        ours += [(PermutationShapley(16, seed)(game) - truth).square().mean() for seed in range(4)]
        theirs += [(plain(game, 16, seed) - truth).square().mean() for seed in range(4)]
    assert 0 < torch.stack(ours).mean() < 0.85 * torch.stack(theirs).mean()


def test_control_variates_lower_the_variance_between_seeds() -> None:
    """One game alone may win as little as a tenth; over six they win a quarter to two fifths."""
    shares = []
    for game in map(smooth, range(4, 10)):
        ours = torch.stack([PermutationShapley(16, seed)(game) for seed in range(12)])
        theirs = torch.stack([plain(game, 16, seed) for seed in range(12)])
        shares.append(ours.var(0).mean() / theirs.var(0).mean())
    assert 0 < torch.stack(shares).mean() < 0.85


def test_it_asks_for_no_outcome_twice_and_for_no_more_than_it_says() -> None:
    asked: list[Tensor] = []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(mask: Tensor) -> Tensor:
            return mask.sum()

        @staticmethod
        def setup_context(ctx, inputs, output) -> None:
            pass

        @staticmethod
        def vmap(info, in_dims, masks: Tensor):
            asked.append(masks)
            return masks.sum(1), 0

    PermutationShapley(pairs=6)(Game(Watched.apply, PLAYERS))
    (masks,) = asked
    every = {tuple(row) for row in coalitions.permutations(PLAYERS, 6).masks.tolist()}
    assert {tuple(row) for row in masks.tolist()} == every
    assert 60 < len(masks) == len(every) <= 2 * 6 * (PLAYERS - 1) + 2


@pytest.mark.parametrize("pairs", [2, 16])
def test_a_player_who_changes_nothing_gets_nothing(pairs: int) -> None:
    game, seen = smooth(1), (torch.arange(PLAYERS) != 4).float()
    values = PermutationShapley(pairs)(Game(lambda mask: game(mask * seen), PLAYERS))
    assert abs(values[4]) < 1e-14 and values.abs().max() > 0.1  # rounding of equal sums


def test_it_is_complete_up_to_rounding() -> None:
    game = smooth(2)
    total = game(torch.ones(PLAYERS)) - game(torch.zeros(PLAYERS))
    assert total.abs() > 0.1
    torch.testing.assert_close(PermutationShapley(16)(game).sum(), total)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_values_do_not_depend_on_the_unit_of_the_outcome(unit: float) -> None:
    game = smooth(2)
    scaled = Game(lambda mask: unit * game(mask).double(), PLAYERS)
    torch.testing.assert_close(
        PermutationShapley(16)(scaled) / unit, PermutationShapley(16)(game).double(), rtol=1e-4, atol=1e-6
    )
    assert (PermutationShapley(16)(game) - plain(game, 16, 0)).abs().max() > 1e-4


def test_few_pairs_take_the_plain_mean() -> None:
    game = smooth(3)
    torch.testing.assert_close(PermutationShapley(3, seed=2)(game), plain(game, 3, 2))
    assert (PermutationShapley(4, seed=2)(game) - plain(game, 4, 2)).abs().max() > 1e-4


def test_games_without_anything_to_control_stay_finite() -> None:
    assert torch.equal(PermutationShapley(8)(Game(lambda mask: 0 * mask.sum(), 5)), torch.zeros(5))
    torch.testing.assert_close(PermutationShapley(8)(Game(lambda mask: 2 * mask.sum(), 1)), torch.tensor([2.0]))
    mask = torch.zeros(5, requires_grad=True)
    slope = torch.autograd.grad(PermutationShapley(8).attribute(Game(lambda seen: (seen * mask).sum(), 5)).sum(), mask)[
        0
    ]
    torch.testing.assert_close(slope, torch.ones(5))


def test_no_pairs_are_refused() -> None:
    with pytest.raises(MapstoError, match="pairs: got 0"):
        PermutationShapley(pairs=0)
