"""Fusion with a memory: the formula in loops, the best that can be known of a stream, and wrong ones caught."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.adaptation.coordinates import joined
from mapsto.episodes import Episode, Examples, examples, over_tasks, unstack
from mapsto.errors import MapstoError
from mapsto.learners import MAML, Learner, MemoryFusion
from mapsto.models import MLP
from mapsto.tasks import LinearStream

EARLIER = 4


def episode() -> Episode:
    """Make a task and four earlier ones: the second weighs nothing, the third has half the weight."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2 + EARLIER, 5, 2, generator=g).double(), torch.randn(2 + EARLIER, 5, 1, generator=g).double()
    w = torch.full((EARLIER, 5), 0.2).double() * torch.tensor([[1.0], [0.0], [0.5], [1.0]]).double()
    return Episode(examples(x[0], y[0]), examples(x[1], y[1]), context=Examples(x[2:], y[2:], w))


def learner(kind: type[MemoryFusion] = MemoryFusion) -> MemoryFusion:
    torch.manual_seed(0)
    of = kind(MAML(MLP(2, 3, 1, activation="tanh"), loss="mse", lr=0.3, steps=2), width=3).double()
    nn.init.normal_(of.share)
    nn.init.uniform_(of.stretch, 0.5, 2.0)
    return of


def spelled_out(of: MemoryFusion, task: Episode) -> list[float]:
    """Return the fused parameters, one after the other."""

    def flat(support: Examples) -> list[float]:
        return torch.cat([p.flatten() for p in of.learner.adapt(support).params.values()]).tolist()

    def key(params: list[float]) -> list[float]:
        return [sum(k * p for k, p in zip(row, params, strict=True)) for row in of.key.weight.tolist()]

    here, start = flat(task.support), torch.cat([p.flatten() for p in of.learner.body.parameters()]).tolist()
    earlier = [flat(Examples(*(leaf[j] for leaf in task.context))) for j in range(EARLIER)]
    asks = key(here)
    scores = [sum(q * k for q, k in zip(asks, key(params), strict=True)) / math.sqrt(3) for params in earlier]
    mass = [float(w.sum()) * math.exp(s) for w, s in zip(task.context.w, scores, strict=True)]
    mean = [sum(m * params[i] for m, params in zip(mass, earlier, strict=True)) / sum(mass) for i in range(len(here))]
    mean = [p + c * (m - p) for p, c, m in zip(start, of.stretch.tolist(), mean, strict=True)]
    shares = [1 / (1 + math.exp(-s)) for s in of.share.tolist()]
    return [p + s * (r - p) for p, s, r in zip(here, shares, mean, strict=True)]


def is_the_fusion(of: MemoryFusion) -> None:
    task = episode()
    got = torch.cat([p.flatten() for p in of.adapt_to(task).params.values()])
    expected = torch.tensor(spelled_out(of, task), dtype=torch.float64)
    alone = torch.cat([p.flatten() for p in of.adapt(task.support).params.values()])
    assert (expected - alone).abs().min() > 1e-4
    torch.testing.assert_close(got.detach(), expected, rtol=1e-10, atol=1e-10)


def test_the_parameters_are_those_of_the_formula() -> None:
    is_the_fusion(learner())


def test_a_head_from_zero_is_fused_from_zero() -> None:
    """Where no task moves, its own nor an earlier one, the parameters stay where adapting starts."""
    of, task = learner(), episode()
    of.learner = MAML(of.learner.body, loss="mse", lr=0.0, zero_head=True)
    start, found = of.learner.adapt(task.support).params, of.adapt_to(task).params
    assert any(not p.any() for p in start.values()) and any(p.any() for p in start.values())
    for name, p in found.items():
        torch.testing.assert_close(p, start[name], rtol=1e-12, atol=1e-12)


class AsksNobody(MemoryFusion):
    """Attends to all earlier tasks alike."""

    def _fuse(self, here: Tensor, earlier: Tensor, mass: Tensor) -> Tensor:
        return super()._fuse(here, ((mass / mass.sum()) @ earlier).expand_as(earlier), mass)


class StopsShort(MemoryFusion):
    """Takes the way that earlier tasks went for the whole of it."""

    def _fuse(self, here: Tensor, earlier: Tensor, mass: Tensor) -> Tensor:
        start = torch.cat([p.flatten() for p in self.learner.body.parameters()])
        return super()._fuse(here, start + (earlier - start) / self.stretch, mass)


