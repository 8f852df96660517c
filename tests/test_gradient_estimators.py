"""Meta-gradients from directions: exact over a basis, unbiased over random ones, and no other thing."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.adaptation.differentiation import Checkpointed, FiniteDifference
from mapsto.errors import MapstoError
from mapsto.training import estimators as module
from mapsto.training.estimators import Estimator, EvolutionStrategies, Exact, ForwardMode, Params
from mapsto.training.meta import meta_gradient

ESTIMATORS: dict[str, Callable[..., Estimator]] = {"forward": ForwardMode, "evolution": EvolutionStrategies}


class Basis(ForwardMode):
    """Every coordinate by itself, so that slopes times directions add up to the gradient."""

    def directions(self, params: Params, index: int) -> Params:
        sizes = [p.numel() for p in params.values()]
        parts = (sum(sizes) * torch.eye(sum(sizes)).double()).sqrt().split(sizes, 1)
        return {name: part.view(-1, *p.shape) for part, (name, p) in zip(parts, params.items(), strict=True)}


def mlp() -> tuple[mt.learners.Learner, mt.Episode]:
    torch.manual_seed(0)
    learner = mt.learners.MAML(mt.models.MLP(1, 4, 1, activation="tanh"), "mse", lr=0.1, steps=3)
    return learner.double(), mt.episodes.to(mt.tasks.Sinusoids(shots=5, queries=5).batch(0, 3), torch.float64)


def conv4() -> tuple[mt.learners.Learner, mt.Episode]:
    torch.manual_seed(0)
    body = mt.models.Conv4(hidden=2, outputs=2, size=16, activation="softplus", pooling="average")
    x, y = torch.randn(2, 1, 4, 1, 16, 16).double(), torch.tensor([[0, 1, 0, 1]])
    support, query = (mt.examples(x[i], y) for i in (0, 1))
    w = torch.full((1, 4), 0.25).double()
    return mt.learners.MAML(body, lr=0.1, steps=2).double(), mt.Episode(support._replace(w=w), query._replace(w=w))


class Planes(mt.tasks.Tasks):
    """y = x₁ + 2·x₂, always."""

    def draw(self, generator: torch.Generator, count: int) -> mt.Episode:
        x = torch.randn(count, 10, 2, generator=generator)
        rows = mt.episodes.Examples(x, x @ torch.tensor([[1.0], [2.0]]), torch.full((count, 10), 0.1))
        return mt.Episode(rows, rows)


def gradient(
    of: Callable[[], tuple[mt.learners.Learner, mt.Episode]], estimator: Estimator, index: int = 0, **how: object
) -> Tensor:
    learner, episodes = of()
    params = {name: p.detach() for name, p in learner.named_parameters()}
    found, metrics = meta_gradient(learner, estimator=estimator, **how)(params, episodes, index)
    assert metrics["loss"] > 0
    return torch.cat([g.flatten() for g in found.values()])


@pytest.mark.parametrize("of", [mlp, conv4])
def test_forward_mode_over_a_basis_is_the_gradient(of: Callable) -> None:
    torch.testing.assert_close(gradient(of, Basis()), gradient(of, Exact()), rtol=1e-9, atol=1e-12)


def test_chunks_share_their_directions() -> None:
    whole = gradient(mlp, ForwardMode(3))
    torch.testing.assert_close(gradient(mlp, ForwardMode(3), chunk_size=1), whole, rtol=1e-9, atol=1e-12)


def test_sides_close_together_are_a_slope() -> None:
    slopes, differences = gradient(mlp, ForwardMode(8, seed=3)), gradient(mlp, EvolutionStrategies(8, 1e-4, seed=3))
    torch.testing.assert_close(differences, slopes, rtol=1e-5, atol=1e-7)


def misses(estimator: Callable[..., Estimator]) -> float:
    """Return by how many standard errors the mean of many estimates misses the gradient, at worst of all entries."""
    each = torch.stack([gradient(mlp, estimator(64), index) for index in range(40)])
    error = each.std(0) / len(each) ** 0.5
    return float(((each.mean(0) - gradient(mlp, Exact())) / error).abs().max())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimate_is_right_on_average(name: str) -> None:
    assert misses(ESTIMATORS[name]) < 4  # of 13 entries; by chance once in 300


def one_sided(slopes: Tensor, directions: Params) -> Params:
    return {name: torch.tensordot(slopes.abs(), v, 1) / len(slopes) for name, v in directions.items()}


def not_averaged(slopes: Tensor, directions: Params) -> Params:
    return {name: torch.tensordot(slopes, v, 1) for name, v in directions.items()}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("mutant", [one_sided, not_averaged])
def test_a_wrong_estimate_is_caught(name: str, mutant: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_weighted", mutant)
    assert misses(ESTIMATORS[name]) > 4


@pytest.mark.parametrize("name", ESTIMATORS)
def test_steps_have_directions_of_their_own_and_the_same_ones_again(name: str) -> None:
    first, again, second = (gradient(mlp, ESTIMATORS[name](2), index) for index in (0, 0, 1))
    assert torch.equal(first, again) and not torch.allclose(first, second)
    assert not torch.allclose(first, gradient(mlp, ESTIMATORS[name](2, seed=1)))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_training_goes_down_and_resumes_to_the_same_numbers(name: str, tmp_path: object) -> None:
    def trained(steps: int, folder: str) -> list[float]:
        torch.manual_seed(0)
        learner = mt.learners.MAML(nn.Linear(2, 1), "mse", lr=0.1)
        how = {"run": tmp_path / folder, "resume": True, "estimator": ESTIMATORS[name](4)}
        taught = mt.train(learner, Planes(), steps, 4, 0.05, **how)
        return [step.metrics["loss"] for step in taught]

    whole = trained(60, "whole")
    assert sum(whole[-10:]) < 0.5 * sum(whole[:10])
    assert trained(30, "parts") + trained(60, "parts") == whole


def trained_by(estimator: Estimator, learner: mt.learners.Learner) -> None:
    next(iter(mt.train(learner, mt.tasks.Sinusoids(shots=2, queries=2), 1, 1, estimator=estimator)))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ForwardMode(0), "^count: "),
        (lambda: ForwardMode(seed=-1), "^seed: "),
        (lambda: EvolutionStrategies(scale=0.0), "^scale: "),
        (
            lambda: trained_by("ForwardMode", mt.learners.MAML(mt.models.MLP(1, 1), "mse")),
            "^estimator: got 'ForwardMode'",
        ),
        (
            lambda: trained_by(
                ForwardMode(), mt.learners.MAML(mt.models.MLP(1, 1), loss="mse", differentiation=FiniteDifference())
            ),
            "^estimator: got ForwardMode and differentiation by FiniteDifference",
        ),
        (
            lambda: trained_by(EvolutionStrategies(), mt.learners.Reptile(mt.models.MLP(1, 1), loss="mse")),
            "^estimator: got EvolutionStrategies for Reptile",
        ),
        (
            lambda: trained_by(
                ForwardMode(), mt.learners.MAML(mt.models.MLP(1, 1), loss="mse", differentiation=Checkpointed())
            ),
            "^estimator: got ForwardMode and differentiation by Checkpointed",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()
