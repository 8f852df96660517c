"""Measures of explanations by hand on tiny cases, then against captum, scikit-learn, SciPy or brute force.

Every oracle's answer is first shown to be worth agreeing with: spread out, and different from row to row.
"""

import itertools
import math
from collections.abc import Callable

import captum.metrics
import numpy as np
import pytest
import torch
from scipy.stats import entropy, spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from mapsto.errors import MapstoError
from mapsto.explainers import Gradient, IntegratedGradients, Shapley
from mapsto.measures import (
    agreement,
    auroc,
    complexity,
    hiding_infidelity,
    infidelity,
    insertion_deletion,
    max_sensitivity,
    rationale,
    recovery,
    selection,
)
from mapsto.measures.faithfulness.infidelity import Infidelity, noise, squares
from mapsto.measures.faithfulness.perturbation_curves import Curves
from mapsto.measures.faithfulness.ranking import midranks, order, rank_correlation
from mapsto.measures.faithfulness.sufficiency import ERASER, Rationale
from mapsto.measures.robustness.sensitivity import around
from mapsto.views import Game, game

F64 = torch.float64


def network() -> nn.Sequential:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3)).to(F64)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=F64)
    return net.requires_grad_(False)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


NET, X, TARGET = network(), normal(5, 6, seed=1), 2


def view(x: Tensor) -> Tensor:
    return NET(x)[..., TARGET]


def hiding(x: Tensor) -> Game:
    return game(view, x)


def assert_agree(ours: Tensor, theirs: Tensor, atol: float = 1e-9) -> None:
    assert theirs.shape == ours.shape and theirs.std() > 0.01  # worth agreeing with
    torch.testing.assert_close(ours, theirs.to(ours), rtol=0, atol=atol)


# ---- insertion and deletion


class Table:
    """A game with a random outcome for every coalition."""

    def __init__(self, players: int, seed: int = 0):
        self.outcomes, self.code = normal(2**players, seed=seed), 2 ** torch.arange(players)

    def __call__(self, mask: Tensor) -> Tensor:
        return self.outcomes[(mask.long() * self.code).sum(-1)]


TABLE = Table(5)


def table_game(x: Tensor) -> Game:
    return Game(TABLE, 5)


def gap_of(players: tuple[int, ...], value: Callable[[Tensor], Tensor]) -> float:
    """The area between the curves of one order, coalition by coalition."""
    p, areas = len(players), []
    for hide in (False, True):
        outcomes = []
        for i in range(p + 1):
            first = torch.tensor([float(j in players[:i]) for j in range(p)])
            outcomes.append(float(value(1 - first if hide else first)))
        areas.append(sum((a + b) / 2 for a, b in itertools.pairwise(outcomes)) / p)
    return areas[0] - areas[1]


def test_curves_by_hand() -> None:
    # v(none) 0, v(first) 1, v(second) 4, v(both) 6; the second player comes first
    games = lambda x: Game(lambda mask: mask[0] + 4 * mask[1] + mask[0] * mask[1], 2)  # noqa: E731
    found = insertion_deletion(games, torch.zeros(1, 1), torch.tensor([[0.2, 0.5]]))
    assert found.insertion.tolist() == [[0, 4, 6]] and found.deletion.tolist() == [[6, 1, 0]]
    assert found.insertion_area.item() == pytest.approx((0 + 4) / 4 + (4 + 6) / 4)
    assert found.deletion_area.item() == pytest.approx((6 + 1) / 4 + (1 + 0) / 4)
    assert found.gap.item() == pytest.approx(1.5) and found.share.item() == pytest.approx(1.5 / 6)
    assert found.aopc.item() == pytest.approx((0 + 5 + 6) / 3)


