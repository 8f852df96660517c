"""Attributions are numbers: they keep no graph of the model, unless a caller asks for one."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mapsto import explainers as E
from mapsto import measures, views
from mapsto.errors import MapstoError
from mapsto.games import Game

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "live_parameters.py"
SPEC = importlib.util.spec_from_file_location("live_parameters", SCRIPT)
SPEC.loader.exec_module(LIVE := importlib.util.module_from_spec(SPEC))


def network(live: bool) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3)).requires_grad_(
        live
    )


X = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))


def roads(view: Callable[[Tensor], Tensor]) -> dict[str, Callable[[], Tensor]]:
    def game(x: Tensor) -> Game:
        return views.game(view, x)

    def hides(view: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return E.Occlusion()(views.game(view, x))

    x = X[0]
    return {
        "Gradient": lambda: E.Gradient()(view, x),
        "InputXGradient": lambda: E.InputXGradient().over(view, X),
        "IntegratedGradients": lambda: E.IntegratedGradients(64, chunk_size=4)(view, x),
        "IntegratedGradients of many": lambda: E.IntegratedGradients(8).over(view, X, chunk_size=2),
        "ExpectedGradients": lambda: E.ExpectedGradients(X, samples=64, chunk_size=4)(view, x),
        "Smooth": lambda: E.Smooth(E.Gradient(), samples=64, chunk_size=4)(view, x),
        "Smooth around a game": lambda: E.Smooth(hides, samples=4)(view, x),
        "GradCAM": lambda: E.GradCAM()(lambda maps: view(maps.flatten()), x.view(2, 2, 2)),
        "HiResCAM": lambda: E.HiResCAM()(lambda maps: view(maps.flatten()), x.view(2, 2, 2)),
        "Occlusion": lambda: E.Occlusion(chunk_size=1)(game(x)),
        "Shapley": lambda: E.Shapley(samples=200, chunk_size=16)(game(x)),
        "Shapley of many": lambda: E.Shapley(samples=30).over(game, X, chunk_size=2),
        "LIME": lambda: E.LIME(samples=200, chunk_size=16)(game(x)),
        "BayesianShapley": lambda: E.BayesianShapley(samples=18, chunk_size=2)(game(x)),
        "PermutationShapley": lambda: E.PermutationShapley(pairs=8, chunk_size=8)(game(x)),
        "ShapleyInteractions": lambda: E.ShapleyInteractions(orders=4, chunk_size=8)(game(x)),
        "ShapleyInteractions of many": lambda: E.ShapleyInteractions(orders=2).over(game, X, chunk_size=2),
        "attention_rollout": lambda: E.attention_rollout(view(x).softmax(0).expand(2, 3, 3)),
        "max_sensitivity": lambda: (
            measures.max_sensitivity(E.IntegratedGradients(8), lambda x: view, X, X[:, None], chunk_size=2).absolute
        ),
        "PGD": lambda: measures.PGD(radius=0.1).over(lambda x: view(x)[0], X, chunk_size=2),
    }


NAMES = list(roads(lambda x: x))


def plain(live: bool) -> Callable[[Tensor], Tensor]:
    net = network(live)
    return lambda x: net(x[None])[0]


@pytest.mark.parametrize("name", NAMES)
def test_attributions_are_numbers_without_a_graph(name: str) -> None:
    for view in (plain(True), views.model(network(True))):
        values = roads(view)[name]()
        assert not values.requires_grad
        assert values.numpy().shape == tuple(values.shape)


@pytest.mark.parametrize("name", NAMES)
def test_live_parameters_cost_no_memory(name: str) -> None:
    peaks = []
    for live in (False, True):
        call = roads(plain(live))[name]
        call()  # constants, such as designs, are made once
        with LIVE.Peak() as peak:
            call()
        peaks.append(peak.bytes)
    assert peaks[0] > 1000
    assert peaks[1] <= 1.2 * peaks[0]


@pytest.mark.parametrize("road", ["asked", pytest.param("traced", marks=pytest.mark.long)])
@pytest.mark.parametrize("name", LIVE.CALLS)
def test_many_rows_cost_no_more_memory_with_live_parameters(name: str, road: str) -> None:
    frozen, live = (LIVE.peak(name, road, live, LIVE.ROWS[:120]) for live in (False, True))
    assert 50_000 < live <= 1.2 * frozen


def test_every_explainer_of_a_model_is_measured() -> None:
    others = {"Game", "GameExplainer", "View", "ViewExplainer"}
    others |= {"attention_rollout", "global_importance", "knn_shapley", "patches", "superpixels"}  # read no model
    others |= {"partial_dependence", "task_influence"}  # of learners
    others |= {"ale", "ice"}  # they only ask for scores, without a graph
    assert {name.partition(".")[0] for name in LIVE.CALLS} | others == set(E.__all__)


# ---- unless a caller asks for a graph


def penalty(net: nn.Module, attributed: Callable[[nn.Module], Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(attributed(net).square().sum(), list(net.parameters()), allow_unused=True))


def test_attribute_can_be_differentiated_by_the_parameters() -> None:
    net, x = network(True), X[0]

    def direct(net: nn.Module) -> Tensor:
        moved = x.clone().requires_grad_()
        return torch.autograd.grad(net(moved[None])[0, 1], moved, create_graph=True)[0]

    expected = penalty(net, direct)
    got = penalty(net, lambda net: E.Gradient().attribute(lambda x: net(x[None])[0, 1], x))
    for ours, theirs in zip(got[:4], expected[:4], strict=True):
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(ours, theirs)

    def hiding(net: nn.Module) -> Tensor:
        return E.Occlusion().attribute(views.game(lambda x: net(x[None])[0, 1], x))

    rows = torch.cat([x[None], x - torch.diag(x)])
    expected = penalty(net, lambda net: net(rows)[0, 1] - net(rows)[1:, 1])
    for ours, theirs in zip(penalty(net, hiding)[:5], expected[:5], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_inside_a_transform_a_call_can_be_differentiated() -> None:
    net = network(False)

    def total(x: Tensor) -> Tensor:
        return E.InputXGradient()(lambda x: net(x[None])[0, 0], x).sum()

    slope = torch.func.grad(total)(X[0])
    moved = 1e-2 * torch.randn(8, generator=torch.Generator().manual_seed(1))
    difference = (total(X[0] + moved) - total(X[0] - moved)) / 2
    assert difference.abs() > 1e-4
    torch.testing.assert_close(slope @ moved, difference, rtol=1e-2, atol=1e-5)


# ---- a call refuses NaN, as `over` does


@pytest.mark.parametrize(
    "explainer",
    [E.Shapley(), E.Occlusion(), E.LIME(), E.PermutationShapley(2), E.ShapleyInteractions()],
    ids=lambda each: type(each).__name__,
)
def test_a_game_without_numbers_is_refused(explainer: E.GameExplainer) -> None:
    game = Game(lambda mask: mask.sum() / 0 * 0, 3)
    with pytest.raises(MapstoError, match=r"^attributions: got NaN"):
        explainer(game)
    assert (
        torch.func.vmap(lambda x: explainer(Game(lambda mask: mask.sum() * x, 3)))(torch.tensor([torch.nan]))
        .isnan()
        .all()
    )


# ---- the numbers do not depend on whether a graph is kept


def test_a_linear_system_in_the_view_keeps_its_gradient() -> None:
    """Without gradients switched on, torch 2.13 takes another formula for `solve`, which is wrong under vmap."""
    generator = torch.Generator().manual_seed(0)
    rows, y, query = (torch.randn(*shape, generator=generator).double() for shape in ((8, 3), (8,), (3,)))
    ridge = torch.tensor(0.1, requires_grad=True)

    def view(x: Tensor) -> Tensor:
        return query @ torch.linalg.solve(x.T @ x + ridge * torch.eye(3), x.T @ y)

    for explainer in (
        E.IntegratedGradients(3),
        E.Smooth(E.Gradient(), 2),
        E.ExpectedGradients(rows[None] * 0.5, steps=3),
    ):
        expected = explainer.attribute(view, rows).detach()
        assert expected.abs().max() > 1e-2
        with torch.no_grad():
            quiet = explainer(view, rows)
        for values in (quiet, explainer(view, rows), explainer.over(view, rows[None])[0]):
            torch.testing.assert_close(values, expected)


@pytest.mark.parametrize("explainer", [E.PermutationShapley(4, seed=77), E.BayesianShapley(samples=7)])
def test_a_first_use_inside_a_transform_makes_the_same_design(explainer: E.GameExplainer) -> None:
    """Designs are cached, so that only the first use could fail."""

    def values(x: Tensor) -> Tensor:
        return explainer(views.game(lambda x: x.prod(), x))

    x = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(torch.func.jacrev(values)(x).sum(0), torch.tensor([6.0, 3.0, 2.0]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(values(x).sum(), torch.tensor(6.0))


def test_an_explainer_of_ones_own_may_define_call_alone() -> None:
    class Slope(E.ViewExplainer):
        def __call__(self, view, point):
            return torch.func.grad(view)(point)

    class Whole(E.GameExplainer):
        def __call__(self, game):
            return game(torch.ones(game.players)).expand(game.players)

    w = torch.tensor([2.0, -3.0], requires_grad=True)
    values = Slope()(lambda x: w @ x, torch.ones(2))
    assert values.tolist() == [2, -3] and not values.requires_grad
    game = Game(lambda mask: w @ mask, 2)
    assert Whole()(game).tolist() == [-1, -1] and not Whole()(game).requires_grad
    assert Slope().attribute(lambda x: w @ x, torch.ones(2)).requires_grad
