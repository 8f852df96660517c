"""The laws of the measures of explanations: every measure is held to every law, every law to one that breaks it.

A measure that does not claim a law stands in `EXEMPT` with the reason, and must indeed break it.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from mapsto.errors import MapstoError
from mapsto.explainers import Shapley
from mapsto.measures import (
    LinearRegression,
    auroc,
    complexity,
    hiding_infidelity,
    infidelity,
    insertion_deletion,
    max_sensitivity,
    randomised_model,
    rationale,
    recovery,
    selection,
)
from mapsto.measures.faithfulness.ranking import rank_correlation
from mapsto.views import Game, game

F64 = torch.float64
PLAYERS, ROWS = 6, 4


class Problem(NamedTuple):
    """A network of one output, an explainer of it, rows, the columns that are said to decide, and rows besides."""

    net: nn.Module
    explain: Callable[[nn.Module, Tensor], Tensor]
    points: Tensor
    truth: Tensor
    background: Tensor
    chunk: int | None = None

    @property
    def values(self) -> Tensor:
        return self.explain(self.net, self.points)

    def games(self, x: Tensor) -> Game:
        return game(lambda x: self.net(x)[0], x)

    def roads(self, x: Tensor) -> Game:
        return LinearRegression(self.background, noise=0.0).game(lambda x: self.net(x)[0], x)


def slope_times_input(net: nn.Module, points: Tensor) -> Tensor:
    return points * slopes(net, points)


def slopes(net: nn.Module, points: Tensor) -> Tensor:
    return vmap(torch.func.grad(lambda x: net(x)[0]))(points).detach()


def network(seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(PLAYERS, 8), nn.Tanh(), nn.Linear(8, 1)).to(F64)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=F64)
    return net.requires_grad_(False)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def problem(explain: Callable = slope_times_input) -> Problem:
    truth = normal(ROWS, PLAYERS, seed=3) > 0
    truth[:, 0], truth[:, 1] = True, False
    mixing = normal(PLAYERS, PLAYERS, seed=4)
    return Problem(network(), explain, normal(ROWS, PLAYERS, seed=1), truth, normal(30, PLAYERS, seed=2) @ mixing)


def one_column_each(p: Problem) -> Tensor:
    return p.points[:, None] * torch.eye(p.points.shape[1]).to(p.points)  # [n, s, d]


def moved_a_little(p: Problem) -> Tensor:
    return p.points[:, None] + 0.02 * torch.eye(p.points.shape[1]).to(p.points)


def of_one(p: Problem) -> Callable:
    return lambda net, x: p.explain(net, x[None])[0]


def sensitivity_of(p: Problem) -> NamedTuple:
    return max_sensitivity(of_one(p), lambda x: p.net, p.points, moved_a_little(p))


def curves(p: Problem) -> NamedTuple:
    return insertion_deletion(p.games, p.points, p.values, chunk_size=p.chunk)


def reasons(p: Problem) -> NamedTuple:
    return rationale(p.games, p.points, p.values, shares=[0.2, 0.5], chunk_size=p.chunk)


def of_slopes(p: Problem) -> NamedTuple:
    return infidelity(lambda x: p.net(x)[0], p.points, p.values, one_column_each(p), p.chunk)


def hidden(p: Problem) -> NamedTuple:
    return hiding_infidelity(p.games, p.points, p.values, samples=20, chunk_size=p.chunk)


def exact_shapley(p: Problem) -> Tensor:
    return Shapley().over(p.games, p.points)


Measure = Callable[[Problem], Tensor]
MEASURES: dict[str, Measure] = {
    "deletion area": lambda p: curves(p).deletion_area,
    "insertion area": lambda p: curves(p).insertion_area,
    "gap": lambda p: curves(p).gap,
    "share": lambda p: curves(p).share,
    "aopc": lambda p: curves(p).aopc,
    "gap, ROAD": lambda p: insertion_deletion(p.roads, p.points, p.values, chunk_size=p.chunk).gap,
    "comprehensiveness": lambda p: reasons(p).aopc_comprehensiveness,
    "sufficiency": lambda p: reasons(p).aopc_sufficiency,
    "infidelity": lambda p: of_slopes(p).plain,
    "infidelity, scaled": lambda p: of_slopes(p).scaled,
    "hiding infidelity": lambda p: hidden(p).plain,
    "hiding infidelity, scaled": lambda p: hidden(p).scaled,
    "max-sensitivity": lambda p: sensitivity_of(p).relative,
    "max-sensitivity, absolute": lambda p: sensitivity_of(p).absolute,
    "gini": lambda p: complexity(p.values).gini,
    "entropy": lambda p: complexity(p.values).entropy,
    "auroc": lambda p: recovery(p.values, p.truth).auroc,
    "tpr": lambda p: recovery(p.values, p.truth).tpr,
    "fdr": lambda p: recovery(p.values, p.truth).fdr,
    "pointing": lambda p: recovery(p.values, p.truth).pointing,
    "mass": lambda p: recovery(p.values, p.truth).mass,
    "tpr at a threshold": lambda p: selection(p.values, p.truth, 0.7).tpr,
    "fdr at a threshold": lambda p: selection(p.values, p.truth, 0.7).fdr,
    "rank correlation": lambda p: rank_correlation(p.values, exact_shapley(p)),
    "sanity check": lambda p: randomised_model(of_one(p), p.net, lambda net: net, p.points).signed.mean(0),
}
SMALL_IS_GOOD = {
    *("deletion area", "sufficiency", "infidelity", "infidelity, scaled", "hiding infidelity"),
    *("hiding infidelity, scaled", "fdr", "fdr at a threshold"),
}


# ---- the laws


def shape(measure: Measure) -> None:
    p = problem()
    found = measure(p)
    assert found.shape == (ROWS,) and found.dtype == F64 and found.isfinite().all() and not found.requires_grad
    single = measure(p._replace(net=network().float(), points=p.points.float(), background=p.background.float()))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), found, rtol=1e-3, atol=1e-3)


def by_rows(measure: Measure) -> None:
    p = problem()
    alone = [measure(p._replace(points=p.points[i : i + 1], truth=p.truth[i : i + 1])) for i in range(ROWS)]
    for chunk in (None, 1, 3):
        torch.testing.assert_close(measure(p._replace(chunk=chunk)), torch.cat(alone))


class Reordered(nn.Module):
    """The same network on columns in another order."""

    def __init__(self, net: nn.Module, columns: Tensor):
        super().__init__()
        self.net, self.back = net, columns.argsort()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x[..., self.back])


def equivariant(measure: Measure) -> None:
    p, columns = problem(), torch.tensor([3, 0, 5, 1, 4, 2])
    moved = Problem(
        Reordered(p.net, columns), p.explain, p.points[:, columns], p.truth[:, columns], p.background[:, columns]
    )
    torch.testing.assert_close(measure(moved), measure(p))


def scale_free(measure: Measure) -> None:
    tripled = problem(lambda net, x: 3 * slope_times_input(net, x))
    torch.testing.assert_close(measure(tripled), measure(problem()))


def linear_problem(good: bool) -> Problem:
    """A line whose slopes fall from column to column, explained by what each column gives, or in the wrong order."""
    slope = torch.tensor([8.0, 5.0, 3.0, 0.0, 0.0, 0.0], dtype=F64)
    net = nn.Linear(PLAYERS, 1, bias=False).to(F64).requires_grad_(False)
    net.weight.copy_(slope[None])
    points = 1 + normal(ROWS, PLAYERS, seed=5).abs() / 4
    truth = (slope > 0).expand(ROWS, -1)
    background = normal(30, PLAYERS, seed=6)
    told = slope if good else slope.flip(0)
    return Problem(net, lambda net, x: told.to(x) * x, points, truth, background)


def rewards_the_truth(measure: Measure) -> None:
    right, wrong = measure(linear_problem(True)), measure(linear_problem(False))
    better = wrong - right if measure in map(MEASURES.get, SMALL_IS_GOOD) else right - wrong
    assert better.min() > 0.1


def reproducible(measure: Measure) -> None:
    p, state = problem(), torch.get_rng_state()
    first = measure(p)
    assert torch.equal(torch.get_rng_state(), state)
    torch.randn(5)
    assert torch.equal(measure(p), first)


def refuses_what_is_lost(measure: Measure) -> None:
    with pytest.raises(MapstoError, match="not finite"):
        measure(problem(lambda net, x: torch.where(x == x.max(), torch.nan, slope_times_input(net, x))))


LAWS = [shape, by_rows, equivariant, scale_free, rewards_the_truth, reproducible, refuses_what_is_lost]
UNIT = "is in the unit of the attributions"
DRAWN = "draws its coalitions player by player"
EXEMPT = {
    (equivariant, "hiding infidelity"): DRAWN,
    (equivariant, "hiding infidelity, scaled"): DRAWN,
    (scale_free, "infidelity"): UNIT,
    (scale_free, "hiding infidelity"): UNIT,
    (scale_free, "max-sensitivity, absolute"): UNIT,
    (scale_free, "tpr at a threshold"): UNIT,
    (scale_free, "fdr at a threshold"): UNIT,
    (rewards_the_truth, "max-sensitivity"): "asks whether explanations are stable, true or not",
    (rewards_the_truth, "max-sensitivity, absolute"): "asks whether explanations are stable, true or not",
    (rewards_the_truth, "gini"): "asks whether explanations are short, true or not",
    (rewards_the_truth, "entropy"): "asks whether explanations are short, true or not",
    (rewards_the_truth, "sanity check"): "asks whether explanations depend on the model, true or not",
}
PAIRS = [(law, name) for law in LAWS for name in MEASURES]
HELD = [pair for pair in PAIRS if pair not in EXEMPT]


def named(pairs: list[tuple]) -> list[str]:
    return [f"{law.__name__}-{name}" for law, name in pairs]


@pytest.mark.parametrize(("law", "name"), HELD, ids=named(HELD))
def test_law(law: Callable[[Measure], None], name: str) -> None:
    law(MEASURES[name])


@pytest.mark.parametrize(("law", "name"), list(EXEMPT), ids=named(list(EXEMPT)))
def test_exemption_is_needed(law: Callable[[Measure], None], name: str) -> None:
    with pytest.raises(AssertionError):
        law(MEASURES[name])


# ---- a mutant for each law: known-wrong measures that it must find


def averaged(p: Problem) -> Tensor:
    return curves(p).gap.mean()


def rounded(p: Problem) -> Tensor:
    return curves(p).gap.float()


def against_the_batch(p: Problem) -> Tensor:
    return curves(p).gap / curves(p).gap.mean()


def ties_by_position(p: Problem) -> Tensor:
    return insertion_deletion(p.games, p.points, torch.zeros_like(p.points)).gap


def by_position(p: Problem) -> Tensor:
    return (p.values.abs() * torch.arange(PLAYERS)).sum(-1) / p.values.abs().sum(-1)


def summed(p: Problem) -> Tensor:
    return (p.values.abs() * p.truth).sum(-1)


def least_first(p: Problem) -> Tensor:
    return insertion_deletion(p.games, p.points, -p.values).gap


def signed(p: Problem) -> Tensor:
    return auroc(-p.values, p.truth)


def unseeded(p: Problem) -> Tensor:
    return curves(p).gap + 1e-3 * torch.randn(ROWS)


def glossed_over(p: Problem) -> Tensor:
    return curves(p._replace(explain=lambda net, x: p.explain(net, x).nan_to_num())).gap


MUTANTS = [
    *((shape, averaged), (shape, rounded), (by_rows, against_the_batch), (equivariant, ties_by_position)),
    *((equivariant, by_position), (scale_free, summed), (rewards_the_truth, least_first), (rewards_the_truth, signed)),
    *((reproducible, unseeded), (refuses_what_is_lost, glossed_over)),
]


@pytest.mark.parametrize(
    ("law", "mutant"), MUTANTS, ids=[f"{law.__name__}-{mutant.__name__}" for law, mutant in MUTANTS]
)
def test_mutant_is_found(law: Callable[[Measure], None], mutant: Measure) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        law(mutant)


def test_every_law_has_a_mutant() -> None:
    assert {law for law, _ in MUTANTS} == set(LAWS)