def test_the_gap_is_that_of_a_loop_and_lies_between_the_anchors() -> None:
    every = {players: gap_of(players, TABLE) for players in itertools.permutations(range(5))}
    assert np.mean(list(every.values())) == pytest.approx(0, abs=1e-9)  # a random order
    values = Shapley()(table_game(X[0]))
    ours = insertion_deletion(table_game, torch.zeros(1, 1), values[None]).gap.item()
    assert ours == pytest.approx(every[tuple(order(values).tolist())])
    best = max(every.values())
    assert 0.1 < ours <= best
    for players in (max(every, key=every.__getitem__), min(every, key=every.__getitem__)):
        told = torch.zeros(1, 5, dtype=F64).scatter(1, torch.tensor([players]), torch.arange(5, 0, -1)[None].to(F64))
        assert insertion_deletion(table_game, torch.zeros(1, 1), told).gap.item() == pytest.approx(every[players])


def law_of_curves(measure: Callable) -> None:
    """Both curves, their areas and what is made of them, coalition by coalition, for rows of different orders."""
    values = normal(3, 5, seed=11)
    found = measure(table_game, torch.zeros(3, 1), values)
    for i in range(3):
        players = tuple(values[i].argsort(descending=True).tolist())
        shown = [TABLE(torch.tensor([float(j in players[:c]) for j in range(5)])) for c in range(6)]
        hidden = [TABLE(torch.tensor([float(j not in players[:c]) for j in range(5)])) for c in range(6)]
        torch.testing.assert_close(found.insertion[i], torch.stack(shown))
        torch.testing.assert_close(found.deletion[i], torch.stack(hidden))
        assert found.gap[i].item() == pytest.approx(gap_of(players, TABLE))
        assert found.insertion_area[i].item() == pytest.approx(np.trapezoid(shown, dx=1 / 5))
        whole = abs(float(hidden[0] - hidden[-1]))
        assert found.share[i].item() == pytest.approx(gap_of(players, TABLE) / whole)
        assert found.aopc[i].item() == pytest.approx(np.mean([float(hidden[0] - one) for one in hidden]))


def test_curves_are_those_of_a_loop() -> None:
    assert TABLE.outcomes.std() > 0.5
    law_of_curves(insertion_deletion)


class Rectangles(Curves):
    @property
    def insertion_area(self) -> Tensor:
        return self.insertion[:, 1:].mean(-1)


