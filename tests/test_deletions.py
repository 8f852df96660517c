"""The influence of training rows: exact, and estimated by the derivative with respect to their weights."""

import numpy as np
import pytest
import torch

from mapsto.estimators import TableClassifier, TableRegressor, deletions


def mean_of_targets(y):
    """Return a model that predicts `x` times the weighted mean of the targets."""
    return lambda w, x: x * (w @ y) / w.sum()


def class_frequencies(onehot):
    return lambda w, x: (w @ onehot / w.sum()).expand(len(x), -1)


def test_the_exact_changes_and_their_derivatives_of_a_mean():
    w, y, x = (
        torch.rand(7, dtype=torch.float64) + 0.1,
        torch.randn(7, dtype=torch.float64),
        torch.tensor([1.0, -2.0]).double(),
    )
    mean = w @ y / w.sum()
    deleted = torch.eye(7, dtype=torch.float64)[[0, 3, 5]]
    by_hand = torch.stack([(mean * w.sum() - w[i] * y[i]) / (w.sum() - w[i]) - mean for i in (0, 3, 5)])
    slope = torch.stack([-w[i] * (y[i] - mean) / w.sum() for i in (0, 3, 5)])
    predict = mean_of_targets(y)
    torch.testing.assert_close(deletions.exact(predict, w, deleted, x), by_hand[:, None] * x)
    torch.testing.assert_close(deletions.mapped(predict, w, deleted, x, 2), by_hand[:, None] * x)
    torch.testing.assert_close(deletions.estimated(predict, w, deleted, x), slope[:, None] * x)


def test_the_estimated_changes_of_probabilities_are_those_of_their_log_ratios():
    onehot = torch.eye(3, dtype=torch.float64)[torch.tensor([0, 1, 2, 2, 1, 1])]
    w, deleted = torch.full((6,), 1 / 6, dtype=torch.float64), torch.eye(6, dtype=torch.float64)
    changes = deletions.estimated(class_frequencies(onehot), w, deleted, torch.zeros(4, 2))
    p = onehot.mean(0)
    without = p * torch.exp(-onehot / p / 6)  # -w_i d log p_c / dw_i, without what is the same for all classes
    expected = without / without.sum(1, keepdim=True) - p
    torch.testing.assert_close(changes, expected[:, None].expand(6, 4, 3))


def test_a_class_of_probability_0_keeps_it():
    onehot = torch.eye(3, dtype=torch.float64)[torch.tensor([0, 1, 0, 1])]
    w, deleted = torch.full((4,), 1 / 4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    changes = deletions.estimated(class_frequencies(onehot[:, [2, 0, 1]]), w, deleted, torch.zeros(1, 2))
    assert torch.equal(changes[..., 0], torch.zeros(4, 1))
    assert (changes[:, 0, 1] * (0.5 - onehot[:, 0]) > 0).all()


def test_the_largest_changes_are_exact_and_the_others_are_estimates():
    w, y = torch.full((20,), 0.05, dtype=torch.float64), torch.randn(20, dtype=torch.float64)
    asked = (mean_of_targets(y), w, torch.eye(20, dtype=torch.float64), torch.ones(2))
    exact, estimated = deletions.exact(*asked), deletions.estimated(*asked)
    found = deletions.largest_exact(*asked, largest=3)
    top = (y - y.mean()).abs().topk(3).indices
    others = torch.ones(20, dtype=torch.bool).index_fill(0, top, False)
    torch.testing.assert_close(found[top], exact[top], rtol=0, atol=0)
    torch.testing.assert_close(found[others], estimated[others], rtol=0, atol=0)
    assert ((exact - estimated)[others].abs() > 1e-6).any()


def test_if_estimates_would_cost_more_all_changes_are_exact():
    w, y = torch.full((20,), 0.05, dtype=torch.float64), torch.randn(20, dtype=torch.float64)
    asked = (mean_of_targets(y), w, torch.eye(20, dtype=torch.float64))
    for rows, largest in ((10, 0), (2, 8)):
        x = torch.ones(rows)
        torch.testing.assert_close(deletions.largest_exact(*asked, x, largest), deletions.exact(*asked, x))
    assert deletions.largest_exact(*asked, torch.ones(0), 3).shape == (20, 0)
    x = torch.ones(9)
    torch.testing.assert_close(deletions.largest_exact(*asked, x, 0), deletions.estimated(*asked, x))


@pytest.mark.parametrize("Estimator", [TableClassifier, TableRegressor])
def test_the_estimated_influence_of_the_shipped_mapping(Estimator):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(40, 3))
    y = X[:, 0] + 0.5 * generator.normal(size=40)
    fitted = Estimator().fit(X, y if Estimator is TableRegressor else y > 0)
    exact = np.atleast_3d(fitted.influence(X[:2]))[..., 0]
    estimated, some = (np.atleast_3d(fitted.influence(X[:2], exact=k))[..., 0] for k in (0, 4))
    for i in range(2):
        assert np.corrcoef(exact[i], estimated[i])[0, 1] > 0.8
        largest = np.argsort(-np.abs(estimated[i]))[:4]
        np.testing.assert_allclose(some[i, largest], exact[i, largest], atol=1e-6)
    np.testing.assert_array_equal(fitted.influence(X[:2], among=[3, 5], exact=0), fitted.influence(X[:2], [3, 5]))
    with pytest.raises(ValueError, match="exact: got -1, expected a whole number from 0"):
        fitted.influence(X[:2], exact=-1)
