"""Data set ↦ parameters: the body's fixed point is ridge regression, and training comes near its loss."""

import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

import mapsto as mt
from mapsto.episodes import Examples, first_tasks, over_tasks
from mapsto.errors import MapstoError
from mapsto.learners import Hypernetwork
from mapsto.models import MLP, MomentNetwork

PENALTY = 0.3


def regressor(layers: int, features: int = 3) -> Hypernetwork:
    """Build the linear case untrained: the matrix is diagonal, the penalty the same for all."""
    torch.manual_seed(0)
    learner = Hypernetwork(MomentNetwork(features, layers=layers), nn.Linear(features, 1)).double()
    with torch.no_grad():
        for parameter in (*learner.child.parameters(), *learner.body.read[-1].parameters()):
            parameter.zero_()
        learner.body.log_penalty.fill_(PENALTY).log_()
    return learner


def data(rows: int = 20) -> Examples:
    g = torch.Generator().manual_seed(3)
    x, y, w = (torch.randn(rows, k, generator=g).double() for k in (3, 1, 1))
    return Examples(x, y, w[:, 0].exp())


def law_fixed_point(learner: Hypernetwork) -> None:
    """Read often enough, the set gives scikit-learn's weighted ridge regression, the intercept penalised too."""
    found, (x, y, w) = learner.adapt(data()), data()
    w = w * w.sum() / w.square().sum()
    columns = torch.cat([x, torch.ones(len(x), 1).double()], 1)
    theirs = Ridge(PENALTY, fit_intercept=False, tol=1e-12).fit(columns, y[:, 0], sample_weight=w).coef_
    torch.testing.assert_close(torch.cat([found["weight"][0], found["bias"]]), torch.tensor(theirs), rtol=0, atol=1e-6)


def test_the_sets_network_reads_its_way_to_ridge_regression():
    law_fixed_point(regressor(layers=400))
    for mutant in (regressor(layers=1), regressor(layers=400)):
        if mutant.body.layers == 400:
            torch.nn.init.zeros_(mutant.body.log_penalty)
        with pytest.raises(AssertionError):
            law_fixed_point(mutant)


def test_two_targets_have_their_weights_first_and_their_intercepts_last():
    torch.manual_seed(0)
    body, (x, _, w), plane = MomentNetwork(3, layers=400).double(), data(), nn.Linear(3, 2).double()
    with torch.no_grad():
        for parameter in body.read[-1].parameters():
            parameter.zero_()
        body.log_penalty.fill_(-12.0)
    learner = Hypernetwork(body, nn.Linear(3, 2).double())
    torch.nn.init.zeros_(learner.child.weight), torch.nn.init.zeros_(learner.child.bias)
    found = learner.adapt(Examples(x, plane(x), w))
    torch.testing.assert_close(found["weight"], plane.weight, rtol=0, atol=1e-4)
    torch.testing.assert_close(found["bias"], plane.bias, rtol=0, atol=1e-4)


def test_the_answer_is_linear_in_the_targets():
    torch.manual_seed(0)
    body, (x, y, w) = MomentNetwork(3).double(), data()
    torch.testing.assert_close(body(x, 2 * y - 3 * x[:, :1], w), 2 * body(x, y, w) - 3 * body(x, x[:, :1], w))


def ridge(episode: mt.Episode, penalty: float) -> Tensor:
    """Return the squared error of the Bayes-optimal regressor on one task of `tasks.Linear` with unit priors."""
    x, at = (torch.cat([part.x, torch.ones_like(part.x[:, :1])], -1) for part in episode[:2])
    x = x * (episode.support.w > 0)[:, None]
    fit = torch.linalg.solve(x.mT @ x + penalty * torch.eye(x.shape[1]), x.mT @ episode.support.y)
    return (episode.query.w[:, None] * (at @ fit - episode.query.y).square()).sum()


def test_training_through_the_childs_loss_comes_near_the_ridge_oracle():
    torch.manual_seed(0)
    tasks = mt.tasks.Linear(shots=(4, 10), queries=10, noise=0.3)
    learner = Hypernetwork(MomentNetwork(1), nn.Linear(1, 1))
    untrained = mt.evaluate(learner, tasks.test, 1_000, 500).mse.mean
    for _ in mt.train(learner, tasks, steps=300, batch=64, lr=1e-2, clip=1.0, schedule="cosine"):
        pass
    error = mt.evaluate(learner, tasks.test, 1_000, 500).mse.mean
    errors = [over_tasks(lambda episode: ridge(episode, 0.09))(part) for part in first_tasks(tasks.test, 1_000, 25, 0)]
    oracle = float(torch.cat(errors).mean())
    assert 0.95 * oracle < error < 1.15 * oracle < 0.8 * untrained, (error, oracle, untrained)


def test_an_empty_support_leaves_the_child_as_it_was_learned():
    learner, (x, y, w) = regressor(layers=2), data()
    torch.nn.init.ones_(learner.child.weight)
    state = learner.adapt(Examples(x, y, torch.zeros_like(w)))
    torch.testing.assert_close(state, dict(learner.child.named_parameters()))


def test_the_parameters_of_an_mlp_are_written_and_used():
    torch.manual_seed(0)
    child = MLP(1, 8, 1, activation="tanh")
    body = MomentNetwork(6, MLP(1, 16, 6, activation="silu"), write=MLP(7, 32, 25, activation="silu"))
    learner, tasks = Hypernetwork(body, child), mt.tasks.Sinusoids(shots=10, queries=10)
    nothing = float(tasks.test.batch(0, 200).query.y.square().mean())
    for _ in mt.train(learner, tasks, steps=300, batch=25, lr=5e-3, clip=1.0):
        pass
    assert mt.evaluate(learner, tasks.test, 200, 100).mse.mean < 0.6 * nothing


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Hypernetwork(nn.Identity(), nn.Flatten()), "^child: "),
        (lambda: Hypernetwork(nn.Identity(), nn.Linear(1, 1), loss="cross_entropy"), "^loss: "),
        (lambda: Hypernetwork(nn.BatchNorm1d(1), nn.Linear(1, 1)), "^body: "),
        (lambda: MomentNetwork(0), "^features: "),
        (
            lambda: Hypernetwork(MomentNetwork(3), nn.Linear(5, 1)).double().adapt(data()),
            "^body: ",
        ),
    ],
)
def test_what_writes_no_parameters_is_refused(build, message, unchecked):
    with pytest.raises(MapstoError, match=message):
        build()