class WithoutTheStart(Curves):
    @property
    def aopc(self) -> Tensor:
        return (self.deletion[:, :1] - self.deletion[:, 1:]).mean(-1)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda games, x, values: insertion_deletion(games, x, -values),
        lambda games, x, values: insertion_deletion(games, x, values.abs()),
        lambda games, x, values: insertion_deletion(games, x, values.mean(0).expand_as(values)),
        lambda games, x, values: (c := insertion_deletion(games, x, values))._replace(deletion=c.insertion.flip(1)),
        lambda games, x, values: Rectangles(*insertion_deletion(games, x, values)),
        lambda games, x, values: WithoutTheStart(*insertion_deletion(games, x, values)),
    ],
    ids=["least first", "by size", "one order for all", "mirrored", "rectangles", "without the start"],
)
def test_the_law_of_curves_finds_mutants(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        law_of_curves(mutant)


def test_outcomes_that_are_no_numbers_are_refused() -> None:
    lost = lambda x: game(lambda x: x.sum() * math.nan, x)  # noqa: E731
    for measure in (insertion_deletion, rationale, hiding_infidelity):
        with pytest.raises(MapstoError, match="games: got 5 of 5 rows that are not finite"):
            measure(lost, X, X)
    with pytest.raises(MapstoError, match="view: got 5 of 5 rows that are not finite"):
        infidelity(lambda x: x.sum() / 0, X, X, X[:, None])
    with pytest.raises(MapstoError, match="samples: got 0"):
        hiding_infidelity(hiding, X, X, samples=0)
    with pytest.raises(MapstoError, match=r"perturbations: got shape \(5, 0, 6\)"):
        infidelity(view, X, X, X[:, None][:, :0])


def test_steps_hide_groups_of_players() -> None:
    values = normal(1, 5, seed=9)
    whole, half = (insertion_deletion(table_game, torch.zeros(1, 1), values, steps) for steps in (None, 2))
    assert half.share_of_players.tolist() == [0, 0.4, 1]
    assert half.deletion.tolist() == whole.deletion[:, [0, 2, 5]].tolist()
    with pytest.raises(MapstoError, match="steps: got 6"):
        insertion_deletion(table_game, torch.zeros(1, 1), values, 6)


def test_ties_are_broken_by_the_seed_and_not_by_position() -> None:
    flat = torch.zeros(40)
    assert order(flat).tolist() == order(flat).tolist() != order(flat, seed=1).tolist()
    assert order(flat).tolist() != list(range(40)) and sorted(order(flat).tolist()) == list(range(40))
    assert order(torch.tensor([1.0, 2.0, 1.0, 3.0]))[:2].tolist() == [3, 1]
    gaps = [insertion_deletion(table_game, torch.zeros(1, 1), torch.zeros(1, 5), seed=s).gap.item() for s in range(300)]
    assert np.std(gaps) > 0.1 and abs(np.mean(gaps)) < 4 * np.std(gaps) / math.sqrt(300)


def test_share_is_nan_where_hiding_everything_changes_nothing() -> None:
    found = insertion_deletion(lambda x: Game(lambda mask: 0 * mask.sum(), 3), torch.zeros(1, 1), torch.eye(3)[:1])
    assert found.share.isnan().all() and found.gap.tolist() == [0]


def test_curves_refuse_what_does_not_fit() -> None:
    with pytest.raises(MapstoError, match=r"values: got shape \(5, 4\)"):
        insertion_deletion(hiding, X, X[:, :4])
    with pytest.raises(MapstoError, match="expected one number; give the view a target"):
        insertion_deletion(lambda x: game(NET, x), X, X)
    with pytest.raises(MapstoError, match="points: got no row"):
        insertion_deletion(hiding, X[:0], X[:0])


# ---- sufficiency


def test_rationales_by_hand() -> None:
    slope = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0])
    x = torch.ones(1, 5)
    found = rationale(lambda x: game(lambda x: x @ slope, x), x, slope * x, shares=[0.2, 0.5, 1.0])
    # ⌈0.2·5⌉ = 1, ⌈0.5·5⌉ = 3, 5 players
    assert found.comprehensiveness.tolist() == [[4, 9, 10]] and found.sufficiency.tolist() == [[6, 1, 0]]
    assert found.aopc_comprehensiveness.item() == pytest.approx(23 / 3)
    assert found.aopc_sufficiency.item() == pytest.approx(7 / 3)


def law_of_rationales(measure: Callable) -> None:
    values = normal(5, 6, seed=2)
    found = measure(hiding, X, values)
    assert_agree(found.aopc_sufficiency, found.sufficiency.mean(1))
    assert_agree(found.aopc_comprehensiveness, found.comprehensiveness.mean(1))
    for b, share in enumerate((0.01, 0.05, 0.1, 0.2, 0.5)):
        for i in range(5):
            first = values[i].topk(math.ceil(share * 6)).indices
            only = torch.zeros(6, dtype=F64).index_copy(0, first, X[i, first])
            torch.testing.assert_close(found.sufficiency[i, b], view(X[i]) - view(only))
            torch.testing.assert_close(found.comprehensiveness[i, b], view(X[i]) - view(X[i] - only))


