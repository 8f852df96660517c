"""Data set ↦ parameters: the bodies' fixed points are ridge and logistic regression; training comes near their loss."""

import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

import mapsto as mt
from mapsto.episodes import Examples, first_tasks, over_tasks
from mapsto.errors import MapstoError
from mapsto.learners import Hypernetwork
from mapsto.models import MLP, MomentNetwork, NewtonNetwork

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


def one_hot(y: Tensor, classes: int) -> Tensor:
    return torch.eye(classes).double()[y]


def labelled(classes: int, rows: int = 30) -> Examples:
    """Make rows with classes and unequal weights."""
    g = torch.Generator().manual_seed(4)
    x, noise = torch.randn(rows, 3, generator=g).double(), torch.randn(rows, classes, generator=g).double()
    y = (2 * x[:, :1] * torch.arange(classes) + noise).argmax(-1)
    return Examples(x, y, torch.rand(rows, generator=g).double() + 0.1)


def classifier(classes: int, layers: int, penalty: float = PENALTY) -> Hypernetwork:
    """Build the linear classifier untrained: it shrinks all coefficients to 0 with one penalty."""
    body, child = NewtonNetwork(3, classes, layers=layers), nn.Linear(3, classes)
    for parameter in child.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(body.log_penalty, math.log(penalty))
    return Hypernetwork(body, child, loss="cross_entropy").double()


