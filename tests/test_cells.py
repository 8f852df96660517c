"""What is said of a table's cells, against NumPy's loops and scikit-learn's ridge regression."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from mapsto.adaptation import cells
from mapsto.adaptation.cells import RESIDUAL, STANDING, columns, residual, standing


def table(n=12, d=4, seed=0, missing=True):
    """A support `[n, d]` of mixed columns with equal cells and gaps, its weights, and queries among and beyond it."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, d)) @ generator.normal(size=(d, d))
    x[:, 1] = np.round(x[:, 1])
    w = generator.uniform(0.1, 1, n)
    query = np.concatenate([x[:3], x[3:6] + 0.5, 40 * x[:1]])
    if missing:
        x[4, 0] = x[7, 2] = x[8, 2] = query[1, 3] = query[4, 0] = query[4, 2] = np.nan
    return x, w, query


def described(x, w):
    return columns(torch.as_tensor(x)[None], torch.as_tensor(w)[None])


def said(function, query, about):
    return function(torch.as_tensor(query)[None], about)[0].numpy()


def bounded(z):
    return z / np.sqrt(1 + (z / 4) ** 2)


def scaled(x, w, query):
    """Standardise by the weighted moments of the visible cells."""
    here = ~np.isnan(x)
    share = w[:, None] * here / (w[:, None] * here).sum(0)
    mean = (share * np.nan_to_num(x)).sum(0)
    deviation = np.sqrt((share * (np.nan_to_num(x) - mean) ** 2).sum(0))
    return (query - mean) / deviation


def standing_by_hand(x, w, query):
    """Cell by cell; a missing cell lies at the mean."""
    z = np.nan_to_num(scaled(x, w, query))
    mean = np.array([np.average(c[~np.isnan(c)], weights=w[~np.isnan(c)]) for c in x.T])
    out = np.zeros((*query.shape, STANDING))
    for i, j in np.ndindex(*query.shape):
        cell = mean[j] if np.isnan(query[i, j]) else query[i, j]
        here = ~np.isnan(x[:, j])
        total = w[here].sum()
        below = sum(w[r] for r in np.flatnonzero(here) if x[r, j] < cell) / total
        equal = sum(w[r] for r in np.flatnonzero(here) if x[r, j] == cell) / total
        rank = (below + equal / 2) * 2 - 1
        waves = [f(np.pi * rank * m) for m in (1, 2, 4) for f in (np.sin, np.cos)]
        out[i, j] = [bounded(z[i, j]), np.tanh(z[i, j]), rank, equal, *waves]
    return out


def law_of_standing(w=lambda w: w, x=lambda x: x):
    support, weight, query = table()
    expected = standing_by_hand(support, weight, query)
    assert expected.std((0, 1)).min() > 0.05 and expected[..., 3].max() > 0.1
    got = said(standing, query, described(x(support), w(weight)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)


def test_standing_is_rank_share_and_distance():
    law_of_standing()


@pytest.mark.parametrize(
    "mutant", [{"w": np.ones_like}, {"x": np.nan_to_num}, {"x": lambda x: x + 1e-9 * np.arange(len(x))[:, None]}]
)
def test_the_law_of_standing_finds_mutants(mutant):
    """Rows weighed alike; missing cells taken for 0; equal cells told apart."""
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        law_of_standing(**mutant)


def residual_by_ridge(x, w, query, ridge=0.03):
    """u_j = (z_j − β·z_others) / √(least penalised squared error + λ), β of scikit-learn's ridge regression.

    With A = C + λI, (A⁻¹z)_j / (A⁻¹)_jj = z_j − β·z, and 1 / (A⁻¹)_jj = A_jj − A_jo A_oo⁻¹ A_oj is what the
    regression leaves of C_jj, penalty included, plus λ.
    """
    d = x.shape[1]
    z, asked = np.nan_to_num(bounded(scaled(x, w, x))), bounded(scaled(x, w, query))
    share, penalty = w / w.sum(), ridge * (1 + d * (w**2).sum() / w.sum() ** 2)
    u = np.zeros(query.shape)
    for i, j in zip(*np.nonzero(~np.isnan(query)), strict=True):
        others = [c for c in range(d) if c != j and not np.isnan(query[i, c])]
        fit = Ridge(penalty, fit_intercept=False, solver="cholesky").fit(z[:, others], z[:, j], share)
        left = share @ (z[:, j] - fit.predict(z[:, others])) ** 2 + penalty * fit.coef_ @ fit.coef_
        u[i, j] = (asked[i, j] - fit.coef_ @ asked[i, others]) / np.sqrt(left + penalty)
    return np.stack([bounded(u), np.tanh(u)], -1)


@pytest.mark.parametrize("missing", [False, True])
def test_the_residual_is_that_of_a_ridge_regression_on_the_other_visible_cells(missing):
    x, w, query = table(missing=missing)
    expected = residual_by_ridge(x, w, query)
    got = said(residual, query, described(x, w))
    assert got.shape == (*query.shape, RESIDUAL) and expected.std((0, 1)).min() > 0.1
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)
    assert (got[np.isnan(query)] == 0).all()
    for mutant in (residual_by_ridge(x, w, query, 0.3), residual_by_ridge(x, np.ones(12), query)):
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(got, mutant, rtol=0, atol=1e-9)