def test_rationales_are_their_definition() -> None:
    law_of_rationales(rationale)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda games, x, values: rationale(games, x, values.abs()),
        lambda games, x, values: rationale(games, x, -values),
        lambda games, x, values: Rationale(*reversed(rationale(games, x, values))),
        lambda games, x, values: Rationale(*(-part for part in rationale(games, x, values))),
        lambda games, x, values: rationale(games, x, values, [max(1, int(s * 6)) / 6 for s in ERASER]),  # rounds down
    ],
    ids=["by size", "least first", "swapped", "sign", "rounded down"],
)
def test_the_law_of_rationales_finds_mutants(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        law_of_rationales(mutant)


@pytest.mark.parametrize("shares", [[], [0.0], [0.5, 1.5]])
def test_rationales_refuse_shares_that_are_none(shares: list[float]) -> None:
    with pytest.raises(MapstoError, match="shares: got"):
        rationale(hiding, X, X, shares=shares)


# ---- infidelity


def test_infidelity_by_hand() -> None:
    view, x = (lambda x: x[0] * x[1]), torch.tensor([[2.0, 3.0]])
    moves = torch.tensor([[[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]]])  # what is lost: 6, 6, 6 − 1·2 = 4
    found = infidelity(view, x, torch.tensor([[3.0, 2.0]]), moves)  # told: 6, 6, 5
    assert found.plain.item() == pytest.approx(1 / 3)
    scale = (36 + 36 + 20) / (36 + 36 + 25)
    assert found.scaled.item() == pytest.approx((2 * (6 * scale - 6) ** 2 + (5 * scale - 4) ** 2) / 3)


def captums_infidelity(slopes: Tensor, moves: Tensor, normalize: bool) -> Tensor:
    def perturb(inputs: Tensor) -> tuple[Tensor, Tensor]:
        by = moves.flatten(0, 1)
        return by, inputs - by

    samples = moves.shape[1]
    return captum.metrics.infidelity(
        NET, perturb, X, slopes, target=TARGET, n_perturb_samples=samples, normalize=normalize
    )


def law_of_infidelity(measure: Callable) -> None:
    for moves in (noise(X, 20, deviation=0.5), normal(5, 7, 6, seed=8)):
        slopes = Gradient().over(view, X)
        found = measure(view, X, slopes, moves)
        assert_agree(found.plain, captums_infidelity(slopes, moves, False), 1e-4)
        assert_agree(found.scaled, captums_infidelity(slopes, moves, True), 1e-4)


def test_infidelity_is_captums() -> None:
    law_of_infidelity(infidelity)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda view, x, slopes, moves: infidelity(view, x, slopes, -moves),
        lambda view, x, slopes, moves: infidelity(view, x, slopes * x, moves),
        lambda view, x, slopes, moves: Infidelity(*[infidelity(view, x, slopes, moves).plain] * 2),
    ],
)
def test_the_law_of_infidelity_finds_mutants(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        law_of_infidelity(mutant)


def test_infidelity_of_hidden_players_is_that_of_slopes_moved_to_the_baseline() -> None:
    values = IntegratedGradients().over(view, X)
    hidden = (torch.rand(64, 6, generator=torch.Generator().manual_seed(0)) < 0.5).to(F64)
    ours, theirs = hiding_infidelity(hiding, X, values), infidelity(view, X, values / X, hidden * X[:, None])
    assert_agree(ours.plain, theirs.plain)
    assert_agree(ours.scaled, theirs.scaled)


def test_nothing_told_has_the_infidelity_of_the_change_itself() -> None:
    found = hiding_infidelity(hiding, X, torch.zeros_like(X))
    assert found.plain.min() > 0.1 and torch.equal(found.plain, found.scaled)


def test_squares_hide_every_square_once() -> None:
    image = normal(2, 3, 4, 5, seed=3) + 5
    moves = squares(image, side=2, baseline=1.0)
    assert moves.shape == (2, 12, 3, 4, 5)
    left = image[:, None] - moves
    assert ((left == 1).sum((2, 3, 4)) == 3 * 4).all()  # three channels of a square of four
    assert len({tuple((one == 1).flatten().tolist()) for one in left[0]}) == 12
    assert (left[0, 0, :, :2, :2] == 1).all() and (left[0, -1, :, 2:, 3:] == 1).all()
    with pytest.raises(MapstoError, match="side: got 5 for points of shape"):
        squares(image, side=5)


def test_infidelity_refuses_what_does_not_fit() -> None:
    with pytest.raises(MapstoError, match=r"slopes: got shape \(5, 4\)"):
        infidelity(view, X, X[:, :4], X[:, None])
    with pytest.raises(MapstoError, match=r"perturbations: got shape \(5, 1, 4\)"):
        infidelity(view, X, X, X[:, None, :4])
    with pytest.raises(MapstoError, match="expected one number; give a target"):
        infidelity(NET, X, X, X[:, None])
    with pytest.raises(MapstoError, match="slopes: got 30 of 30 that are not finite"):
        infidelity(view, X, X * math.nan, X[:, None])


# ---- sensitivity


def captums_sensitivity(neighbours: Tensor) -> Tensor:
    def explain(inputs: Tensor | tuple[Tensor]) -> Tensor | tuple[Tensor]:
        if isinstance(inputs, tuple):
            return (Gradient().over(view, *inputs),)
        return Gradient().over(view, inputs)

    near, samples = neighbours.flatten(0, 1), neighbours.shape[1]
    return captum.metrics.sensitivity_max(explain, X, lambda inputs: near, n_perturb_samples=samples)


def law_of_sensitivity(measure: Callable) -> None:
    neighbours = around(X, radius=0.3, samples=9)
    found = measure(Gradient(), lambda x: view, X, neighbours)
    assert_agree(found.relative, captums_sensitivity(neighbours), 1e-4)
    assert_agree(found.absolute, found.relative * Gradient().over(view, X).norm(dim=1))


def test_max_sensitivity_is_captums() -> None:
    law_of_sensitivity(max_sensitivity)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda explain, of, x, near: max_sensitivity(explain, of, x, near[:, :5]),
        lambda explain, of, x, near: max_sensitivity(lambda view, x: explain(view, x).abs(), of, x, near),
        lambda explain, of, x, near: max_sensitivity(explain, of, near[:, 0], near),
    ],
)
def test_the_law_of_sensitivity_finds_mutants(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        law_of_sensitivity(mutant)


def test_neighbours_are_near_and_reach_the_border() -> None:
    away = (around(X, radius=0.3, samples=200) - X[:, None]).abs()
    assert 0.29 < away.max() <= 0.3
    assert away.mean() == pytest.approx(0.15, abs=0.01)


def test_sensitivity_of_nothing_and_misfits() -> None:
    zero = lambda view, x: torch.zeros_like(x)  # noqa: E731
    nothing = max_sensitivity(zero, lambda x: view, X, around(X, 0.1))
    assert nothing.relative.tolist() == [0] * 5  # as captum says
    far = lambda view, x: (x - X[0]).abs().ge(1e-9).double()  # noqa: E731 (0 at the first point, 1 beside it)
    beside = max_sensitivity(far, lambda x: view, X[:1], around(X[:1], 0.1))
    torch.testing.assert_close(beside.relative, beside.absolute)
    assert beside.absolute.item() == pytest.approx(6**0.5)
    with pytest.raises(MapstoError, match=r"neighbours: got shape \(5, 0, 6\)"):
        max_sensitivity(zero, lambda x: view, X, X[:, None][:, :0])


# ---- complexity


def test_complexity_by_hand() -> None:
    found = complexity(torch.tensor([[3.0, 0.0, -1.0]]))
    # sorted 0 1 3: (−2·0 + 0·1 + 2·3) / (3·4);  shares ¾ 0 ¼
    assert found.gini.item() == pytest.approx(0.5)
    assert found.entropy.item() == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))