def law_logistic_regression(learner: Hypernetwork, classes: int) -> None:
    """Read often enough, the set gives scikit-learn's weighted logistic regression, the intercept penalised too."""
    x, y, w = labelled(classes)
    scores = learner.predict(learner.adapt(Examples(x, y, w)), x).detach()
    columns = torch.cat([x, torch.ones(len(x), 1).double()], 1)
    inverse = (2 if classes == 2 else 1) / PENALTY  # scikit-learn's two classes share one row of coefficients
    theirs = LogisticRegression(C=inverse, fit_intercept=False, tol=1e-10, max_iter=10_000)
    expected = theirs.fit(columns, y, sample_weight=w * w.sum() / w.square().sum()).predict_proba(columns)
    torch.testing.assert_close(scores.softmax(-1), torch.tensor(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_newton_steps_lead_to_penalised_logistic_regression(classes: int) -> None:
    law_logistic_regression(classifier(classes, layers=40), classes)
    for mutant in (classifier(classes, layers=1), classifier(classes, layers=40, penalty=1.0)):
        with pytest.raises(AssertionError):
            law_logistic_regression(mutant, classes)


def test_a_few_steps_are_near_the_end_for_two_classes() -> None:
    x, y, w = labelled(2)
    few, many = (classifier(2, layers).adapt(Examples(x, y, w)) for layers in (6, 40))
    torch.testing.assert_close(few, many, rtol=0, atol=1e-6)


def body_and_set(classes: int = 3) -> tuple[NewtonNetwork, Examples]:
    torch.manual_seed(0)
    body, (x, y, w) = NewtonNetwork(3, classes).double(), labelled(classes)
    torch.nn.init.normal_(body.start)
    return body, Examples(x, one_hot(y, classes), w)


def test_a_weight_of_two_is_a_repeated_row_and_one_of_zero_an_absent_row() -> None:
    body, (x, y, w) = body_and_set()
    twice = [0, 0, *range(1, len(x))]
    ones = torch.ones_like(w)
    torch.testing.assert_close(
        body(x, y, ones.index_fill(0, torch.tensor(0), 2.0)), body(x[twice], y[twice], ones[:1].expand(len(twice)))
    )
    torch.testing.assert_close(body(x, y, w.index_fill(0, torch.tensor(0), 0.0)), body(x[1:], y[1:], w[1:]))
    assert (body(x, y, ones) - body(x[1:], y[1:], ones[1:])).abs().max() > 1e-3


def test_the_order_of_rows_does_not_matter_and_that_of_classes_moves_the_coefficients() -> None:
    body, (x, y, w) = body_and_set()
    torch.testing.assert_close(body(x, y, w), body(x.flip(0), y.flip(0), w.flip(0)))
    order = torch.tensor([2, 0, 1])
    found, moved = body(x, y, w), body(x, y[:, order], w)
    assert not torch.allclose(_by_class(found)[:, order], _by_class(moved), atol=1e-3)  # the start tells classes apart
    torch.nn.init.zeros_(body.start)
    torch.testing.assert_close(_by_class(body(x, y, w))[:, order], _by_class(body(x, y[:, order], w)))


def _by_class(alpha: Tensor, features: int = 3) -> Tensor:
    """Return the coefficients as a column for each class."""
    weight, bias = alpha.split([features * (len(alpha) // (features + 1)), len(alpha) // (features + 1)])
    return torch.cat([weight.view(-1, features).T, bias[None]])


@pytest.mark.parametrize("rows", [0, 5])
def test_an_empty_set_of_classes_leaves_the_child_as_it_was_learned(rows: int) -> None:
    torch.manual_seed(0)
    learner = Hypernetwork(body_and_set()[0], nn.Linear(3, 3).double(), loss="cross_entropy")
    nothing = Examples(torch.zeros(rows, 3).double(), torch.zeros(rows, dtype=torch.long), torch.zeros(rows).double())
    torch.testing.assert_close(learner.adapt(nothing), dict(learner.child.named_parameters()))


def test_the_gradient_of_the_loss_is_that_of_finite_differences() -> None:
    learner, task = classifier(2, layers=3), labelled(2)
    episode = mt.Episode(task, Examples(*(part[:10] for part in task)))
    names, values = zip(*learner.named_parameters(), strict=True)

    def loss(*parameters: Tensor) -> Tensor:
        return functional_call(learner, dict(zip(names, parameters, strict=True)), (episode,))[0]

    assert torch.autograd.gradcheck(loss, tuple(value.detach().requires_grad_() for value in values))


def logistic(task: Examples, penalty: float) -> Tensor:
    """Return the slopes and the intercept of penalised logistic regression on one task; each step is downhill."""
    x, w = torch.cat([task.x, torch.ones_like(task.x[:, :1])], -1), (task.w > 0).float()
    ridge = penalty * torch.eye(x.shape[1])
    steps = torch.linalg.inv(x.T @ (w[:, None] * x) / 4 + ridge)
    fit = torch.zeros(x.shape[1])
    for _ in range(100):
        fit = fit + steps @ (x.T @ (w * (task.y - (x @ fit).sigmoid())) - ridge @ fit)
    return fit


def logistic_loss(tasks: mt.tasks.Tasks, penalty: float) -> float:
    """Return the log loss of penalised logistic regression over 500 tasks."""

    def loss(episode: mt.Episode) -> Tensor:
        fit, (x, y, _) = logistic(episode.support, penalty), episode.query
        return F.binary_cross_entropy_with_logits(x @ fit[:-1] + fit[-1], y.float())

    return float(torch.cat([over_tasks(loss)(part) for part in first_tasks(tasks, 500, 250, 0)]).mean())


def test_training_comes_near_tuned_logistic_regression() -> None:
    torch.manual_seed(0)
    tasks = mt.tasks.Logistic(features=3, shots=(8, 16), queries=30, centre=0.0, slope=2.0)
    learner = Hypernetwork(NewtonNetwork(3, 2, layers=3), nn.Linear(3, 2), loss="cross_entropy")
    untrained = mt.evaluate(learner, tasks.test, 500, 250).log_loss.mean
    for _ in mt.train(learner, tasks, steps=40, batch=32, lr=0.05, clip=1.0, schedule="cosine"):
        pass
    loss = mt.evaluate(learner, tasks.test, 500, 250).log_loss.mean
    penalty = min((0.2, 0.4, 0.8, 1.6), key=lambda penalty: logistic_loss(tasks.validation, penalty))
    oracle = logistic_loss(tasks.test, penalty)
    assert 0.9 * oracle < loss < 1.03 * oracle and loss < 0.95 * untrained, (loss, oracle, untrained)


def test_least_squares_on_one_hot_labels_writes_a_classifier_too() -> None:
    torch.manual_seed(0)
    learner = Hypernetwork(MomentNetwork(3), nn.Linear(3, 3), loss="cross_entropy").double()
    task = labelled(3)
    learner.adapt(task)["weight"].square().sum().backward()
    assert all(parameter.grad is not None for parameter in learner.body.parameters())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Hypernetwork(nn.Identity(), nn.Flatten()), "^child: "),
        (lambda: Hypernetwork(nn.Identity(), nn.Linear(1, 1), loss="hinge"), "^loss: "),
        (lambda: Hypernetwork(nn.BatchNorm1d(1), nn.Linear(1, 1)), "^body: "),
        (lambda: MomentNetwork(0), "^features: "),
        (lambda: NewtonNetwork(0, 2), "^features: "),
        (lambda: NewtonNetwork(2, 1), "^classes: "),
        (lambda: NewtonNetwork(2, 2, layers=0), "^layers: "),
        (lambda: classifier(3, layers=1).adapt(data()), "^y: "),
        (lambda: classifier(2, layers=1).adapt(labelled(3)), "^y: "),
        (
            lambda: Hypernetwork(NewtonNetwork(3, 2), nn.Linear(3, 3), "cross_entropy").double().adapt(labelled(3)),
            "^y: ",
        ),
        (
            lambda: Hypernetwork(NewtonNetwork(3, 3), nn.Linear(3, 3)).double().adapt(labelled(3)),
            "^y: ",
        ),
        (
            lambda: Hypernetwork(MomentNetwork(3), nn.Linear(5, 1)).double().adapt(data()),
            "^body: ",
        ),
    ],
)
def test_what_writes_no_parameters_is_refused(build, message, unchecked):
    with pytest.raises(MapstoError, match=message):
        build()
