"""The LSTM meta-learner against gradient descent, and against its formula one coordinate at a time."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad

from mapsto.adaptation.coordinates import read
from mapsto.adaptation.differentiation import Adjoint, Checkpointed, ConstantGradients, Implicit, Reverse
from mapsto.episodes import Episode, Examples, examples
from mapsto.errors import MapstoError
from mapsto.learners import MAML, MetaLSTM
from mapsto.learners import lstm_optimizer as module
from mapsto.models import MLP

HIDDEN, STEPS = 4, 3


def episode() -> Episode:
    """Make a task whose third example weighs nothing."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 6, 2, generator=g).double(), torch.randn(2, 6, 1, generator=g).double()
    w = torch.rand(6, generator=g).double() * (torch.arange(6) != 2)
    return Episode(Examples(x[0], y[0], w), examples(x[1], y[1]))


def body() -> nn.Module:
    torch.manual_seed(0)
    return MLP(2, 3, 1, activation="tanh").double()


def learner(**arguments) -> MetaLSTM:
    """Make one whose gates all matter."""
    made = MetaLSTM(body(), **{"loss": "mse", "steps": STEPS, "lr": 0.2, "hidden": HIDDEN, **arguments}).double()
    torch.manual_seed(1)
    for gate in (made.cell.forget, made.cell.enter):
        nn.init.normal_(gate.weight)
    nn.init.constant_(made.cell.forget.bias, 1.0)
    return made


def with_constant_gates(forget: float, enter: float) -> MetaLSTM:
    made = learner()
    for gate, value in ((made.cell.forget, forget), (made.cell.enter, enter)):
        nn.init.zeros_(gate.weight)
        nn.init.constant_(gate.bias, math.log(value / (1 - value)) if value < 1 else 100.0)
    return made


def test_with_constant_gates_it_is_gradient_descent() -> None:
    one = episode()
    state = with_constant_gates(1.0, 0.3).adapt(one.support)
    expected = MAML(body(), loss="mse", lr=0.3, steps=STEPS).adapt(one.support)
    start = dict(body().named_parameters())
    for name, p in expected.params.items():
        assert (p - start[name]).norm() > 1e-2
        torch.testing.assert_close(state.params[name], p, rtol=1e-12, atol=1e-12)


def test_forgetting_shrinks_the_parameters() -> None:
    nothing = episode().support._replace(w=torch.zeros(6).double())
    state = with_constant_gates(0.9, 0.3).adapt(nothing)
    for name, p in body().named_parameters():
        torch.testing.assert_close(state.params[name], 0.9**STEPS * p, rtol=1e-12, atol=1e-12)


# the formula, one coordinate at a time


def double(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.double)


def size_and_sign(x: float) -> list[float]:
    if abs(x) >= math.exp(-10):
        return [math.log(abs(x)) / 10, math.copysign(1.0, x)]
    return [-1.0, math.exp(10) * x]


def plain_cell(made: MetaLSTM) -> nn.LSTMCell:
    cell = nn.LSTMCell(4, HIDDEN).double()
    weight, bias = made.cell.lstm.gates.weight, made.cell.lstm.gates.bias
    parts = {"weight_ih": weight[:, :4], "weight_hh": weight[:, 4:], "bias_ih": bias, "bias_hh": 0 * bias}
    cell.load_state_dict({name: part.detach() for name, part in parts.items()})
    return cell


def by_hand(made: MetaLSTM, support: Examples) -> dict[str, Tensor]:
    """Take the steps in loops over parameters and their entries, with PyTorch's own LSTM."""
    cell, network, memory, zeros = plain_cell(made), body(), {}, torch.zeros(HIDDEN).double()
    for _ in range(STEPS):
        loss = (support.w * (network(support.x) - support.y)[:, 0] ** 2).sum()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        for (name, p), slopes in zip(network.named_parameters(), gradients, strict=True):
            for j, g in enumerate(slopes.flatten().tolist()):
                h, c, f, i = memory.get((name, j), (zeros, zeros, 0.0, 0.0))
                h, c = cell(double(*size_and_sign(g), *size_and_sign(loss.item())), (h, c))
                theta = p.data.view(-1)[j].item()
                f = made.cell.forget(torch.cat([h, double(theta, f)])).sigmoid().item()
                i = made.cell.enter(torch.cat([h, double(theta, i)])).sigmoid().item()
                p.data.view(-1)[j] = f * theta - i * g
                memory[name, j] = h, c, f, i
    return {name: p.detach() for name, p in network.named_parameters()}


def is_the_formula(made: MetaLSTM) -> None:
    support = episode().support
    with torch.no_grad():
        found = made.adapt(support).params
    expected, plain = by_hand(made, support), MAML(body(), loss="mse", lr=0.2, steps=STEPS).adapt(support).params
    for name, p in expected.items():
        assert (p - plain[name]).norm() > 1e-2
        torch.testing.assert_close(found[name], p, rtol=1e-11, atol=1e-11)


def test_the_steps_are_the_formula() -> None:
    is_the_formula(learner())


class Forgets(module.MetaCell):
    """Begins each step with an empty memory."""

    def forward(self, theta: Tensor, g: Tensor, loss: Tensor, memory: module.Memory) -> tuple:
        return super().forward(theta, g, loss, self.start(theta))


class Ascends(module.MetaCell):
    """Adds the gradient."""

    def forward(self, theta: Tensor, g: Tensor, loss: Tensor, memory: module.Memory) -> tuple:
        moved, memory = super().forward(theta, g, loss, memory)
        return moved + 2 * memory.i[:, 0] * g, memory


