"""The parameters that adapt are those that are named: the layer whose output is the score, or a choice by name."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_same_numbers import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

import mapsto as mt
from mapsto.adaptation import parts
from mapsto.episodes import Examples
from mapsto.errors import MapstoError
from mapsto.learners import MAML


class HeadFirst(nn.Module):
    """A body that registers its head first."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.layer = nn.Linear(3, 1), nn.Linear(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x).tanh())


class TiedHead(nn.Module):
    """A body whose head has the weight of its embedding, transposed by use, and a bias of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(5, 3), nn.Linear(3, 5)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embedding(x).mean(1).tanh()).log_softmax(-1)


class Functional(nn.Module):
    """A body that multiplies by a matrix of its own at the end, and scales the result."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.scale = nn.Parameter(torch.eye(3)), nn.Parameter(torch.ones(()))
        self.layer = nn.Linear(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * F.linear(self.layer(x).tanh(), self.matrix)


def _normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.utils.parametrizations.weight_norm(nn.Linear(3, 1)))


ROW, TOKENS = torch.zeros(2, 1), torch.zeros(2, 4, dtype=torch.long)
HEADS: dict[str, tuple[Callable[[], nn.Module], Tensor, set[str]]] = {
    "last": (lambda: mt.models.MLP(1, 3, 1), ROW, {"2.weight", "2.bias"}),
    "first": (HeadFirst, ROW, {"head.weight", "head.bias"}),
    "tied": (TiedHead, TOKENS, {"embedding.weight", "head.bias"}),
    "functional": (Functional, ROW, {"matrix", "scale"}),
    "weight norm": (_normalised, ROW, {"2.bias", *(f"2.parametrizations.weight.original{i}" for i in (0, 1))}),
    "no bias": (lambda: nn.Sequential(nn.Linear(1, 3), nn.Linear(3, 1, bias=False)), ROW, {"1.weight"}),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_the_head_is_the_layer_whose_output_is_the_score(name: str) -> None:
    make, x, names = HEADS[name]
    if name == "last":
        names = {key for key, _ in list(make().named_parameters())[-2:]}
    assert set(parts.head(make(), x)) == names
    loss = lambda scores, y, w: (w * scores.square().sum(-1)).sum()  # noqa: E731
    learner = MAML(make(), loss, adapt="head", steps=1)
    task = Examples(x, torch.zeros(2), torch.full((2,), 0.5))
    every = Examples(*(part.expand(3, *part.shape) for part in task))
    torch.func.vmap(lambda x, y, w: learner.adapt(Examples(x, y, w)).params)(*every)  # found inside transforms too
    assert set(learner.adapted) == names


@pytest.mark.parametrize("name", ["Conv4", "VGG"])
def test_the_heads_of_the_models_are_registered_last(name: str) -> None:
    body = MODELS[name]()
    x = torch.zeros(2, 1, 28, 28)
    assert parts.head(mt.learners.MAML(body).body, x) == parts.chosen(body, "head")


def line(n: int = 8) -> Examples:
    x = torch.linspace(-1, 1, n)[:, None]
    return mt.examples(x, 2 * x + 1)


@pytest.mark.parametrize(
    ("adapt", "names"),
    [
        (["head.*"], {"head.weight", "head.bias"}),
        (["*.bias", "layer.weight"], {"head.bias", "layer.bias", "layer.weight"}),
        (lambda name: not name.startswith("head"), {"layer.weight", "layer.bias"}),
    ],
)
def test_parameters_are_chosen_by_name(adapt: Any, names: set[str]) -> None:
    torch.manual_seed(0)
    learner = MAML(HeadFirst(), loss="mse", adapt=adapt, learn_lr=True)
    state = learner.adapt(line())
    assert set(state.params) == names and len(learner.rates) == len(names)
    start = dict(learner.body.named_parameters())
    assert all(not torch.equal(start[name], value) for name, value in state.params.items())


def test_a_tied_parameter_is_chosen_by_any_of_its_names() -> None:
    assert MAML(TiedHead(), adapt=["head.weight"]).adapted == ["embedding.weight"]


class Context(nn.Module):
    """A network that reads numbers of its own beside the row: CAVIA's context parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.context = nn.Parameter(torch.zeros(2), requires_grad=False)
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(torch.cat([x, self.context.expand(len(x), -1)], 1))


def test_context_parameters_adapt_and_are_not_learned() -> None:
    """CAVIA (Zintgraf et al. 2019): only the context adapts, from 0, and only the network is learned."""
    torch.manual_seed(0)
    learner = MAML(Context(), loss="mse", lr=1.0, adapt=["context"])
    before = learner.body.net[0].weight.detach().clone()
    list(mt.train(learner, mt.tasks.Sinusoids(), steps=2, batch=2))
    assert learner.adapted == ["context"] and not torch.equal(before, learner.body.net[0].weight)
    assert torch.equal(learner.body.context, torch.zeros(2))
    assert learner.adapt(line()).params["context"].abs().max() > 0


@pytest.mark.parametrize("adapt", [["layer.*"], "body"])
def test_the_body_adapts_and_the_head_stays(adapt: Any) -> None:
    """BOIL (Oh et al. 2021): all but the head adapts, and everything is learned."""
    learner = MAML(HeadFirst(), loss="mse", adapt=adapt)
    before = learner.body.head.weight.detach().clone()
    list(mt.train(learner, mt.tasks.Sinusoids(), steps=1, batch=2))
    assert set(learner.adapt(line()).params) == {"layer.weight", "layer.bias"}
    assert not torch.equal(before, learner.body.head.weight)


def trained(**choices: Any) -> tuple[set[str], set[str]]:
    """Return the names of the parameters that adapt to a task, and of those that training has changed."""
    torch.manual_seed(0)
    learner = MAML(Context(), loss="mse", lr=0.5, **choices)
    before = {name: p.detach().clone() for name, p in learner.named_parameters()}
    list(mt.train(learner, mt.tasks.Sinusoids(), steps=2, batch=2))
    changed = {name for name, p in learner.named_parameters() if not torch.equal(p, before[name])}
    return set(learner.adapt(line()).params), {name.removeprefix("body.") for name in changed}


NET = {"net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"}
CHOICES: dict[str, tuple[dict[str, Any], set[str], set[str]]] = {
    "CAVIA": ({"adapt": ["context"], "learn": ["net.*"]}, {"context"}, NET),
    "adapters in a frozen network": ({"adapt": ["net.0.*"], "learn": ["net.0.*"]},
                                     {"net.0.weight", "net.0.bias"}, {"net.0.weight", "net.0.bias"}),
    "learned but not adapted": ({"adapt": ["net.0.*"], "learn": ["net.2.*", "context"]},
                                {"net.0.weight", "net.0.bias"}, {"net.2.weight", "net.2.bias", "context"}),
    "the start of the head": ({"learn": lambda name: name.startswith("net.2")}, NET, {"net.2.weight", "net.2.bias"}),
    "rates of what is not learned": ({"adapt": ["context"], "learn": ["net.2.bias"], "learn_lr": True},
                                     {"context"}, {"net.2.bias", "rates.0"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
def test_what_is_learned_and_what_adapts_are_chosen_apart(name: str) -> None:
    choices, adapted, learned = CHOICES[name]
    assert trained(**choices) == (adapted, learned)


@pytest.mark.parametrize("learn", ["head", "none", ["tail.*"], [], lambda name: False, 3])
def test_what_is_no_choice_of_what_is_learned_is_refused(learn: Any, unchecked: None) -> None:
    with pytest.raises(MapstoError, match=r"^(learn|body): .*learn|^learn: "):
        MAML(HeadFirst(), loss="mse", learn=learn)


@pytest.mark.parametrize(
    ("adapt", "argument"),
    [
        *(("tail", "adapt"), (["tail.*"], "adapt"), ([], "body"), (lambda name: False, "body")),
        *((None, "adapt"), (3, "adapt"), ([0], "adapt")),
    ],
)
def test_a_choice_of_nothing_is_refused(adapt: Any, argument: str, unchecked: None) -> None:
    with pytest.raises(MapstoError, match=rf"^{argument}: "):
        MAML(HeadFirst(), loss="mse", adapt=adapt)


def test_a_head_that_is_registered_first_has_no_learned_rates_unless_it_is_named() -> None:
    with pytest.raises(MapstoError, match=r"^adapt: .*head\.weight"):
        MAML(HeadFirst(), loss="mse", adapt="head", learn_lr=True).adapt(line())


def test_a_head_that_is_registered_first_starts_from_zero() -> None:
    learner = MAML(HeadFirst(), loss="mse", zero_head=True, lr=0.1)
    learner.adapt(line())
    assert set(learner.zeroed) == {"head.weight", "head.bias"}
