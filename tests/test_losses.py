"""Losses are choices: by name, or any function of scores, targets and weights."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import mapsto as mt
from mapsto.adaptation import losses
from mapsto.episodes import Episode, Examples, unstack
from mapsto.errors import MapstoError
from mapsto.learners import MAML, LearnedOptimizer, Learner, MetaLSTM, MultiTask, Reptile
from mapsto.measures.evaluation.evaluate import Measured, summary
from mapsto.models import MLP


def huber(scores: Tensor, y: Tensor, w: Tensor) -> Tensor:
    return (w * F.huber_loss(scores, y, reduction="none").mean(-1)).sum()


def poisson(scores: Tensor, y: Tensor, w: Tensor) -> Tensor:
    return (w * (scores.exp() - y * scores)[:, 0]).sum()


def reward(scores: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """The loss of a policy gradient: `y` holds the action of each row and its reward."""
    return -(w * y[:, 1] * scores.log_softmax(-1).gather(-1, y[:, :1].long())[:, 0]).sum()


class Bandits(mt.tasks.Tasks):
    """Tasks in which one of three actions is rewarded."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        best = torch.randint(3, (count, 1), generator=generator)
        action = torch.randint(3, (count, 24), generator=generator)
        y = torch.stack([action, action == best], -1).float()
        x, w = torch.ones(count, 12, 1), torch.full((count, 12), 1 / 12)
        return Episode(Examples(x, y[:, :12], w), Examples(x, y[:, 12:], w))


@pytest.mark.parametrize("name", ["cross_entropy", "mse"])
@pytest.mark.parametrize("lost", [[torch.inf, 0.0], [-torch.inf, -torch.inf], [torch.nan, 0.0], [-torch.inf, 0.0]])
def test_scores_of_a_row_of_weight_0_have_no_effect(name: str, lost: list[float]) -> None:
    scores = torch.tensor([[1.0, 2.0], lost], requires_grad=True)
    y = torch.tensor([1, 0]) if name == "cross_entropy" else torch.zeros(2, 2)
    w = torch.tensor([0.5, 0.0], requires_grad=True)
    loss = losses.LOSSES[name](scores, y, w)
    alone = losses.LOSSES[name](scores[:1], y[:1], w[:1])
    assert torch.equal(loss, alone)
    by_scores, by_weights = torch.autograd.grad(loss, [scores, w], create_graph=True)
    assert torch.equal(by_scores, torch.autograd.grad(alone, scores)[0]) and by_weights.isfinite().all()
    assert torch.autograd.grad(by_scores[0].sum() + by_weights.sum(), scores)[0].isfinite().all()


WAVES = mt.tasks.Sinusoids()
LEARNERS: dict[str, Any] = {
    "MAML": lambda loss: MAML(MLP(1, 8, 1), loss, lr=0.05, steps=2),
    "ANIL": lambda loss: MAML(MLP(1, 8, 1), loss, lr=0.05, steps=2, adapt="head"),
    "Reptile": lambda loss: Reptile(MLP(1, 8, 1), loss, steps=2),
    "MultiTask": lambda loss: MultiTask(MLP(1, 8, 1), loss),
    "LearnedOptimizer": lambda loss: LearnedOptimizer(MLP(1, 4, 1), loss, steps=2),
    "MetaLSTM": lambda loss: MetaLSTM(MLP(1, 4, 1), loss, steps=2),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_any_function_is_a_loss_to_train_and_to_evaluate(name: str) -> None:
    torch.manual_seed(0)
    learner: Learner = LEARNERS[name](huber)
    *_, step = mt.train(learner, WAVES, steps=2, batch=2)
    evaluation = mt.evaluate(learner, WAVES, episodes=4)
    assert isinstance(evaluation, Measured) and np.isfinite(step.metrics["loss"])
    with torch.no_grad():
        expected = [
            float(huber(learner.predict(learner.adapt(task.support), task.query.x), task.query.y, task.query.w))
            for task in unstack(WAVES.batch(0, 4))
        ]
    np.testing.assert_allclose(evaluation.values, expected, rtol=1e-5)
    assert evaluation.loss == mt.measures.estimate(evaluation.values)
    assert set(summary(evaluation)) == {"tasks", "loss"} and "accuracy" not in step.metrics
    assert str(evaluation).startswith("loss ")


@pytest.mark.parametrize("name", LEARNERS)
def test_the_function_of_a_named_loss_gives_the_same_numbers(name: str) -> None:
    numbers = []
    for loss in ("mse", lambda scores, y, w: losses.mse(scores, y, w)):
        torch.manual_seed(0)
        learner: Learner = LEARNERS[name](loss)
        numbers.append([float(learner.query_loss(task).detach()) for task in unstack(WAVES.batch(0, 2))])
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-5)


def test_a_policy_gradient_finds_the_rewarded_action() -> None:
    torch.manual_seed(0)
    learner = MAML(nn.Linear(1, 3), reward, lr=5.0, steps=3)
    before = mt.evaluate(MAML(nn.Linear(1, 3), reward, steps=0), Bandits(), episodes=20)
    *_, _ = mt.train(learner, Bandits(), steps=5, batch=5, lr=0.01)
    after = mt.evaluate(learner, Bandits(), episodes=20)
    assert isinstance(before, Measured) and isinstance(after, Measured)
    assert after.loss.mean < 0.3 * before.loss.mean


def test_counts_are_learned_by_a_poisson_loss() -> None:
    task = mt.examples(torch.ones(4, 1), torch.tensor([[2.0], [3.0], [5.0], [6.0]]))
    learner = MAML(nn.Linear(1, 1), poisson, lr=0.05, steps=200)
    assert float(learner.predict(learner.adapt(task), task.x[:1]).detach().exp()) == pytest.approx(4, rel=1e-3)


def test_the_view_of_weights_values_rows_by_the_loss_of_the_user() -> None:
    torch.manual_seed(0)
    task = unstack(WAVES.batch(0, 1))[0]
    values = []
    for loss in ("mse", lambda scores, y, w: losses.mse(scores, y, w)):
        learner = MAML(nn.Linear(1, 1), loss)
        nn.init.ones_(learner.body.weight)
        nn.init.zeros_(learner.body.bias)
        values.append(float(mt.views.taught(learner, task)(task.support.w).detach()))
    assert values[0] == pytest.approx(values[1])


@pytest.mark.parametrize(
    ("loss", "argument"),
    [
        *(("huber", "loss"), (3, "loss"), (lambda scores, y, w: w * scores[:, 0], "loss"), (lambda *_: 0.0, "loss")),
        *((nn.MSELoss(), "loss"), (F.mse_loss, "loss"), (partial(F.cross_entropy, label_smoothing=0.1), "loss")),
        *((lambda scores, y: 0.0, "loss"), (lambda scores, y, w: scores @ y.new_ones(7), "loss")),
    ],
)
def test_what_is_no_loss_is_refused(loss: Any, argument: str, unchecked: None) -> None:
    with pytest.raises(MapstoError, match=rf"^{argument}: "):
        mt.evaluate(MAML(MLP(1, 8, 1), loss), WAVES, episodes=1)


def test_learners_that_read_labels_as_inputs_keep_to_the_names(unchecked: None) -> None:
    loss: Any = huber
    for make in (mt.learners.RidgeHead, lambda *args, loss: mt.learners.SNAIL(*args, 2, 3, loss=loss)):
        with pytest.raises(MapstoError, match=r"^loss: "):
            make(nn.Linear(1, 4), 2, loss=loss)
