"""The laws of explainers: every method is held to every law, every law to an explainer that breaks it.

A method that does not claim a law stands in `EXEMPT` with the reason, and must indeed break it.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from mapsto.explainers import (
    LIME,
    BayesianShapley,
    ExpectedGradients,
    Gradient,
    InputXGradient,
    IntegratedGradients,
    Occlusion,
    PermutationShapley,
    Shapley,
    ShapleyInteractions,
    Smooth,
)
from mapsto.explainers.explainer import GameExplainer, ViewExplainer
from mapsto.views import Game, game

F64 = torch.float64
SHAPE, BASELINE = (2, 3), 0.25
Explainer = ViewExplainer | GameExplainer
Params = tuple[Tensor, Tensor]


def weights(seed: int, inputs: int = 6) -> Params:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(8, inputs, dtype=F64, generator=generator) * 0.7
    return first, torch.randn(3, 8, dtype=F64, generator=generator)


def network(params: Params) -> Callable[[Tensor], Tensor]:
    """A smooth network from points `[2, 3]` to three scores, with interactions of every order."""
    return lambda x: params[1].to(x) @ torch.tanh(params[0].to(x) @ x.flatten() + 0.3)


def points(n: int, seed: int = 7) -> Tensor:
    return torch.randn(n, *SHAPE, dtype=F64, generator=torch.Generator().manual_seed(seed))


def attribute(explainer: Explainer, view: Callable[[Tensor], Tensor], x: Tensor, graph: bool = False) -> Tensor:
    """Explain `view` at `x` in the shape of `x`, whichever kind of explainer it is; `graph` keeps the gradient."""
    if isinstance(explainer, ViewExplainer):
        return explainer.attribute(view, x) if graph else explainer(view, x)
    played = game(view, x, baseline=BASELINE)
    values = explainer.attribute(played) if graph else explainer(played)
    assert values.shape[0] == x.numel()
    return values.reshape(*x.shape, *values.shape[1:])


def attribute_all(explainer: Explainer, view: Callable[[Tensor], Tensor], xs: Tensor, chunk: int | None) -> Tensor:
    if isinstance(explainer, ViewExplainer):
        return explainer.over(view, xs, chunk)
    values = explainer.over(lambda x: game(view, x, baseline=BASELINE), xs, chunk)
    return values.reshape(*xs.shape, *values.shape[2:])


# ---- the laws


def shape(explainer: Explainer) -> None:
    net, x = network(weights(0)), points(1)[0]
    assert attribute(explainer, lambda x: net(x)[1], x).shape == SHAPE
    assert attribute(explainer, net, x).shape == (*SHAPE, 3)


def scores(explainer: Explainer) -> None:
    net, x = network(weights(1)), points(1)[0]
    together = attribute(explainer, net, x)
    assert together.std() > 0.05
    for k in range(3):
        torch.testing.assert_close(together[..., k], attribute(explainer, lambda x, k=k: net(x)[k], x))


def linear(explainer: Explainer) -> None:
    slope, x = torch.tensor([[1.0, -2.0, 0.0], [0.5, 3.0, -1.0]], dtype=F64), points(1)[0]
    start = 0.0 if isinstance(explainer, InputXGradient) else BASELINE
    torch.testing.assert_close(attribute(explainer, lambda x: (slope * x).sum() + 4, x), slope * (x - start))


def complete(explainer: Explainer) -> None:
    net, x = network(weights(2)), points(1)[0]
    total = net(x) - net(torch.full_like(x, BASELINE))
    assert total.abs().min() > 0.05
    torch.testing.assert_close(attribute(explainer, net, x).sum((0, 1)), total, rtol=1e-7, atol=1e-7)


def unused(explainer: Explainer) -> None:
    net, x, seen = network(weights(3)), points(1)[0], torch.tensor([[1.0, 1, 0], [1, 1, 1]], dtype=F64)
    values = attribute(explainer, lambda x: net(x * seen), x)
    assert values[seen.bool()].abs().min() > 1e-4
    torch.testing.assert_close(values[0, 2], torch.zeros(3, dtype=F64))


def equivariant(explainer: Explainer) -> None:
    net, x, order = network(weights(4)), points(1)[0], torch.tensor([3, 0, 5, 1, 4, 2])
    moved = x.flatten()[order].reshape(SHAPE)
    values = attribute(explainer, lambda x: net(x.flatten()[order.argsort()]), moved)
    expected = attribute(explainer, net, x).flatten(0, 1)[order].reshape(*SHAPE, 3)
    torch.testing.assert_close(values, expected)


def batched(explainer: Explainer) -> None:
    xs = points(5)
    params = tuple(torch.stack(pair) for pair in zip(weights(5), weights(6), strict=True))  # two tasks
    loop = torch.stack([torch.stack([attribute(explainer, network(weights(s)), x) for x in xs]) for s in (5, 6)])
    assert (loop[0] - loop[1]).abs().max() > 0.05
    for chunk in (None, 1, 2, 5):
        rows = attribute_all(explainer, network(weights(5)), xs, chunk)
        torch.testing.assert_close(rows, loop[0])
        tasks = vmap(lambda params, chunk=chunk: attribute_all(explainer, network(params), xs, chunk))(params)
        torch.testing.assert_close(tasks, loop)


def reproducible(explainer: Explainer) -> None:
    net, x, state = network(weights(7)), points(1)[0], torch.get_rng_state()
    first = attribute(explainer, net, x)
    assert torch.equal(torch.get_rng_state(), state)
    torch.randn(5)
    assert torch.equal(attribute(explainer, net, x), first)


def differentiable(explainer: Explainer) -> None:
    net, x = network(weights(8)), points(1)[0].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: attribute(explainer, net, x, graph=True), x, raise_exception=False)


def dtype_and_device(explainer: Explainer) -> None:
    net, x = network(weights(9)), points(1)[0]
    exact = attribute(explainer, net, x)
    single = attribute(explainer, net, x.float())
    assert (exact.dtype, single.dtype) == (F64, torch.float32)
    torch.testing.assert_close(single, exact.float(), rtol=1e-4, atol=1e-5)
    # a device without data: an operation that mixes it with the CPU raises
    there = attribute(explainer, lambda x: x.flatten()[:3] * x.sum(), x.to("meta"))
    assert (there.device.type, there.shape) == ("meta", (*SHAPE, 3))


class RowSums(GameExplainer):
    """Each player's share of a matrix of interactions, which is its Shapley value."""

    def __init__(self, interactions: ShapleyInteractions):
        self.interactions = interactions

    def attribute(self, game: Game) -> Tensor:
        return self.interactions.attribute(game).sum(1)


