"""Siamese networks: the contrastive loss pair by pair, and scikit-learn's nearest neighbour."""

import math
from collections.abc import Callable

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.func import grad

from mapsto.episodes import Episode, Examples, examples
from mapsto.errors import MapstoError
from mapsto.learners import SiameseNetwork
from mapsto.learners import siamese as module
from mapsto.models import MLP

WAYS = 3


def episode(rows: int = 8) -> Episode:
    """Make a task whose fourth example weighs nothing."""
    g = torch.Generator().manual_seed(0)
    x, w = torch.randn(2, rows, 2, generator=g).double(), torch.rand(2, rows, generator=g).double()
    y = torch.arange(rows) % WAYS
    return Episode(Examples(x[0], y, w[0] * (torch.arange(rows) != 3)), Examples(x[1], y, w[1]))


def spelled_out(task: Episode, margin: float) -> float:
    """Return the loss of the raw inputs, pair by pair."""
    total = 0.0
    for x, y, w in zip(task.query.x.tolist(), task.query.y.tolist(), task.query.w.tolist(), strict=True):
        costs = []
        for a, b, v in zip(task.support.x.tolist(), task.support.y.tolist(), task.support.w.tolist(), strict=True):
            d = math.dist(x, a)
            costs.append((v, d**2 if b == y else max(0.0, margin - d) ** 2))
        total += w * sum(v * cost for v, cost in costs) / sum(v for v, _ in costs)
    return total


def is_the_contrastive_loss(kind: type[SiameseNetwork], margin: float = 2.0) -> None:
    task = episode()
    expected = spelled_out(task, margin)
    assert expected > 0.1
    got = kind(nn.Identity(), WAYS, margin=margin).loss(task)[0]
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("margin", [0.5, 2.0])
def test_the_loss_is_contrastive(margin: float) -> None:
    is_the_contrastive_loss(SiameseNetwork, margin)


class Swapped(SiameseNetwork):
    """Takes y = 1 for one class, as some papers do."""

    def loss(self, episode: Episode) -> tuple[Tensor, dict[str, Tensor]]:
        return super().loss(episode._replace(query=episode.query._replace(y=(episode.query.y + 1) % self.ways)))


class HalfAndHalf(SiameseNetwork):
    """Gives pairs of one class as much weight together as those of two."""

    def loss(self, episode: Episode) -> tuple[Tensor, dict[str, Tensor]]:
        state = self.adapt(episode.support)
        d, same = self._squared(state, episode.query.x).sqrt(), episode.query.y[:, None] == episode.support.y
        parts = ((d**2, same), ((self.margin - d).relu() ** 2, ~same))
        means = [(cost * state.w * pairs).sum(1) / (state.w * pairs).sum(1) for cost, pairs in parts]
        return (episode.query.w * (means[0] + means[1]) / 2).sum(), {}


@pytest.mark.parametrize("mutant", [Swapped, HalfAndHalf])
def test_another_loss_is_caught(mutant: type[SiameseNetwork]) -> None:
    with pytest.raises(AssertionError):
        is_the_contrastive_loss(mutant)


def test_the_convention_one_class_attracts_and_two_repel_within_the_margin() -> None:
    def cost(distance: float, label: int) -> float:
        support = examples(torch.tensor([[0.0]]), torch.tensor([0]))
        query = examples(torch.tensor([[distance]]), torch.tensor([label]))
        return float(SiameseNetwork(nn.Identity(), 2, margin=1.0).loss(Episode(support, query))[0])

    assert [cost(0.5, 0), cost(2.0, 0)] == [0.25, 4]  # d²
    assert [cost(0.25, 1), cost(2.0, 1)] == [0.75**2, 0.0]  # (1 − d)² within the margin, 0 beyond


def test_the_prediction_is_the_nearest_neighbours() -> None:
    task, learner = episode(40), SiameseNetwork(nn.Identity(), WAYS)
    there = task.support.w > 0
    judge = KNeighborsClassifier(1).fit(task.support.x[there].numpy(), task.support.y[there].numpy())
    expected = torch.from_numpy(judge.predict(task.query.x.numpy()))
    assert len(expected.unique()) == WAYS
    scores = learner.predict(learner.adapt(task.support), task.query.x)
    assert torch.equal(scores.argmax(1), expected)
    torch.testing.assert_close(-scores.amax(1), torch.cdist(task.query.x, task.support.x[there]).amin(1) ** 2)


def ignores_weights(state: module.Gallery, squared: Tensor) -> Tensor:
    return NEAREST(state._replace(w=torch.ones_like(state.w)), squared)


NEAREST = module._nearest


def test_a_neighbour_of_weight_zero_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    support = Examples(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 0, 1]), torch.tensor([0.0, 0.5, 0.5]))

    def check() -> None:
        learner = SiameseNetwork(nn.Identity(), 3)
        scores = learner.predict(learner.adapt(support), torch.tensor([[0.0]]))
        assert torch.equal(scores, torch.tensor([[-1.0, -25.0, -torch.inf]]))

    check()
    monkeypatch.setattr(module, "_nearest", ignores_weights)
    with pytest.raises(AssertionError):
        check()


def test_pairs_that_look_alike_have_finite_gradients() -> None:
    x, y = torch.zeros(4, 2), torch.tensor([0, 0, 1, 1])
    learner = SiameseNetwork(nn.Identity(), 2)
    slope = grad(lambda x: learner.loss(Episode(examples(x, y), examples(torch.zeros(4, 2), y)))[0])(x)
    assert slope.isfinite().all()


def test_gradients_are_finite_with_a_class_missing_and_without_support() -> None:
    task, learner = episode(), SiameseNetwork(MLP(2, 6, activation="tanh").double(), WAYS + 2)
    learner.loss(task)[0].backward()
    assert all(p.grad.isfinite().all() for p in learner.parameters())
    assert sum(p.grad.abs().sum() for p in learner.parameters()) > 0
    empty = task._replace(support=task.support._replace(w=torch.zeros_like(task.support.w)))
    assert learner.loss(empty)[0] == 0


def test_the_ways_may_change_after_training() -> None:
    task, learner = episode(), SiameseNetwork(nn.Identity(), 20)
    wide = learner.predict(learner.adapt(task.support), task.query.x)
    learner.ways = WAYS
    assert torch.equal(learner.predict(learner.adapt(task.support), task.query.x), wide[:, :WAYS])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SiameseNetwork(nn.Identity(), 0), "^ways: "),
        (lambda: SiameseNetwork(nn.Identity(), 5, margin=0.0), "^margin: "),
        (lambda: SiameseNetwork(nn.Identity(), 5, margin=math.nan), "^margin: "),
        (lambda: SiameseNetwork(nn.Sequential(nn.BatchNorm1d(2)), 5), "track_running_stats=False"),
        (
            lambda: SiameseNetwork(nn.Identity(), 5).adapt(examples(torch.zeros(2, 1), torch.zeros(2, 1))),
            "^y: ",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()
