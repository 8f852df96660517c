"""Numbers of a table: units and signs of everything that a person reads, and what is refused.

What must hold whatever the weights is tested over a small mapping whose weights are drawn, far from their start; what
the shipped file must do is at the end.
"""

import itertools
import math
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator

import mapsto
from mapsto import estimators
from mapsto.errors import MapstoError
from mapsto.estimators import TableClassifier, TableRegressor, chunks
from mapsto.explainers.learned.attribution import PairwiseAttribution
from mapsto.explainers.learned.value_errors import ValueErrors
from mapsto.joint import SelfExplaining
from mapsto.learners import InContext
from mapsto.learners.in_context import LEVELS
from mapsto.models import SetTransformer

ROUNDING = 1e-4  # of the outcome's spread: the mapping computes in float32


def drawn(ways=2, members=2, loss="cross_entropy"):
    """A mapping of random weights, the same for the same arguments."""
    torch.manual_seed(0)
    learner = InContext(SetTransformer(16, 2, 2), ways, members, loss)
    mapping = SelfExplaining(learner, PairwiseAttribution(16, 11, 16, 4), doubt=ValueErrors(16, 16))
    with torch.no_grad():
        for parameter in mapping.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return mapping.requires_grad_(False).eval()


@pytest.fixture
def weights(monkeypatch):
    monkeypatch.setattr(mapsto.weights, "load", drawn)


def table(n=24, d=4, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, d))
    return X, 50 + 10 * (X[:, 0] - X[:, 1] + generator.normal(size=n))


def gaps(X):
    """The first rows with some cells missing; the last of them with all."""
    rows = X[:6].copy()
    rows[1, 2] = rows[2, 0] = rows[2, 3] = np.nan
    rows[5] = np.nan
    return rows


def near(got, expected, spread, rounding=ROUNDING):
    np.testing.assert_allclose(got, expected, rtol=0, atol=rounding * spread)


# --- reasons ----------------------------------------------------------------------------------------------------------


def law_of_reasons(kind):
    """Base and values add up to the prediction, in the outcome's unit; a missing cell has exactly 0."""
    X, y = table()
    reg, rows = kind().fit(X, y), gaps(X)
    e, p = reg.explain(rows), reg.predict(rows)
    assert e.values.shape == (6, 4) and e.base_values.shape == (6,) and e.class_names == []
    assert p.std() > 0.01 * y.std() and np.abs(e.values).max(0).min() > 5e-4 * y.std()
    near(e.base_values + e.values.sum(1), p, y.std())
    assert (e.values[np.isnan(rows)] == 0).all() and (e.values[~np.isnan(rows)] != 0).all()
    near(e.base_values, y.mean(), y.std(), 1e-6)
    near(p[5], y.mean(), y.std(), 1e-6)


def test_reasons_add_up_from_the_mean_outcome(weights):
    law_of_reasons(TableRegressor)


class Unscaled(TableRegressor):
    """Mutant: reasons in standard deviations."""

    def _reasons(self, values, base, errors):
        return values[..., 0], self._unit(base[:, 0]), errors[..., 0], []


class Turned(TableRegressor):
    """Mutant: reasons of the other sign."""

    def _reasons(self, values, base, errors):
        return -values[..., 0] * self.spread_, self._unit(base[:, 0]), errors[..., 0], []


class Offset(TableRegressor):
    """Mutant: the base value is not the mean."""

    def _unit(self, standard):
        return super()._unit(standard) + 0.01


@pytest.mark.parametrize("mutant", [Unscaled, Turned, Offset])
def test_the_law_of_reasons_finds_mutants(weights, mutant):
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        law_of_reasons(mutant)


@pytest.mark.parametrize("members", [1, 2])
def test_values_are_the_shapley_values_of_the_explainers_game(weights, members):
    """Of e(S) = Σ a_j + Σ q_ij they are a_j + ½ Σ_i q_ij; the average over the readings, each in its own sign."""
    X, y = table()
    reg, rows = TableRegressor(members=members).fit(X, y), X[:5]
    x, mapping, state = reg._tensor(rows), reg.mapping_, reg.state_
    tokens = mapping.learner.look(state, x[None])
    full = mapping.learner.raw_evidence(state, tokens)
    game = mapping.explainer(tokens, torch.ones(1, members, 5, 4), full, state.outcome.outputs)
    sign = 1 - 2.0 * (torch.arange(4) % 2)
    q = torch.einsum("...ir,r,...jr->...ij", game.factors, sign, game.factors)
    assert (q - torch.diag_embed(q.diagonal(dim1=-2, dim2=-1))).abs().max() > 1e-3
    phi = game.single + (q.sum(-1) - q.diagonal(dim1=-2, dim2=-1)) / 2  # [1, e, m, 1, d]
    phi = (phi[0, :, :, 0] * state.outcome.sign[0][:, None, None]).mean(0)
    near(reg.explain(rows).values, phi.numpy() * y.std(), y.std())


