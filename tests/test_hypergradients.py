"""MAML's meta-gradient against two oracles: central finite differences in float64, and a derivative taken by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mapsto.episodes import Episode, Examples, examples
from mapsto.learners import MAML
from mapsto.models import MLP, Conv4

TOLERANCE = 1e-5
STEP = 1e-5  # of the finite differences: truncation ~ 1e-10, rounding ~ 1e-11 of a loss of order 1


def relative_error(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


def outer_loss(learner: MAML, episode: Episode) -> Callable[[Tensor], Tensor]:
    """Return the loss as a function of all parameters in one vector."""
    shapes = {name: p.shape for name, p in learner.named_parameters()}

    def loss(flat: Tensor) -> Tensor:
        parts = flat.split([shape.numel() for shape in shapes.values()])
        params = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return functional_call(learner, params, (episode,))[0]

    return loss


def finite_differences(loss: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    moves = STEP * torch.eye(len(at), dtype=at.dtype)
    return vmap(lambda move: (loss(at + move) - loss(at - move)) / (2 * STEP), chunk_size=64)(moves)


def error(learner: MAML, episode: Episode) -> float:
    """Return the relative error of the learner's meta-gradient against finite differences of its own loss."""
    loss = outer_loss(learner, episode)
    at = torch.cat([p.detach().flatten() for p in learner.parameters()])
    expected = finite_differences(loss, at)
    assert expected.norm() > 1e-2
    return relative_error(grad(loss)(at), expected)


def mlp(**arguments: object) -> tuple[MAML, Episode]:
    torch.manual_seed(0)
    learner = MAML(MLP(2, 6, 6, 1, activation="tanh").double(), loss="mse", lr=0.3, **arguments)
    x, y = torch.randn(2, 7, 2).double(), torch.randn(2, 7, 1).double()
    return learner, Episode(examples(x[0], y[0], torch.rand(7).double()), examples(x[1], y[1]))


def conv4(**arguments: object) -> tuple[MAML, Episode]:
    torch.manual_seed(1)
    body = Conv4(hidden=2, outputs=3, size=16, activation="softplus", pooling="average").double()
    learner = MAML(body, loss="cross_entropy", lr=0.3, **arguments)
    x, y = torch.randn(2, 6, 1, 16, 16).double(), torch.arange(6) % 3
    return learner, Episode(examples(x[0], y), examples(x[1], y))


@pytest.mark.parametrize("network", [mlp, conv4])
@pytest.mark.parametrize(
    "arguments", [{"steps": 1}, {"steps": 3}, {"steps": 2, "adapt": "head"}, {"steps": 2, "learn_lr": True}]
)
def test_the_meta_gradient_is_that_of_finite_differences(network: Callable, arguments: dict) -> None:
    assert error(*network(**arguments)) <= TOLERANCE


@pytest.mark.parametrize("network", [mlp, conv4])
def test_transductive_batch_norm_has_the_right_meta_gradient_too(network: Callable) -> None:
    assert error(*network(steps=2, transductive=True)) <= TOLERANCE


@pytest.mark.parametrize("network", [mlp, conv4])
def test_a_first_order_gradient_passed_off_as_the_second_order_one_is_caught(network: Callable) -> None:
    assert error(*network(steps=1, first_order=True)) > 1000 * TOLERANCE


@pytest.mark.parametrize("steps", [1, 3])
def test_first_order_is_the_query_gradient_at_the_adapted_parameters(steps: int) -> None:
    learner, episode = mlp(steps=steps, first_order=True)
    start = {name: p.detach() for name, p in learner.named_parameters()}
    got = grad(lambda params: functional_call(learner, params, (episode,))[0])(start)
    adapted = {name: p.detach() for name, p in learner.adapt(episode.support).params.items()}

    def at_query(params: dict[str, Tensor]) -> Tensor:
        error = functional_call(learner.body, params, (episode.query.x,)) - episode.query.y
        return (episode.query.w * error.square().mean(-1)).sum()

    expected = grad(at_query)(adapted)
    for name, value in expected.items():
        torch.testing.assert_close(got[f"body.{name}"], value)


