"""A batch of tasks by batched products has the loss and the gradient of its tasks one after the other."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils import _pytree as pytree

import mapsto as mt
from mapsto.adaptation import learner as base
from mapsto.adaptation import stacked
from mapsto.adaptation.differentiation import (
    Adjoint,
    Checkpointed,
    FiniteDifference,
    FirstOrder,
    Implicit,
    Reverse,
    Truncated,
)
from mapsto.adaptation.differentiation.route import Differentiation
from mapsto.adaptation.inner import SGD, Adam
from mapsto.episodes import Episode, Examples, unstack
from mapsto.learners import MAML

TASKS, N = 3, 6


def body(last: int = 2) -> nn.Module:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4, bias=False))
    return nn.Sequential(nn.Flatten(), inner, nn.Softplus(), nn.Linear(4, last)).double()


def numbers() -> Episode:
    """Tasks of 2×2 inputs; one row in three is padding, and its target is infinite."""
    generator = torch.Generator().manual_seed(1)
    w = torch.rand(TASKS, N, generator=generator).double()
    w = torch.where(torch.arange(N) % 3 == 2, 0.0, w)

    def rows() -> Examples:
        x, y = (torch.randn(TASKS, N, *s, generator=generator).double() for s in ((2, 2), (2,)))
        return Examples(x, torch.where(w[..., None] == 0, torch.inf, y), w)

    return Episode(rows(), rows())


def classes() -> Episode:
    tasks = numbers()
    support, query = (rows._replace(y=(rows.y[..., 0] > 0).long()) for rows in tasks[:2])
    return Episode(support, query)


def one_by_one(learner: MAML, episodes: Episode) -> tuple[Tensor, dict[str, Tensor]]:
    results = [learner.loss(episode) for episode in unstack(episodes)]
    mean = lambda *leaves: torch.stack(leaves).mean(0)  # noqa: E731
    return pytree.tree_map(mean, *results)


def gradients(learner: MAML, loss: Tensor) -> list[Tensor]:
    learned = [p for p in learner.parameters() if p.requires_grad]
    return list(torch.autograd.grad(loss, learned, retain_graph=True, materialize_grads=True))


def same(learner: MAML, episodes: Episode) -> None:
    (loss, metrics), (expected, told) = learner.batch_loss(episodes), one_by_one(learner, episodes)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(metrics, told)
    torch.testing.assert_close(gradients(learner, loss), gradients(learner, expected))
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients(learner, loss))


def refuse(*_: Any) -> Any:
    raise AssertionError("vmap over tasks")


CHOICES: dict[str, dict[str, Any]] = {
    "plain": {},
    "one step": {"steps": 1},
    "no step": {"steps": 0},
    "first order": {"first_order": True},
    "truncated": {"differentiation": Truncated(1)},
    "adjoint": {"differentiation": Adjoint()},
    "checkpointed": {"differentiation": Checkpointed()},
    "momentum": {"optimizer": SGD(0.9, weight_decay=0.1)},
    "Adam": {"optimizer": Adam()},
    "Meta-SGD": {"learn_lr": True},
    "a rate for each layer and step": {"learn_lr": "layer-step"},
    "the head": {"adapt": "head"},
    "the body": {"adapt": "body"},
    "biases": {"adapt": ["*.bias"]},
    "weights": {"adapt": ["*.weight"]},
    "a head of zeros": {"zero_head": True},
    "proximal": {"proximal": 0.5},
    "proximal, first order": {"proximal": 0.5, "first_order": True},
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_stacked_tasks_have_the_loss_of_each(loss: str, choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"lr": 0.3, "steps": 3, **CHOICES[choice]}
    monkeypatch.setattr(base, "over_tasks", refuse)
    same(MAML(body(), loss, **arguments), numbers() if loss == "mse" else classes())


LEFT: dict[str, Callable[[], MAML]] = {
    "implicit": lambda: MAML(body(), "mse", differentiation=Implicit(2), proximal=1.0),
    "finite differences": lambda: MAML(body(), "mse", differentiation=FiniteDifference()),
    "minibatches": lambda: MAML(body(), "mse", minibatch=2, steps=3),
    "a loss of rows together": lambda: MAML(body(), lambda scores, y, w: (w * scores.sum(-1)).sum().square()),
    "an activation in place": lambda: MAML(nn.Sequential(body(), nn.ReLU(inplace=True)), "mse"),
    "a layer of whole rows": lambda: MAML(nn.Sequential(body(), nn.Softmax(-1)), "mse"),
    "a flattening of other axes": lambda: MAML(nn.Sequential(nn.Flatten(2), body()), "mse"),
    "another order of layers": lambda: MAML(Backwards(), "mse"),
    "a subclass": lambda: Doubled(body(), "mse"),
    "one activation in two places": lambda: MAML(shared(), "mse"),
    "a bias of two layers": lambda: MAML(tied(), "mse"),
    "a bias that is a buffer": lambda: MAML(buffered(), "mse"),
    "an optimizer of one's own": lambda: MAML(body(), "mse", optimizer=Clipped(), lr=0.3, steps=2),
    "a route of one's own": lambda: MAML(body(), "mse", differentiation=OwnRoute()),
}


def shared() -> nn.Sequential:
    sigmoid = nn.Sigmoid()
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 4), sigmoid, nn.Linear(4, 2), sigmoid).double()


def tied() -> nn.Sequential:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)).double()
    network[2].bias = network[1].bias
    return network


def buffered() -> nn.Sequential:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    bias = network[1].bias.detach().clone()
    del network[1].bias
    network[1].register_buffer("bias", bias)
    return network


class Clipped(SGD):
    """Steps of bounded length, which all entries of a tensor decide together."""

    def direction(self, g: Any, memory: Any, i: int) -> Any:
        return {name: value / value.norm().clamp(min=0.1) for name, value in g.items()}, memory


class OwnRoute(Reverse):
    pass


class Backwards(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 2), nn.Linear(4, 4), nn.Flatten())
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        for layer in reversed(self):
            x = layer(x)
        return x


class Doubled(MAML):
    def predict(self, state: Any, x: Tensor) -> Tensor:
        return 2 * super().predict(state, x)


@pytest.mark.parametrize("kind", LEFT)
def test_other_learners_keep_vmap(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    episodes = numbers()
    finite = [rows._replace(y=torch.where(rows.y.isfinite(), rows.y, 0.0)) for rows in episodes[:2]]
    same(LEFT[kind](), Episode(*finite))
    monkeypatch.setattr(base, "over_tasks", refuse)
    with pytest.raises(AssertionError, match="vmap"):
        LEFT[kind]().batch_loss(episodes)


def test_rows_that_are_not_flat_are_left_to_vmap(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(6, 2)).double()
    x, y = torch.randn(3, N, 2, 4).double(), torch.randn(3, N, 2).double()
    rows = Examples(x, y, torch.full((3, N), 1 / N).double())
    same(MAML(network, "mse", lr=0.3, steps=2), Episode(rows, rows))


def test_a_row_of_weight_zero_may_hold_nan() -> None:
    learner, (support, query, *_) = MAML(body(), "mse", lr=0.3, steps=2), numbers()
    holed = support._replace(
        x=torch.where((support.w > 0).view(*support.w.shape, *[1] * (support.x.dim() - 2)), support.x, torch.nan)
    )
    assert (support.w == 0).any()
    finite = query._replace(y=torch.where(query.y.isfinite(), query.y, 0.0))
    loss, expected = (learner.batch_loss(Episode(rows, finite))[0] for rows in (holed, support))
    torch.testing.assert_close(loss, expected)


def test_a_hook_sees_the_rows_of_one_task() -> None:
    learner, shapes = MAML(body(), "mse"), []
    learner.body[1].register_forward_hook(lambda layer, x, y: shapes.append(y.shape))
    learner.batch_loss(numbers())
    assert set(shapes) == {(N, 4)}


def test_a_body_that_begins_with_unknown_layers_is_not_stacked() -> None:
    assert stacked.stacks(mt.models.MLP(1, 4, 1)) and not stacked.stacks(nn.Sequential(nn.Linear(1, 1), nn.Dropout()))
    assert not stacked.stacks(nn.Linear(1, 1))  # which has no layers to call in turn


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
@pytest.mark.parametrize("route", [Reverse(), FirstOrder(), Checkpointed()], ids=lambda r: type(r).__name__)
def test_an_inner_gradient_is_that_of_torch_func(route: Differentiation, mode: Callable) -> None:
    def objective(params: dict[str, Tensor], fixed: dict[str, Tensor], rows: Examples) -> Tensor:
        return (params["a"] ** 2 * params["b"].exp() * fixed["c"] * rows.w).sum()

    a, c, w = (torch.tensor(value, dtype=torch.double, requires_grad=True) for value in (3.0, 0.5, 2.0))
    rest = {"c": c}, Examples(w, w, w)
    with mode():
        params = {"a": a, "b": a.sin(), "unused": a}  # the gradient by a does not pass through b
        found = route.gradient(objective)(params, *rest)
        expected = torch.func.grad(objective)(params, *rest)
        torch.testing.assert_close(found, expected)
        assert found["unused"] == 0 and (found["a"].requires_grad == (mode is torch.enable_grad))
    if mode is torch.enable_grad:
        for of in (a, w):
            one, two = (torch.autograd.grad(g["a"] + g["b"], of, retain_graph=True) for g in (found, expected))
            torch.testing.assert_close(one, two)


def test_the_gradient_of_a_constant_is_zero() -> None:
    gradient = Reverse().gradient(lambda params: torch.ones(()))
    assert gradient({"a": torch.ones(2, requires_grad=True)})["a"].equal(torch.zeros(2))


def test_adapting_is_the_same_in_inference_mode_and_keeps_tangents() -> None:
    learner, one = MAML(body(), "mse", lr=0.3, steps=3), unstack(numbers())[0]
    expected = learner.predict(learner.adapt(one.support), one.query.x).detach()
    assert (expected - learner.body(one.query.x)).abs().max() > 1e-3
    with torch.inference_mode():
        torch.testing.assert_close(learner.predict(learner.adapt(one.support), one.query.x), expected)

    x, y = (torch.where(part.isfinite(), part, 0.0) for part in one.support[:2])
    w = torch.full((N,), 1 / N).double()

    def of(w: Tensor) -> Tensor:
        return learner.predict(learner.adapt(Examples(x, y, w)), one.query.x)

    with torch.no_grad(), forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(of(forward_ad.make_dual(w, w))).tangent
    torch.testing.assert_close(tangent, (of((1 + 1e-6) * w) - of((1 - 1e-6) * w)) / 2e-6, rtol=1e-6, atol=1e-8)


def test_a_head_of_zeros_that_does_not_adapt_stays() -> None:
    learner = MAML(
        nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double(), "mse", zero_head=True, adapt=["0.*"]
    )
    one = unstack(numbers())[0]
    support = one.support._replace(x=one.support.x.flatten(1))
    assert learner.adapt(support).params["0.weight"].isfinite().all()
