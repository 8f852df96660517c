"""The routes of differentiation: exact ones agree, approximate ones err as they say, and keep what they promise."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.profiler import ProfilerActivity, profile

from mapsto.adaptation.differentiation import (
    Adjoint,
    Blocked,
    Checkpointed,
    Differentiation,
    FiniteDifference,
    FirstOrder,
    Implicit,
    Reverse,
    Truncated,
)
from mapsto.adaptation.inner import SGD, Adam, InnerOptimizer, Inputs, gradient_step, start
from mapsto.episodes import Episode, Examples, over_tasks
from mapsto.errors import MapstoError
from mapsto.learners import MAML
from mapsto.models import MLP, Conv4

EXACT = {
    "adjoint": Adjoint,
    "blocked": lambda: Blocked(3),
    "blocked, one block": lambda: Blocked(99),
    "checkpointed": Checkpointed,
    "truncated at the whole": lambda: Truncated(5),
}


def episode(*shape: int, ways: int = 3) -> Episode:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, *shape, generator=g, dtype=torch.double)
    y = torch.arange(6) % ways
    w = 0.1 + 0.2 * torch.rand(2, 6, generator=g, dtype=torch.double)
    return Episode(Examples(x[0], y, w[0]), Examples(x[1], y, w[1]))


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return MLP(2, 6, 3, activation="tanh").double()


def conv4() -> nn.Module:
    torch.manual_seed(0)
    return Conv4(hidden=3, outputs=3, size=16, activation="softplus", pooling="average").double()


def derivatives(differentiation: Differentiation | None, make: Callable = mlp, **arguments) -> list[Tensor]:
    """Return the derivatives of the loss by every parameter, rate, support input and support weight."""
    learner = MAML(make(), **{"lr": 0.2, "steps": 5, "differentiation": differentiation, **arguments})
    one = episode(1, 16, 16) if make is conv4 else episode(2)
    params = {name: p.detach() for name, p in learner.named_parameters()}

    def loss(params: dict[str, Tensor], x: Tensor, w: Tensor) -> Tensor:
        support = one.support._replace(x=x, w=w)
        return functional_call(learner, params, (one._replace(support=support),))[0]

    by_params, *rest = grad(loss, (0, 1, 2))(params, one.support.x, one.support.w)
    return [*by_params.values(), *rest]


def error(found: list[Tensor], expected: list[Tensor]) -> float:
    """Return the largest relative error; of a derivative that is 0 (a bias before batch norm) the absolute one."""
    sizes = [float(e.detach().norm()) for e in expected]
    assert sum(size > 1e-6 for size in sizes) > len(sizes) / 2
    apart = [float((f - e).detach().norm()) for f, e in zip(found, expected, strict=True)]
    return max(a / size if size > 1e-6 else a for a, size in zip(apart, sizes, strict=True))


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("make", [mlp, conv4])
def test_exact_routes_are_the_unrolled_one(name: str, make: Callable) -> None:
    assert error(derivatives(EXACT[name](), make), derivatives(None, make)) < 1e-9


@pytest.mark.parametrize("optimizer", [SGD(0.9, 0.1), Adam(weight_decay=0.1)])
@pytest.mark.parametrize("learn_lr", [True, "layer-step"])
def test_exact_routes_carry_memory_rates_and_decay(optimizer: InnerOptimizer, learn_lr: bool | str) -> None:
    options = {"optimizer": optimizer, "learn_lr": learn_lr, "lr": 0.05, "proximal": 0.1}
    for make in (Adjoint, Checkpointed):
        assert error(derivatives(make(), **options), derivatives(None, **options)) < 1e-9


@pytest.mark.parametrize("make", [mlp, conv4])
def test_without_a_transform_autograd_takes_the_same_derivatives(make: Callable) -> None:
    learner = MAML(make(), lr=0.2, steps=5, learn_lr=True)
    one = episode(1, 16, 16) if make is conv4 else episode(2)
    x, w = one.support.x.requires_grad_(), one.support.w.requires_grad_()
    loss = learner.loss(one)[0]
    got = torch.autograd.grad(loss, [*learner.parameters(), x, w])
    assert error(list(got), derivatives(None, make, learn_lr=True)) < 1e-9


def test_an_inner_gradient_is_partial_and_keeps_what_its_objective_holds() -> None:
    p, held, unused = (torch.tensor(value).requires_grad_() for value in (2.0, 3.0, 5.0))
    gradient = Reverse().gradient(lambda params, rest: held * params["p"].square() * rest)
    by_p, by_unused = gradient({"p": p, "unused": unused}, p.exp()).values()
    torch.testing.assert_close(by_p, 12 * torch.tensor(2.0).exp())  # 2·held·p·rest, without the derivative of rest
    assert by_unused == 0
    torch.testing.assert_close(torch.autograd.grad(by_p, held)[0], 4 * torch.tensor(2.0).exp())
    assert Reverse().gradient(lambda params: held.detach())({"p": p}) == {"p": 0}
    constant = Reverse().gradient(lambda params: params["p"].square())({"p": p.detach()})["p"]
    assert constant == 4 and not constant.requires_grad


@pytest.mark.parametrize("make", [mlp, conv4])
def test_finite_differences_of_gradients_are_near(make: Callable) -> None:
    found = error(derivatives(FiniteDifference(), make), derivatives(None, make))
    assert 0 < found < 1e-5


def test_finite_differences_of_a_quadratic_are_exact_whatever_the_distance() -> None:
    line = lambda: nn.Linear(2, 3).double()  # noqa: E731

    def make() -> nn.Module:
        torch.manual_seed(0)
        return line()

    g = torch.Generator().manual_seed(3)
    y = torch.randn(6, 3, generator=g, dtype=torch.double)

    def slope(differentiation: Differentiation) -> list[Tensor]:
        learner = MAML(make(), loss="mse", lr=0.2, steps=3, differentiation=differentiation)
        one = Episode(*(part._replace(y=y) for part in episode(2)[:2]))
        params = {name: p.detach() for name, p in learner.named_parameters()}
        return list(grad(lambda p: functional_call(learner, p, (one,))[0])(params).values())

    assert error(slope(FiniteDifference(1e5)), slope(Reverse())) < 1e-10


def test_truncation_at_nothing_is_first_order_and_errs_less_the_later_it_cuts() -> None:
    whole = derivatives(None)[:-2]
    errors = [error(derivatives(Truncated(last))[:-2], whole) for last in range(6)]
    assert errors == sorted(errors, reverse=True) and errors[0] > 0.05 and errors[5] < 1e-12
    assert error(derivatives(Truncated(0))[:-2], derivatives(FirstOrder())[:-2]) < 1e-12


def test_first_order_knows_nothing_of_the_pull_to_the_start() -> None:
    learner, one = MAML(mlp(), lr=0.3, steps=5, first_order=True, proximal=1.0), episode(2)
    got = torch.autograd.grad(learner.loss(one)[0], list(learner.body.parameters()))
    there = learner.adapt(one.support).params
    end = {name: p.detach().requires_grad_() for name, p in there.items()}
    scores = functional_call(learner.body, end, (one.query.x,))
    loss = (one.query.w * nn.functional.cross_entropy(scores, one.query.y, reduction="none")).sum()
    assert error(got, torch.autograd.grad(loss, list(end.values()))) < 1e-12


def test_first_order_errs_and_is_told_by_its_argument() -> None:
    assert error(derivatives(None)[:-2], derivatives(FirstOrder())[:-2]) > 0.05
    assert error(derivatives(None, first_order=True), derivatives(FirstOrder())) < 1e-12


@pytest.mark.parametrize("name", EXACT)
def test_routes_go_through_vmap_plain_autograd_and_a_second_derivative(name: str) -> None:
    batch = Episode(*(Examples(*(torch.stack([leaf, leaf.flip(0)]) for leaf in part)) for part in episode(2)[:2]))

    def all_ways(differentiation: Differentiation) -> list[Tensor]:
        learner = MAML(mlp(), lr=0.2, steps=5, differentiation=differentiation)
        params = {name: p.detach() for name, p in learner.named_parameters()}
        mean = lambda params: over_tasks(lambda e: functional_call(learner, params, (e,))[0])(batch).mean()  # noqa: E731
        together = list(grad(mean)(params).values())
        learner.loss(episode(2))[0].backward()
        plain = [p.grad for p in learner.parameters()]
        one = episode(2)
        by_x = lambda x: learner.loss(one._replace(support=one.support._replace(x=x)))[0]  # noqa: E731
        twice = grad(lambda x: grad(by_x)(x).square().sum())(one.support.x)
        each = vmap(lambda x: grad(by_x)(x))(torch.stack([one.support.x, one.query.x]))
        return [*together, *plain, twice, each]

    assert error(all_ways(EXACT[name]()), all_ways(Reverse())) < 1e-9


def quadratic(steps: int, iterations: int) -> tuple[Tensor, Tensor]:
    """Return the gradient by the start of implicit MAML on a ridge problem, and that of the closed form.

    φ* = argmin ½‖φ − b‖²_A + λ/2‖φ − θ‖²,  so dφ*/dθ = λ(A + λ)⁻¹.
    """
    g = torch.Generator().manual_seed(0)
    root = torch.randn(5, 5, generator=g, dtype=torch.double)
    a, lam = root @ root.T / 5 + 0.2 * torch.eye(5), 0.7
    b, theta, v = torch.randn(3, 5, generator=g, dtype=torch.double)

    def objective(params: dict[str, Tensor], fixed: dict, support: Examples) -> Tensor:
        d = params["p"] - b
        return d @ a @ d / 2

    def outer(theta: Tensor) -> Tensor:
        route, params = Implicit(iterations), {"p": theta}
        step = gradient_step(route.gradient(objective), SGD(), lam)
        inputs = Inputs({}, {"p": (0.2,)}, episode(2).support, params)
        return v @ route(step, start(SGD(), params), inputs, range(steps)).params["p"]

    return grad(outer)(theta), lam * torch.linalg.solve(a + lam * torch.eye(5), v)


def test_implicit_gradients_are_the_closed_form_to_the_solver_s_tolerance() -> None:
    found = [error([quadratic(200, n)[0]], [quadratic(200, n)[1]]) for n in (1, 2, 3, 5)]
    assert found == sorted(found, reverse=True) and found[0] > 1e-2 and found[-1] < 1e-7  # 5 dimensions, 5 iterations


def test_implicit_maml_is_the_unrolled_one_where_the_loop_has_come_to_rest() -> None:
    options = {"lr": 0.3, "steps": 400, "proximal": 0.5}
    expected = derivatives(Reverse(), **options)
    assert error(derivatives(Implicit(40), **options), expected) < 1e-6
    assert error(derivatives(Implicit(1), **options), expected) > 1e-3
    assert error(derivatives(Implicit(40), **{**options, "steps": 2}), expected) > 1e-3


def kept(differentiation: Differentiation, steps: int) -> float:
    """Return how many numbers are still held after the way forward, by the allocator's own count."""
    learner, one = MAML(mlp(), lr=0.2, steps=steps, differentiation=differentiation), episode(2)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        loss = learner.loss(one)[0]
    assert loss.requires_grad
    return sum(event.self_cpu_memory_usage for event in profiled.key_averages()) / 8