def by_hand(theta: Tensor, lr: float, support: Examples, query: Examples) -> Tensor:
    """Differentiate one gradient step of weighted linear regression by hand.

    With A = Σ w·x·xᵀ and b = Σ w·y·x of the support, φ = θ − 2·lr·(A·θ − b), and with A', b' of the query the loss
    Σ w·(φᵀx − y)² has the gradient (I − 2·lr·A)·2·(A'·φ − b').
    """
    (a, b), (a_query, b_query) = (
        ((e.x * e.w[:, None]).T @ e.x, (e.x * e.w[:, None]).T @ e.y[:, 0]) for e in (support, query)
    )
    adapted = theta - 2 * lr * (a @ theta - b)
    return (torch.eye(len(theta)).to(theta) - 2 * lr * a) @ (2 * (a_query @ adapted - b_query))


def regression(first_order: bool) -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    body = nn.Linear(3, 1, bias=False).double()
    learner = MAML(body, loss="mse", lr=0.2, steps=1, first_order=first_order)
    x, y, w = torch.randn(2, 5, 3).double(), torch.randn(2, 5, 1).double(), torch.rand(2, 5).double()
    episode = Episode(Examples(x[0], y[0], w[0]), Examples(x[1], y[1], w[1]))
    theta = body.weight.detach()
    got = grad(lambda weight: functional_call(learner, {"body.weight": weight}, (episode,))[0])(theta)
    return got[0], by_hand(theta[0], 0.2, *episode[:2])


def test_one_step_of_linear_regression_has_the_meta_gradient_derived_by_hand() -> None:
    got, expected = regression(first_order=False)
    assert expected.norm() > 0.1
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_the_hand_derived_gradient_catches_the_first_order_one() -> None:
    assert relative_error(*regression(first_order=True)) > 0.01


def by_hand_logistic(theta: Tensor, lr: float, support: Examples, query: Examples) -> Tensor:
    """Do the same for logistic regression: with p = σ(xᵀθ), φ = θ − lr·Σ w·(p − y)·x and H = Σ w·p·(1−p)·x·xᵀ.

    The gradient of the query's Σ w·CE at φ, pulled back: (I − lr·H(θ))·Σ w·(σ(xᵀφ) − y)·x.
    """

    def slope(at: Tensor, e: Examples) -> Tensor:
        return (e.w * ((e.x @ at).sigmoid() - e.y)) @ e.x

    p = (support.x @ theta).sigmoid()
    hessian = (support.x * (support.w * p * (1 - p))[:, None]).T @ support.x
    return (torch.eye(len(theta)).to(theta) - lr * hessian) @ slope(theta - lr * slope(theta, support), query)


class Logistic(nn.Module):
    """Logits (0, xᵀθ): softmax of the two is the logistic function."""

    def __init__(self, theta: Tensor):
        super().__init__()
        self.theta = nn.Parameter(theta)

    def forward(self, x: Tensor) -> Tensor:
        logit = x @ self.theta
        return torch.stack([torch.zeros_like(logit), logit], -1)


def test_one_step_of_logistic_regression_has_the_meta_gradient_derived_by_hand() -> None:
    torch.manual_seed(3)
    theta, x, w = torch.randn(3).double(), torch.randn(2, 6, 3).double(), torch.rand(2, 6).double()
    y = torch.tensor([[0, 1, 1, 0, 1, 0], [1, 1, 0, 0, 0, 1]])
    episode = Episode(Examples(x[0], y[0], w[0]), Examples(x[1], y[1], w[1]))
    learner = MAML(Logistic(theta), loss="cross_entropy", lr=0.7, steps=1)
    got = grad(lambda theta: functional_call(learner, {"body.theta": theta}, (episode,))[0])(theta)
    expected = by_hand_logistic(theta, 0.7, *episode[:2])
    assert expected.norm() > 0.1
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