def test_the_prediction_of_a_row_with_gaps_is_the_value_of_a_game_that_anyone_can_play(weights):
    """Exact Shapley values of the predictions themselves (NumPy): they add up like the explainer's, from the mean."""
    X, y = table(d=3)
    reg = TableRegressor().fit(X, y)
    phi = np.zeros(3)
    for j, mask in itertools.product(range(3), itertools.product([False, True], repeat=3)):
        if not mask[j]:
            kernel = math.factorial(sum(mask)) * math.factorial(2 - sum(mask)) / math.factorial(3)
            more = np.array(mask) | (np.arange(3) == j)
            with_it, without = reg.predict(np.where([more, mask], X[0], np.nan))
            phi[j] += kernel * (with_it - without)
    near(y.mean() + phi.sum(), reg.explain(X[:1]).predictions[0], y.std())
    assert np.abs(phi).min() > 1e-3 * y.std()


# --- units ------------------------------------------------------------------------------------------------------------


def read(reg, X, y, rows):
    reg.fit(X, y)
    e = reg.explain(rows)
    return {
        "predict": reg.predict(rows), "base": e.base_values, "values": e.values,
        "influence": reg.influence(rows, [0, 3]),
        "quantiles": reg.predict_quantiles(rows, list(LEVELS)), "interval": reg.predict_interval(rows, 0.8),
    }  # fmt: skip


@pytest.mark.parametrize(("a", "b"), [(5e6, 1000.0), (0.0, 1e-9), (-3.0, 1e200), (7.0, -2.0)])
def test_everything_is_in_the_unit_of_the_outcome(weights, a, b):
    X, y = table()
    one, other = (read(TableRegressor(), X, outcome, gaps(X)) for outcome in (y, a + b * y))
    spread = abs(b) * y.std()
    for name in ("predict", "base"):
        near(other[name], a + b * one[name], spread)
    for name in ("values", "influence"):
        assert np.abs(one[name]).max() > 0.01 * y.std()
        near(other[name], b * one[name], spread)
    for name in ("quantiles", "interval"):
        near(other[name], a + b * (one[name] if b > 0 else one[name][:, ::-1]), spread)


@pytest.mark.parametrize("y", [[1.7e308, -1.7e308], [1e308, 1.1e308], [5e-324, 0.0], [1e-310, 3e-310]])
def test_no_unit_is_too_large_or_too_small(weights, y):
    X, y = table()[0], np.resize(y, 24)
    e = TableRegressor().fit(X, y).explain(X[:3] * np.nan)
    np.testing.assert_allclose(e.base_values, (y / 24).sum(), rtol=1e-6, atol=max(np.abs(y).max() * 1e-6, 1e-323))


# --- quantiles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [1, 2])
def test_intervals_are_ordered_nested_and_made_of_quantiles(weights, members):
    X, y = table()
    reg, rows = TableRegressor(members=members).fit(X, y), gaps(X)
    levels = np.array([0.01, 0.02, 0.05, 0.5, 0.8, 0.85, 0.9, 0.99])
    q = reg.predict_quantiles(rows, levels)
    assert q.shape == (6, 8) and (np.diff(q) >= 0).all() and np.ptp(q, 1).min() > 0.01 * y.std()
    near(reg.predict_quantiles(rows, levels[::-1])[:, ::-1], q, y.std())
    between = reg.predict_quantiles(rows, [0.8, 0.82, 0.85])
    near(between[:, 1], 0.6 * between[:, 0] + 0.4 * between[:, 2], y.std())
    inner, outer, most = (reg.predict_interval(rows, coverage) for coverage in (0.5, 0.9, 0.98))
    assert (inner[:, 0] <= inner[:, 1]).all()
    assert (outer[:, 0] <= inner[:, 0]).all() and (inner[:, 1] <= outer[:, 1]).all()
    near(outer, reg.predict_quantiles(rows, [0.05, 0.95]), y.std())
    near(most, q[:, [0, -1]], y.std())
    assert reg.predict_quantiles(rows).shape == (6, 3) and reg.predict_quantiles(rows, 0.5).shape == (6, 1)


# --- influence --------------------------------------------------------------------------------------------------------


