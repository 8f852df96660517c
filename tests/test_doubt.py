"""The trust in learned Shapley values: its measure of the error is unbiased, and its network learns the mean error."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from mapsto.explainers.learned.doubt import Doubt, measured, spread, trust

R = torch.Generator().manual_seed(0)


def shapley(game: dict[tuple[int, ...], Tensor], players: list[int]) -> Tensor:
    """Return the Shapley values [p, k] by the definition."""
    values = []
    for j in players:
        others, total = [i for i in players if i != j], torch.zeros(2, dtype=torch.double)
        for size in range(len(players)):
            weight = 1 / (len(players) * math.comb(len(players) - 1, size))
            for s in itertools.combinations(others, size):
                total += weight * (game[tuple(sorted((*s, j)))] - game[s])
        values.append(total)
    return torch.stack(values)


@pytest.mark.parametrize("players", [[0, 1, 2, 3], [0, 2, 3], [1, 3]])
def test_the_product_of_two_pairs_is_the_squared_error_on_average(players: list[int]) -> None:
    """All pairs of coalitions are enumerated with their probabilities; two outcomes, some players missing."""
    d = len(players)
    game = {
        s: torch.randn(2, generator=R, dtype=torch.double)
        for size in range(d + 1) for s in itertools.combinations(players, size)
    }  # fmt: skip
    exact = torch.zeros(2, 4, dtype=torch.double)
    exact[:, players] = shapley(game, players).T
    visible = torch.zeros(1, 4, dtype=torch.bool)
    visible[0, players] = True
    predicted = exact + 0.3 * torch.randn(2, 4, generator=R, dtype=torch.double) * visible
    predicted += (exact.sum(1, keepdim=True) - predicted.sum(1, keepdim=True)) / d * visible
    sets = [s for size in range(1, d) for s in itertools.combinations(players, size)]
    chance = torch.tensor([1 / (len(s) * (d - len(s)) * math.comb(d, len(s))) for s in sets], dtype=torch.double)
    chance /= chance.sum()
    masks = torch.tensor([[float(j in s) for j in range(4)] for s in sets], dtype=torch.double)
    other = [tuple(j for j in players if j not in s) for s in sets]
    gap = torch.stack([game[s] - game[o] for s, o in zip(sets, other, strict=True)])  # [c, k]
    error = gap - (2 * masks - visible.double()) @ predicted.T
    total = 0.0
    for a, b in itertools.product(range(len(sets)), repeat=2):
        two = measured(error[[a, b]][None], masks[[a, b]][None], visible)
        total += float(chance[a] * chance[b] * two)
    assert total == pytest.approx(float((exact - predicted).square().sum()), rel=1e-9)


def test_more_pairs_measure_the_mean_of_all_products_of_two() -> None:
    masks = (torch.rand(1, 5, 4, generator=R) < 0.5).double()
    error, visible = torch.randn(1, 5, 3, generator=R).double(), torch.ones(1, 4, dtype=torch.bool)
    twos = [measured(error[:, list(p)], masks[:, list(p)], visible) for p in itertools.combinations(range(5), 2)]
    torch.testing.assert_close(measured(error, masks, visible), torch.stack(twos).mean(0))


def test_a_row_without_two_players_has_no_error() -> None:
    visible = torch.tensor([[False, True, False], [False, False, False]])
    of = measured(torch.zeros(2, 2, 1), torch.zeros(2, 2, 3), visible)
    assert of.tolist() == [0, 0]


def test_the_loss_is_least_at_the_logarithm_of_the_mean_error() -> None:
    doubt, errors = torch.linspace(-6, 2, 801), torch.tensor([0.5, -0.2, 0.3, 0.2])
    losses = Doubt(4).loss(doubt[:, None], errors).mean(1)
    assert float(doubt[losses.argmin()].exp()) == pytest.approx(0.2, rel=0.02)


def test_trust_is_the_share_that_is_not_error() -> None:
    values, visible = torch.tensor([[[0.1, 0.5, 0.0]]]), torch.tensor([[True, True, False]])
    assert float(spread(values, visible)) == pytest.approx(0.08)
    of = trust(torch.tensor([0.08, 0.0, 1e9]).log(), torch.full((3,), 0.08))
    torch.testing.assert_close(of, torch.tensor([0.5, 1.0, 0.0]), atol=1e-6, rtol=0)
    assert float(trust(torch.tensor([-torch.inf]), torch.zeros(1))) == 0


def test_nothing_but_the_doubt_learns_from_its_loss() -> None:
    doubt = Doubt(4)
    tokens, size = torch.randn(2, 1, 3, 4, requires_grad=True), torch.rand(2, requires_grad=True)
    doubt.loss(doubt(tokens, size), torch.ones(2, requires_grad=True)).sum().backward()
    assert tokens.grad is None and size.grad is None
    assert all(float(p.grad.abs().sum()) > 0 for p in doubt.parameters())