def law_of_complexity(measure: Callable) -> None:
    """Gini's index is half the relative mean difference of all pairs; the entropy is SciPy's."""
    found, size = measure(X), X.abs()
    assert_agree(found.entropy, torch.from_numpy(entropy(size.numpy(), axis=1)))
    assert_agree(found.gini, (size[:, :, None] - size[:, None]).abs().mean((1, 2)) / (2 * size.mean(1)))


def test_complexity_is_that_of_all_pairs_and_of_scipy() -> None:
    law_of_complexity(complexity)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda values: complexity(values.relu()),
        lambda values: complexity(values.square()),
        lambda values: (c := complexity(values))._replace(gini=-c.gini),
        lambda values: (c := complexity(values))._replace(gini=c.gini * 6 / 5),  # the estimate for a sample
        lambda values: (c := complexity(values))._replace(entropy=c.entropy / math.log(2)),
        lambda values: (c := complexity(values))._replace(entropy=c.entropy / math.log(6)),
    ],
    ids=["signed", "squared", "falling", "unbiased", "bits", "relative"],
)
def test_the_law_of_complexity_finds_mutants(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        law_of_complexity(mutant)


def test_complexity_of_what_is_huge_or_in_half_precision() -> None:
    huge = torch.tensor([[3e38, 3e38, 0.0], [1.0, 1.0, 0.0]])
    for part in complexity(huge):
        torch.testing.assert_close(part[0], part[1])
    values = normal(3, 784, seed=3).abs()
    for half, exact in zip(complexity(values.bfloat16()), complexity(values), strict=True):
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.double(), exact, rtol=4e-3, atol=0)