class Unsurprised(module.MetaCell):
    """Is not told the loss."""

    def forward(self, theta: Tensor, g: Tensor, loss: Tensor, memory: module.Memory) -> tuple:
        return super().forward(theta, g, torch.ones_like(loss), memory)


@pytest.mark.parametrize("mutant", [Forgets, Ascends, Unsurprised])
def test_a_wrong_cell_is_caught(mutant: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MetaCell", mutant)
    with pytest.raises(AssertionError):
        is_the_formula(learner())


# derivatives


def meta_gradient(made: MetaLSTM) -> dict[str, Tensor]:
    params = {name: p.detach() for name, p in made.named_parameters()}
    return grad(lambda params: functional_call(made, params, (episode(),))[0])(params)


def with_detached_gradients(made: MetaLSTM) -> dict[str, Tensor]:
    """Differentiate the same steps by plain autograd, every gradient and every loss detached."""
    support, query, *_ = episode()
    start = dict(made.body.named_parameters())
    theta = torch.cat([p.flatten() for p in start.values()])
    memory = made.cell.start(theta)

    def run(theta: Tensor, x: Tensor) -> Tensor:
        pieces = theta.split([p.numel() for p in start.values()])
        params = {name: piece.view_as(start[name]) for name, piece in zip(start, pieces, strict=True)}
        return functional_call(made.body, params, (x,))

    for _ in range(STEPS):
        here = theta.detach().requires_grad_()
        loss = (support.w * (run(here, support.x) - support.y)[:, 0] ** 2).sum()
        (g,) = torch.autograd.grad(loss, here)
        theta, memory = made.cell(theta, g, loss.detach(), memory)
    (query.w * (run(theta, query.x) - query.y)[:, 0] ** 2).sum().backward()
    return {name: p.grad for name, p in made.named_parameters()}


def test_training_takes_gradients_and_losses_for_constants() -> None:
    found, expected = meta_gradient(learner()), with_detached_gradients(learner())
    exact = meta_gradient(learner(differentiation=Reverse()))
    for name, slope in expected.items():
        assert slope.norm() > 1e-6
        torch.testing.assert_close(found[name], slope, rtol=1e-10, atol=1e-12)
    assert any((found[name] - exact[name]).norm() > 0.01 * exact[name].norm() for name in found)


@pytest.mark.parametrize("route", [Adjoint, Checkpointed])
def test_exact_routes_are_the_unrolled_one(route: Callable) -> None:
    found, expected = (meta_gradient(learner(differentiation=r())) for r in (route, Reverse))
    for name, slope in expected.items():
        torch.testing.assert_close(found[name], slope, rtol=1e-9, atol=1e-12)


def test_a_prediction_has_its_exact_derivative_by_the_support_set_even_if_training_cut_it_off() -> None:
    one, made = episode(), learner()
    answer = lambda made, x: made.predict(made.adapt(one.support._replace(x=x)), one.query.x).sum()  # noqa: E731
    slope = grad(lambda x: answer(made, x))(one.support.x)
    move = torch.randn(6, 2, generator=torch.Generator().manual_seed(2)).double()
    above, below = (answer(made, one.support.x + by * move) for by in (1e-5, -1e-5))
    assert abs(above - below) > 1e-7
    torch.testing.assert_close((slope * move).sum(), (above - below) / 2e-5, rtol=1e-6, atol=1e-10)
    cut = grad(lambda x: made.loss(one._replace(support=one.support._replace(x=x)))[0])(one.support.x)
    assert cut.abs().max() == 0


def test_numbers_are_read_by_size_and_sign_with_finite_slopes_and_no_jump() -> None:
    edge = math.exp(-10)
    x = torch.tensor([3.0, -3.0, 0.0, edge * 0.999999, edge * 1.000001, -1e-30], dtype=torch.double)
    torch.testing.assert_close(read(x), torch.tensor([size_and_sign(v) for v in x.tolist()]).double())
    torch.testing.assert_close(read(x[3:4]), read(x[4:5]), rtol=1e-5, atol=1e-5)
    assert grad(lambda x: read(x).sum())(x).isfinite().all()


def test_the_start_and_the_steps_are_both_learned() -> None:
    made = learner()
    made.loss(episode())[0].backward()
    assert all(p.grad.abs().sum() > 0 for p in made.parameters())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MetaLSTM(body(), loss="l1"), "^loss: "),
        (lambda: MetaLSTM(body(), steps=-1), "^steps: "),
        (lambda: MetaLSTM(body(), lr=1.0), "^lr: "),
        (lambda: MetaLSTM(body(), hidden=0), "^hidden: "),
        (lambda: MetaLSTM(nn.Flatten()), "^body: "),
        (lambda: MetaLSTM(body().requires_grad_(False)), "^body: "),
        (lambda: MetaLSTM(nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))), "^body: .*track_running_stats=False"),
        (lambda: MetaLSTM(body(), differentiation=Implicit()), "^differentiation: "),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()


def test_frozen_parameters_stay() -> None:
    network = body()
    frozen = next(network.parameters()).requires_grad_(False)
    state = MetaLSTM(network, loss="mse").double().adapt(episode().support)
    assert set(state.params) == {name for name, p in network.named_parameters() if p is not frozen}


def test_the_constant_route_is_the_default() -> None:
    assert isinstance(learner().differentiation, ConstantGradients)