METHODS: dict[str, Explainer] = {
    "Gradient": Gradient(),
    "InputXGradient": InputXGradient(),
    "IntegratedGradients": IntegratedGradients(steps=16, baseline=BASELINE),
    "IntegratedGradients, chunked": IntegratedGradients(
        16, baseline=torch.full(SHAPE, BASELINE, dtype=F64), chunk_size=5
    ),
    "ExpectedGradients": ExpectedGradients(torch.full((1, *SHAPE), BASELINE)),
    "ExpectedGradients, chunked": ExpectedGradients(torch.full((3, *SHAPE), BASELINE), steps=12, chunk_size=5),
    "ExpectedGradients, sampled": ExpectedGradients(torch.full((3, *SHAPE), BASELINE), samples=7, seed=1),
    "Smooth Gradient": Smooth(Gradient(), samples=6, noise=0.3),
    "Smooth IntegratedGradients": Smooth(IntegratedGradients(4, BASELINE), samples=4, noise=0.3, seed=1),
    "Smooth IntegratedGradients, chunked": Smooth(IntegratedGradients(4, BASELINE), 4, torch.full((3,), 0.3), 1, 3),
    "Occlusion": Occlusion(),
    "Occlusion, chunked": Occlusion(chunk_size=4),
    "Shapley": Shapley(),
    "Shapley, chunked": Shapley(chunk_size=10),
    "Shapley, samples for all": Shapley(samples=62),
    "Shapley, sampled": Shapley(samples=30, seed=1),
    "Shapley, sampled, chunked": Shapley(samples=30, chunk_size=7),
    "LIME": LIME(),
    "LIME, ridge": LIME(penalty=1.0, chunk_size=10),
    "LIME, cosine": LIME(distance="cosine"),
    "LIME, sampled": LIME(samples=30, seed=1, chunk_size=7),
    "PermutationShapley": PermutationShapley(pairs=5, chunk_size=11),
    "PermutationShapley, few pairs": PermutationShapley(pairs=2, seed=1),
    "ShapleyInteractions": RowSums(ShapleyInteractions(chunk_size=10)),
    "ShapleyInteractions, sampled": RowSums(ShapleyInteractions(orders=5, chunk_size=7)),
    "BayesianShapley": BayesianShapley(samples=30),
    "BayesianShapley, chunked": BayesianShapley(samples=30, chunk_size=7),
}
LAWS = [
    *(shape, scores, linear, complete, unused, equivariant, batched),
    *(reproducible, differentiable, dtype_and_device),
]