def test_what_is_kept_grows_by_graphs_states_or_nothing() -> None:
    size = sum(p.numel() for p in mlp().parameters())
    reverse, adjoint, checkpointed = (
        (kept(route(), 16) - kept(route(), 4)) / size for route in (Reverse, Adjoint, Checkpointed)
    )
    assert reverse > 3 * adjoint
    assert 12 <= adjoint < 24  # states of twelve more steps, and what the allocator rounds up to
    assert checkpointed < 6  # of two more


@pytest.mark.parametrize("optimizer", [SGD(), SGD(0.9), SGD(0.5, 0.2), Adam(), Adam(0.5, 0.9, 1e-3, 0.1)])
def test_inner_optimizers_are_torch_s(optimizer: InnerOptimizer) -> None:
    body, one = mlp(), episode(2)
    state = MAML(body, lr=0.1, steps=6, optimizer=optimizer).adapt(one.support)
    theirs = mlp()
    if isinstance(optimizer, SGD):
        torchs = torch.optim.SGD(theirs.parameters(), 0.1, optimizer.momentum, weight_decay=optimizer.weight_decay)
    else:
        betas, decay = (optimizer.beta1, optimizer.beta2), optimizer.weight_decay
        torchs = torch.optim.Adam(theirs.parameters(), 0.1, betas, optimizer.epsilon, decay)
    for _ in range(6):
        torchs.zero_grad()
        surprise = nn.functional.cross_entropy(theirs(one.support.x), one.support.y, reduction="none")
        (one.support.w * surprise).sum().backward()
        torchs.step()
    for name, p in theirs.named_parameters():
        torch.testing.assert_close(state.params[name], p)
        assert not torch.allclose(p, body.get_parameter(name))


