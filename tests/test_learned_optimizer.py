"""The learned optimizer against its formula coordinate by coordinate, truncation against separate backward passes."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad

from mapsto.adaptation.differentiation import Adjoint, Checkpointed, FirstOrder, Implicit, Reverse
from mapsto.episodes import Episode, Examples, examples, over_tasks
from mapsto.errors import MapstoError
from mapsto.learners import LearnedOptimizer
from mapsto.learners import learned_optimizer as module
from mapsto.models import MLP
from mapsto.tasks import Linear
from mapsto.training import meta_gradient, train

HIDDEN, STEPS = 4, 5


def episode() -> Episode:
    """Make a task whose third example weighs nothing."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 6, 2, generator=g).double(), torch.randn(2, 6, 1, generator=g).double()
    w = torch.rand(6, generator=g).double() * (torch.arange(6) != 2)
    return Episode(Examples(x[0], y[0], w), examples(x[1], y[1]))


def body() -> nn.Module:
    torch.manual_seed(0)
    return MLP(2, 3, 1, activation="tanh").double()


def learner(**arguments) -> LearnedOptimizer:
    """Make one that takes long steps, whatever its class is in the module by now."""
    network = body()
    torch.manual_seed(1)
    options = {"loss": "mse", "steps": STEPS, "hidden": HIDDEN, "scale": 1.0, "learn_start": True, **arguments}
    return LearnedOptimizer(network, **options).double()


# the formula, one coordinate at a time


def size_and_sign(x: float) -> list[float]:
    if abs(x) >= math.exp(-10):
        return [math.log(abs(x)) / 10, math.copysign(1.0, x)]
    return [-1.0, math.exp(10) * x]


def plain(cell: nn.Module, read: int) -> nn.LSTMCell:
    """Return PyTorch's LSTM with our parameters; it has two biases that it adds."""
    weight, bias = cell.gates.weight.detach(), cell.gates.bias.detach()
    made = nn.LSTMCell(read, HIDDEN).double()
    parts = {"weight_ih": weight[:, :read], "weight_hh": weight[:, read:], "bias_ih": bias, "bias_hh": 0 * bias}
    made.load_state_dict(parts)
    return made


def squared(network: nn.Module, part: Examples) -> Tensor:
    return (part.w * (network(part.x) - part.y)[:, 0] ** 2).sum()


def by_hand(made: LearnedOptimizer, one: Episode) -> tuple[dict[str, Tensor], list[float], list[float]]:
    """Return the parameters at the end, and f on the support and on the query set after each step."""
    first, second, memory, network = plain(made.cell.first, 2), plain(made.cell.second, HIDDEN), {}, body()
    asked: tuple[list[float], list[float]] = ([], [])
    for _ in range(STEPS):
        gradients = torch.autograd.grad(squared(network, one.support), list(network.parameters()))
        for (name, p), slopes in zip(network.named_parameters(), gradients, strict=True):
            for j, g in enumerate(slopes.flatten().tolist()):
                below, above = memory.get((name, j), (None, None))
                below = first(torch.tensor([size_and_sign(g)], dtype=torch.double), below)
                above = second(below[0], above)
                p.data.view(-1)[j] += made.cell.scale * made.cell.move(above[0]).item()
                memory[name, j] = below, above
        for found, part in zip(asked, one[:2], strict=True):
            found.append(squared(network, part).item())
    return {name: p.detach() for name, p in network.named_parameters()}, *asked