def law_of_influence(kind):
    """Deleting a row is weight 0, and that is refitting without it."""
    X, y = table(n=12)
    reg = kind().fit(X, y)
    change, before = reg.influence(X[:5]), reg.predict(X[:5])
    assert change.shape == (5, 12) and np.abs(change).max(0).min() > 1e-3 * y.std()
    for i in range(12):
        keep = np.arange(12) != i
        state = reg.mapping_.adapt(reg.support_._replace(w=reg.support_.w * torch.as_tensor(reg.rows_ != i)))
        near(change[:, i], reg._answer(state, reg._tensor(X[:5])).numpy() - before, y.std())
        near(change[:, i], TableRegressor().fit(X[keep], y[keep]).predict(X[:5]) - before, y.std(), 10 * ROUNDING)


def test_influence_is_refitting_without_the_row(weights):
    law_of_influence(TableRegressor)


class Praised(TableRegressor):
    """Mutant: with the row minus without it."""

    def influence(self, X, among=None):
        return -super().influence(X, among)


def test_the_law_of_influence_finds_the_other_sign(weights):
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        law_of_influence(Praised)


@pytest.mark.parametrize("kind", [TableRegressor, TableClassifier])
def test_influence_among_no_rows_is_empty(weights, kind):
    X, y = table()
    model = kind().fit(X, y if kind is TableRegressor else y > 50)
    for among in ([], np.zeros(24, bool)):
        assert model.influence(X[:2], among).shape[:2] == (2, 0)
    np.testing.assert_allclose(model.influence(X[:2], np.arange(24) == 3), model.influence(X[:2], [3]))


# --- tables -----------------------------------------------------------------------------------------------------------


def test_columns_are_found_by_name_and_may_be_of_any_kind(weights):
    X, y = table()
    frame = pd.DataFrame(X, columns=list("abcd")).assign(ward=list("nsw") * 8, day="2024-01-03")
    reg = TableRegressor().fit(frame, pd.Series(y))
    np.testing.assert_array_equal(reg.predict(frame[["day", "c", "ward", "a", "b", "d"]]), reg.predict(frame))
    e = reg.explain(frame[:3])
    assert e.feature_names == [*"abcd", "ward", "day"] and (e.values[:, 5] == 0).all() and (e.values[:, 4] != 0).all()
    assert reg.notes_ == ["column 'day': the same value in every training row, so it is left out."]
    with pytest.raises(MapstoError, match="lacks 'a'"):
        reg.predict(frame.drop(columns="a"))


@pytest.mark.parametrize("constant", [0.0, 0.1, -3e6])
def test_a_constant_outcome_is_predicted_everywhere(weights, constant):
    X, _ = table()
    reg = TableRegressor().fit(X, np.full(24, constant))
    for numbers in (reg.predict(X), reg.predict_quantiles(X), reg.explain(X).base_values):
        np.testing.assert_array_equal(numbers, np.full_like(numbers, constant))
    assert (reg.explain(X).values == 0).all() and (reg.influence(X[:2]) == 0).all()


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_training_rows(weights, n):
    X, y = table()
    reg = TableRegressor().fit(X[:n], y[:n])
    near(reg.predict(X[:1] * np.nan), y[:n].mean(), y.std(), 1e-6)
    for numbers in (reg.predict(X), reg.predict_interval(X), reg.explain(X).values, reg.influence(X)):
        assert np.isfinite(numbers).all()
    if n == 1:
        np.testing.assert_allclose(reg.predict(X), y[0], rtol=1e-12)


@pytest.mark.parametrize("kind", [TableRegressor, TableClassifier])
def test_a_table_without_rows_has_no_answers(weights, kind):
    X, y = table()
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = kind().fit(frame, y if kind is TableRegressor else y > 50)
    assert len(model.predict(frame[:0])) == 0 and len(model.explain(frame[:0])) == 0
    assert model.influence(frame[:0]).shape[:2] == (0, 24)
    if kind is TableRegressor:
        assert model.predict_interval(frame[:0]).shape == (0, 2)


@pytest.mark.parametrize("kind", [TableRegressor, TableClassifier])
@pytest.mark.parametrize("rare", [1.0, 0.0])
def test_a_column_that_is_constant_in_the_rows_read_is_left_out(weights, monkeypatch, kind, rare):
    """A rare value may be in no row of the sample; then the column teaches nothing, and that is said."""
    monkeypatch.setattr(estimators.table, "MAX_ROWS", 20)
    X, y = table(n=200)
    target = y if kind is TableRegressor else y > 50
    left_out = np.setdiff1d(np.arange(200), kind().fit(X, target).rows_)
    X[:, 1], X[left_out[0], 1] = 1 - rare, rare
    X[:, 3], X[left_out[1], 3] = np.nan, 2.0
    X[left_out[2], 3] = 3.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = kind().fit(X, target)
        e = model.explain(X[left_out[:3]])
    assert list(model.used_) == [0, 2] and (e.values[:, [1, 3]] == 0).all() and np.isfinite(e.values).all()
    said = " ".join(model.notes_)
    assert "column '1': the same value in every training row that is read" in said and "20 of 200" in said
    assert "column '3'" in said


