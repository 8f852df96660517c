"""The ridge-regression head against scikit-learn, the normal equations, hand-derived derivatives and Bayes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap

from mapsto.episodes import Episode, Examples, examples
from mapsto.errors import MapstoError
from mapsto.learners import RidgeHead
from mapsto.learners.ridge import ridge
from mapsto.tasks import Linear

PENALTY = 0.3
SHAPES = [(9, 4), (4, 9), (6, 6)]  # more rows than features, fewer, as many
Solver = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def task(rows: int, features: int, outputs: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Make x, y and weights, the second of them 0."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(rows, features, generator=g).double(), torch.randn(rows, outputs, generator=g).double()
    return x, y, torch.rand(rows, generator=g).double() * (torch.arange(rows) != 1)


def penalty(value: float = PENALTY) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


# the solution


def is_scikit_learns(solver: Solver, rows: int, features: int) -> None:
    x, y, w = task(rows, features)
    judge = Ridge(alpha=PENALTY, fit_intercept=False).fit(x.numpy(), y.numpy(), sample_weight=w.numpy())
    assert np.abs(judge.coef_).min() > 1e-4
    torch.testing.assert_close(solver(x, y, w, penalty()), torch.from_numpy(judge.coef_.T), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("rows", "features"), SHAPES)
def test_the_weights_are_those_of_scikit_learn(rows: int, features: int) -> None:
    is_scikit_learns(ridge, rows, features)


def unweighted(x: Tensor, y: Tensor, w: Tensor, penalty: Tensor) -> Tensor:
    return ridge(x, y, torch.ones_like(w), penalty)


def weighted_twice(x: Tensor, y: Tensor, w: Tensor, penalty: Tensor) -> Tensor:
    return ridge(w[:, None] * x, w[:, None] * y, torch.ones_like(w), penalty)


def unpenalised(x: Tensor, y: Tensor, w: Tensor, penalty: Tensor) -> Tensor:
    return ridge(x, y, w, penalty / 1000)


@pytest.mark.parametrize("mutant", [unweighted, weighted_twice, unpenalised])
@pytest.mark.parametrize(("rows", "features"), SHAPES)
def test_a_wrong_solver_is_caught(mutant: Solver, rows: int, features: int) -> None:
    with pytest.raises(AssertionError):
        is_scikit_learns(mutant, rows, features)


@pytest.mark.parametrize(("rows", "features"), SHAPES)
def test_the_weights_solve_the_normal_equations(rows: int, features: int) -> None:
    x, y, w = task(rows, features)
    v = ridge(x, y, w, penalty())
    torch.testing.assert_close(x.T @ (w[:, None] * (y - x @ v)), PENALTY * v)


@pytest.mark.parametrize(("rows", "features"), [(300, 5), (5, 300)])
def test_a_small_penalty_is_solved_in_single_precision(rows: int, features: int) -> None:
    x, y, w = task(rows, features)
    w = w / w.sum()
    expected = ridge(x, y, w, penalty(1e-3))
    got = ridge(x.float(), y.float(), w.float(), penalty(1e-3).float())
    assert (got - expected).norm() < 1e-4 * expected.norm()


def test_half_precision_gets_the_answer_to_half_precision() -> None:
    x, y, w = task(9, 4)
    got = ridge(*(t.bfloat16() for t in (x, y, w, penalty())))
    expected = ridge(x, y, w, penalty())
    assert got.dtype == torch.bfloat16 and (got - expected).norm() < 0.05 * expected.norm()


# derivatives of a query's answer by the support set, by hand: A = Xᵀ·W·X + λI, r_j = y_j − x_j·V


def by_hand(x: Tensor, y: Tensor, w: Tensor, query: Tensor) -> dict[str, Tensor]:
    """Return ∂(query·V) by x, y and w; the first axis is the output."""
    a = x.T @ torch.diag(w) @ x + PENALTY * torch.eye(x.shape[1]).double()
    v, q = torch.linalg.solve(a, x.T @ torch.diag(w) @ y), torch.linalg.solve(a, query)
    r, k = y - x @ v, y.shape[1]
    by_x = torch.stack([w[:, None] * (r[:, [o]] * q - (x @ q)[:, None] * v[:, o]) for o in range(k)])
    by_y = torch.stack([(w * (x @ q))[:, None] * torch.eye(k).double()[o] for o in range(k)])
    return {"x": by_x, "y": by_y, "w": ((x @ q)[:, None] * r).T}


def has_the_derivatives(solver: Solver, rows: int, features: int) -> None:
    (x, y, w), query = task(rows, features), torch.linspace(-1, 1, features).double()
    got = jacrev(lambda x, y, w: query @ solver(x, y, w, penalty()), argnums=(0, 1, 2))(x, y, w)
    for name, found in zip("xyw", got, strict=True):
        expected = by_hand(x, y, w, query)[name]
        assert expected.abs().max() > 1e-2
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("rows", "features"), SHAPES)
def test_the_derivatives_by_the_support_set_are_those_derived_by_hand(rows: int, features: int) -> None:
    has_the_derivatives(ridge, rows, features)


def through_the_root(x: Tensor, y: Tensor, w: Tensor, penalty: Tensor) -> Tensor:
    """Weight by W^½ as the formula is usually written: the right value, no derivative at weight 0."""
    root = w.sqrt()[:, None]
    return ridge(root * x, root * y, torch.ones_like(w), penalty)


@pytest.mark.parametrize(("rows", "features"), SHAPES)
def test_weighting_through_the_root_gives_the_same_value_and_no_derivative(rows: int, features: int) -> None:
    x, y, w = task(rows, features)
    torch.testing.assert_close(through_the_root(x, y, w, penalty()), ridge(x, y, w, penalty()))
    with pytest.raises(AssertionError):
        has_the_derivatives(through_the_root, rows, features)


# the learner


def test_scores_are_scaled_and_offset() -> None:
    x, y, w = task(9, 4)
    learner = RidgeHead(nn.Identity(), 2, loss="mse", penalty=PENALTY, scale=3.0).double()
    with torch.no_grad():
        learner.offset.fill_(7.0)
    got = learner.predict(learner.adapt(Examples(x, y, w)), x)
    torch.testing.assert_close(got, 3 * x @ ridge(x, y, w, penalty()) + 7, rtol=1e-6, atol=1e-6)


def test_classes_are_regressed_on_as_zeros_and_ones() -> None:
    x, _, w = task(9, 4)
    y = torch.arange(9) % 3
    judge = Ridge(alpha=PENALTY, fit_intercept=False).fit(x.numpy(), np.eye(3)[y.numpy()], sample_weight=w.numpy())
    learner = RidgeHead(nn.Identity(), 4, penalty=PENALTY).double()
    scores = learner.predict(learner.adapt(Examples(x, y, w)), x)
    torch.testing.assert_close(scores[:, :3], torch.from_numpy(judge.predict(x.numpy())), rtol=1e-6, atol=1e-6)
    assert (scores[:, 3] == -torch.inf).all()


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_without_support_the_answer_is_the_offset(loss: str) -> None:
    x, y, w = task(9, 4)
    learner = RidgeHead(nn.Identity(), 2, loss=loss).double()
    with torch.no_grad():
        learner.offset.fill_(0.5)
    nothing = Examples(x, y if loss == "mse" else torch.arange(9) % 2, torch.zeros_like(w))
    torch.testing.assert_close(learner.predict(learner.adapt(nothing), x), torch.full((9, 2), 0.5).double())


def test_the_ways_may_change_after_training() -> None:
    x, _, w = task(9, 4)
    support, learner = Examples(x, torch.arange(9) % 3, w), RidgeHead(nn.Identity(), 20).double()
    wide = learner.predict(learner.adapt(support), x)
    learner.ways = 3
    torch.testing.assert_close(learner.predict(learner.adapt(support), x), wide[:, :3])


def test_a_penalty_that_is_driven_down_stays_positive() -> None:
    x, _, w = task(9, 4)
    support, learner = Examples(x, x[:, :1], w), RidgeHead(nn.Identity(), 1, loss="mse", penalty=0.01).double()
    slope = grad(lambda log: functional_call(learner, {"log_penalty": log}, (Episode(support, support),))[0])
    log_penalty = learner.log_penalty.detach()
    for _ in range(20):  # the targets are linear and noiseless: no penalty at all would be best
        log_penalty = log_penalty - slope(log_penalty).sign()
    assert log_penalty < -24 and 0 < log_penalty.exp() < 1e-10


# Bayes: on planes with noise, a ridge with penalty noise²/(slope²·n) is the posterior mean; no other penalty is better


class WithOne(nn.Module):
    """Append the constant 1."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, torch.ones_like(x[:, :1])], 1)


