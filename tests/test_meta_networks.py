"""Meta networks against the algorithm in loops and plain autograd, and wrong ones that are caught."""

import math
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn import functional as F

import mapsto as mt
from mapsto.adaptation.coordinates import read
from mapsto.adaptation.differentiation.route import detached
from mapsto.episodes import Episode, Examples, examples
from mapsto.errors import MapstoError
from mapsto.learners import MetaNetwork, fast_layers
from mapsto.learners import meta_networks as module
from mapsto.learners.fast_layers import Layers
from mapsto.models import (
    MLP,
    VGG,
    AlexNet,
    Conv3,
    Conv4,
    KernelAttention,
    MomentNetwork,
    NewtonNetwork,
    Recurrent,
    ResNet12,
    SetTransformer,
)

WAYS, HIDDEN = 3, 4


def episode(rows: int = 6) -> Episode:
    """Make a task whose fourth example weighs nothing."""
    g = torch.Generator().manual_seed(0)
    x, w = torch.randn(2, rows, 2, generator=g).double(), torch.rand(rows, generator=g).double()
    y = torch.arange(rows) % WAYS
    return Episode(Examples(x[0], y, w * (torch.arange(rows) != 3)), examples(x[1], y))


def learner(kind: type[MetaNetwork] = MetaNetwork) -> MetaNetwork:
    torch.manual_seed(0)
    body, keys = MLP(2, 5, WAYS, activation="tanh"), MLP(2, 4, WAYS, activation="tanh")
    of = kind(body, keys, hidden=HIDDEN).double()
    with torch.no_grad():
        for writer in of.task_writers:
            writer.out.weight *= 10  # fast weights start small: loud ones tell algorithms apart
        for writer in of.example_writers:
            writer[-1].weight *= 10
    return of


# the algorithm, spelled out


def forward(network: Layers, x: Tensor, slow: list[Tensor], fast: list[Tensor]) -> list[Tensor]:
    """Return the hidden layer and the scores of one row: h ← tanh(W h + b) + tanh(W* h), the last without tanh."""
    outputs, last = [x], len(slow) - 1
    for i, layer in enumerate(network.layers):
        h = slow[i] @ outputs[-1] + layer.bias
        h = h if i == last else h.tanh()
        if i < len(fast):
            extra = fast[i] @ outputs[-1]
            h = h + (extra if i == last else extra.tanh())
        outputs.append(h)
    return outputs[1:]


def gradient(network: Layers, x: Tensor, y: Tensor) -> list[Tensor]:
    slow = [layer.weight for layer in network.layers]
    loss = -forward(network, x, slow, [])[-1].log_softmax(0)[y]
    return list(torch.autograd.grad(loss, slow, create_graph=True))


def told(g: Tensor) -> Tensor:
    """Return two numbers for one coordinate (a tensor without axes)."""
    if abs(float(g.detach())) >= math.exp(-7):
        return torch.stack([g.abs().log() / 7, g.sign()])
    return torch.stack([torch.tensor(-1.0).double(), g * math.exp(7)])


def written_by_lstm(writer: module.TaskWriter, gradients: list[Tensor]) -> Tensor:
    """Read a weight's gradients, example by example, with PyTorch's own cell."""
    cell = nn.LSTMCell(2, HIDDEN).double()
    weight, bias = writer.cell.gates.weight, writer.cell.gates.bias
    params = {"weight_ih": weight[:, :2], "weight_hh": weight[:, 2:], "bias_ih": bias, "bias_hh": 0 * bias}
    fast = []
    for at in range(gradients[0].numel()):
        h = c = torch.zeros(1, HIDDEN).double()
        for g in gradients:
            h, c = functional_call(cell, params, (told(g.flatten()[at])[None], (h, c)))
        fast.append(writer.out(h)[0, 0])
    return torch.stack(fast).view(gradients[0].shape)


def written(writer: nn.Module, g: Tensor) -> Tensor:
    return torch.stack([writer(told(one))[0] for one in g.flatten()]).view(g.shape)


def spelled_out(of: MetaNetwork, task: Episode) -> Tensor:
    """Return the scores of the query rows by Algorithm 1."""
    there = [(x, y, w) for x, y, w in zip(*task.support, strict=True) if w > 0]
    slow_keys, slow = ([layer.weight for layer in network.layers] for network in (of.keys, of.body))
    by_layer = list(zip(*(gradient(of.keys, x, y) for x, y, _ in there), strict=True))
    task_weights = [written_by_lstm(w, list(g)) for w, g in zip(of.task_writers, by_layer[:-1], strict=True)]
    keys, memory = [], []
    for x, y, _ in there:
        keys.append(forward(of.keys, x, slow_keys, task_weights)[0])
        memory.append([written(w, g) for w, g in zip(of.example_writers, gradient(of.body, x, y), strict=True)])
    rows = []
    for x in task.query.x:
        key = forward(of.keys, x, slow_keys, task_weights)[0]
        mass = [w * F.cosine_similarity(key, k, 0).exp() for k, (*_, w) in zip(keys, there, strict=True)]
        a = [m / sum(mass) for m in mass]
        fast = [sum(share * stored[i] for share, stored in zip(a, memory, strict=True)) for i in range(len(slow))]
        rows.append(forward(of.body, x, slow, fast)[-1])
    return torch.stack(rows)