class StretchesAll(MemoryFusion):
    """Stretches the task's own way too."""

    def _fuse(self, here: Tensor, earlier: Tensor, mass: Tensor) -> Tensor:
        start = torch.cat([p.flatten() for p in self.learner.body.parameters()])
        return super()._fuse(start + self.stretch * (here - start), earlier, mass)


class CountsTheAbsent(MemoryFusion):
    """Attends to earlier tasks that weigh nothing."""

    def _fuse(self, here: Tensor, earlier: Tensor, mass: Tensor) -> Tensor:
        return super()._fuse(here, earlier, torch.ones_like(mass))


class BelievesAll(MemoryFusion):
    """Takes the memory's parameters for its own."""

    def _fuse(self, here: Tensor, earlier: Tensor, mass: Tensor) -> Tensor:
        return super()._fuse(here, earlier, mass) + (1 - torch.sigmoid(self.share)) * (earlier.mean(0) - here)


@pytest.mark.parametrize("mutant", [AsksNobody, StopsShort, StretchesAll, CountsTheAbsent, BelievesAll])
def test_another_fusion_is_caught(mutant: type[MemoryFusion]) -> None:
    with pytest.raises(AssertionError):
        is_the_fusion(learner(mutant))


def test_nothing_to_remember_leaves_the_support_set_alone() -> None:
    of, task = learner(), episode()
    alone = of.adapt(task.support).params
    weightless = task.context._replace(w=0 * task.context.w)
    none = Examples(*(leaf[:0] for leaf in task.context))
    for context in (None, weightless, none):
        got = of.adapt_to(task._replace(context=context)).params
        assert all(torch.allclose(got[name], p, rtol=1e-12, atol=1e-12) for name, p in alone.items())


def test_every_parameter_learns() -> None:
    of = learner()
    of.loss(episode())[0].backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in of.parameters())


# a stream whose best prediction is known


def best(task: Episode) -> Tensor:
    """Predict the query set by ridge regression over all tasks of the stream, x and a column for each task."""
    noise, tasks = 0.1, len(task.context.w) + 1
    x = torch.cat([task.context.x.flatten(0, 1), task.support.x])
    y = torch.cat([task.context.y.flatten(0, 1), task.support.y])
    of = torch.arange(tasks).repeat_interleave(task.support.x.shape[0])
    columns = torch.cat([x, nn.functional.one_hot(of, tasks)], 1).double()
    ours = torch.cat([task.query.x, torch.eye(tasks)[-1].expand(len(task.query.x), -1)], 1).double()
    solved = torch.linalg.solve(columns.T @ columns + noise**2 * torch.eye(columns.shape[1]), columns.T @ y.double())
    return ours @ solved


def errors(of: Learner, tasks: LinearStream) -> tuple[float, float, float]:
    """Return the squared error with the memory, without it, and of the best prediction."""
    batch = tasks.test.batch(0, 300)
    with torch.no_grad():
        answers = [
            over_tasks(lambda task: of.predict(of.adapt_to(task), task.query.x))(batch),
            over_tasks(lambda task: of.predict(of.adapt(task.support), task.query.x))(batch),
            torch.stack([best(task) for task in unstack(batch)]),
        ]
    return tuple(float((y - batch.query.y).square().mean()) for y in answers)


def best_fusion(of: MemoryFusion, tasks: LinearStream) -> float:
    """Return the squared error of the best two factors a parameter, its own and the memory's mean, by least squares."""
    batch = tasks.test.batch(0, 300)
    with torch.no_grad():
        own = over_tasks(lambda task: joined(of.adapt(task.support).params))(batch)  # [T, p]
        memory = over_tasks(lambda task: of._remember(task.context).mean(0))(batch)  # [T, p]
    x = torch.cat([batch.query.x, torch.ones_like(batch.query.y)], -1)  # [T, n, p]
    rows = torch.cat([x * own[:, None], x * memory[:, None]], -1).flatten(0, 1).double()
    y = batch.query.y.flatten(0, 1).double()
    return float((rows @ torch.linalg.lstsq(rows, y).solution - y).square().mean())


