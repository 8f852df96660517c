"""Indices of interaction: against their definitions by discrete derivatives and by weighted least squares."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from mapsto.errors import MapstoError
from mapsto.explainers import Interactions, Shapley, ShapleyInteractions
from mapsto.explainers.interaction_indices import moebius
from mapsto.views import Game

F64 = torch.float64
PLAYERS = 5
WORTH = torch.randn(2**PLAYERS, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
GAME = Game(lambda mask: WORTH[(mask.long() * 2 ** torch.arange(PLAYERS)).sum()], PLAYERS)
ORDERS = pytest.mark.parametrize("order", [1, 2, 3, 4])


def v(players: tuple[int, ...]) -> Tensor:
    return WORTH[sum(2**j for j in players)]


def subsets(players: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [s for size in range(len(players) + 1) for s in itertools.combinations(players, size)]


def derivative(chosen: tuple[int, ...], among: tuple[int, ...]) -> Tensor:
    """Δ_S v(T) = Σ_{L⊆S} (−1)^(|S|−|L|) v(T ∪ L)."""
    return sum(((-1) ** (len(chosen) - len(part)) * v((*among, *part)) for part in subsets(chosen)), torch.zeros(2))


def by_derivatives(index: str, order: int, chosen: tuple[int, ...]) -> Tensor:
    s, n = len(chosen), PLAYERS
    if index == "STII" and s < order:
        return derivative(chosen, ())
    total = torch.zeros(2, dtype=F64)
    for among in subsets(tuple(j for j in range(n) if j not in chosen)):
        t = len(among)
        weight = {
            "SII": math.factorial(n - t - s) * math.factorial(t) / math.factorial(n - s + 1),
            "BII": 2.0 ** (s - n),
            "STII": order / n / math.comb(n - 1, t),
        }[index]
        total = total + weight * derivative(chosen, among)
    return total


@ORDERS
@pytest.mark.parametrize("index", ["SII", "BII", "STII"])
def test_indices_are_means_of_discrete_derivatives(index: str, order: int) -> None:
    found = Interactions(index, order)(GAME)
    assert len(found.sets) == sum(math.comb(PLAYERS, size) for size in range(1, order + 1))
    for chosen, value in zip(found.sets, found.values, strict=True):
        torch.testing.assert_close(value, by_derivatives(index, order, chosen))


@ORDERS
@pytest.mark.parametrize("index", ["FSII", "FBII"])
def test_faithful_indices_are_the_nearest_polynomials(index: str, order: int) -> None:
    """The polynomial of the sets that are there, by weighted least squares; Shapley weights hold both ends fast."""
    sets, every = subsets(tuple(range(PLAYERS))), subsets(tuple(range(PLAYERS)))
    sets = [s for s in sets if len(s) <= order]
    columns = torch.tensor([[float(set(s) <= set(t)) for s in sets] for t in every], dtype=F64)
    ends = lambda t: len(t) in (0, PLAYERS)  # noqa: E731
    kernel = lambda t: 1e7 if ends(t) else 1 / math.comb(PLAYERS - 2, len(t) - 1)  # noqa: E731
    weight = torch.tensor([kernel(t) if index == "FSII" else 1.0 for t in every], dtype=F64).sqrt()[:, None]
    outcomes = torch.stack([v(t) for t in every])
    expected = torch.linalg.lstsq(weight * columns, weight * outcomes).solution[1:]
    torch.testing.assert_close(Interactions(index, order)(GAME).values, expected, rtol=1e-4, atol=1e-4)


@ORDERS
def test_k_sii_adds_up_and_ends_in_sii(order: int) -> None:
    found, plain = Interactions("k-SII", order)(GAME), Interactions("SII", order)(GAME)
    top = torch.tensor([len(s) == order for s in found.sets])
    torch.testing.assert_close(found.values[top], plain.values[top])
    torch.testing.assert_close(found.values.sum(0), v(tuple(range(PLAYERS))) - v(()))
    if order == 2:  # Lundberg et al. 2020: a player's own part is its Shapley value less half of its interactions
        pairs = torch.stack([sum(plain.of(j, i) for i in range(PLAYERS) if i != j) / 2 for j in range(PLAYERS)])
        torch.testing.assert_close(found.values[:PLAYERS], Shapley()(GAME) - pairs)


def test_of_single_players_they_are_shapley_and_banzhaf_values() -> None:
    for index in ("SII", "STII", "FSII", "k-SII"):
        torch.testing.assert_close(Interactions(index, 1)(GAME).values, Shapley()(GAME))
    banzhaf = torch.stack([by_derivatives("BII", 1, (j,)) for j in range(PLAYERS)])
    for index in ("BII", "FBII"):
        torch.testing.assert_close(Interactions(index, 1)(GAME).values, banzhaf)


def test_shapley_taylor_of_pairs_is_that_of_the_matrix() -> None:
    matrix, found = ShapleyInteractions()(GAME), Interactions("STII", 2)(GAME)
    for i, j in itertools.combinations(range(PLAYERS), 2):
        torch.testing.assert_close(found.of(j, i), matrix[i, j] + matrix[j, i])
    torch.testing.assert_close(found.values[:PLAYERS], matrix.diagonal().T)


@pytest.mark.parametrize("target", [None, 1])
def test_many_points_are_explained_as_one(target: int | None) -> None:
    points, explainer = torch.linspace(0.5, 2, 3, dtype=F64), Interactions("FSII", 3)
    game = lambda point: Game(lambda mask: torch.tanh(point * GAME(mask)), PLAYERS)  # noqa: E731
    found = explainer.over(game, points, chunk_size=2, target=target)
    singly = torch.stack([explainer(game(point)).values for point in points])
    assert found.sets == explainer(game(points[0])).sets
    torch.testing.assert_close(found.values, singly if target is None else singly[..., target])


def test_the_moebius_transform_adds_up_to_the_game() -> None:
    worth, every = moebius(WORTH), subsets(tuple(range(PLAYERS)))
    for players in every:
        parts = sum((worth[sum(2**j for j in part)] for part in subsets(players)), torch.zeros(2))
        torch.testing.assert_close(parts, v(players))


def test_what_cannot_be_is_refused(unchecked: None) -> None:
    with pytest.raises(MapstoError, match="order: got 11, expected at most 10"):
        Interactions("SII", 11)
    with pytest.raises(MapstoError, match=r"^game: got a function, expected a game; pass mt.views.game"):
        Interactions()(lambda mask: mask.sum())  # type: ignore[arg-type]
    with pytest.raises(MapstoError, match="game: got 17 players, expected at most 16"):
        Interactions()(Game(lambda mask: mask.sum(), 17))
    with pytest.raises(MapstoError, match="expected 1 to 2 different players"):
        Interactions()(GAME).of(0, 0)
    with pytest.raises(MapstoError, match="attributions: got NaN"):
        Interactions()(Game(lambda mask: mask.sum() * torch.nan, 3))


@pytest.mark.parametrize("samples", [None, 20])
def test_a_game_without_players_is_refused(samples: int | None) -> None:
    with pytest.raises(MapstoError, match=r"^game: got no players, expected at least one"):
        Interactions(samples=samples)(Game(lambda mask: mask.sum(), 0))