def is_the_algorithm(of: MetaNetwork) -> None:
    """Expect the scores, and the derivative of the loss by every parameter, to be those of the loops."""
    task = episode()
    expected = spelled_out(of, task)
    bare = torch.stack([forward(of.body, x, [layer.weight for layer in of.body.layers], [])[-1] for x in task.query.x])
    assert (expected - bare).abs().mean() > 0.01
    torch.testing.assert_close(of.predict(of.adapt(task.support), task.query.x), expected, rtol=1e-9, atol=1e-10)
    loss = F.cross_entropy(expected, task.query.y)
    slopes = torch.autograd.grad(loss, list(of.parameters()), allow_unused=True)
    got = grad(lambda p: functional_call(of, p, (task,))[0])({n: p.detach() for n, p in of.named_parameters()})
    for slope, wanted in zip(got.values(), slopes, strict=True):
        wanted = torch.zeros_like(slope) if wanted is None else wanted
        torch.testing.assert_close(slope, wanted, rtol=1e-8, atol=1e-10)
    idle = {name for name, wanted in zip(got, slopes, strict=True) if wanted is None or wanted.norm() < 1e-9}
    head = (
        f"example_writers.{len(of.body.layers) - 1}."  # what it adds to all of a fast head's entries, softmax ignores
    )
    assert idle <= {f"{head}2.bias", f"{head}4.bias"}


def test_the_network_is_that_of_the_algorithm() -> None:
    is_the_algorithm(learner())


def as_constants(g: Tensor, p: float) -> Tensor:
    return read(detached(g), p)


def as_they_are(g: Tensor, p: float) -> Tensor:
    return torch.stack([g, g.sign()], -1)


def all_alike(a: Tensor, b: Tensor) -> Tensor:
    return 0 * (a @ b.T)


def in_place_of_slow(layer: nn.Module, weight: Tensor, x: Tensor) -> Tensor:
    return BY_FAST(layer, weight - layer.weight, x)


BY_FAST = fast_layers.by_fast


@pytest.mark.parametrize(
    ("file", "name", "mutant"),
    [
        (module, "read", as_constants),
        (module, "read", as_they_are),
        (module, "_cosine", all_alike),
        (fast_layers, "by_fast", in_place_of_slow),
    ],
)
def test_another_algorithm_is_caught(
    file: ModuleType, name: str, mutant: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, name, mutant)
    with pytest.raises(AssertionError):
        is_the_algorithm(learner())


def test_gradients_of_all_sizes_are_told_by_numbers_of_about_one() -> None:
    g = torch.tensor([1e-9, -1e-9, 1e-3, -1.0, 1e6, 0.0], dtype=torch.float64)
    expected = torch.stack([told(one) for one in g])
    torch.testing.assert_close(read(g, 7.0), expected)
    assert expected.abs().max() < 2.1
    assert grad(lambda g: read(g, 7.0).sum())(g).isfinite().all()


def test_no_support_leaves_the_slow_weights() -> None:
    of, task = learner(), episode()
    none = task.support._replace(w=0 * task.support.w)
    slow = [layer.weight for layer in of.body.layers]
    expected = torch.stack([forward(of.body, x, slow, [])[-1] for x in task.query.x])
    torch.testing.assert_close(of.predict(of.adapt(none), task.query.x), expected)


def test_a_convolutional_body_is_run_as_it_would_run_itself() -> None:
    torch.manual_seed(0)
    body, x = Conv4(hidden=3, outputs=WAYS, size=16), torch.randn(5, 1, 16, 16)
    expected = body(x)
    layers = Layers("body", body)
    kinds = [nn.Conv2d] * 4 + [nn.Linear]
    assert all(map(isinstance, layers.layers, kinds)) and len(layers.layers) == 5 and layers.normalises
    outputs, statistics = layers.on_support(Examples(x, torch.zeros(5), torch.full((5,), 0.2)), ())
    torch.testing.assert_close(outputs[-1], expected)
    torch.testing.assert_close(layers.on_query(x[:2], (), statistics)[-1], expected[:2])


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MLP": lambda: MLP(64, 5, WAYS),
    "Conv3": lambda: Conv3(hidden=2, outputs=WAYS, size=24),
    "Conv4": lambda: Conv4(hidden=3, outputs=WAYS, size=24),
    "VGG": lambda: VGG(widths=(2, 3), outputs=WAYS, size=24),
    "AlexNet": lambda: AlexNet(hidden=1, width=4, outputs=WAYS, size=24),
}
OTHERS: dict[str, Callable[[], nn.Module]] = {
    "GaussianPolicy": lambda: mt.models.GaussianPolicy(2, 2),
    "ResNet12": lambda: ResNet12(channels=4, widths=(4, 4), outputs=WAYS, norm="layer"),
    "Recurrent": lambda: Recurrent(2, 3, WAYS),
    "SetTransformer": lambda: SetTransformer(8, 1, 2),
    "KernelAttention": lambda: KernelAttention(width=8, heads=2),
    "MomentNetwork": lambda: MomentNetwork(2),
    "NewtonNetwork": lambda: NewtonNetwork(2, WAYS),
    "SENN": lambda: mt.models.SENN(nn.Identity(), nn.Linear(2, 2 * WAYS), WAYS),
    "SoftDecisionTree": lambda: mt.models.SoftDecisionTree(2, WAYS),
    "TextEncoder": lambda: mt.models.TextEncoder(buckets=16, width=4, sketch=4),
}


