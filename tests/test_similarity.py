"""Likeness of tasks against closed forms: true slopes, distances in a plane, waves that are alike."""

import numpy as np
import pytest
import torch
from torch import nn

import mapsto as mt
from mapsto.errors import MapstoError
from mapsto.figures.task_map import task_map as drawn
from mapsto.learners import MAML, SNAIL, Learner, MatchingNetwork, MemoryFusion, RidgeHead, SiameseNetwork
from mapsto.learners.matching import FullContext
from mapsto.measures import by_outputs, by_state, task_map
from mapsto.measures.evaluation import similarity
from mapsto.measures.evaluation.similarity import cosine


def planes() -> tuple[mt.Episode, torch.Tensor]:
    """Return five noiseless planes through the origin, and their slopes."""
    torch.manual_seed(0)
    x, slopes = torch.randn(5, 12, 3), torch.randn(5, 3, 1)
    rows = mt.episodes.Examples(x, x @ slopes, torch.full((5, 12), 1 / 12))
    return mt.Episode(rows, rows), slopes[..., 0]


def test_what_differs_between_states_is_what_differs_between_tasks() -> None:
    tasks, slopes = planes()
    learner = MAML(nn.Linear(3, 1, bias=False), loss="mse", lr=0.1, steps=300)
    vectors = by_state(learner, tasks) + learner.body.weight.detach()
    torch.testing.assert_close(vectors, slopes, rtol=1e-3, atol=1e-3)
    a, b = np.asarray(slopes[0]), np.asarray(slopes[3])
    likeness = float(cosine(vectors)[0, 3])
    assert likeness == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-3)


def test_a_task_without_examples_has_not_moved() -> None:
    tasks, _ = planes()
    empty = tasks._replace(support=tasks.support._replace(w=torch.zeros(5, 12)))
    assert not by_state(MAML(nn.Linear(3, 1), loss="mse"), empty).any()


@pytest.mark.parametrize(
    "learner",
    [
        MatchingNetwork(nn.Identity(), 2),
        SiameseNetwork(nn.Linear(3, 4), 2),
        MatchingNetwork(nn.Identity(), 2, FullContext(3)),
        SNAIL(nn.Identity(), 3, 2, length=6, filters=4),
    ],
)
def test_states_that_hold_the_examples_themselves_are_no_measure(learner: Learner) -> None:
    x = torch.randn(4, 6, 3)
    rows = mt.episodes.Examples(x, torch.tensor([0, 1] * 3).expand(4, -1), torch.full((4, 6), 1 / 6))
    with pytest.raises(MapstoError, match=r"learner: got one whose state holds .* compare them by_outputs"):
        by_state(learner, mt.Episode(rows, rows))
    assert by_outputs(learner, mt.Episode(rows, rows), torch.randn(5, 3)).std(0).min() > 0


def test_a_task_is_what_its_context_makes_of_it_too() -> None:
    tasks, _ = planes()
    earlier = mt.episodes.Examples(*(torch.stack([leaf.flip(0), leaf], 1) for leaf in tasks.support))
    there = tasks._replace(context=earlier)
    torch.manual_seed(0)
    learner, probe = MemoryFusion(MAML(nn.Linear(3, 1, bias=False), loss="mse", lr=0.1, steps=3)), torch.randn(7, 3)
    adapted = [learner.adapt_to(one) for one in mt.episodes.unstack(there)]
    expected = torch.stack([learner.predict(state, probe)[:, 0] for state in adapted])
    torch.testing.assert_close(by_outputs(learner, there, probe), expected)
    none = [learner.adapt_to(one._replace(support=one.support._replace(w=torch.zeros(12))))
            for one in mt.episodes.unstack(there)]  # fmt: skip
    moved = torch.stack([(a.params["weight"] - b.params["weight"])[0] for a, b in zip(adapted, none, strict=True)])
    torch.testing.assert_close(by_state(learner, there), moved)