def is_the_formula(made: LearnedOptimizer) -> None:
    """Expect the parameters at the end, and the loss along the way, of the steps taken by hand."""
    one = episode()
    with torch.no_grad():
        found, (loss, metrics) = made.adapt(one.support).params, made.loss(one)
    expected, on_support, on_query = by_hand(made, one)
    start = dict(body().named_parameters())
    for name, p in expected.items():
        assert (p - start[name]).norm() > 0.1
        torch.testing.assert_close(found[name], p, rtol=1e-10, atol=1e-10)
    asked = on_support if made.judged_on == "support" else on_query
    weights = [made.weights[min(i, len(made.weights) - 1)] for i in range(STEPS)]
    assert len({round(f, 6) for f in asked}) == STEPS
    assert loss.item() == pytest.approx(sum(w * f for w, f in zip(weights, asked, strict=True)), rel=1e-10)
    assert metrics["query_loss"].item() == pytest.approx(on_query[-1], rel=1e-10)


@pytest.mark.parametrize("options", [{}, {"judged_on": "query"}, {"weights": (0.0, 0.5, 2.0)}, {"truncation": 2}])
def test_the_steps_and_the_loss_are_the_formula(options: dict) -> None:
    is_the_formula(learner(**options))


class Forgets(module.UpdateCell):
    """Begins each step with an empty memory."""

    def forward(self, g: Tensor, memory: module.Memory) -> tuple:
        return super().forward(g, self.start(g))


class OneLayer(module.UpdateCell):
    """Leaves out the second layer."""

    def forward(self, g: Tensor, memory: module.Memory) -> tuple:
        _, memory = super().forward(g, memory)
        return self.scale * self.move(memory[0])[:, 0], memory


class ReadsGradientsRaw(module.UpdateCell):
    """Reads gradients in units of a coordinate's own first step."""

    def forward(self, g: Tensor, memory: module.Memory) -> tuple:
        return super().forward(g.sign(), memory)


