"""Explainer networks that read slopes: the gradient of the outcome by each player, on the way from the baseline."""

import re

import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.episodes import examples
from mapsto.explainers.learned import AmortisedShapley, Columns, Patches, Players
from mapsto.explainers.learned.explainer import Prediction
from mapsto.joint import Joint
from mapsto.learners import MAML, Fixed, Learner, PrototypicalNetwork

X = torch.tensor([[2.0, 3.0, -1.0], [1.0, -1.0, 0.5]])
NOTHING = examples(torch.empty(0, 3), torch.empty(0))


class Polynomial(nn.Module):
    """Two numbers: x₀·x₁·x₂, and x₀ + x₁² − 4·x₂."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.prod(1), x[:, 0] + x[:, 1].square() - 4 * x[:, 2]], 1)


def joint(players: Players, slopes: int, learner: Learner | None = None, outputs: int | None = 2) -> Joint:
    torch.manual_seed(0)
    why = AmortisedShapley(players, outputs, width=8, heads=2, slopes=slopes)
    why.steps.fill_(1)
    return Joint(learner or Fixed(Polynomial(), "mse"), {"why": why})


def slopes(of: Joint, x: Tensor, points: int, support=NOTHING) -> Tensor:
    return of.explainers["why"].slopes(of.prediction(of.adapt(support), x), points)


def test_slopes_are_those_of_a_polynomial() -> None:
    got = slopes(joint(Columns(3), 2), X, 2)  # [n, k, p, s] at a quarter and three quarters of the way from 0
    shares = torch.tensor([0.25, 0.75])
    product = X.prod(1)[:, None, None] * shares.square()
    torch.testing.assert_close(got[:, 0], product.expand(2, 3, 2))
    torch.testing.assert_close(got[:, 1, 0], X[:, :1].expand(2, 2))
    torch.testing.assert_close(got[:, 1, 1], 2 * X[:, 1:2].square() * shares)
    torch.testing.assert_close(got[:, 1, 2], -4 * X[:, 2:].expand(2, 2))


def test_the_way_starts_from_the_mean_row_of_the_baseline_and_players_are_sums() -> None:
    rows = torch.tensor([[1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
    got = slopes(joint(Players(torch.tensor([0, 1, 0]), rows), 1), X, 1)[..., 0]
    low = torch.tensor([2.0, 1.0, 1.0])
    way, half = X - low, (X + low) / 2
    torch.testing.assert_close(got[:, 1, 0], way[:, 0] - 4 * way[:, 2])
    torch.testing.assert_close(got[:, 1, 1], 2 * half[:, 1] * way[:, 1])
    torch.testing.assert_close(got[:, 0, 1], half[:, 0] * half[:, 2] * way[:, 1])


def test_many_slopes_are_integrated_gradients_also_of_an_adapted_learner() -> None:
    torch.manual_seed(1)
    body = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 2))
    learner = MAML(body, lr=0.5, steps=2)
    support = examples(torch.randn(4, 1, 4, 4), torch.tensor([0, 1, 0, 1]))
    of, image = joint(Patches((1, 4, 4), 2), 1, learner, None), torch.randn(1, 1, 4, 4)
    got = slopes(of, image, 200, support).mean(-1)[0]
    view = mt.views.query(learner, support, link=lambda scores: scores.softmax(-1))
    exact = mt.explainers.IntegratedGradients(32)(view, image[0]).movedim(-1, 0)  # [k, 1, 4, 4]
    by_patch = exact[:, 0].unflatten(1, (2, 2)).unflatten(3, (2, 2)).sum((2, 4)).flatten(1)
    torch.testing.assert_close(got, by_patch, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("outputs", [2, None])
def test_values_start_from_integrated_gradients(outputs: int | None) -> None:
    """Of a product, and of a sum, these are the Shapley values."""
    learner = None if outputs else PrototypicalNetwork(nn.Linear(3, 4), 2)
    support = NOTHING if outputs else examples(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
    of = joint(Columns(3), 40, learner, outputs)
    nn.init.zeros_(of.explainers["why"].values.weight)
    nn.init.zeros_(of.explainers["why"].values.bias)
    values = of.explain(of.adapt(support), X)["why"].values
    torch.testing.assert_close(values, slopes(of, X, 40, support).mean(-1).mT, atol=2e-3, rtol=2e-3)
    if outputs:
        torch.testing.assert_close(values[..., 0], X.prod(1)[:, None].expand(2, 3) / 3, atol=1e-3, rtol=1e-3)


def test_the_network_reads_each_slope() -> None:
    """Without the sum of slopes, the values still depend on them, by class and by number."""
    for learner, outputs in ((None, 2), (PrototypicalNetwork(nn.Linear(3, 4), 2), None)):
        of = joint(Columns(3), 2, learner, outputs)
        why, state = of.explainers["why"], of.adapt(examples(X, torch.tensor([0, 1])) if learner else NOTHING)
        nn.init.zeros_(why.first_order)
        given = of.prediction(state, X)
        before = why.explain(given).values
        for outcome in torch.eye(2).view(2, 2, 1, 1):
            more = given._replace(slopes=lambda rows, of=given, more=outcome: of.slopes(rows) + more)
            assert (why.explain(more).values - before).abs().max() > 1e-4


def test_rows_one_by_one_have_the_same_values() -> None:
    of = joint(Columns(3, "support"), 2, PrototypicalNetwork(nn.Sequential(nn.Linear(3, 6), nn.Tanh()), 2), None)
    state = of.adapt(examples(torch.randn(4, 3), torch.tensor([0, 1, 0, 1])))
    together = of.explain(state, X)["why"].values
    one_by_one = torch.func.vmap(lambda row: of.explain(state, row[None])["why"].values[0])(X)
    torch.testing.assert_close(one_by_one, together)


def test_a_missing_entry_has_no_slope() -> None:
    x = X.clone()
    x[0, 1] = torch.nan
    got = slopes(joint(Columns(3, torch.tensor([0.0, 2.0, 0.0])), 1), x, 1)
    assert (got[0, :, 1] == 0).all() and got.isfinite().all()
    torch.testing.assert_close(got[0, 0, 0], torch.tensor([2.0 * 2.0 * -0.5]))  # the missing entry is the baseline, 2


@pytest.mark.parametrize("candour", [0.0, 0.3])
def test_slopes_do_not_depend_on_candour_and_train_nothing(candour: float) -> None:
    torch.manual_seed(0)
    of = Joint(Fixed(nn.Linear(3, 2), "mse"), {"why": AmortisedShapley(Columns(3), 2, slopes=2)}, candour=candour)
    seen = []
    of.explainers["why"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    episode = mt.episodes.Episode(NOTHING, examples(X, torch.zeros(2, 2)))
    of.loss(episode)
    steep = seen[0].slopes(X)
    weight = next(parameter for parameter in of.learner.parameters() if parameter.dim() == 2)
    torch.testing.assert_close(steep, weight.detach()[:, None].expand(2, 2, 3))
    assert not steep.requires_grad


@pytest.mark.usefixtures("unchecked")
def test_slopes_help_where_values_are_interactions() -> None:
    """After few steps, the values of x₀·x₁·x₂ are near the exact ones; without slopes, they are not."""
    found = []
    for points in (0, 2):
        torch.manual_seed(0)
        learner = Fixed(Polynomial(), "mse")
        why = AmortisedShapley(Columns(3, 0.5), 2, width=16, heads=2, slopes=points)
        of = Joint(learner, {"why": why}, trains="explainers")
        data = mt.tasks.Minibatches(torch.randn(200, 3).numpy(), torch.zeros(200, 2).numpy(), size=32, regression=True)
        list(mt.train(of, data, steps=40, batch=1, lr=3e-3))
        x = torch.randn(64, 3)
        exact = torch.stack([exact_values(row) for row in x])
        error = (of.explain(of.adapt(NOTHING), x)["why"].values[..., 0] - exact).square().sum()
        found.append(1 - float(error / exact.square().sum()))
    assert found[1] > 0.95 > found[0] + 0.2


def exact_values(row: Tensor) -> Tensor:
    game = mt.explainers.Game(lambda mask: torch.where(mask.bool(), row, 0.5).prod(), 3)
    return mt.explainers.Shapley()(game)


def test_refusals() -> None:
    numbers = "baseline: got NaN, expected numbers, because slopes lie between the baseline and a row; set slopes=0."
    with pytest.raises(mt.MapstoError, match=re.escape(numbers)):
        joint(Columns(3, torch.nan), 2)
    with pytest.raises(mt.MapstoError, match="slopes"):
        joint(Columns(3), -1)
    of = joint(Columns(3, 0), 1)
    given = of.prediction(of.adapt(NOTHING), X)
    why = of.explainers["why"]
    with pytest.raises(mt.MapstoError, match="expected real numbers; set slopes=0"):
        why.slopes(given._replace(x=X.long()), 1)
    with pytest.raises(mt.MapstoError, match="a prediction without gradients"):
        why.slopes(Prediction(X, X[:, :2], {}, lambda rows: rows[:, :2], {}), 1)
