"""Tasks made up by a neural process whose functions are known: lines of normal intercepts and slopes."""

import math

import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.errors import MapstoError
from mapsto.learners import CNP, NP
from mapsto.tasks import Imagined

NOISE = 0.3


class Line(nn.Module):
    """z₀ + z₁·x, and a constant deviation."""

    def forward(self, rows: Tensor) -> Tensor:
        x, z = rows[:, :1], rows[:, 1:]
        raw = torch.tensor(torch.tensor((NOISE - 0.01) / 0.99).expm1().log())  # softplus back
        return torch.cat([z[:, :1] + z[:, 1:] * x, raw.expand(len(x), 1)], 1)


class Told(nn.Module):
    """Says that the intercept is as high as the targets, and nothing of the slope."""

    def forward(self, rows: Tensor) -> Tensor:
        y = rows[:, 1:2]
        return torch.cat([y, 0 * y, 0 * y - 50, 0 * y], 1)


def lines(context: object = None) -> Imagined:
    process = NP(Told(), Line())
    return Imagined(mt.tasks.Sinusoids(shots=(3, 8), queries=40), process, context)


@pytest.mark.filterwarnings("ignore:To copy construct")
def test_of_nothing_functions_are_drawn_from_the_prior() -> None:
    drawn = lines().batch(0, 4000)
    x, y = drawn.query.x[..., 0], drawn.query.y[..., 0]
    design = torch.stack([torch.ones_like(x), x], -1)
    found = torch.linalg.lstsq(design, y[..., None]).solution[..., 0]  # [T, 2]
    spread = (0.55**2 + NOISE**2 / 40) ** 0.5
    assert abs(float(found[:, 0].mean())) < 0.05 and abs(float(found[:, 1].mean())) < 0.05
    assert float(found[:, 0].std()) == pytest.approx(spread, rel=0.05)  # q of nothing: N(0, 0.55²)
    residual = y - (design @ found[..., None])[..., 0]
    assert float(residual.std()) == pytest.approx(NOISE * (38 / 40) ** 0.5, rel=0.02)
    assert abs(float(torch.corrcoef(torch.stack([found[:-1, 0], found[1:, 0]]))[0, 1])) < 0.06  # each task its own


@pytest.mark.filterwarnings("ignore:To copy construct")
def test_a_context_is_gone_through() -> None:
    context = mt.examples(torch.zeros(2, 1), torch.full((2, 1), 7.0))
    y = lines(context).batch(0, 500).query
    at_zero = y.y[y.x.abs() < 0.05]
    assert float(at_zero.mean()) == pytest.approx(7, abs=0.1)


def slopes(rows: mt.Examples) -> Tensor:
    """Return the slope of the weighted least-squares line of each task."""
    x, y, w = rows.x[..., 0], rows.y[..., 0], rows.w
    x, y = (part - (w * part).sum(1, keepdim=True) / w.sum(1, keepdim=True) for part in (x, y))
    return (w * x * y).sum(1) / (w * x * x).sum(1)


def alike(first: Tensor, second: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([first, second]))[0, 1])


@pytest.mark.filterwarnings("ignore:To copy construct")
def test_support_and_query_are_of_one_function_and_padding_is_blank() -> None:
    tasks = lines()
    drawn, again = tasks.batch(5, 60), tasks.batch(5, 60)
    assert torch.equal(drawn.support.y, again.support.y)
    assert not drawn.support.y[drawn.support.w == 0].any() and drawn.support.y[drawn.support.w > 0].all()
    support, query = slopes(drawn.support), slopes(drawn.query)
    assert alike(support, query) > 0.8  # .97 and more over five stacks
    with pytest.raises(AssertionError):  # the support sets of other tasks
        assert alike(support.roll(1), query) > 0.8
    assert not torch.equal(tasks.test.batch(5, 60).query.y, drawn.query.y)


def test_inputs_are_those_of_the_tasks_split() -> None:
    held = mt.tasks.Sinusoids(shots=3, queries=2).validation
    tasks = Imagined(held, NP(nn.Linear(2, 4), nn.Linear(3, 2)))
    assert torch.equal(tasks.batch(1, 4).query.x, held.batch(1, 4).query.x)
    assert torch.equal(tasks.test.batch(1, 4).query.x, held.test.batch(1, 4).query.x)


@pytest.mark.usefixtures("unchecked")
def test_a_process_without_a_latent_is_refused() -> None:
    with pytest.raises(MapstoError, match=r"^process: got CNP"):
        Imagined(mt.tasks.Sinusoids(), CNP(nn.Linear(2, 3), nn.Linear(4, 2)))


@pytest.mark.filterwarnings("ignore:To copy construct")
def test_nothing_is_differentiated() -> None:
    process = NP(nn.Linear(2, 4), nn.Linear(3, 2))
    drawn = Imagined(mt.tasks.Sinusoids(), process).batch(0, 2)
    assert not drawn.query.y.requires_grad


SOURCES = (mt.tasks.Sinusoids, mt.tasks.GaussianProcesses, mt.tasks.Linear)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_some_tasks_have_no_teaching_examples_if_shots_begin_at_0(source: type) -> None:
    tasks = source(shots=(0, 4), queries=6)
    totals = tasks.batch(0, 60).support.w.sum(1)
    assert set(totals.round(decimals=5).tolist()) == {0.0, 1.0} and 3 < int((totals == 0).sum()) < 25
    for shots in (0, (0, 0), (-1, 3)):
        with pytest.raises(MapstoError, match=r"^shots: "):
            source(shots=shots)


def test_processes_are_trained_on_tasks_without_teaching_examples() -> None:
    torch.manual_seed(0)
    tasks = mt.tasks.GaussianProcesses(shots=(0, 2), queries=5)
    assert (tasks.batch(0, 8).support.w.sum(1) == 0).any()
    process = NP(mt.models.MLP(2, 8, 4), mt.models.MLP(3, 8, 2))
    *_, step = mt.train(process, mt.tasks.WithNoise(tasks, (1, 2)), steps=2, batch=8)
    assert math.isfinite(step.metrics["loss"]) and math.isfinite(step.metrics["grad_norm"])
    assert Imagined(tasks, process).batch(0, 8).query.y.isfinite().all()