LOCAL = "describes the view near the point only"
DRAWN = "up to sampling error: the coalitions drawn treat the players unequally"
SLOPES = "a linear model's slopes miss what its residuals hold"
CHOSEN = "up to the error of estimation: the coalitions chosen treat the players unequally"
EXEMPT = {
    (linear, "Gradient"): "its values are the slopes, not slope times way",
    (complete, "Gradient"): LOCAL,
    (complete, "InputXGradient"): LOCAL,
    (complete, "Occlusion"): "interactions are counted once for each player",
    (complete, "Occlusion, chunked"): "interactions are counted once for each player",
    (complete, "ExpectedGradients, sampled"): "up to sampling error: a few places of the way are seen",
    **{
        (law, f"Smooth {name}"): reason
        for name in ("Gradient", "IntegratedGradients", "IntegratedGradients, chunked")
        for law, reason in ((complete, "explains the mean around the point"), (equivariant, "noise differs by entry"))
    },
    (linear, "Smooth Gradient"): "its values are the slopes, not slope times way",
    (unused, "Shapley, sampled"): DRAWN,
    (unused, "Shapley, sampled, chunked"): DRAWN,
    (equivariant, "Shapley, sampled"): DRAWN,
    (equivariant, "Shapley, sampled, chunked"): DRAWN,
    **{(complete, name): SLOPES for name in METHODS if name.startswith("LIME")},
    (linear, "LIME, ridge"): "the penalty pulls its slopes towards 0",
    (unused, "LIME, cosine"): "its kernel is not a product over the players, who then stand in for each other",
    (unused, "LIME, sampled"): DRAWN,
    (equivariant, "LIME, sampled"): DRAWN,
    (equivariant, "PermutationShapley"): DRAWN,
    (equivariant, "PermutationShapley, few pairs"): DRAWN,
    (equivariant, "ShapleyInteractions, sampled"): DRAWN,
    (scores, "BayesianShapley"): "all scores share one prior, so that the values of probabilities add up to 0",
    (scores, "BayesianShapley, chunked"): "all scores share one prior",
    (unused, "BayesianShapley"): CHOSEN,
    (unused, "BayesianShapley, chunked"): CHOSEN,
    (equivariant, "BayesianShapley"): CHOSEN,
    (equivariant, "BayesianShapley, chunked"): CHOSEN,
}
PAIRS = [(law, name) for law in LAWS for name in METHODS]


def named(values: list[tuple]) -> list[str]:
    return [f"{law.__name__}-{name}" for law, name in values]


HELD = [pair for pair in PAIRS if pair not in EXEMPT]


@pytest.mark.parametrize(("law", "name"), HELD, ids=named(HELD))
def test_law(law: Callable[[Explainer], None], name: str) -> None:
    law(METHODS[name])


@pytest.mark.parametrize(("law", "name"), list(EXEMPT), ids=named(list(EXEMPT)))
def test_exemption_is_needed(law: Callable[[Explainer], None], name: str) -> None:
    with pytest.raises(AssertionError):
        law(METHODS[name])


# ---- a mutant for each law: known-wrong explainers that it must find


class ScoresFirst(ViewExplainer):
    def attribute(self, view, point):
        return torch.func.jacrev(view)(point)  # [k, ...]


