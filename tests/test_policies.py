"""Gaussian policies and their loss, against closed forms, finite differences and integrals computed on a grid."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from mapsto.adaptation.policies import Taken, log_density, policy_gradient, sample, taken
from mapsto.episodes import Episode, Examples
from mapsto.errors import MapstoError
from mapsto.learners import MAML
from mapsto.models import GaussianPolicy

F64 = torch.float64


def scores_of(mean: Tensor, log_std: Tensor) -> Tensor:
    return torch.cat([mean, log_std.expand_as(mean)], -1)


def rows(n: int = 7, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Taken]:
    """Return means, a log standard deviation, weights, and actions that were taken by this policy."""
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(n, 2, generator=generator, dtype=F64)
    log_std = torch.tensor([-0.5, 0.3], dtype=F64)
    scores = scores_of(mean, log_std)
    action = sample(scores, torch.randn(n, 2, generator=generator, dtype=F64))
    advantage, worth = torch.randn(2, n, generator=generator, dtype=F64)
    w = torch.rand(n, generator=generator, dtype=F64)
    return mean, log_std, w, Taken(action, advantage, log_density(scores, action), worth)


def test_the_density_is_that_of_torch() -> None:
    mean, log_std, _, steps = rows()
    expected = Normal(mean, log_std.exp()).log_prob(steps.action).sum(-1)
    torch.testing.assert_close(steps.log_p, expected)


def test_packed_targets_are_read_back() -> None:
    steps = rows()[3]
    assert all(map(torch.equal, taken(steps.packed()), steps))


def test_actions_have_the_mean_and_the_spread_of_the_policy() -> None:
    scores = torch.tensor([1.0, -2.0, 0.0, -1.0]).expand(20_000, 4)
    action = sample(scores, torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(action.mean(0), torch.tensor([1.0, -2.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(action.std(0), torch.tensor([1.0, 0.3679]), atol=0.02, rtol=0)


def test_on_policy_the_gradient_is_the_policy_gradient_and_the_value_the_return() -> None:
    mean, log_std, w, steps = rows()
    mean, log_std = mean.requires_grad_(), log_std.requires_grad_()
    loss = policy_gradient(scores_of(mean, log_std), steps.packed(), w)
    torch.testing.assert_close(loss, -(w * steps.worth).sum())
    of_mean, of_spread = torch.autograd.grad(loss, (mean, log_std))
    z = (steps.action - mean) / log_std.exp()
    weight = (w * steps.advantage)[:, None]
    torch.testing.assert_close(of_mean, -weight * z / log_std.exp())
    torch.testing.assert_close(of_spread, -(weight * (z.square() - 1)).sum(0))
    assert of_mean.abs().min() > 1e-3 and of_spread.abs().min() > 1e-3


def test_the_gradient_is_that_of_finite_differences() -> None:
    mean, log_std, w, steps = rows()
    move = 0.01 * torch.randn(mean.shape, generator=torch.Generator().manual_seed(1), dtype=F64)
    moved = (mean + move).requires_grad_()  # ratios near 1, where nothing is clipped
    loss = lambda m: policy_gradient(scores_of(m, log_std), steps.packed(), w)  # noqa: E731
    assert torch.autograd.gradcheck(loss, (moved,))


@pytest.mark.parametrize(
    ("ratio", "advantage", "follows"),
    [(1.5, 1.0, False), (0.5, 1.0, True), (1.5, -1.0, True), (0.5, -1.0, False), (1.1, 1.0, True), (0.9, -1.0, True)],
)
def test_a_policy_that_gained_enough_is_not_followed_further(ratio: float, advantage: float, follows: bool) -> None:
    scores = torch.tensor([[0.3, 0.0]], dtype=F64, requires_grad=True)
    action = torch.tensor([[1.0]], dtype=F64)
    old = log_density(scores, action).detach() - torch.tensor(ratio, dtype=F64).log()
    y = Taken(action, torch.tensor([advantage], dtype=F64), old, torch.zeros(1, dtype=F64)).packed()
    loss = policy_gradient(scores, y, torch.ones(1, dtype=F64))
    (slope,) = torch.autograd.grad(loss, scores)
    assert bool(slope[0, 0] != 0) == follows
    clipped = min(max(ratio, 0.8), 1.2)
    assert loss.item() == pytest.approx(advantage - min(ratio * advantage, clipped * advantage))


def test_a_row_of_weight_0_adds_nothing_however_unlikely_its_action() -> None:
    scores = torch.tensor([[0.0, -30.0]], requires_grad=True)
    y = torch.tensor([[5.0, 1.0, 40.0, 1.0]])
    loss = policy_gradient(scores, y, torch.zeros(1))
    assert loss.item() == 0 and torch.equal(torch.autograd.grad(loss, scores)[0], torch.zeros(1, 2))


class Bandit(nn.Module):
    """A policy without an observation: one mean, and a standard deviation of 1."""

    def __init__(self, mean: float):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor([mean], dtype=F64))

    def forward(self, x: Tensor) -> Tensor:
        mean = self.mean.expand(len(x), 1)
        return torch.cat([mean, torch.zeros_like(mean)], -1)


GRID = torch.linspace(-9, 9, 4001, dtype=F64)[:, None]
WIDTH = 18 / 4000


def reward(action: Tensor) -> Tensor:
    return -(action - 1.5).abs()


def expected(mean: Tensor) -> Tensor:
    """Return the expected reward of the bandit's policy, as an integral on a grid."""
    return (Normal(mean, 1.0).log_prob(GRID[:, 0]).exp() * reward(GRID[:, 0])).sum() * WIDTH


