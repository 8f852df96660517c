"""Explainer networks that hide parts by rows of a background: means over the rows, and what a feature's tokens hold."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.episodes import examples
from mapsto.explainers.learned import AmortisedShapley, Columns, DistilledShapley, LeaveOneOut, Players
from mapsto.explainers.learned.explainer import Prediction
from mapsto.explainers.learned.feature_tokens import FeatureTokens, against_mean_of_others
from mapsto.joint import Joint
from mapsto.learners import Fixed, PrototypicalNetwork
from mapsto.tasks import Minibatches

ROWS = torch.tensor([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [-2.0, 0.0, 9.0], [0.0, 1.0, 3.0]])


def prediction(x: Tensor, background: Tensor | None = None) -> Prediction:
    """A model of three numbers with an interaction of columns 0 and 1."""

    def ask(rows: Tensor) -> Tensor:
        return torch.stack([rows[:, 0] * rows[:, 1], 2 * rows[:, 1], rows[:, 2]], 1)

    return Prediction(x, ask(x), {}, ask, {}, of_classes=False, background=background)


def made(kind: type, baseline, **options):
    explainer = kind(Columns(3, baseline), 3, width=8, heads=2, **options)
    explainer.steps.fill_(1)
    return explainer


X = torch.tensor([[2.0, 3.0, 4.0], [1.0, -1.0, 0.5]])


def game(row: Tensor, mask: Tensor, background: Tensor) -> Tensor:
    """The mean outcome over the background rows, one by one."""
    shown = [torch.where(mask.bool(), row, other) for other in background]
    return torch.stack([prediction(X).ask(one[None])[0] for one in shown]).mean(0)


@pytest.mark.parametrize("of_support", [True, False])
def test_outcomes_are_means_over_the_background(of_support: bool) -> None:
    explainer = LeaveOneOut(Columns(3, "support" if of_support else ROWS))
    of = prediction(X, ROWS if of_support else None)
    masks = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]]]).expand(2, -1, -1)
    brute = torch.stack([torch.stack([game(row, mask, ROWS) for mask in masks[0]]) for row in X])
    torch.testing.assert_close(explainer.outcomes(of, masks), brute)
    torch.testing.assert_close(explainer.nothing(of), brute[:, 0])
    torch.testing.assert_close(explainer.everything(of), of.outcome)
    changes = torch.stack(
        [of.outcome - explainer.outcomes(of, 1 - torch.eye(3).expand(2, -1, -1))[:, j] for j in range(3)], 1
    )
    torch.testing.assert_close(explainer.explain(of).values, changes)


def test_random_rows_are_unbiased_and_shared_by_a_coalition_and_its_complement() -> None:
    torch.manual_seed(0)
    explainer = LeaveOneOut(Columns(3, ROWS))
    masks = torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 1, 1], [1, 1, 1]]).expand(4000, -1, -1)
    of = prediction(X[:1].expand(4000, -1))
    outcome, base = explainer.sampled(of, masks)
    torch.testing.assert_close(
        outcome.mean(0), torch.stack([game(X[0], m, ROWS) for m in masks[0]]), rtol=0.05, atol=0.2
    )
    torch.testing.assert_close(base[:, 0], base[:, 2])
    assert not torch.equal(base[:, 0], base[:, 1])
    torch.testing.assert_close(outcome[:, 1], base[:, 1])  # all players hidden by the row that the base hides them by
    third = outcome[:, 0, 2]  # of the coalition {0}, the third number is the background row's
    torch.testing.assert_close(third, base[:, 0, 2])


@pytest.mark.parametrize("kind", [AmortisedShapley, DistilledShapley])
def test_values_add_up_from_the_mean_outcome_of_the_background(kind) -> None:
    reasons = made(kind, "support").explain(prediction(X, ROWS))
    torch.testing.assert_close(reasons.base, prediction(ROWS).outcome.mean(0).expand(2, -1))
    torch.testing.assert_close(reasons.base + reasons.values.sum(1), prediction(X).outcome)


def test_looks_at_all_coalitions_are_exact() -> None:
    values = made(DistilledShapley, ROWS, samples=16, looks=16).explain(prediction(X)).values
    exact = [mt.explainers.Shapley()(mt.explainers.Game(lambda m, row=row: game(row, m, ROWS), 3)) for row in X]
    torch.testing.assert_close(values.double(), torch.stack(exact).double(), rtol=1e-4, atol=1e-4)


def test_a_missing_cell_is_hidden_by_every_row() -> None:
    x = X.clone()
    x[0, 1] = torch.nan
    of = prediction(x)._replace(outcome=torch.zeros(2, 3))
    expected = game(X[0], torch.tensor([1.0, 0, 1]), ROWS)
    torch.testing.assert_close(LeaveOneOut(Columns(3, ROWS)).everything(of)[0], expected)


def test_only_a_player_like_all_rows_changes_nothing() -> None:
    players = Players(torch.arange(2), torch.tensor([[1.0, 4.0], [1.0, 5.0]]))
    assert players.effective(torch.tensor([[1.0, 4.0], [2.0, 5.0]])).tolist() == [[False, True], [True, True]]


@pytest.mark.usefixtures("unchecked")
def test_it_learns_the_values_of_the_background() -> None:
    """Of a linear model, the value of a column is its weight times its distance from the background's mean."""
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    weight, rows = torch.tensor([2.0, -1.0, 0.5]), torch.from_numpy(x[:16]) + 1
    linear = nn.Linear(3, 1, bias=False)
    linear.weight.data = weight[None].clone()
    data = Minibatches(x, x @ weight.numpy(), size=64, regression=True)
    why = AmortisedShapley(Columns(3, rows), 1, width=32, coalitions=16)
    joint = Joint(Fixed(linear, "mse"), {"why": why}, trains="explainers")
    list(mt.train(joint, data, steps=250, batch=1, lr=3e-3, schedule="cosine"))
    query = data.test.batch(0, 1).query.x[0]
    empty = examples(torch.empty(0, 3), torch.empty(0, dtype=torch.long))
    values = joint.explain(joint.adapt(empty), query)["why"].values[..., 0]
    exact = weight * (query - rows.mean(0))
    assert 1 - (values - exact).square().sum() / exact.square().sum() > 0.97