class Reshaped(ViewExplainer):
    def attribute(self, view, point):
        return torch.func.jacrev(view)(point).reshape(*point.shape, *view(point).shape)  # mixes scores and entries


class Squared(ViewExplainer):
    def attribute(self, view, point):
        return Gradient()(view, point).square()


class Banzhaf(GameExplainer):
    def attribute(self, game: Game):
        design = Shapley().design(game.players)  # the wrong kernel: every coalition alike
        return (design.weights.sign() / 2 ** (game.players - 1)).to(F64) @ vmap(game)(design.masks).to(F64)


class RightRiemann(ViewExplainer):
    def __init__(self, steps: int = 16, baseline: float = BASELINE):
        self.t, self.baseline = torch.arange(1, steps + 1, dtype=F64) / steps, baseline

    def attribute(self, view, point):
        way = point - self.baseline
        slopes = vmap(lambda t: Gradient()(view, self.baseline + t * way))(self.t).mean(0)
        return slopes * way.reshape(way.shape + (1,) * (slopes.ndim - way.ndim))


class SpreadResidual(GameExplainer):
    def attribute(self, game: Game):
        values, ends = Occlusion()(game), vmap(game)(torch.tensor([[0.0], [1.0]]).expand(2, game.players))
        return values + (ends[1] - ends[0] - values.sum(0)) / game.players


class OneOrder(GameExplainer):
    def attribute(self, game: Game):
        return vmap(game)(torch.ones(game.players + 1, game.players).tril(-1)).diff(dim=0)


class BatchMean(ViewExplainer):
    def attribute(self, view, point):
        return IntegratedGradients(4, BASELINE)(view, point)

    def over(self, view, points, chunk_size=None):
        return vmap(lambda point: IntegratedGradients(4, points.mean(0))(view, point))(points)


class Unseeded(ViewExplainer):
    def attribute(self, view, point):
        return Gradient()(view, point + 0.1 * torch.randn(point.shape))


class Detached(ViewExplainer):
    def attribute(self, view, point):
        slopes = Gradient()(view, point).detach()
        return slopes * point[..., None]


class Single(ViewExplainer):
    def attribute(self, view, point):
        return Gradient()(view, point.float())


MUTANTS = [
    *((shape, ScoresFirst()), (scores, Reshaped()), (linear, Squared()), (linear, Gradient())),
    *((complete, Banzhaf()), (complete, RightRiemann()), (unused, SpreadResidual()), (equivariant, OneOrder())),
    *((batched, BatchMean()), (reproducible, Unseeded()), (differentiable, Detached()), (dtype_and_device, Single())),
]


@pytest.mark.parametrize(
    ("law", "mutant"), MUTANTS, ids=[f"{law.__name__}-{type(mutant).__name__}" for law, mutant in MUTANTS]
)
def test_mutant_is_found(law: Callable[[Explainer], None], mutant: Explainer) -> None:
    with pytest.raises(AssertionError):
        law(mutant)


def test_every_law_has_a_mutant() -> None:
    assert {law for law, _ in MUTANTS} == set(LAWS)


# ---- closed forms of single methods


def test_gradient_of_a_linear_view_is_its_slope() -> None:
    slope = torch.tensor([[1.0, -2.0, 0.0], [0.5, 3.0, -1.0]], dtype=F64)
    torch.testing.assert_close(Gradient()(lambda x: (slope * x).sum() + 4, points(1)[0]), slope)


def product(x: Tensor) -> Tensor:
    return x[0] * x[1] * x[2]


@pytest.mark.parametrize(
    ("explainer", "expected"),
    [
        (InputXGradient(), [30.0, 30.0, 30.0]),
        (IntegratedGradients(steps=2), [10.0, 10.0, 10.0]),
        (Occlusion(), [30.0, 30.0, 30.0]),
        (Shapley(), [10.0, 10.0, 10.0]),
    ],
)
def test_a_product_by_hand(explainer: Explainer, expected: list[float]) -> None:
    x = torch.tensor([2.0, 3.0, 5.0], dtype=F64)
    values = explainer(product, x) if isinstance(explainer, ViewExplainer) else explainer(game(product, x))
    torch.testing.assert_close(values, torch.tensor(expected, dtype=F64))