def test_of_a_sample_the_mean_is_that_of_the_rows_read(weights, monkeypatch):
    monkeypatch.setattr(estimators.table, "MAX_ROWS", 20)
    X, y = table(n=200)
    reg = TableRegressor().fit(X, y)
    near(reg.explain(X[:2]).base_values, y[reg.rows_].mean(), y.std(), 1e-6)
    tenths = np.bincount(pd.qcut(y, 10, labels=False)[reg.rows_])
    assert tenths.tolist() == [2] * 10
    change = reg.influence(X[:2])
    assert (
        change.shape == (2, 200) and (np.delete(change, reg.rows_, 1) == 0).all() and (change[:, reg.rows_] != 0).all()
    )


def test_chunks_and_copies_change_nothing(weights, monkeypatch):
    X, y = table()
    reg = TableRegressor().fit(X, y)
    whole = reg.predict(X), reg.explain(X).values, reg.predict_quantiles(X), reg.influence(X)
    copy = pickle.loads(pickle.dumps(reg))
    np.testing.assert_array_equal(copy.predict(X), whole[0])
    monkeypatch.setattr(chunks, "MOST", 8)
    parts = reg.predict(X), reg.explain(X).values, reg.predict_quantiles(X), reg.influence(X)
    for a, b in zip(whole, parts, strict=True):
        near(a, b, y.std())
    with pytest.raises(NotFittedError):
        clone(reg).predict(X)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([1.0, np.nan, 3.0], "y: got NaN in 1 of 3 rows"),
        ([1.0, None, 3.0], "y: got NaN in 1 of 3 rows"),
        (["low", "high", "low"], "^y: got outcomes"),
        ([1.0, np.inf, 3.0], "y: got an infinite outcome"),
        (pd.date_range("2024-01-01", periods=3), "y: got datetime64"),
        (pd.to_timedelta([1, 2, 3], "D"), "y: got timedelta64"),
        ([1.0, 2.0], "inconsistent numbers of samples"),
        (None, "requires y to be passed"),
    ],
)
def test_outcomes_that_are_no_numbers_are_refused_in_one_sentence(weights, y, said):
    with pytest.raises(ValueError, match=said) as refused:
        TableRegressor().fit(np.eye(3), y)
    assert "\n" not in str(refused.value).strip()


@pytest.mark.parametrize("coverage", [0, 1, 1.5, -0.1, 0.99, np.nan])
def test_a_coverage_beyond_the_quantiles_is_refused(weights, coverage):
    reg = TableRegressor().fit(*table())
    with pytest.raises(MapstoError, match="coverage: got") as refused:
        reg.predict_interval(np.zeros((1, 4)), coverage)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("quantiles", [0.001, [0.5, 0.999], [np.nan], 1.0])
def test_a_quantile_beyond_those_read_is_refused(weights, quantiles):
    reg = TableRegressor().fit(*table())
    with pytest.raises(MapstoError, match="quantiles: got"):
        reg.predict_quantiles(np.zeros((1, 4)), quantiles)


@pytest.mark.parametrize("method", ["predict", "predict_quantiles", "predict_interval", "explain", "influence"])
def test_other_columns_and_no_fit_are_refused(weights, method):
    with pytest.raises(NotFittedError):
        getattr(TableRegressor(), method)(np.zeros((1, 4)))
    reg = TableRegressor().fit(*table())
    with pytest.raises(ValueError, match="X has 3 features, but TableRegressor is expecting 4"):
        getattr(reg, method)(np.zeros((1, 3)))
    with pytest.raises(MapstoError, match="infinite"):
        getattr(reg, method)(np.full((1, 4), np.inf))


# --- over the shipped weights -----------------------------------------------------------------------------------------


def test_the_shipped_mapping_keeps_the_laws():
    X, y = load_diabetes(return_X_y=True)
    reg = TableRegressor().fit(X[:40], y[:40])
    rows = X[40:46].copy()
    rows[0, 3] = np.nan
    e = reg.explain(rows)
    near(e.base_values + e.values.sum(1), reg.predict(rows), y.std())
    near(e.base_values, y[:40].mean(), y.std(), 1e-6)
    assert e.values[0, 3] == 0 and (np.diff(reg.predict_quantiles(rows, list(LEVELS))) >= 0).all()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks_of_the_shipped_mapping(unchecked):
    for estimator, check in estimator_checks_generator(TableRegressor()):
        if "array_api" not in str(check):  # needs a configuration that this package does not offer
            check(estimator)