def slope_by_penalty(value: float) -> tuple[float, float]:
    """Return the derivative of the expected query loss by log_penalty, and the standard error of this estimate."""
    tasks = Linear(features=2, shots=6, queries=10, noise=1.0).batch(0, 4000)
    learner = RidgeHead(WithOne(), 1, loss="mse", penalty=value)
    params = {name: p.detach() for name, p in learner.named_parameters()}
    slope = grad(lambda params, support, query: functional_call(learner, params, (Episode(support, query),))[0])
    found = vmap(slope, (None, 0, 0))(params, tasks.support, tasks.query)["log_penalty"]
    return float(found.mean()), float(found.std() / len(found) ** 0.5)


def test_the_penalty_that_training_seeks_is_bayes() -> None:
    best = 1.0 / 6
    for value, sign in ((best / 3, -1), (3 * best, 1)):
        slope, error = slope_by_penalty(value)
        assert sign * slope > 8 * error
    slope, error = slope_by_penalty(best)
    assert abs(slope) < 3 * error


# bad input


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RidgeHead(nn.Identity(), 0), "^ways: "),
        (lambda: RidgeHead(nn.Identity(), 5, loss="l1"), "^loss: "),
        (lambda: RidgeHead(nn.Identity(), 5, penalty=0.0), "^penalty: "),
        (lambda: RidgeHead(nn.Identity(), 5, scale=-1.0), "^scale: "),
        (lambda: RidgeHead(nn.Sequential(nn.BatchNorm1d(2)), 5), "track_running_stats=False"),
        (
            lambda: RidgeHead(nn.Identity(), 5).adapt(examples(torch.zeros(2, 1), torch.zeros(2, 1))),
            "^y: ",
        ),
        (
            lambda: RidgeHead(nn.Identity(), 1, loss="mse").adapt(examples(torch.zeros(2, 1), torch.zeros(2).long())),
            "^y: ",
        ),
        (
            lambda: RidgeHead(nn.Identity(), 1, loss="mse").adapt(examples(torch.zeros(2, 1), torch.zeros(2, 3))),
            "^y: ",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()