def test_the_ends_of_complexity() -> None:
    even, alone, nothing = torch.full((8,), -2.0), torch.eye(8)[3], torch.zeros(8)
    assert complexity(alone).gini.item() == pytest.approx(7 / 8) and complexity(alone).entropy.item() == 0
    for values in (even, nothing):
        assert complexity(values).gini.item() == pytest.approx(0, abs=1e-7)
        assert complexity(values).entropy.item() == pytest.approx(math.log(8))


# ---- ranks


def test_rank_correlation_is_scipys_with_ties() -> None:
    a, b = normal(20, 7, seed=4).round(decimals=0), normal(20, 7, seed=5).round(decimals=0)
    theirs = torch.tensor([spearmanr(u, v).statistic for u, v in zip(a.numpy(), b.numpy(), strict=True)])
    assert any(len(row.unique()) < 7 for row in a)
    assert_agree(rank_correlation(a, b), theirs)
    assert_agree(rank_correlation(a.view(4, 5, 7), b.view(4, 5, 7)).flatten(), theirs)


def test_rank_correlation_has_no_say_of_constants_and_refuses_misfits(unchecked: None) -> None:
    assert rank_correlation(torch.ones(3), torch.arange(3.0)).isnan()
    rows = normal(4, 6, seed=1), normal(4, 6, seed=2)
    torch.testing.assert_close(torch.func.vmap(rank_correlation)(*rows), rank_correlation(*rows))
    with pytest.raises(MapstoError, match=r"values: got torch\.int64"):
        rank_correlation(torch.arange(3), torch.arange(3))
    assert midranks(torch.ones(4)).tolist() == [2.5] * 4
    with pytest.raises(MapstoError, match=r"b: got shape \(4,\)"):
        rank_correlation(torch.ones(3), torch.ones(4))


# ---- known truth


def planted(*shape: int) -> tuple[Tensor, Tensor]:
    values, truth = (2 * normal(*shape, seed=6)).round(decimals=0), normal(*shape, seed=7) > 0.3
    truth[..., 0], truth[..., 1], values[..., 2] = True, False, 1.0
    return values, truth


def over_all_ties(size: list[float], truth: list[bool], m: int) -> float:
    """The mean share of the true columns among the m largest, over all orders that the values allow."""
    allowed = [
        players
        for players in itertools.permutations(range(len(size)))
        if all(size[a] >= size[b] for a, b in itertools.pairwise(players))
    ]
    return sum(sum(truth[j] for j in players[:m]) for players in allowed) / len(allowed)


def law_of_recovery(measure: Callable) -> None:
    values, truth = planted(30, 6)
    size, found = values.abs().tolist(), measure(values, truth)
    auc = [roc_auc_score(t, s) for t, s in zip(truth.tolist(), size, strict=True)]
    assert_agree(found.auroc, torch.tensor(auc, dtype=F64))
    tpr = [over_all_ties(s, t, sum(t)) / sum(t) for s, t in zip(size, truth.tolist(), strict=True)]
    assert_agree(found.tpr, torch.tensor(tpr), 1e-6)
    assert_agree(found.fdr, 1 - torch.tensor(tpr), 1e-6)
    first = [over_all_ties(s, t, 1) for s, t in zip(size, truth.tolist(), strict=True)]
    assert_agree(found.pointing, torch.tensor(first), 1e-6)
    mass = [sum(a for a, b in zip(s, t, strict=True) if b) / sum(s) for s, t in zip(size, truth.tolist(), strict=True)]
    assert_agree(found.mass, torch.tensor(mass), 1e-6)