def test_adam_has_a_derivative_where_a_gradient_is_zero() -> None:
    """A dead unit has gradient 0 and second moment 0, whose root has no derivative: torch's formula gives NaN there."""
    learner, one = MAML(mlp(), lr=0.1, steps=3, optimizer=Adam()), episode(2)
    with torch.no_grad():
        learner.body.get_parameter("3.weight")[:, 0] = 0  # nothing flows back to the first hidden unit
    learner.loss(one)[0].backward()
    assert all(p.grad.isfinite().all() for p in learner.parameters())
    v = torch.zeros(1, requires_grad=True)
    (v.square().sqrt()).sum().backward()
    assert v.grad.isnan().all()  # what a plain root does


def test_rates_of_layer_and_step_are_those_of_their_step() -> None:
    learner, one = MAML(mlp(), lr=0.1, steps=2, learn_lr="layer-step"), episode(2)
    assert [tuple(rate.shape) for rate in learner.rates] == [(2,)] * 4
    with torch.no_grad():
        for rate in learner.rates:
            rate.copy_(torch.tensor([0.1, 0.0]))
    still = learner.adapt(one.support).params
    learner.steps = 1
    first = learner.adapt(one.support).params
    learner.steps = 7  # the last rate holds for later steps
    later = learner.adapt(one.support).params
    for name in still:
        torch.testing.assert_close(still[name], first[name])
        torch.testing.assert_close(later[name], first[name])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Blocked(0), "^size: "),
        (lambda: Truncated(-1), "^last: "),
        (lambda: Implicit(0), "^iterations: "),
        (lambda: FiniteDifference(0.0), "^distance: "),
        (lambda: SGD(1.0), "^momentum: "),
        (lambda: Adam(beta2=1.0), "^beta2: "),
        (lambda: SGD(weight_decay=-1.0), "^weight_decay: "),
        (lambda: MAML(mlp(), differentiation=Implicit()), "^proximal: "),
        (lambda: MAML(mlp(), differentiation=Implicit(), proximal=1.0, learn_lr=True), "^differentiation: "),
        (lambda: MAML(mlp(), differentiation=Implicit(), proximal=1.0, optimizer=Adam()), "^differentiation: "),
    ],
)
def test_what_cannot_be_is_refused(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()