def few_shot(baseline) -> Joint:
    torch.manual_seed(0)
    learner = PrototypicalNetwork(nn.Sequential(nn.Linear(3, 6), nn.Tanh()), 2)
    why = AmortisedShapley(Columns(3, baseline), None, {"1": 6}, width=8, heads=2)
    why.steps.fill_(1)
    return Joint(learner, {"why": why})


def test_the_background_is_the_support_set_of_the_task() -> None:
    joint, support = few_shot("support"), examples(ROWS, torch.tensor([0, 1, 0, 1]))
    state = joint.adapt(support)
    reasons = joint.explain(state, X)["why"]
    base = joint.predict(state, ROWS).softmax(-1).mean(0).expand(2, -1)
    torch.testing.assert_close(reasons.base, base)
    unused = support._replace(w=torch.tensor([1.0, 1.0, 0.0, 1.0]))
    state = joint.adapt(unused)
    rows = joint.predict(state, ROWS[[0, 1, 3, 0]]).softmax(-1).mean(0)
    torch.testing.assert_close(joint.explain(state, X)["why"].base[0], rows)
    one_by_one = torch.func.vmap(lambda row: joint.explain(state, row[None])["why"].values[0])(X)
    torch.testing.assert_close(one_by_one, joint.explain(state, X)["why"].values)


def test_each_channel_of_a_vector_is_a_token() -> None:
    torch.manual_seed(0)
    tokens, feature, means = FeatureTokens(4, 8, True), torch.randn(2, 1, 4), torch.randn(3, 1, 4)
    before = tokens(feature, means)
    assert before.shape == (2, 3, 4, 8)
    moved = feature.clone()
    moved[:, 0, 2] += 1.0
    change = (tokens(moved, means) - before).abs().sum((0, 1, 3)) > 1e-6
    assert change.tolist() == [False, False, True, False]
    silent = tokens(torch.zeros(1, 1, 4), torch.zeros(3, 1, 4))[0, 0]
    assert (torch.pdist(silent) > 0.1).all()  # channels are known by their codes


def test_each_position_of_a_map_is_a_token() -> None:
    tokens, feature = FeatureTokens(4, 8, False), torch.randn(2, 5, 4)
    got, codes = tokens(feature), tokens(torch.zeros(2, 5, 4))
    assert got.shape == (2, 1, 5, 8) and not torch.equal(codes[0, 0, 0], codes[0, 0, 1])
    torch.testing.assert_close((got - codes)[:, 0], feature @ tokens.own.weight.T)


def test_the_contrast_of_two_classes_is_their_difference() -> None:
    means = torch.randn(2, 1, 3)
    torch.testing.assert_close(against_mean_of_others(means), torch.stack([means[0] - means[1], means[1] - means[0]]))


@pytest.mark.parametrize("baseline", ["suport", torch.zeros(2, 4), torch.zeros(0, 3), torch.zeros(2)])
def test_a_baseline_that_does_not_fit_is_named(baseline) -> None:
    with pytest.raises(mt.MapstoError, match=r"^baseline: "):
        Columns(3, baseline)


@pytest.mark.parametrize("kind", [AmortisedShapley, DistilledShapley])
def test_an_empty_support_set_is_named(kind) -> None:
    data = Minibatches(np.zeros((50, 3), np.float32), np.arange(50) % 2 > 0, size=10)
    joint = Joint(Fixed(mt.models.MLP(3, 4, 2)), {"why": kind(Columns(3, "support"), 2, width=8, heads=2)})
    with pytest.raises(mt.MapstoError, match=r"^baseline: "):
        list(mt.train(joint, data, steps=1, batch=1))
