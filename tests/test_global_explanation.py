"""Importance over rows and tasks by hand; partial dependence through adaptation against scikit-learn."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import partial_dependence as sklearn_partial_dependence
from torch import nn

from mapsto import views
from mapsto.episodes import Episode, examples, stack, unstack
from mapsto.errors import MapstoError
from mapsto.explainers import IntegratedGradients
from mapsto.explainers.across_tasks.global_explanation import attributions, global_importance, partial_dependence
from mapsto.learners import MAML, PrototypicalNetwork
from mapsto.models import MLP

F64 = torch.float64
GRID = torch.linspace(-1.5, 2.0, 6, dtype=F64)


def tasks(count=4, rows=12):
    """Tasks in which the first column decides, the second in tasks of odd number only, the third never."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for t in range(count):
        x = torch.randn(2 * rows, 3, generator=generator, dtype=F64)
        y = (x[:, 0] + (t % 2) * x[:, 1] > 0).long()
        made.append(Episode(examples(x[:rows], y[:rows]), examples(x[rows:], y[rows:])))
    return stack(made)


def learner():
    torch.manual_seed(0)
    return MAML(MLP(3, 8, 2, activation="tanh").to(F64), lr=1.0, steps=8)


class Taught(ClassifierMixin, BaseEstimator):
    """An adapted model as scikit-learn wants it."""

    def __init__(self, module=None):
        self.module = module

    def fit(self, x, y):
        self.classes_, self.fitted_ = np.array([0, 1]), True
        return self

    def predict_proba(self, x):
        return self.module(torch.from_numpy(x)).softmax(-1).detach().numpy()

    def predict(self, x):
        return self.predict_proba(x).argmax(1)


def law_is_scikit_learns(dependence):
    batch, taught = tasks(), learner()
    found = dependence(taught, batch, 0, GRID, 1)
    for episode, curve in zip(unstack(batch), found.curves, strict=True):
        model = Taught(views.as_module(taught, episode.support)).fit(None, None)
        x = episode.query.x.numpy()
        oracle = sklearn_partial_dependence(
            model, x, [0], custom_values={0: GRID.numpy()}, method="brute", response_method="predict_proba"
        )
        expected = oracle["average"][0]
        assert np.ptp(expected) > 0.1  # the model goes by this column
        np.testing.assert_allclose(curve, expected, atol=1e-12)
    np.testing.assert_allclose(found.mean, found.curves.mean(0))
    np.testing.assert_allclose(found.interval, stats.t.ppf(0.975, 3) * found.curves.std(0, ddof=1) / 2, rtol=1e-5)
    np.testing.assert_array_equal(found.grid, GRID.numpy())


def test_partial_dependence_is_scikit_learns_in_each_task():
    law_is_scikit_learns(partial_dependence)


def test_another_column_and_one_model_for_all_tasks_are_found():
    def next_column(taught, batch, column, grid, target):
        return partial_dependence(taught, batch, column + 1, grid, target)

    def one_model(taught, batch, column, grid, target):
        shared = batch.support._replace(
            **{n: getattr(batch.support, n)[:1].expand_as(getattr(batch.support, n)) for n in "xyw"}
        )
        return partial_dependence(taught, batch._replace(support=shared), column, grid, target)

    for wrong in (next_column, one_model):
        with pytest.raises(AssertionError):
            law_is_scikit_learns(wrong)


def test_rows_of_weight_zero_do_not_count():
    batch, taught = tasks(), learner()
    w = batch.query.w * (torch.arange(12) < 8)
    fewer = batch._replace(query=batch.query._replace(w=w))
    cut = batch._replace(query=type(batch.query)(*(leaf[:, :8] for leaf in batch.query)))
    found, expected = (partial_dependence(taught, b, 0, GRID, 1).curves for b in (fewer, cut))
    np.testing.assert_allclose(found, expected)
    assert np.abs(found - partial_dependence(taught, batch, 0, GRID, 1).curves).max() > 1e-3


def test_a_column_that_nobody_reads_has_a_flat_curve():
    class Two(nn.Module):
        def forward(self, x):
            return x[:, :2]

    flat, curved = (partial_dependence(PrototypicalNetwork(Two(), 2), tasks(), j, GRID, 1) for j in (2, 0))
    assert np.ptp(flat.mean) < 1e-12 and (np.diff(curved.mean) > 0.02).any()


def normalised(transductive):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.ReLU(), nn.Linear(8, 2))
    return MAML(body.to(F64), transductive=transductive)


class Neighbourly(PrototypicalNetwork):
    """A learner that breaks the law: it centres the rows of a call on each other."""

    def predict(self, state, x):
        return super().predict(state, x - x.mean(0))


@pytest.mark.parametrize("taught", [normalised(False), Neighbourly(nn.Identity(), 2)])
def test_what_a_grid_value_is_worth_does_not_depend_on_the_others(taught):
    near, far, alone = (
        partial_dependence(taught, tasks(), 0, torch.tensor(grid, dtype=F64), 1).mean
        for grid in ([-1.0, 1.0], [-1.0, 50.0], [-1.0])
    )
    assert near[0] == pytest.approx(far[0], abs=1e-12) == pytest.approx(alone[0], abs=1e-12)
    assert isinstance(taught, Neighbourly) or abs(near[1] - far[1]) > 1e-3


def test_a_link_maps_the_scores_of_one_row_as_those_of_views_do():
    first, last = (partial_dependence(learner(), tasks(), 0, GRID, 1, lambda s, i=i: s.softmax(i)) for i in (0, -1))
    np.testing.assert_array_equal(first.curves, last.curves)