@pytest.mark.parametrize("name", mt.models.__all__)
def test_a_network_is_run_as_it_would_run_itself_or_refused(name: str) -> None:
    torch.manual_seed(0)
    if name in OTHERS:
        with pytest.raises(MapstoError, match=f"^body: got {name},"):
            Layers("body", OTHERS[name]())
        return
    network, x = NETWORKS[name](), torch.randn(4, 64) if name == "MLP" else torch.randn(4, 1, 24, 24)
    expected = network(x)
    assert expected.std() > 1e-3
    outputs, _ = Layers("body", network).on_support(examples(x, torch.zeros(4)), ())
    torch.testing.assert_close(outputs[-1], expected)


def test_an_activation_that_occurs_twice_runs_twice_and_a_layer_may_not() -> None:
    torch.manual_seed(0)
    act, layer = nn.Tanh(), nn.Linear(2, 2)
    network, x = nn.Sequential(nn.Linear(2, 4), act, nn.Linear(4, 2), act, nn.Linear(2, 3)), torch.randn(5, 2)
    torch.testing.assert_close(Layers("body", network).on_query(x, (), {})[-1], network(x))
    with pytest.raises(MapstoError, match=r"^body: "):
        Layers("body", nn.Sequential(layer, act, layer))


def test_of_no_support_what_the_activations_make_of_nothing_is_added() -> None:
    torch.manual_seed(0)
    of = MetaNetwork(MLP(2, 5, WAYS, activation="softplus"), MLP(2, 4, WAYS), hidden=HIDDEN)
    support, x = examples(torch.ones(2, 2), torch.arange(2), torch.zeros(2)), torch.randn(4, 2)
    hidden, out = of.body.layers
    expected = out(F.softplus(hidden(x)) + math.log(2))
    torch.testing.assert_close(of.predict(of.adapt(support), x), expected)


def test_each_row_runs_by_its_own_fast_weights() -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(2, 3, 3, padding=1), torch.randn(4, 2, 5, 5)
    weights = torch.randn(4, *layer.weight.shape)
    expected = torch.cat([F.conv2d(row[None], w, padding=1) for row, w in zip(x, weights, strict=True)])
    torch.testing.assert_close(fast_layers.by_fast(layer, weights, x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast_layers.by_fast(layer, weights[0], x), F.conv2d(x, weights[0], padding=1))


@pytest.mark.long
def test_what_slow_weights_cannot_know_is_learned() -> None:
    """Which of two clusters is class 0 changes from task to task, so slow weights alone are right half the time."""
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    y = torch.arange(20).repeat_interleave(12)
    x = 2 * torch.randn(20, 2, generator=g)[y] + 0.2 * torch.randn(240, 2, generator=g)
    tasks = mt.tasks.Arrays(x.numpy(), y.numpy(), ways=2, shots=2, queries=4, splits=(0.5, 0.1, 0.4))
    of = MetaNetwork(MLP(2, 16, 2), MLP(2, 16, 2), hidden=8)
    assert mt.evaluate(of, tasks.test, episodes=100).accuracy.mean < 0.7
    for _ in mt.train(of, tasks, steps=300, batch=16, lr=0.01):
        pass
    assert mt.evaluate(of, tasks.test, episodes=100).accuracy.mean > 0.85


class Hidden(nn.Module):
    """Has a weight that is in no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.layer = nn.Parameter(torch.ones(1)), nn.Linear(2, 3)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MetaNetwork(MLP(2, 3), MLP(2, 3), loss="l1"), "^loss: "),
        (lambda: MetaNetwork(MLP(2, 3), MLP(2, 3), hidden=0), "^hidden: "),
        (lambda: MetaNetwork(nn.Flatten(), MLP(2, 3)), "^body: "),
        (lambda: MetaNetwork(MLP(2, 3), Hidden()), "^keys: "),
        (lambda: MetaNetwork(nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3)), MLP(2, 3)), "^body: "),
        (
            lambda: MetaNetwork(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), MLP(2, 3)),
            "^body: .*track_running_stats=False",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()
