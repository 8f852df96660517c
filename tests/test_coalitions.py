"""Coalition designs: Shapley's axioms, brute force over all orders, KernelSHAP's least squares by its KKT system."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from mapsto.explainers import coalitions
from mapsto.explainers.coalitions import Design

F64 = torch.float64
DESIGNS: dict[str, Callable[[int], Design]] = {
    "exact": lambda players: coalitions.exact(players, F64),
    "permutations": lambda players: coalitions.permutations(players, pairs=4, dtype=F64),
    "kernel": lambda players: coalitions.kernel(players, samples=4 * players, dtype=F64),
    "kernel, all coalitions": lambda players: coalitions.kernel(players, samples=2**players, dtype=F64),
}
every_design = pytest.mark.parametrize("name", DESIGNS)


class Table:
    """A game with a random outcome `[k]` for every coalition: nothing about it is smooth, additive or symmetric."""

    def __init__(self, players: int, k: int = 2, seed: int = 0):
        self.outcomes = torch.randn(2**players, k, dtype=F64, generator=torch.Generator().manual_seed(seed))
        self.code = 2 ** torch.arange(players)

    def __call__(self, masks: Tensor) -> Tensor:
        return self.outcomes[(masks.long() * self.code).sum(-1)]


def values(design: Design, game: Callable[[Tensor], Tensor]) -> Tensor:
    return design.weights @ game(design.masks)


def over_all_orders(players: int, game: Callable[[Tensor], Tensor]) -> Tensor:
    """Average every player's marginal contribution over all `p!` orders: the definition, coalition by coalition."""
    total = torch.zeros_like(game(torch.eye(players)))
    for order in itertools.permutations(range(players)):
        mask = torch.zeros(players)
        for player in order:
            joined = mask + torch.eye(players)[player]
            total[player] += game(joined) - game(mask)
            mask = joined
    return total / math.factorial(players)


def least_squares(masks: Tensor, mass: Tensor, game: Callable[[Tensor], Tensor]) -> Tensor:
    """Minimise `Σ mass (v(S) − v(none) − Σ_{j∈S} φ_j)²` subject to `Σφ = v(all) − v(none)` by its KKT system."""
    players = masks.shape[1]
    none, everyone = game(torch.zeros(1, players))[0], game(torch.ones(1, players))[0]
    normal = masks.T.to(F64) * mass @ masks.to(F64)
    right = masks.T.to(F64) * mass @ (game(masks) - none)
    ones = torch.ones(players, 1, dtype=F64)
    system = torch.cat([torch.cat([normal, ones], 1), torch.cat([ones.T, torch.zeros(1, 1, dtype=F64)], 1)])
    return torch.linalg.solve(system, torch.cat([right, (everyone - none)[None]]))[:-1]


def kernel_mass(masks: Tensor) -> Tensor:
    """Return the Shapley kernel's mass of each coalition's size, shared evenly by the coalitions of that size."""
    players, size = masks.shape[1], masks.sum(1).long()
    alike = (size[:, None] == size).sum(1)
    return (players - 1) / (size * (players - size) * alike).to(F64)


def test_exact_is_the_average_over_all_orders() -> None:
    game = Table(4)
    expected = over_all_orders(4, game)
    assert expected.std() > 0.1
    torch.testing.assert_close(values(coalitions.exact(4, F64), game), expected)


def test_a_wrong_weight_is_found() -> None:
    game, design = Table(4), coalitions.exact(4, F64)
    banzhaf = design.weights.sign() / 2**3  # every coalition alike
    with pytest.raises(AssertionError):
        torch.testing.assert_close(values(Design(design.masks, banzhaf), game), over_all_orders(4, game))


@pytest.mark.parametrize("players", range(1, 9))
def test_the_kernel_over_all_coalitions_is_exact(players: int) -> None:
    game, samples = Table(players), 2**players - 2
    design = coalitions.kernel(players, samples, dtype=F64)
    assert len(design.masks) == samples + 2
    torch.testing.assert_close(values(design, game), values(coalitions.exact(players, F64), game))


