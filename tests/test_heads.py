"""A head that adapts alone: the layers below run once, with the numbers of running them in every step."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mapsto.adaptation import heads
from mapsto.adaptation.differentiation import Adjoint, Differentiation, FiniteDifference, FirstOrder, Reverse, Truncated
from mapsto.adaptation.normalisation import prepare
from mapsto.episodes import Episode, Examples
from mapsto.learners import MAML


def network(norm: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    middle = nn.BatchNorm1d(4, track_running_stats=False) if norm else nn.Identity()
    return nn.Sequential(nn.Linear(2, 4), middle, nn.Tanh(), nn.Linear(4, 3)).double()


def episode() -> Episode:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 2, generator=g, dtype=torch.double)
    w = torch.tensor([0.2, 0.1, 0.3, 0.0, 0.2, 0.2]).double()
    return Episode(*(Examples(rows, torch.arange(6) % 3, w) for rows in x))


def results(learner: MAML, mapped: bool = False) -> list[Tensor]:
    """Return the loss of a task, and its derivatives by every parameter, support input and support weight."""
    one = episode()

    def loss(params: dict[str, Tensor], x: Tensor, w: Tensor) -> Tensor:
        return functional_call(learner, params, (one._replace(support=one.support._replace(x=x, w=w)),))[0]

    inputs = (dict(learner.named_parameters()), one.support.x.requires_grad_(), one.support.w.requires_grad_())
    if mapped:
        several = lambda params, x, w: vmap(loss, (None, 0, 0))(params, x[None], w[None]).sum()  # noqa: E731
        by_params, *rest = grad(several, (0, 1, 2))(*inputs)
        return [loss(*inputs), *by_params.values(), *rest]
    value = loss(*inputs)
    return [value, *torch.autograd.grad(value, [*inputs[0].values(), *inputs[1:]], materialize_grads=True)]


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("adapt", ["head", ["3.bias"]])
@pytest.mark.parametrize("arguments", [{}, {"transductive": True}, {"learn_lr": True, "zero_head": True}])
@pytest.mark.parametrize("route", [Reverse, Adjoint, FirstOrder, lambda: Truncated(1), FiniteDifference])
def test_derivatives_are_those_of_running_all_layers_in_every_step(
    route: Callable[[], Differentiation], arguments: dict, adapt: str | list[str], mapped: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def learner() -> MAML:
        return MAML(network(), lr=0.3, steps=3, adapt=adapt, differentiation=route(), **arguments)

    got = results(learner(), mapped)
    monkeypatch.setattr(heads, "alone", lambda *_: "")
    expected = results(learner(), mapped)
    assert min(expected[-2].norm(), expected[1].norm()) > 1e-5
    tolerance = {"rtol": 1e-6, "atol": 1e-8} if route is FiniteDifference else {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(got, expected, **tolerance)


@pytest.mark.parametrize("norm", [True, False])
def test_the_layers_below_run_once_for_a_task(norm: bool) -> None:
    learner, calls = MAML(network(norm), steps=7, adapt="head"), []
    learner.adapt(episode().support)
    learner.body[0].register_forward_hook(lambda *_: calls.append(0))
    learner.adapt(episode().support)
    assert len(calls) == 1


class Times(nn.Linear):
    """A layer that multiplies its outputs by a number."""

    def forward(self, x: Tensor, times: float | Tensor = 1.0) -> Tensor:
        return times * super().forward(x)


RUNS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "usual": lambda head, h: head(h),
    "without a call": lambda head, h: h @ head.weight + head.bias,
    "twice": lambda head, h: head(head(h)),
    "reads the weights": lambda head, h: head(h @ head.weight),
    "not the last": lambda head, h: 2 * head(h),
    "by name": lambda head, h: head(x=h),
    "two inputs": lambda head, h: head(h, h.sum()),
    "another by name": lambda head, h: head(h, times=h.sum()),
    "of one row": lambda head, h: head(h[:1]),
}


class Network(nn.Module):
    def __init__(self, kind: str):
        super().__init__()
        self.kind, self.below, self.head = kind, nn.Linear(2, 3), Times(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return RUNS[self.kind](self.head, self.below(x))


@pytest.mark.parametrize("kind", RUNS)
def test_only_a_head_that_gives_the_scores_from_constant_inputs_is_alone(kind: str) -> None:
    x = episode().support.x.float()
    assert heads.alone(Network(kind), ["head.weight", "head.bias"], x) == ("head" if kind == "usual" else "")
    assert heads.alone(Network(kind), ["head.weight", "below.bias"], x) == ""


def test_a_head_with_batch_norm_is_not_alone() -> None:
    head = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))
    body = prepare(nn.Sequential(nn.Linear(2, 4), head).double())
    assert heads.alone(body, ["1.0.weight", "1.1.bias"], episode().support.x) == ""


def test_dropout_draws_a_mask_in_every_step() -> None:
    body, masks = nn.Sequential(nn.Linear(2, 40), nn.Dropout(), nn.Linear(40, 3)).double(), []
    learner = MAML(body, steps=3, adapt=["2.*"])
    learner.adapt(episode().support)
    body[1].register_forward_hook(lambda layer, inputs, output: masks.append(output == 0))
    learner.adapt(episode().support)
    assert len(masks) == 3 and not torch.equal(masks[0], masks[1])
    learner.eval()
    learner.adapt(episode().support)
    assert len(masks) == 4


def test_a_head_may_work_in_place() -> None:
    def learner(in_place: bool) -> MAML:
        torch.manual_seed(0)
        head = nn.Sequential(nn.ReLU(in_place), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
        return MAML(nn.Sequential(nn.Linear(2, 4), head).double(), lr=0.5, steps=3, adapt=["1.*"])

    assert heads.alone(learner(True).body, ["1.1.weight", "1.3.bias"], episode().support.x) == "1"
    torch.testing.assert_close(results(learner(True)), results(learner(False)))
