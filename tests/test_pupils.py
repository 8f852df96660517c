"""`tasks.Pupils`: generated pupils, and the exact filter beside brute-force enumeration of all hidden courses."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import mapsto as mt
from mapsto.episodes import Episode, over_tasks, unstack
from mapsto.errors import MapstoError
from mapsto.tasks import Pupils, knowledge_tracing
from mapsto.tasks.knowledge_tracing import Nodes, Parameters, predictions, quadrature


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def course(asked: list[int | None], knows: tuple[int, ...], later: tuple[int, ...], i: int, p: list[float]) -> float:
    """Return the probability that knowledge changes from `knows` to `later` in step i."""
    chance = 1.0
    for skill, (before, after) in enumerate(zip(knows, later, strict=True)):
        known = (1 if before else p[1]) if skill == asked[i] else (1 - p[2] if before else 0)
        chance *= known if after else 1 - known
    return chance


def answer(knows: int, difficulty: float, p: list[float]) -> float:
    chance = 1 - p[4] if knows else p[3]
    return sigmoid(math.log(chance / (1 - chance)) - difficulty)


def enumerated(episode: Episode, p: list[float]) -> tuple[list[float], float]:
    """Return P(right) of each query and the probability of the answers, by a sum over all courses of knowledge."""
    x, y, w = (part.tolist() for part in episode.support)
    skills, steps = len(x[0]) - 2 if x else len(episode.query.x[0]) - 2, round(10 * float(episode.query.x[0, -1]))
    asked = [row[:skills].index(1) if weight else None for row, weight in zip(x, w, strict=True)]
    states = list(itertools.product((0, 1), repeat=skills))
    total, right = 0.0, [0.0] * len(episode.query.x)
    for path in itertools.product(states, repeat=steps + 1):
        chance = math.prod(p[0] if known else 1 - p[0] for known in path[0])
        for i in range(steps):
            if asked[i] is not None:
                of_right = answer(path[i][asked[i]], x[i][-2], p)
                chance *= of_right if y[i] else 1 - of_right
            chance *= course(asked, path[i], path[i + 1], i, p)
        total += chance
        for j, row in enumerate(episode.query.x.tolist()):
            right[j] += chance * answer(path[-1][row[:skills].index(1)], row[-2], p)
    return [part / total for part in right], total


TASKS = Pupils(skills=2, shots=(0, 4), queries=3, pauses=0.6, spread=1.3)


def law_informed() -> None:
    p, found = TASKS.parameters(0, 12), TASKS.informed(0, 12)
    for i, episode in enumerate(unstack(TASKS.batch(0, 12))):
        expected, _ = enumerated(episode, [float(part[i]) for part in p])
        assert np.allclose(found[i], expected, atol=1e-6)


def test_the_filter_that_knows_the_parameters_is_the_sum_over_all_hidden_courses():
    batch = TASKS.batch(0, 12)
    answers, steps = (batch.support.w > 0).sum(1), (10 * batch.query.x[:, 0, -1]).round()
    assert {0, 4} <= set(steps.tolist()) and bool(((answers > 0) & (answers < steps)).any())
    law_informed()


@pytest.mark.parametrize(
    "mutant",
    [
        lambda knows, asked, p: knows,  # nothing is learned
        lambda knows, asked, p: asked * (knows + (1 - knows) * p.learning[..., None]) + (1 - asked) * knows,
        lambda knows, asked, p: knows + (1 - knows) * p.learning[..., None],  # every skill is learned
    ],
)
def test_another_course_breaks_the_law(monkeypatch, mutant):
    monkeypatch.setattr(knowledge_tracing, "after", mutant)
    with pytest.raises(AssertionError):
        law_informed()


def test_the_filter_under_the_prior_weighs_parameters_by_their_posterior():
    """Σ_θ P(θ)·P(answers | θ)·P(right | answers, θ) / Σ_θ P(θ)·P(answers | θ), over three pupils that could be."""
    points = torch.tensor([[0.2, 0.1, 0.05, 0.3, 0.1], [0.6, 0.3, 0.0, 0.1, 0.2], [0.4, 0.02, 0.2, 0.2, 0.05]]).double()
    prior = torch.tensor([0.5, 0.3, 0.2]).double()
    batch = TASKS.batch(1, 6)
    found = predictions(batch, Nodes(Parameters(*points.unbind(1)), prior.log()))
    for i, episode in enumerate(unstack(batch)):
        each = [enumerated(episode, point) for point in points.tolist()]
        mass = np.array([float(share) * evidence for share, (_, evidence) in zip(prior, each, strict=True)])
        assert np.allclose(found[i], mass / mass.sum() @ np.array([right for right, _ in each]), atol=1e-6)


def test_quadrature_integrates_polynomials_and_one_point_has_one_node():
    nodes = quadrature(((0.1, 0.7), (0.0, 0.3), (0.05, 0.05), (0.2, 0.3), (0.1, 0.4)), order=3)
    share, p = nodes.log_weight.exp(), nodes.parameters
    assert len(share) == 3**4 and float(share.sum()) == pytest.approx(1)
    expected = (0.7**6 - 0.1**6) / (6 * 0.6) * (0.3**2 / 3) * 0.05  # E[start⁵]·E[learning²]·forgetting
    assert float(share @ (p.start**5 * p.learning**2 * p.forgetting)) == pytest.approx(expected)


def test_the_integral_over_the_prior_has_converged():
    """The default order is within .001 nats of a finer one after 20 answers, and of particles drawn from the prior."""
    tasks = Pupils(shots=20, queries=4)
    coarse, fine = tasks.bayes(0, 20), tasks.bayes(0, 20, order=5)
    y = tasks.batch(0, 20).query.y.double()
    assert float((coarse - fine).abs().max()) < 0.003
    assert abs(float(F.binary_cross_entropy(coarse, y) - F.binary_cross_entropy(fine, y))) < 2e-4
    assert float((fine * (fine / coarse).log() + (1 - fine) * ((1 - fine) / (1 - coarse)).log()).max()) < 2e-4
    low, high = torch.tensor(tasks.ranges, dtype=torch.float64).T
    drawn = low + (high - low) * torch.rand(6_000, 5, generator=torch.Generator().manual_seed(0)).double()
    few = Episode(*(type(part)(*(leaf[:4] for leaf in part)) for part in tasks.batch(0, 20)[:2]))
    particles = predictions(few, Nodes(Parameters(*drawn.unbind(1)), torch.zeros(6_000).double() - math.log(6_000)))
    assert float((particles - fine[:4]).abs().max()) < 0.02


@pytest.mark.parametrize("tasks", [Pupils(shots=(0, 12), queries=12), Pupils(shots=8, queries=12, pauses=0.8)])
def test_answers_are_right_as_often_as_the_filter_says(tasks):
    """In each tenth of the predictions, the share of right answers is the mean prediction, to five standard errors."""
    predicted, y = (part.flatten() for part in (tasks.bayes(0, 600, order=3), tasks.batch(0, 600).query.y.double()))
    assert float(predicted.std()) > 0.1
    for part in predicted.argsort().chunk(10):
        error = 5 * float((predicted[part] * (1 - predicted[part])).mean() / len(part)) ** 0.5
        assert abs(float(predicted[part].mean() - y[part].mean())) < error
    losses = [float(F.binary_cross_entropy(p.flatten(), y)) for p in (tasks.informed(0, 600), predicted)]
    assert losses[0] < losses[1] < float(F.binary_cross_entropy(y.mean().expand_as(y), y)) - 0.02


@pytest.mark.parametrize("options", [{"shots": (0, 6)}, {"shots": 6, "pauses": 1.0}])
def test_knowledge_moves_in_the_steps_of_the_pupil_only(options):
    """Among pupils who learn and forget fast, answers are as often right as the filter that knows them says."""
    fast = {"start": (0.05, 0.05), "learning": (0.6, 0.6), "forgetting": (0.5, 0.5), "guess": (0.1, 0.1)}
    tasks = Pupils(skills=2, queries=4, spread=0.0, slip=(0.1, 0.1), stay=0.9, **fast, **options)
    predicted, y = tasks.informed(0, 4000).flatten(), tasks.batch(0, 4000).query.y.double().flatten()
    for part in predicted.argsort().chunk(5):
        error = 5 * float((predicted[part] * (1 - predicted[part])).mean() / len(part)) ** 0.5
        assert abs(float(predicted[part].mean() - y[part].mean())) < error


def test_an_answer_is_a_row_and_a_query_is_an_item_in_the_next_place():
    tasks = Pupils(skills=3, items=4, shots=(0, 5), queries=7, spread=2.0, pauses=0.5)
    batch = tasks.batch(3, 200)
    assert batch.support.x.shape == (200, 5, 5) and batch.support.y.dtype == torch.int64
    known = {round(2 * z, 4) for z in (-1.1503494, -0.3186394, 0.3186394, 1.1503494)}
    x, real = batch.support.x, batch.support.w > 0
    assert (x[real][:, :3].sum(-1) == 1).all() and {round(d, 4) for d in x[real][:, 3].tolist()} == known
    assert torch.equal((10 * x[..., 4]).round()[real], torch.arange(5).expand(200, 5)[real].float())
    assert (x[~real] == 0).all() and (batch.support.y[~real] == 0).all()
    steps = (10 * batch.query.x[..., 4]).round()
    assert (steps == steps[:, :1]).all() and set(steps.flatten().tolist()) == {0, 1, 2, 3, 4, 5}
    assert not (real & (torch.arange(5) >= steps[:, :1])).any()
    assert set(batch.support.w.sum(1).round(decimals=5).tolist()) == {0.0, 1.0}
    assert (batch.query.x[..., :3].sum(-1) == 1).all() and (batch.query.w == 1 / 7).all()


def test_a_skill_tends_to_stay():
    skill = Pupils(skills=4, shots=10, stay=0.6).batch(0, 3000).support.x[..., :4].argmax(-1)
    same = (skill[:, 1:] == skill[:, :-1]).double().mean()
    assert abs(float(same) - (0.6 + 0.4 / 4)) < 0.01


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"skills": 0}, "skills"),
        ({"queries": 0}, "queries"),
        ({"shots": (3, 1)}, "shots"),
        ({"spread": -1.0}, "spread"),
        ({"stay": 1.5}, "stay"),
        ({"guess": (0.0, 0.3)}, "guess"),
        ({"slip": (0.1, 1.0)}, "slip"),
        ({"start": (0.5, 0.2)}, "start"),
        ({"learning": (0.5, 1.2)}, "learning"),
        ({"forgetting": (0.0, 1.5)}, "forgetting"),
    ],
)
def test_options_are_checked(options, name):
    with pytest.raises(MapstoError, match=f"^{name}: got"):
        Pupils(**options)


def test_a_source_of_pupils_is_repeated_and_its_splits_differ():
    tasks = Pupils(skills=2, shots=3)
    assert torch.equal(tasks.batch(1, 4).query.y, tasks.batch(1, 4).query.y)
    assert torch.equal(tasks.parameters(1, 4).guess, tasks.parameters(1, 4).guess)
    assert not torch.equal(tasks.batch(1, 4).query.x, tasks.test.batch(1, 4).query.x)


def test_every_kind_of_learner_reads_pupils():
    """Also a pupil without answers; `InContext` needs an answer of each kind, as it rules out what it has not seen."""
    batch = Pupils(skills=2, shots=(0, 5), queries=3).batch(0, 12)
    assert (batch.support.w.sum(1) == 0).any()
    for learner in (
        mt.learners.DKT(6),
        mt.learners.MAML(mt.models.MLP(4, 8, 2), lr=0.1),
        mt.learners.Fixed(mt.models.MLP(4, 8, 2)),
        mt.learners.SNAIL(torch.nn.Identity(), features=4, outputs=2, length=5, filters=8),
    ):
        assert bool(over_tasks(learner.loss)(batch)[0].isfinite().all()), type(learner)