def trained(kind: type[MemoryFusion]) -> tuple[MemoryFusion, LinearStream]:
    torch.manual_seed(0)
    tasks = LinearStream(features=2, shots=3, earlier=8)
    of = kind(MAML(nn.Linear(2, 1), loss="mse", lr=0.2, steps=3, learn_lr=True))
    for _ in mt.train(of, tasks, steps=500, batch=16, lr=0.03):
        pass
    return of, tasks


class Ignores(MemoryFusion):
    """Reads no memory."""

    def adapt_to(self, episode: Episode) -> mt.episodes.State:
        return self.adapt(episode.support)


@pytest.mark.long
@pytest.mark.usefixtures("unchecked")
def test_earlier_tasks_that_share_a_slope_are_worth_remembering() -> None:
    fused, tasks = trained(MemoryFusion)
    with_memory, forgotten, known = errors(fused, tasks)
    without = errors(trained(Ignores)[0], tasks)[0]
    assert 0.01 < known < with_memory < 0.5 * min(without, forgotten)
    slope, intercept = torch.sigmoid(fused.share.detach()).split([2, 1])  # the order of a linear layer's parameters
    assert slope.min() > 0.6 and intercept.max() < 0.3  # what they share is believed, what they do not is not
    assert with_memory < 1.15 * best_fusion(fused, tasks)  # what is left is in the parameters, not in their fusion


def test_evaluation_reads_the_memory() -> None:
    tasks, of = LinearStream(features=2), learner().float()
    measured = mt.evaluate(of, tasks.test, episodes=20, batch=20).values
    batch = unstack(tasks.test.batch(0, 20))
    with torch.no_grad():
        expected = [float((of.predict(of.adapt_to(t), t.query.x) - t.query.y).square().mean()) for t in batch]
    torch.testing.assert_close(torch.tensor(measured), torch.tensor(expected).double(), rtol=1e-5, atol=1e-6)


def test_a_stream_shares_its_slope_and_not_its_intercepts() -> None:
    batch = LinearStream(features=2, shots=3, earlier=5, noise=0.0, intercept=2.0).batch(0, 40)
    assert batch.context.x.shape == (40, 5, 3, 2) and batch.context.w.shape == (40, 5, 3)
    x, y = (
        torch.cat([batch.context.x, batch.support.x[:, None]], 1),
        torch.cat([batch.context.y, batch.support.y[:, None]], 1),
    )
    columns = torch.cat([x, torch.ones(*x.shape[:-1], 1)], -1).double()
    found = torch.linalg.solve(columns, y.double())[..., 0]  # [stream, task, slope and intercept]
    torch.testing.assert_close(found[..., :2], found[:, :1, :2].expand(-1, 6, -1), rtol=1e-2, atol=1e-2)
    assert found[:, 0, :2].std() > 0.5 and found[..., 2].std(1).min() > 0.1


class HeadFirst(nn.Module):
    """Registers its head, of 8 parameters, before another layer, of 9."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.body = nn.Linear(3, 2), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).relu())


def test_a_head_that_is_registered_first_is_fused_once_it_is_named() -> None:
    task = episode()
    task = task._replace(context=task.context._replace(y=task.context.y.expand(-1, -1, 2)))
    task = task._replace(support=task.support._replace(y=task.support.y.expand(-1, 2)))
    for context in (task.context, None):
        with pytest.raises(MapstoError, match=r"^adapt: .*'head.weight', 'head.bias'"):
            MemoryFusion(MAML(HeadFirst(), loss="mse", adapt="head").double()).double().adapt_to(
                task._replace(context=context)
            )
    named = MemoryFusion(MAML(HeadFirst(), loss="mse", adapt=["head.*"])).double()
    assert list(named.adapt_to(task).params) == ["head.weight", "head.bias"]
    known = MAML(HeadFirst(), loss="mse", adapt="head").double()
    known.adapt(task.support)
    assert list(MemoryFusion(known).double().adapt_to(task).params) == ["head.weight", "head.bias"]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MemoryFusion(MAML(nn.Linear(2, 1), loss="mse"), width=0), "^width: "),
        (
            lambda: learner().adapt_to(episode()._replace(context=episode().support)),
            "^context: ",
        ),
        (lambda: LinearStream(earlier=0), "^earlier: "),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()
