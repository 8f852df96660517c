"""A row of weight 0 has no effect whatever it holds, and no weight is negative."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.adaptation import losses
from mapsto.episodes import Episode, Examples, checked, unstack
from mapsto.errors import MapstoError
from mapsto.learners import CNP, MAML, Learner, PrototypicalNetwork, RidgeHead
from mapsto.models import MLP


def padded(bad: float, numbers: bool) -> Episode:
    """Return a batch of tasks whose last rows have weight 0 and hold `bad` in x and, if they are numbers, in y."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 7, 3, generator=generator)
    y = x.sum(-1, keepdim=True) if numbers else (torch.arange(7) % 2).expand(2, 7).clone()
    w = torch.full((2, 7), 0.2)
    w[:, 5:] = 0
    x[:, 5:] = bad
    if numbers:
        y[:, 5:] = bad
    return Episode(Examples(x, y, w), Examples(x.flip(1), y.flip(1), w.flip(1)))


class Padded(mt.tasks.Tasks):
    def __init__(self, bad: float, numbers: bool):
        self.bad, self.numbers = bad, numbers

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        return padded(self.bad, self.numbers)


NORM = lambda: nn.BatchNorm1d(4, track_running_stats=False)  # noqa: E731
LEARNERS: dict[str, tuple[Any, bool]] = {
    "MAML": (lambda: MAML(MLP(3, 4, 2)), False),
    "MAML with batch norm": (lambda: MAML(nn.Sequential(nn.Linear(3, 4), NORM(), nn.Linear(4, 1)), loss="mse"), True),
    "prototypes": (lambda: PrototypicalNetwork(MLP(3, 4), ways=2), False),
    "ridge": (lambda: RidgeHead(MLP(3, 4), 1, loss="mse"), True),
    "CNP": (lambda: CNP(nn.Linear(4, 4), nn.Linear(7, 2)), True),
}


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", LEARNERS)
def test_what_a_row_of_weight_0_holds_changes_nothing(name: str, bad: float) -> None:
    make, numbers = LEARNERS[name]
    results = []
    for value in (0.0, bad):
        torch.manual_seed(0)
        learner: Learner = make()
        tasks = Padded(value, numbers)
        judged = mt.evaluate(learner, tasks, episodes=2).values.tolist()
        *_, step = mt.train(learner, tasks, steps=2, batch=2)
        results.append([*judged, step.metrics["loss"], step.metrics["grad_norm"]])
    assert results[1] == pytest.approx(results[0])


@pytest.mark.parametrize("numbers", [True, False])
def test_the_inner_loop_ignores_rows_of_weight_0(numbers: bool) -> None:
    learner = MAML(MLP(3, 4, 1 if numbers else 2), loss="mse" if numbers else "cross_entropy", steps=2)
    states = [learner.adapt(unstack(padded(bad, numbers))[0].support).params for bad in (0.0, torch.nan)]
    torch.testing.assert_close(*states)


def test_lost_scores_of_weight_0_have_gradient_0() -> None:
    for loss, y in ((losses.cross_entropy, torch.tensor([0, 1])), (losses.mse, torch.zeros(2, 2))):
        scores = torch.tensor([[1.0, 2.0], [torch.nan, 3.0]], requires_grad=True)
        (gradient,) = torch.autograd.grad(loss(scores, y, torch.tensor([1.0, 0.0])), scores)
        assert gradient.isfinite().all() and gradient[1].tolist() == [0, 0]


def test_the_influence_of_a_row_of_weight_0_is_that_of_its_own_numbers() -> None:
    task = unstack(padded(1.0, True))[0]
    w = task.support.w.requires_grad_()
    (slope,) = torch.autograd.grad(losses.mse(task.support.x[:, :1], task.support.y, w), w)
    assert slope[6] == pytest.approx(float((task.support.x[6, 0] - task.support.y[6, 0]) ** 2))


def test_negative_weights_are_refused(unchecked: None) -> None:
    x, y = torch.zeros(2, 3), torch.tensor([0, 1])
    for w in (torch.tensor([1.0, -0.5]), torch.tensor([1.0, torch.nan])):
        with pytest.raises(MapstoError, match=r"^w: "):
            mt.examples(x, y, w)
    tasks, learner = Padded(0.0, False), MAML(MLP(3, 4, 2))
    tasks.draw = lambda generator, count: _negative(padded(0.0, False))  # type: ignore[method-assign]
    with pytest.raises(MapstoError, match=r"^w: "):
        next(mt.train(learner, tasks, steps=1, batch=2))
    with pytest.raises(MapstoError, match=r"^w: "):
        mt.evaluate(learner, tasks, episodes=2)


def _negative(episode: Episode) -> Episode:
    return episode._replace(query=episode.query._replace(w=-episode.query.w))


def test_a_batch_without_padding_is_not_copied() -> None:
    batch = mt.tasks.Sinusoids().batch(0, 2)
    assert checked(batch).support.x is batch.support.x


def test_examples_blank_what_does_not_count() -> None:
    rows: Tensor = mt.examples(torch.tensor([[torch.nan], [2.0]]), torch.tensor([0, 1]), torch.tensor([0.0, 1.0])).x
    assert rows.tolist() == [[0.0], [2.0]]