@pytest.mark.parametrize("mutant", [Forgets, OneLayer, ReadsGradientsRaw])
def test_a_wrong_cell_is_caught(mutant: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UpdateCell", mutant)
    with pytest.raises(AssertionError):
        is_the_formula(learner())


def test_a_cell_without_moves_leaves_the_start() -> None:
    made = learner()
    nn.init.zeros_(made.cell.move.weight)
    nn.init.zeros_(made.cell.move.bias)
    for name, p in made.adapt(episode().support).params.items():
        torch.testing.assert_close(p, made.body.get_parameter(name))


# derivatives


def slopes(made: LearnedOptimizer) -> dict[str, Tensor]:
    params = {name: p.detach() for name, p in made.named_parameters()}
    return grad(lambda params: functional_call(made, params, (episode(),))[0])(params)


def in_pieces(made: LearnedOptimizer, length: int) -> dict[str, Tensor]:
    """Differentiate piece by piece with plain autograd, gradients detached, each piece from a start that is a leaf."""
    names = [name for name, _ in made.named_parameters() if name.startswith("cell.")]
    total = {name: torch.zeros_like(made.get_parameter(name)) for name in names}
    shapes = {name: p for name, p in made.body.named_parameters()}
    theta = torch.cat([p.flatten() for p in shapes.values()]).detach()
    memory, support = made.cell.start(theta), episode().support

    def f(theta: Tensor) -> Tensor:
        pieces = theta.split([p.numel() for p in shapes.values()])
        params = {name: piece.view_as(shapes[name]) for name, piece in zip(shapes, pieces, strict=True)}
        return (support.w * (functional_call(made.body, params, (support.x,)) - support.y)[:, 0] ** 2).sum()

    for begin in range(0, STEPS, length):
        loss = torch.zeros(()).double()
        for _ in range(begin, min(begin + length, STEPS)):
            here = theta.detach().requires_grad_()
            move, memory = made.cell(torch.autograd.grad(f(here), here)[0], memory)
            theta = theta + move
            loss = loss + f(theta)
        for name, g in zip(names, torch.autograd.grad(loss, [made.get_parameter(n) for n in names]), strict=True):
            total[name] += g
        theta, memory = theta.detach(), tuple(m.detach() for m in memory)
    return total


@pytest.mark.parametrize("length", [1, 2, STEPS])
def test_truncated_derivatives_are_those_of_the_pieces(length: int) -> None:
    found, expected = slopes(learner(truncation=length)), in_pieces(learner(), length)
    for name, slope in expected.items():
        assert slope.norm() > 1e-6
        torch.testing.assert_close(found[name], slope, rtol=1e-10, atol=1e-12)


def test_truncation_and_constant_gradients_both_change_the_derivative() -> None:
    whole, cut, exact = (slopes(learner(**o)) for o in ({}, {"truncation": 2}, {"differentiation": Reverse()}))
    for other in (cut, exact):
        assert (other["cell.move.weight"] - whole["cell.move.weight"]).norm() > 1e-3 * whole["cell.move.weight"].norm()


@pytest.mark.parametrize("route", [Adjoint, Checkpointed])
def test_exact_routes_are_the_unrolled_one(route: Callable) -> None:
    found, expected = (slopes(learner(differentiation=r(), judged_on="query")) for r in (route, Reverse))
    for name, slope in expected.items():
        torch.testing.assert_close(found[name], slope, rtol=1e-9, atol=1e-12)


def test_a_prediction_has_its_exact_derivative_by_the_support_set() -> None:
    one, made = episode(), learner()
    answer = lambda x: made.predict(made.adapt(one.support._replace(x=x)), one.query.x).sum()  # noqa: E731
    move = torch.randn(6, 2, generator=torch.Generator().manual_seed(2)).double()
    above, below = (answer(one.support.x + by * move) for by in (1e-5, -1e-5))
    assert abs(above - below) > 1e-7
    found = (grad(answer)(one.support.x) * move).sum()
    torch.testing.assert_close(found, (above - below) / 2e-5, rtol=1e-6, atol=1e-10)


# the start


def test_the_start_is_learned_only_if_so_chosen() -> None:
    for learned in (True, False):
        made = learner(learn_start=learned)
        made.loss(episode())[0].backward()
        assert all((p.grad is not None) == learned for p in made.body.parameters())
        assert all(p.grad.abs().sum() > 0 for p in made.cell.parameters())


def test_training_lowers_the_loss_along_the_way_and_keeps_the_start() -> None:
    torch.manual_seed(0)
    made = LearnedOptimizer(nn.Linear(2, 1, bias=False), loss="mse", steps=8, hidden=8)
    before, tasks = made.body.weight.detach().clone(), Linear(2, shots=4, queries=1, intercept=0.0)
    test = tasks.test.batch(0, 64)
    loss = lambda: over_tasks(made.loss)(test)[0].mean().item()  # noqa: E731
    untrained = loss()
    for _ in train(made, tasks, steps=60, batch=16, lr=0.02):
        pass
    assert loss() < 0.5 * untrained
    assert torch.equal(made.body.weight, before)
    assert meta_gradient(made)({n: p.detach() for n, p in made.named_parameters()}, test)[1]["loss"] > 0


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LearnedOptimizer(body(), loss="l1"), "^loss: "),
        (lambda: LearnedOptimizer(body(), steps=-1), "^steps: "),
        (lambda: LearnedOptimizer(body(), hidden=0), "^hidden: "),
        (lambda: LearnedOptimizer(body(), judged_on="test"), "^judged_on: "),
        (lambda: LearnedOptimizer(body(), weights=()), "^weights: "),
        (lambda: LearnedOptimizer(body(), weights=(-1.0,)), "^weights: "),
        (lambda: LearnedOptimizer(body(), truncation=0), "^truncation: "),
        (lambda: LearnedOptimizer(body().requires_grad_(False)), "^body: "),
        (
            lambda: LearnedOptimizer(nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))),
            "^body: .*track_running_stats=False",
        ),
        (lambda: LearnedOptimizer(body(), differentiation=Implicit()), "^differentiation: "),
        (lambda: LearnedOptimizer(body(), differentiation=FirstOrder()), "^differentiation: "),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()