def experience(mean: float) -> Examples:
    """Return every action of the grid as a row, whose weight is its probability under the policy."""
    scores = torch.tensor([[mean, 0.0]], dtype=F64).expand(len(GRID), 2)
    log_p = log_density(scores, GRID)
    gain = reward(GRID[:, 0])
    return Examples(torch.zeros_like(GRID), Taken(GRID, gain, log_p, gain).packed(), log_p.exp() * WIDTH)


def test_the_meta_gradient_of_a_bandit_is_the_slope_of_its_expected_return() -> None:
    mean, lr = 0.4, 0.7

    def adapted(start: float) -> float:
        here = torch.tensor(start, dtype=F64, requires_grad=True)
        return start + lr * float(torch.autograd.grad(expected(here), here)[0])

    learner = MAML(Bandit(mean), loss="policy_gradient", lr=lr)
    support = experience(mean)
    state = learner.adapt(support)
    assert state.params["mean"].item() == pytest.approx(adapted(mean), abs=1e-9)
    loss, metrics = learner.loss(Episode(support, experience(adapted(mean))))
    value = lambda start: float(expected(torch.tensor(adapted(start), dtype=F64)))  # noqa: E731
    assert loss.item() == pytest.approx(-value(mean), abs=1e-9)
    assert (metrics["return"].item()) == pytest.approx(value(mean), abs=1e-9)
    (slope,) = torch.autograd.grad(loss, learner.body.mean)
    by_hand = (value(mean + 1e-4) - value(mean - 1e-4)) / 2e-4
    assert slope.item() == pytest.approx(-by_hand, rel=1e-5)
    assert abs(by_hand) > 0.05
    first_order = (adapted(mean + 1e-4) - adapted(mean - 1e-4)) / 2e-4
    assert abs(first_order - 1) > 0.1  # else constant inner gradients would pass


def test_the_spread_is_learned_at_its_own_pace() -> None:
    body = GaussianPolicy(2, 3, log_std=-0.6, pace=4.0)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(body(x)[:, 3:], torch.full((5, 3), -0.6))
    torch.testing.assert_close(body(x)[:, :3], body.net(x))
    (slope,) = torch.autograd.grad(body(x)[0, 3:].sum(), body.spread)
    torch.testing.assert_close((body.spread + 0.1 * slope) * 4.0, torch.full((3,), -0.6 + 16 * 0.1))


def test_scores_of_another_width_are_refused() -> None:
    with pytest.raises(MapstoError, match=r"scores: got 2 for actions of 2 numbers"):
        policy_gradient(torch.zeros(3, 2), torch.zeros(3, 5), torch.ones(3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianPolicy(0, 1), "observations: got 0"),
        (lambda: GaussianPolicy(1, 0), "actions: got 0"),
        (lambda: GaussianPolicy(1, 1, hidden=(0,)), "sizes: got"),
        (lambda: GaussianPolicy(1, 1, pace=0.0), "pace: got 0.0"),
    ],
)
def test_a_policy_without_sizes_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        make()