# ---- the order of the quadrature


def order(rule: ViewExplainer) -> float:
    """Measure `p` in `error ∝ length^p` on `exp`, whose integrated gradient is known, by halving the way."""

    def error(length: float) -> Tensor:
        x = torch.tensor([length], dtype=F64)
        return (rule(lambda x: x.exp().sum(), x) - x.expm1()).abs().sum()

    return torch.log2(error(1.0) / error(0.5)).item()


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_the_error_falls_at_the_order_of_gauss_legendre(steps: int) -> None:
    assert order(IntegratedGradients(steps)) == pytest.approx(2 * steps + 1, abs=0.6)


def test_a_rule_of_lower_order_is_found() -> None:
    assert order(RightRiemann(2, 0.0)) == pytest.approx(2, abs=0.6)  # far from 2·steps + 1 = 5
    with pytest.raises(AssertionError):
        assert order(RightRiemann(2, 0.0)) == pytest.approx(5, abs=0.6)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_polynomials_up_to_twice_the_steps_are_exact(steps: int) -> None:
    x = torch.tensor([1.7], dtype=F64)

    def error(degree: int) -> float:
        return (IntegratedGradients(steps)(lambda x: x.pow(degree).sum(), x) / x**degree - 1).abs().item()

    assert error(2 * steps) < 1e-12 < 1e-9 < error(2 * steps + 1)


def test_kinks_lower_the_order_but_the_error_still_falls() -> None:
    x = torch.tensor([1.0], dtype=F64)
    exact = x - 0.37
    error = [(IntegratedGradients(s)(lambda x: (x - 0.37).relu().sum(), x) - exact).abs().item() for s in (4, 64)]
    assert 1e-4 < error[1] < 1 / 64 < error[0] < 0.25


# ---- sampling


def test_the_seed_decides_the_sample() -> None:
    wide, x = network(weights(0, 9)), torch.linspace(-1, 1, 9, dtype=F64)
    first, again, other = (Shapley(samples=60, seed=seed)(game(wide, x)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert 1e-6 < (first - other).abs().max() < 0.3


def test_more_samples_come_nearer_to_the_exact_values() -> None:
    wide, x = network(weights(0, 9)), torch.linspace(-1, 1, 9, dtype=F64)
    truth = Shapley()(game(wide, x))
    assert truth.std() > 0.1
    few, many = (
        torch.stack([Shapley(samples, seed)(game(wide, x)) - truth for seed in range(5)]).square().mean()
        for samples in (40, 320)
    )
    assert 0 < many < few / 4
    torch.testing.assert_close(Shapley(samples=510)(game(wide, x)), truth)


def test_single_precision_outcomes_are_added_up_in_double_precision() -> None:
    # 4,096 outcomes of about 100 cancel to values of about 1
    worth = torch.linspace(0.5, 1.5, 12)
    values = Shapley()(Game(lambda mask: 100 + mask @ worth, 12))
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, worth, rtol=0, atol=2e-5)


# ---- errors


def test_enumeration_ends_at_sixteen_players() -> None:
    torch.testing.assert_close(Shapley()(Game(lambda mask: mask.sum(), 16)), torch.ones(16))
    with pytest.raises(ValueError, match=r"^game: got 17 players.* pass samples=544"):
        Shapley()(Game(lambda mask: mask.sum(), 17))
    values = Shapley(samples=416)(Game(lambda mask: mask.sum(), 13))
    torch.testing.assert_close(values, torch.ones(13))


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="samples: got 8, too few coalitions to tell 13 players apart"):
        Shapley(samples=8)(Game(lambda mask: mask.sum(), 13))


def test_integrated_gradients_refuses_no_steps_and_a_wrong_baseline() -> None:
    with pytest.raises(ValueError, match="steps: got 0"):
        IntegratedGradients(steps=0)
    with pytest.raises(ValueError, match=r"baseline: got shape \(4,\)"):
        IntegratedGradients(baseline=torch.zeros(4))(product, torch.ones(3))
    with pytest.raises(ValueError, match=r"baseline: got shape \(2, 3\)"):
        IntegratedGradients(baseline=torch.zeros(2, 3))(product, torch.ones(3))