def test_recovery_is_scikit_learns_and_its_definition() -> None:
    law_of_recovery(recovery)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda values, truth: recovery(values + 10, truth),  # signed
        lambda values, truth: recovery(values + 1e-6 * torch.arange(6).to(F64), truth),  # ties by position
        lambda values, truth: recovery(values, truth.flip(1) | truth),
        lambda values, truth: recovery(values, truth)._replace(mass=recovery(values.square(), truth).mass),
    ],
)
def test_the_law_of_recovery_finds_mutants(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        law_of_recovery(mutant)


def test_recovery_of_tasks_is_that_of_their_rows() -> None:
    values, truth = planted(3, 4, 6)
    tasks, rows = recovery(values, truth), recovery(values.flatten(0, 1), truth.flatten(0, 1))
    for ours, flat in zip(tasks, rows, strict=True):
        assert torch.equal(ours.flatten(), flat) and ours.std() > 0.01


@pytest.mark.parametrize("constant", [0.0, 2.5])
def test_a_constant_attribution_gets_chance(constant: float) -> None:
    found = recovery(torch.full((1, 5), constant), torch.tensor([[True, True, False, False, False]]))
    assert [round(part.item(), 6) for part in found] == [0.5, 0.4, 0.6, 0.4, 0.4]


def test_selection_by_hand() -> None:
    values = torch.tensor([[3.0, -2.0, 0.1, 1.0], [0.1, 0.1, 0.1, 0.1]])
    truth = torch.tensor([[True, False, True, False], [True, False, False, False]])
    found = selection(values, truth, threshold=0.5)
    assert found.tpr.tolist() == [0.5, 0.0] and found.fdr.tolist() == [pytest.approx(2 / 3), 0.0]


def test_recovery_counts_in_half_precision() -> None:
    values, truth = normal(4, 784, seed=8).bfloat16(), torch.arange(784).expand(4, -1) < 333
    for half, exact in zip(recovery(values, truth), recovery(values.double(), truth), strict=True):
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.double(), exact, rtol=4e-3, atol=0)


def test_scores_that_are_nan_have_no_auroc() -> None:
    truth = torch.tensor([[True, False, False], [True, False, False]])
    assert auroc(torch.tensor([[1.0, math.nan, 2.0], [1.0, 0.0, -math.inf]]), truth).isnan().tolist() == [True, False]


def test_whole_numbers_have_no_auroc_that_would_be_rounded(unchecked: None) -> None:
    with pytest.raises(MapstoError, match=r"scores: got torch\.int64"):
        auroc(torch.tensor([[1, 2, 2]]), torch.tensor([[True, False, False]]))


def test_agreement_needs_two_of_one_shape(unchecked: None) -> None:
    with pytest.raises(MapstoError, match=r"truth: got shape \(2, 4\)"):
        agreement(np.ones((2, 3)), np.ones((2, 4)))


def test_recovery_needs_a_truth(unchecked: None) -> None:
    values, truth = planted(3, 6)
    with pytest.raises(MapstoError, match=r"truth: got 2 row\(s\) without a true column"):
        recovery(values, truth & torch.tensor([[True], [False], [False]]))
    with pytest.raises(MapstoError, match=r"truth: got shape \(3, 5\)"):
        recovery(values, truth[:, :5])
    with pytest.raises(MapstoError, match="values: got 18 of 18 that are not finite"):
        selection(values * math.nan, truth, 0.5)
    assert recovery(values, truth | True).auroc.isnan().all()