def test_a_hidden_cell_is_a_column_left_out():
    """Of the residual: what is said of the others is what is said where the column does not exist, λ alike."""
    x, w, query = table(missing=False)
    about = described(x, w)
    hidden = query.copy()
    hidden[:, 2] = np.nan
    rest = [0, 1, 3]
    place = torch.tensor(rest)
    parts = about._replace(
        mean=about.mean[..., place], deviation=about.deviation[..., place],
        covariance=about.covariance[:, place][..., place],
    )  # fmt: skip
    got = said(residual, hidden, about)[:, rest]
    np.testing.assert_allclose(got, said(residual, query[:, rest], parts), rtol=0, atol=1e-12)
    assert np.abs(got - said(residual, query, about)[:, rest]).max() > 0.1


def test_the_difference_of_two_columns_that_move_together_shows_in_the_residual():
    generator = np.random.default_rng(0)
    both, own = generator.normal(size=(2, 400))
    x = np.stack([both + 0.07 * own, both - 0.07 * own], 1)
    assert 0.98 < np.corrcoef(x.T)[0, 1] < 0.995
    about = described(x, np.full(400, 1 / 400))
    u, z = said(residual, x, about)[..., 0], said(standing, x, about)[..., 0]
    assert np.corrcoef(u[:, 0], own)[0, 1] > 0.9 and np.corrcoef(u[:, 1], own)[0, 1] < -0.9
    assert np.abs([np.corrcoef(z[:, j], own)[0, 1] for j in (0, 1)]).max() < 0.3


BOTH = pytest.mark.parametrize("function", [standing, residual])


@BOTH
def test_units_and_offsets_of_a_column_drop_out(function):
    x, w, query = table()
    scale, shift = np.array([2.0, 0.125, 64.0, 1000.0]), np.array([3.0, 0.0, -5.0, 1e4])
    expected = said(function, query, described(x, w))
    got = said(function, query * scale + shift, described(x * scale + shift, w))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-8)
    got = said(function, query, described(x * scale + shift, w))  # mutant: the queries in another unit
    assert np.abs(got - expected).max() > 0.1


@BOTH
def test_weights_count_only_beside_one_another_and_weight_0_is_a_row_deleted(function):
    x, w, query = table()
    keep = np.arange(12) != 5
    expected = said(function, query, described(x[keep], w[keep]))
    assert np.abs(said(function, query, described(x, w)) - expected).max() > 0.01
    np.testing.assert_allclose(said(function, query, described(x, w * keep)), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(said(function, query, described(x[keep], 7 * w[keep])), expected, rtol=0, atol=1e-12)


@BOTH
def test_what_is_said_of_a_row_depends_on_no_other_row_of_the_query(function, monkeypatch):
    x, w, query = table()
    about = described(x, w)
    whole = said(function, query, about)
    for at_once in (1, 2 * x.size):
        monkeypatch.setattr(cells, "_AT_ONCE", at_once)
        np.testing.assert_array_equal(said(function, query, about), whole)
    alone = np.concatenate([said(function, row[None], about) for row in query])
    np.testing.assert_allclose(alone, whole, rtol=0, atol=1e-12)


@BOTH
@pytest.mark.parametrize("n", [0, 3])
def test_nothing_is_known_of_an_empty_support_and_nothing_breaks(function, n):
    """No row, or rows of weight 0."""
    query = np.array([[1.0, np.nan], [-1e6, 3.0]])
    got = said(function, query, described(np.full((n, 2), 7.0), np.zeros(n)))
    assert np.isfinite(got).all()


@BOTH
def test_one_row_constant_columns_and_columns_that_nobody_saw_are_finite(function):
    x = np.array([[1.0, np.nan, 0.1], [2.0, np.nan, 0.1], [4.0, np.nan, 0.1]])
    query = np.array([[1.5, 2.0, 0.1], [np.nan, np.nan, 5.0], [1e9, -1e9, -1e9]])
    for rows in (x, x[:1]):
        got = said(function, query, described(rows, np.full(len(rows), 1 / len(rows))))
        assert np.isfinite(got).all() and np.abs(got).max() <= 4


@BOTH
def test_slopes_are_those_of_finite_differences(function):
    x, w, query = (torch.as_tensor(part)[None] for part in table(missing=False))

    def out(x, w, query):
        return function(query, columns(x, w))[..., :2]  # z and its tanh, or the residual's; ranks have no slope

    query = query[:, 3:6]
    for part in (x, w, query):
        part.requires_grad_()
    assert torch.autograd.gradcheck(out, (x, w, query))
