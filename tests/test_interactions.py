"""Shapley–Taylor interactions: the definition by brute force, closed forms, and what holds for any draw."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from mapsto.errors import MapstoError
from mapsto.explainers import Shapley, ShapleyInteractions
from mapsto.explainers.explainer import Game as Played
from mapsto.views import Game, game

F64 = torch.float64


def table(players: int, k: int = 2, seed: int = 0) -> Game:
    """A game with a random outcome `[k]` for every coalition."""
    outcomes = torch.randn(2**players, k, dtype=F64, generator=torch.Generator().manual_seed(seed))
    code = 2 ** torch.arange(players)
    return Game(lambda mask: outcomes[(mask.long() * code).sum(-1)], players)


def value(played: Played, players: tuple[int, ...]) -> Tensor:
    return played(torch.tensor([float(j in players) for j in range(played.players)]))


def together(played: Played, S: tuple[int, ...], i: int, j: int) -> Tensor:
    """Return δ_ij v(S): what two players give only together, once S is there."""
    return value(played, (*S, i, j)) - value(played, (*S, i)) - value(played, (*S, j)) + value(played, S)


def over_subsets(played: Played, share: Callable[[int, int], float]) -> Tensor:
    """Sum δ_ij v(S) over all S with `share(p, |S|)`, half to each of the two; alone, v({i}) − v(none)."""
    p = played.players
    values = torch.zeros(p, p, 2, dtype=F64)
    for i in range(p):
        values[i, i] = value(played, (i,)) - value(played, ())
        for j in set(range(p)) - {i}:
            others = [player for player in range(p) if player not in (i, j)]
            for size in range(p - 1):
                for S in itertools.combinations(others, size):
                    values[i, j] += share(p, size) * together(played, S, i, j) / 2
    return values


def shapley_taylor(p: int, size: int) -> float:
    return 2 / (p * math.comb(p - 1, size))


def shapley_interaction_index(p: int, size: int) -> float:
    return math.factorial(size) * math.factorial(p - size - 2) / math.factorial(p - 1)


def over_orders(played: Played) -> Tensor:
    """Average δ_ij v(those before both) over all `p!` orders."""
    p = played.players
    values = torch.zeros(p, p, 2, dtype=F64)
    for order in itertools.permutations(range(p)):
        for a, i in enumerate(order):
            values[i, i] += value(played, (i,)) - value(played, ())
            for j in order[a + 1 :]:
                pair = together(played, order[:a], i, j) / 2
                values[i, j] += pair
                values[j, i] += pair
    return values / math.factorial(p)


@pytest.mark.parametrize("players", [2, 3, 5])
def test_it_is_the_definition_over_subsets(players: int) -> None:
    expected = over_subsets(table(players), shapley_taylor)
    assert expected.std() > 0.1
    torch.testing.assert_close(ShapleyInteractions()(table(players)), expected)


def test_it_is_the_definition_over_orders() -> None:
    torch.testing.assert_close(ShapleyInteractions()(table(4)), over_orders(table(4)))


def test_another_index_is_found() -> None:
    with pytest.raises(AssertionError):
        torch.testing.assert_close(
            ShapleyInteractions()(table(5)), over_subsets(table(5), shapley_interaction_index), rtol=1e-2, atol=1e-2
        )


EXPLAINERS = {
    "exact": ShapleyInteractions(),
    "sampled": ShapleyInteractions(orders=6, seed=1),
    "one order": ShapleyInteractions(orders=1, chunk_size=5),
}
every_explainer = pytest.mark.parametrize("explainer", EXPLAINERS.values(), ids=EXPLAINERS)


@every_explainer
def test_games_of_pairs_have_a_closed_form(explainer: ShapleyInteractions) -> None:
    generator = torch.Generator().manual_seed(2)
    alone = torch.randn(6, dtype=F64, generator=generator)
    both = torch.randn(6, 6, dtype=F64, generator=generator).triu(1)
    played = Game(lambda mask: 2 + mask.to(F64) @ alone + mask.to(F64) @ both @ mask.to(F64), 6)
    torch.testing.assert_close(explainer(played), torch.diag(alone) + (both + both.T) / 2)


def test_three_who_must_agree_share_evenly_among_their_pairs() -> None:
    values = ShapleyInteractions()(Game(lambda mask: mask[0] * mask[1] * mask[2], 4))
    expected = torch.zeros(4, 4)
    expected[:3, :3] = (1 - torch.eye(3)) / 6
    torch.testing.assert_close(values, expected)


@every_explainer
def test_the_matrix_is_symmetric_and_sums_to_the_outcome(explainer: ShapleyInteractions) -> None:
    played = table(6)
    values = explainer(played)
    total = played(torch.ones(6)) - played(torch.zeros(6))
    assert values.shape == (6, 6, 2) and total.abs().min() > 0.1
    torch.testing.assert_close(values, values.transpose(0, 1))
    torch.testing.assert_close(values.sum((0, 1)), total)
    alone = vmap(played)(torch.eye(6)) - played(torch.zeros(6))
    torch.testing.assert_close(values.diagonal().T, alone)


def test_rows_sum_to_shapley_values() -> None:
    torch.testing.assert_close(ShapleyInteractions()(table(6)).sum(1), Shapley()(table(6)))


@every_explainer
def test_a_player_who_changes_nothing_has_a_row_of_nothing(explainer: ShapleyInteractions) -> None:
    played, seen = table(6), (torch.arange(6) != 2).float()
    values = explainer(Game(lambda mask: played(mask * seen), 6))
    torch.testing.assert_close(values[2], torch.zeros(6, 2, dtype=F64))
    assert values.abs().max() > 0.1


def test_more_orders_come_nearer() -> None:
    played = table(7)
    truth = ShapleyInteractions()(played)
    few, many = (
        torch.stack([ShapleyInteractions(n, seed)(played) - truth for seed in range(5)]).square().mean()
        for n in (8, 64)
    )
    assert 0 < many < few / 4


def test_rows_and_scores_are_explained_at_once() -> None:
    xs = torch.randn(4, 5, dtype=F64, generator=torch.Generator().manual_seed(3))

    def net(x: Tensor) -> Tensor:
        return torch.stack([torch.tanh(x[0] * x[1] + x[2]), (x * xs[0].to(x)).sum().square()])

    for explainer in (ShapleyInteractions(), ShapleyInteractions(orders=3, chunk_size=4)):
        loop = torch.stack([explainer(game(net, x, baseline=0.1)) for x in xs])
        assert loop.shape == (4, 5, 5, 2) and loop.std(0).max() > 0.05
        torch.testing.assert_close(explainer.over(lambda x: game(net, x, baseline=0.1), xs, chunk_size=3), loop)
        single = explainer(game(lambda x: net(x)[1], xs[1].float(), baseline=0.1))
        assert single.dtype == torch.float32
        torch.testing.assert_close(single, loop[1, ..., 1].float(), rtol=1e-4, atol=1e-4)


def test_lost_interactions_are_refused() -> None:
    explainer, xs = ShapleyInteractions(), torch.ones(2, 3)
    with pytest.raises(MapstoError, match=r"^attributions: got NaN for 2 of 2 points"):
        explainer.over(lambda x: game(lambda x: x.sum() * math.nan, x), xs)


def test_a_function_is_no_game(unchecked: None) -> None:
    with pytest.raises(MapstoError, match=r"^game: got a function, expected a game; pass mt.views.game"):
        ShapleyInteractions()(lambda mask: mask.sum())  # type: ignore[arg-type]


def test_more_players_than_can_be_enumerated_are_refused() -> None:
    with pytest.raises(MapstoError, match=r"^game: got 13 players.* pass orders=32"):
        ShapleyInteractions()(Game(lambda mask: mask.sum(), 13))
    torch.testing.assert_close(ShapleyInteractions(orders=2)(Game(lambda mask: mask.sum(), 13)), torch.eye(13))
    with pytest.raises(MapstoError, match=r"^orders: got 0"):
        ShapleyInteractions(orders=0)