def test_outputs_are_those_of_the_adapted_model() -> None:
    tasks, slopes = planes()
    probe = torch.randn(7, 3)
    vectors = by_outputs(RidgeHead(nn.Identity(), 1, loss="mse", penalty=1e-6), tasks, probe)
    torch.testing.assert_close(vectors, slopes @ probe.T, rtol=1e-3, atol=1e-3)


def test_the_map_is_that_of_classical_scaling() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(9, 4).double() * torch.tensor([3.0, 2.0, 0.3, 0.1]).double()
    found = task_map(vectors)
    squared = torch.cdist(vectors, vectors).square()
    centre = torch.eye(9) - 1 / 9
    values, axes = torch.linalg.eigh(-centre.double() @ squared @ centre.double() / 2)  # Torgerson's double centring
    expected = axes[:, -2:].flip(1) * values[-2:].flip(0).sqrt()
    torch.testing.assert_close(found.points.abs(), expected.abs())
    assert found.kept == pytest.approx(float(values[-2:].sum() / values.sum()))


def test_distances_in_a_plane_are_kept_whole() -> None:
    flat = torch.randn(6, 2) @ torch.randn(2, 5)
    found = task_map(flat)
    torch.testing.assert_close(torch.cdist(found.points, found.points), torch.cdist(flat, flat), rtol=1e-3, atol=1e-3)
    assert found.kept == pytest.approx(1)
    assert task_map(torch.ones(3, 1)) == (pytest.approx(torch.zeros(3, 2)), 1.0)


def test_waves_that_are_alike_are_alike_to_a_learner() -> None:
    torch.manual_seed(0)
    amplitude, phase = 1 + 3 * torch.rand(30, 1, 1), 3 * torch.rand(30, 1, 1)
    x, probe = 10 * torch.rand(30, 40, 1) - 5, torch.linspace(-5, 5, 50)[:, None]
    rows = mt.episodes.Examples(x, amplitude * (x - phase).sin(), torch.full((30, 40), 1 / 40))
    learner = MAML(mt.models.MLP(1, 40, 1, activation="tanh"), loss="mse", lr=0.05, steps=300)
    told = by_outputs(learner, mt.Episode(rows, rows), probe)
    true = (amplitude * (probe - phase).sin())[..., 0]
    assert agreement(told, true) > 0.8  # .96 to .99 over five seeds
    assert abs(agreement(told[torch.randperm(30)], true)) < 0.3


def agreement(vectors: torch.Tensor, true: torch.Tensor) -> float:
    """Return the correlation of the distances of all pairs of tasks."""
    pairs = np.triu_indices(len(true), 1)
    return float(np.corrcoef(*(torch.cdist(v, v).numpy()[pairs] for v in (vectors, true)))[0, 1])


def test_the_picture_names_what_it_shows() -> None:
    found = task_map(torch.randn(12, 5))
    figure = drawn(found, range(12), "amplitude")
    assert len(figure.axes[0].collections[0].get_offsets()) == 12
    assert figure.axes[1].get_ylabel() == "amplitude" and "%" in figure.axes[0].get_xlabel()
    with pytest.raises(MapstoError, match="of: got 3 number"):
        drawn(found, [1.0, 2.0, 3.0], "amplitude")


def test_too_few_tasks_are_refused() -> None:
    with pytest.raises(MapstoError, match="got 2 task"):
        task_map(torch.zeros(2, 3))
    for lost in (torch.nan, -torch.inf):
        vectors = torch.tensor([[0.0], [1.0], [lost], [2.0]])
        for measure in (task_map, cosine):
            with pytest.raises(
                MapstoError, match=r"vectors: got 1 of 4 that are not finite.*a class without an example"
            ):
                measure(vectors)


def test_a_state_is_compared_by_its_floating_point_numbers_alone() -> None:
    assert similarity._flat(
        {"a": torch.ones(2), "steps": 3, "y": torch.arange(3), "b": (torch.zeros(1),)}
    ).tolist() == [1, 1, 0]
