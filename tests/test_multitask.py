"""The plain baseline: what it minimises, what it becomes at test, and that it averages what contradicts."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import mapsto as mt
from mapsto.learners import MAML, MultiTask


def test_its_loss_is_of_the_network_as_it_is_on_all_examples() -> None:
    torch.manual_seed(0)
    learner = MultiTask(mt.models.MLP(1, 5, 1), loss="mse", lr=0.1, steps=3)
    task = mt.episodes.unstack(mt.tasks.Sinusoids(shots=4, queries=6).batch(0, 1))[0]
    body = learner.fine_tuning.body
    expected = (F.mse_loss(body(task.support.x), task.support.y) + F.mse_loss(body(task.query.x), task.query.y)) / 2
    torch.testing.assert_close(learner.loss(task)[0], expected)


def test_it_is_fine_tuned_as_maml_adapts() -> None:
    torch.manual_seed(0)
    body = mt.models.MLP(1, 5, 1)
    learner, maml = MultiTask(body, loss="mse", lr=0.1, steps=3), MAML(body, loss="mse", lr=0.1, steps=3)
    task = mt.episodes.unstack(mt.tasks.Sinusoids(shots=4, queries=6).batch(0, 1))[0]
    for steps in (3, 7):
        learner.steps = maml.steps = steps
        told, expected = (of.predict(of.adapt(task.support), task.query.x) for of in (learner, maml))
        torch.testing.assert_close(told, expected)
    assert learner.steps == 7


@pytest.mark.usefixtures("unchecked")
@pytest.mark.long
def test_waves_of_all_phases_are_averaged_where_maml_tells_them_apart() -> None:
    errors = []
    for make in (MultiTask, MAML):
        torch.manual_seed(0)
        learner = make(mt.models.MLP(1, 40, 40, 1), loss="mse", lr=0.01)
        for _ in mt.train(learner, mt.tasks.Sinusoids(shots=10, queries=10), 500, 25, 5e-3):
            pass
        errors.append(mt.evaluate(learner, mt.tasks.Sinusoids(shots=10, queries=50).test, episodes=300).mse.mean)
    assert errors[0] > 1.5 * errors[1]


def test_class_labels_are_scored() -> None:
    learner = MultiTask(nn.Linear(2, 3))
    task = mt.Episode(*(mt.examples(torch.randn(6, 2), torch.arange(6) % 3) for _ in range(2)))
    loss, metrics = learner.loss(task)
    assert loss.requires_grad and 0 <= metrics["accuracy"] <= 1
