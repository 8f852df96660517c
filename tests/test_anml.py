"""ANML and OML against the sequence in plain autograd, and wrong ones that are caught, the published among them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from mapsto.adaptation.differentiation import Checkpointed, ConstantGradients, Differentiation, FirstOrder, Implicit
from mapsto.adaptation.inner import InnerStep
from mapsto.episodes import Episode, Examples, examples
from mapsto.errors import MapstoError
from mapsto.learners import ANML
from mapsto.learners import anml as module
from mapsto.models import MLP, Conv3

WAYS, WIDTH, LR = 5, 4, 0.7


def episode() -> Episode:
    """Make a sequence of classes 1 and 3, and a remember set of all five; one image weighs nothing, one weighs half."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(3, 8, 2, generator=g).double()
    w = torch.tensor([1.0, 1.0, 0.5, 1.0, 0.0, 1.0]).double() / 6
    support = Examples(x[0, :6], torch.tensor([1, 1, 1, 3, 3, 3]), w)
    remember = Examples(x[2], torch.arange(8) % WAYS, torch.full((8,), 0.1).double())
    return Episode(support, examples(x[1], torch.tensor([1, 3] * 4)), context=remember)


def learner(gated: bool = True, kind: type[ANML] = ANML, **arguments: Any) -> ANML:
    torch.manual_seed(0)
    body, gate = (MLP(2, 5, WIDTH, activation="tanh") for _ in range(2))
    return kind(body, gate if gated else None, WIDTH, WAYS, lr=LR, **arguments).double()


def spelled_out(of: ANML, task: Episode) -> Tensor:
    """Return the loss with the sequence written as Algorithm 1 is: a loop of autograd calls whose graphs are kept."""

    def represent(x: Tensor) -> Tensor:
        return of.body(x) if of.gate is None else of.body(x) * of.gate(x).sigmoid()

    fresh = torch.tensor([[0.0 if k in (1, 3) else 1.0] for k in range(WAYS)]).double()
    weight, bias = of.head.weight * fresh, of.head.bias * fresh[:, 0]
    there = task.support.w > 0
    typical = float(task.support.w.square().sum() / task.support.w.sum())
    for x, y, w in zip(*(leaf[there] for leaf in task.support), strict=True):
        loss = F.cross_entropy(represent(x[None]) @ weight.T + bias, y[None]) * (float(w) / typical)
        by_weight, by_bias = torch.autograd.grad(loss, (weight, bias), create_graph=True)
        weight, bias = weight - LR * by_weight, bias - LR * by_bias
    terms = [
        part.w @ F.cross_entropy(represent(part.x) @ weight.T + bias, part.y, reduction="none")
        for part in (task.query, task.context)
    ]
    return terms[0] + terms[1]


def is_the_sequence(of: ANML) -> None:
    """Expect the loss and all its derivatives to be those of the loop."""
    task = episode()
    expected = spelled_out(of, task)
    slopes = torch.autograd.grad(expected, list(of.parameters()))
    params = {name: p.detach() for name, p in of.named_parameters()}
    got, value = torch.func.grad_and_value(lambda p: functional_call(of, p, (task,))[0])(params)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-10, atol=1e-10)
    for (name, slope), wanted in zip(got.items(), slopes, strict=True):
        assert wanted.norm() > 1e-4, name
        torch.testing.assert_close(slope, wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("differentiation", [None, Checkpointed()])
def test_the_loss_is_that_of_the_loop(gated: bool, differentiation: Differentiation | None) -> None:
    is_the_sequence(learner(gated, differentiation=differentiation))


class KeepsItsRows(ANML):
    """Starts a class that comes anew from what it was."""

    def _cleared(self, seen: Tensor) -> dict[str, Tensor]:
        return super()._cleared(torch.zeros_like(seen))


class Backwards(ANML):
    """Learns the last image first."""

    def adapt(self, support: Examples) -> module.Head:
        return super().adapt(Examples(*(leaf.flip(0) for leaf in support)))


class Forgetful(ANML):
    """Is judged on the sequence alone."""

    def loss(self, episode: Episode) -> tuple[Tensor, dict[str, Tensor]]:
        return super().loss(episode._replace(context=None))


@pytest.mark.parametrize("mutant", [KeepsItsRows, Backwards, Forgetful])
def test_another_algorithm_is_caught(mutant: type[ANML]) -> None:
    with pytest.raises(AssertionError):
        is_the_sequence(learner(kind=mutant))


def all_at_once(step: InnerStep, size: int) -> InnerStep:
    return step


def test_steps_on_all_images_at_once_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "on_minibatches", all_at_once)
    with pytest.raises(AssertionError):
        is_the_sequence(learner())


def test_the_silently_first_order_derivative_is_caught_and_its_value_is_not() -> None:
    silent = learner(differentiation=ConstantGradients())
    torch.testing.assert_close(silent.loss(episode())[0], learner().loss(episode())[0])
    with pytest.raises(AssertionError):
        is_the_sequence(silent)