def test_a_wrong_kernel_is_found() -> None:
    game = Table(4)
    masks = coalitions.exact(4).masks[1:-1]
    expected = over_all_orders(4, game)
    torch.testing.assert_close(least_squares(masks, kernel_mass(masks), game), expected)
    with pytest.raises(AssertionError):  # every coalition alike
        torch.testing.assert_close(least_squares(masks, torch.ones(len(masks), dtype=F64), game), expected)


@pytest.mark.parametrize(("players", "samples"), [(5, 14), (8, 40), (9, 100), (10, 256), (10, 1000)])
def test_the_kernel_solves_its_least_squares(players: int, samples: int) -> None:
    game, design = Table(players), coalitions.kernel(players, samples, seed=3, dtype=F64)
    drawn = design.masks[2:]
    torch.testing.assert_close(values(design, game), least_squares(drawn, kernel_mass(drawn), game))


@pytest.mark.parametrize("players", range(2, 11))
def test_the_kernel_draws_pairs_and_no_two_alike(players: int) -> None:
    for samples in range(4 * players, 2**players + 3, max(1, 2**players // 12)):
        masks = coalitions.kernel(players, samples).masks
        drawn = {tuple(row) for row in masks[2:].int().tolist()}
        assert masks[:2].tolist() == [[0.0] * players, [1.0] * players]
        assert len(drawn) == len(masks) - 2 == 2 * (min(samples, 2**players - 2) // 2)
        assert all(0 < sum(row) < players for row in drawn)
        assert drawn == {tuple(1 - j for j in row) for row in drawn}


@every_design
def test_efficiency(name: str) -> None:
    game, design = Table(6), DESIGNS[name](6)
    total = game(torch.ones(6)) - game(torch.zeros(6))
    assert total.abs().min() > 0.1
    torch.testing.assert_close(values(design, game).sum(0), total)


@every_design
def test_additive_games_are_answered_exactly(name: str) -> None:
    worth = torch.tensor([3.0, -1.0, 0.0, 0.5, 2.0, -4.0], dtype=F64)
    torch.testing.assert_close(values(DESIGNS[name](6), lambda masks: 7 + masks.to(F64) @ worth), worth)


def pairwise(masks: Tensor) -> Tensor:
    """A game of pairs only, `v = Σ_{i<j} A_ij`, whose Shapley values are half of each pair's worth."""
    return torch.einsum("...i,ij,...j->...", masks.to(F64), PAIRS, masks.to(F64))


PAIRS = torch.triu(torch.randn(6, 6, dtype=F64, generator=torch.Generator().manual_seed(1)), 1)


@every_design
def test_pairing_answers_games_of_pairs_exactly(name: str) -> None:
    # complements cancel every even order (for KernelSHAP see Mayer & Wüthrich 2025)
    torch.testing.assert_close(values(DESIGNS[name](6), pairwise), (PAIRS.sum(0) + PAIRS.sum(1)) / 2)


def test_drawing_without_complements_is_found() -> None:
    drawn = coalitions.kernel(6, 40, dtype=F64).masks[2:]
    half = drawn[torch.randperm(40, generator=torch.Generator().manual_seed(0))[:20]]
    with pytest.raises(AssertionError):
        expected = (PAIRS.sum(0) + PAIRS.sum(1)) / 2
        torch.testing.assert_close(least_squares(half, kernel_mass(half), pairwise), expected)


@pytest.mark.parametrize("name", [name for name in DESIGNS if name != "kernel"])  # there: up to sampling error
def test_a_player_who_changes_nothing_gets_nothing(name: str) -> None:
    game = Table(6)
    got = values(DESIGNS[name](6), lambda masks: game(masks * (torch.arange(6) != 2)))
    torch.testing.assert_close(got[2], torch.zeros(2, dtype=F64))
    assert got.abs().max() > 0.1


@pytest.mark.parametrize("name", ["exact", "kernel, all coalitions"])
def test_two_players_who_are_alike_get_alike(name: str) -> None:
    game = Table(6)
    both = torch.tensor([0, 1, 2, 4, 3, 5])
    got = values(DESIGNS[name](6), lambda masks: game(masks) + game(masks[:, both]))
    torch.testing.assert_close(got[3], got[4])
    assert (got[0] - got[1]).abs().min() > 1e-3


def smooth(masks: Tensor) -> Tensor:
    """A game of 10 players with interactions of every order, over 32 scores."""
    generator = torch.Generator().manual_seed(5)
    first, last = torch.randn(10, 32, generator=generator, dtype=F64), torch.randn(32, generator=generator, dtype=F64)
    return torch.sigmoid(masks.to(F64) @ first) * last


@pytest.mark.parametrize("kind", ["kernel", "permutations"])
def test_the_sampling_error_falls(kind: str) -> None:
    truth = values(coalitions.exact(10, F64), smooth)

    def error(budget: int, seed: int) -> float:
        pairs = budget // 20  # of orders, at about the same number of coalitions
        drawn = {"kernel": (coalitions.kernel, budget), "permutations": (coalitions.permutations, pairs)}
        draw, amount = drawn[kind]
        return (values(draw(10, amount, seed, dtype=F64), smooth) - truth).square().mean().item()

    mean = {budget: sum(error(budget, seed) for seed in range(8)) / 8 for budget in (40, 160, 960)}
    assert mean[40] > 2 * mean[160] > 4 * mean[960]
    assert mean[960] < 0.002 * truth.var().item()


def test_thousands_of_samples_answer_additive_games_exactly() -> None:
    """The least squares have one direction less than players; rounding must not make it a solution."""
    design = coalitions.kernel(14, 8192, dtype=F64)
    values = torch.linspace(-1, 1, 14, dtype=F64)
    torch.testing.assert_close(design.weights @ (design.masks.double() @ values), values)


def test_many_players_are_sampled() -> None:
    worth = torch.linspace(-1, 1, 60, dtype=F64)
    design = coalitions.kernel(60, 512, dtype=F64)
    torch.testing.assert_close(values(design, lambda masks: masks.to(F64) @ worth), worth)


@pytest.mark.parametrize("draw", [coalitions.kernel, coalitions.permutations])
def test_the_seed_decides(draw: Callable[..., Design]) -> None:
    state = torch.get_rng_state()
    first, again, other = draw(9, 60, 1), draw(9, 60, 1), draw(9, 60, 2)
    assert torch.equal(first.masks, again.masks) and torch.equal(first.weights, again.weights)
    assert not torch.equal(first.masks, other.masks)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "make",
    [
        lambda: coalitions.exact(7, torch.float16),
        lambda: coalitions.kernel(7, 33, seed=901),
        lambda: coalitions.permutations(7, 3, seed=902),
    ],
)
def test_a_design_first_made_inside_a_transform_outlives_it(make: Callable[[], Design]) -> None:
    coalitions.exact_arrays.cache_clear()
    slope = vmap(grad(lambda x: (make().masks @ x).sum()))(torch.ones(2, 7))
    design = make()
    torch.testing.assert_close(slope, design.masks.sum(0).expand(2, 7))
    assert design.weights.numpy().shape == (7, len(design.masks))  # a dead wrapper would refuse


def test_a_design_that_is_changed_in_place_changes_no_other() -> None:
    coalitions.exact(4, F64).weights.zero_()
    assert coalitions.exact(4, F64).weights.abs().min() > 0


@pytest.mark.parametrize("samples", [0, 2, 10, 16])
def test_too_few_samples_are_refused(samples: int) -> None:
    with pytest.raises(ValueError, match=f"samples: got {samples}, .* 10 players .* at least 18; pass about 80"):
        coalitions.kernel(10, samples)


def test_design_enumerates_up_to_its_limit() -> None:
    assert torch.equal(coalitions.design(6, limit=6).masks, coalitions.exact(6).masks)
    assert coalitions.design(7, limit=6, pairs=2).masks.shape == (2 * 2 * 8, 7)
