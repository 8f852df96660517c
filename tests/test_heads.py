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
    monkeypatch.setattr(heads, "split", lambda *_: None)
    expected = results(learner(), mapped)
    assert min(expected[-2].norm(), expected[1].norm()) > 1e-5
    tolerance = {"rtol": 1e-6, "atol": 1e-8} if route is FiniteDifference else {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(got, expected, **tolerance)


@pytest.mark.parametrize("norm", [True, False])
def test_the_layers_below_run_once_for_a_task(norm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, calls = MAML(network(norm), steps=7, adapt="head"), []
    learner.adapt(episode().support)
    forward = nn.Tanh.forward
    monkeypatch.setattr(nn.Tanh, "forward", lambda *of: calls.append(0) or forward(*of))
    learner.adapt(episode().support)
    assert len(calls) == 1


class Twice(nn.Sequential):
    """A sequence with another order."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Noise(nn.Module):
    """A layer that torch and mapsto do not know."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


def layers(*extra: nn.Module) -> list[nn.Module]:
    return [nn.Linear(2, 4), nn.Tanh(), *extra, nn.Linear(4, 3)]


def tied() -> nn.Sequential:
    body = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    body[1].weight = body[0].weight
    return body


def hooked() -> nn.Sequential:
    body = nn.Sequential(*layers())
    body[2].register_forward_pre_hook(lambda _, inputs: (2 * inputs[0],))
    return body


def replaced() -> nn.Sequential:
    body = nn.Sequential(*layers())
    body.forward = lambda x: x  # type: ignore[method-assign]
    return body


same = nn.Linear(4, 4)
OTHERS: dict[str, Callable[[], nn.Module]] = {
    "another order": lambda: Twice(*layers()),
    "a layer of one's own": lambda: nn.Sequential(*layers(Noise())),
    "dropout": lambda: nn.Sequential(*layers(nn.Dropout())),
    "random slopes": lambda: nn.Sequential(*layers(nn.RReLU())),
    "a layer twice": lambda: nn.Sequential(*layers(same, same)),
    "tied weights": tied,
    "hooks": hooked,
    "another forward": replaced,
    "no sequence": lambda: nn.Linear(2, 3),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_networks_run_all_layers_in_every_step(kind: str) -> None:
    body = OTHERS[kind]()
    last = [name for name, _ in body.named_parameters()][-1:]
    assert heads.split(body, last) is None
    usual = heads.split(nn.Sequential(*layers()), ["2.bias"])
    assert usual is not None and (len(usual.below), len(usual.head)) == (2, 1)
    assert heads.split(nn.Sequential(*layers()), ["0.bias", "2.bias"]) is None


def test_a_head_with_batch_norm_is_not_alone() -> None:
    head = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))
    body = prepare(nn.Sequential(nn.Linear(2, 4), head).double())
    assert heads.split(body, ["1.0.weight", "1.1.bias"]) is None


def test_dropout_draws_a_mask_in_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    masks, forward = [], nn.Tanh.forward
    monkeypatch.setattr(nn.Tanh, "forward", lambda layer, x: masks.append(x == 0) or forward(layer, x))
    body = nn.Sequential(nn.Linear(2, 40), nn.Dropout(), nn.Tanh(), nn.Linear(40, 3)).double()
    learner = MAML(body, steps=3, adapt=["3.*"])
    learner.adapt(episode().support)
    assert len(masks) == 3 and not torch.equal(masks[0], masks[1])
    learner.eval().adapt(episode().support)
    assert len(masks) == 4


def test_a_head_may_work_in_place() -> None:
    def learner(in_place: bool) -> MAML:
        torch.manual_seed(0)
        head = nn.Sequential(nn.ReLU(in_place), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
        return MAML(nn.Sequential(nn.Linear(2, 4), head).double(), lr=0.5, steps=3, adapt=["1.*"])

    assert heads.split(learner(True).body, ["1.1.weight", "1.3.bias"]) is not None
    torch.testing.assert_close(results(learner(True)), results(learner(False)))