def test_without_a_gate_it_is_one_that_is_open() -> None:
    class Open(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.full((len(x), WIDTH), torch.inf).double()

    gated, bare = learner(gated=False), learner(gated=False)
    gated.gate = Open()
    torch.testing.assert_close(gated.loss(episode())[0], bare.loss(episode())[0])


def test_a_step_is_the_softmax_gradient_of_one_image() -> None:
    of, task = ANML(nn.Identity(), None, 2, 3, lr=0.5).double(), episode()
    x, y = task.support.x[:1], task.support.y[:1]
    state = of.adapt(examples(x, y))
    start_weight, start_bias = of.head.weight.detach().clone(), of.head.bias.detach().clone()
    start_weight[1], start_bias[1] = 0, 0
    p = (start_weight @ x[0] + start_bias).softmax(0)
    p[1] -= 1
    torch.testing.assert_close(state.weight.detach(), start_weight - 0.5 * torch.outer(p, x[0]))
    torch.testing.assert_close(state.bias.detach(), start_bias - 0.5 * p)


def test_an_image_more_changes_no_earlier_step() -> None:
    of, support = learner(), episode().support
    few, more = (Examples(*(leaf[:n] for leaf in support))._replace(w=torch.full((n,), 1 / n).double()) for n in (2, 3))
    stopped = more._replace(w=more.w * torch.tensor([1.0, 1.0, 0.0]).double())
    for got, expected in zip(of.adapt(stopped), of.adapt(few), strict=True):
        torch.testing.assert_close(got, expected)


def test_ways_beyond_those_it_was_made_with_start_from_nothing() -> None:
    of, task = learner(), episode()
    narrow = of.predict(of.adapt(task.support), task.query.x)
    nothing = task.support._replace(w=0 * task.support.w)
    of.ways = WAYS + 3
    wide = of.predict(of.adapt(nothing), task.query.x)
    assert wide.shape == (8, WAYS + 3) and (wide[:, WAYS:] == 0).all() and (wide[:, :WAYS] != 0).all()
    of.ways = 4
    assert of.predict(of.adapt(task.support), task.query.x).shape == (8, 4) and narrow.shape == (8, WAYS)


def test_metrics_tell_the_sequence_from_the_remember_set() -> None:
    of, task = learner(), episode()
    metrics = of.loss(task)[1]
    state = of.adapt(task.support)
    for name, part in (("accuracy", task.query), ("remembered_accuracy", task.context)):
        right = (of.predict(state, part.x).argmax(1) == part.y).double()
        torch.testing.assert_close(metrics[name], (part.w * right).sum() / part.w.sum())
    assert metrics["accuracy"] != metrics["remembered_accuracy"]
    assert "remembered_accuracy" not in of.loss(task._replace(context=None))[1]


def test_features_show_what_the_gate_lets_through() -> None:
    of, task = learner(), episode()
    seen = of.features(of.adapt(task.support), task.query.x)
    torch.testing.assert_close(seen["gated"], seen["representation"] * seen["open"])
    assert seen["open"].min() > 0 and seen["open"].max() < 1
    scores = F.linear(seen["gated"], *of.adapt(task.support))
    torch.testing.assert_close(scores, of.predict(of.adapt(task.support), task.query.x))
    bare = learner(gated=False)
    assert (bare.features(bare.adapt(task.support), task.query.x)["open"] == 1).all()


def test_the_network_sees_each_image_by_itself() -> None:
    torch.manual_seed(0)
    body, x = Conv3(hidden=3), torch.rand(4, 1, 28, 28)
    assert body.width == body(x).shape[1] == 27
    torch.testing.assert_close(body(x), torch.cat([body(image[None]) for image in x]))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ANML(nn.Identity(), None, 2, 0), "^ways: "),
        (lambda: ANML(nn.Identity(), None, 0, 2), "^width: "),
        (lambda: ANML(nn.Identity(), None, 2, 2, lr=-1.0), "^lr: "),
        (
            lambda: ANML(nn.Identity(), None, 2, 2, differentiation=FirstOrder()),
            "^differentiation: .*ConstantGradients",
        ),
        (
            lambda: ANML(nn.Identity(), None, 2, 2, differentiation=Implicit()),
            "^differentiation: got Implicit",
        ),
        (lambda: ANML(nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False)), None, 2, 2), "^body: "),
        (lambda: ANML(nn.Identity(), nn.Sequential(nn.BatchNorm1d(2)), 2, 2), "^gate: "),
        (
            lambda: ANML(nn.Identity(), None, 3, 2).adapt(examples(torch.zeros(2, 2), torch.arange(2))),
            "^width: ",
        ),
        (
            lambda: ANML(nn.Identity(), None, 1, 2).adapt(examples(torch.zeros(2, 1), torch.zeros(2, 1))),
            "^y: ",
        ),
        (lambda: Conv3(size=21), "^size: "),
        (lambda: Conv3(pooling="stride"), "^pooling: "),
        (lambda: Conv3(hidden=0), "^hidden: "),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()