def test_learners_whose_answers_hang_on_neighbours_or_chance_are_refused():
    with pytest.raises(ValueError, match=r"MAML\(transductive=True\)"):
        partial_dependence(normalised(True), tasks(), 0, GRID, 1)
    dropped = PrototypicalNetwork(nn.Sequential(nn.Linear(3, 8), nn.Dropout()).to(F64), 2)
    with pytest.raises(MapstoError, match=r"Dropout 'body.1' draws at random in training.*learner.eval\(\)"):
        partial_dependence(dropped, tasks(), 0, GRID, 1)
    assert partial_dependence(dropped.eval(), tasks(), 0, GRID, 1).curves.shape == (4, 6)


# --- importance -------------------------------------------------------------------------------------------------------


def by_hand(values, w):
    means = np.array(
        [[np.average(v, weights=u, axis=0) for v, u in zip(part, w, strict=True)] for part in (np.abs(values), values)]
    )
    tasks = len(values)
    return means.mean(1), stats.t.ppf(0.975, tasks - 1) * means.std(1, ddof=1) / np.sqrt(tasks)


@pytest.mark.parametrize("parts", [(3,), (3, 3), (2, 3)])
def test_importance_is_the_mean_over_rows_then_tasks(parts):
    rng = np.random.default_rng(0)
    values, w = rng.normal(0.3, 1, size=(5, 7, *parts)), rng.uniform(size=(5, 7))
    mean, half = by_hand(values, w)
    found = global_importance(values, w)
    np.testing.assert_allclose(found.importance, mean[0])
    np.testing.assert_allclose(found.interval, half[0], rtol=1e-5)
    np.testing.assert_allclose(found.direction, mean[1])
    np.testing.assert_allclose(found.direction_interval, half[1], rtol=1e-5)
    with pytest.raises(AssertionError):  # all rows in one heap: neither the mean nor its interval
        np.testing.assert_allclose(found.importance, np.abs(values).mean((0, 1)))


def test_padding_is_left_out_even_where_it_has_no_value():
    values, w = np.ones((2, 3, 2)), np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    values[0, 2] = np.nan
    assert global_importance(values, w).importance.tolist() == [1.0, 1.0]
    with pytest.raises(MapstoError, match="values: got 2 that are not finite"):
        global_importance(values)
    with pytest.raises(MapstoError, match="w: got 1 of 2 tasks"):
        global_importance(values, w * np.array([[0.0], [1.0]]))


def test_attributions_over_tasks_find_the_columns_that_matter():
    batch, taught = tasks(6), learner()
    method = IntegratedGradients(8)

    def explain(episode):
        return method.over(
            views.query(taught, episode.support, target=1, link=lambda s: s.softmax(-1)), episode.query.x
        )

    values = attributions(taught, batch, explain)
    assert values.shape == (6, 12, 3)
    found = global_importance(values)
    assert found.importance[0] > found.importance[1] > found.importance[2]
    assert np.isnan(global_importance(values[:1]).interval).all()  # one task has no interval
    one = explain(unstack(batch)[3]).detach().numpy()
    np.testing.assert_allclose(values[3], one)


def test_what_cannot_be_asked_is_refused():
    batch = tasks()
    with pytest.raises(MapstoError, match=r"column: got 3 for rows of shape \(3,\)"):
        partial_dependence(learner(), batch, 3, GRID, 1)
    with pytest.raises(MapstoError, match="target: got 2"):
        partial_dependence(learner(), batch, 0, GRID, 2)


def test_a_grid_may_be_an_array():
    told, expected = (partial_dependence(learner(), tasks(), 0, grid, 1) for grid in (GRID.numpy(), GRID))
    np.testing.assert_array_equal(told.curves, expected.curves)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": GRID[:0]}, r"grid: got shape \(0,\)"),
        ({"grid": GRID[None]}, r"grid: got shape \(1, 6\)"),
        ({"grid": "wide"}, "grid: got a str"),
        ({"column": 0.5}, "column: got 0.5 for rows of shape"),
        ({"target": None}, "target: got None"),
        (
            {"learner": MAML(MLP(5, 8, 2).to(F64))},
            "tasks: the learner fails on rows of 3 columns .*expected the columns it",
        ),
    ],
)
def test_what_is_no_grid_is_refused(change, message):
    with pytest.raises(MapstoError, match=message):
        partial_dependence(
            **({"learner": learner(), "tasks": tasks(), "column": 0, "grid": GRID, "target": 1} | change)
        )


VALUES = np.ones((2, 3, 4))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("values", "w", "message"),
    [
        (VALUES, np.array([[1.0, -1.0, 1.0]] * 2), "w: got -1.0"),
        (VALUES, np.array([[1.0, 1.0, 1.0], [1.0, np.nan, 1.0]]), "w: got nan"),
        (VALUES, np.ones((2, 2)), r"w: got shape \(2, 2\)"),
        (VALUES, np.ones(3), r"w: got shape \(3,\)"),
        (VALUES[0, 0], None, r"values: got shape \(4,\)"),
        (VALUES[:0], None, r"values: got shape \(0, 3, 4\)"),
        (VALUES[:, :0], None, r"values: got shape \(2, 0, 4\)"),
        (VALUES[..., :0], None, r"values: got shape \(2, 3, 0\)"),
    ],
)
def test_what_cannot_be_aggregated_is_refused(values, w, message):
    with pytest.raises(MapstoError, match=message):
        global_importance(values, w)
