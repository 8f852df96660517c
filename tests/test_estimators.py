"""The scikit-learn face: what goes in, what is refused, and that anyone can check the reasons from outside.

What the face itself has to keep is tested over a model in closed form, weighted Gaussian naive Bayes, in which absent
cells are marginalised exactly, reasons are enumerated, and deleting a row is refitting without it; the rest over the
shipped weights.
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
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import estimator_checks_generator
from torch import nn

import mapsto
from mapsto.errors import MapstoError
from mapsto.estimators import TableClassifier, chunks
from mapsto.explainers.learned.value_errors import ValueErrors
from mapsto.joint.self_explaining import Reasons
from mapsto.threads import one_thread

ROUNDING = 1e-6  # the mapping computes in float32


class NaiveBayes(nn.Module):
    """p(y) Π_j N(x_j; μ_yj, σ²_yj) over the visible cells, with variances shared by the classes."""

    def __init__(self, ways):
        super().__init__()
        self.ways, self.sharpness, self.doubt = ways, nn.Parameter(torch.ones(())), ValueErrors(1)

    def adapt(self, support):
        x, seen = support.x.nan_to_num(), (~support.x.isnan()).to(support.x)
        hot = nn.functional.one_hot(support.y, self.ways).to(x) * support.w[:, None]
        count = hot.T @ seen
        mean = hot.T @ (x * seen) / count.clamp(min=1e-12)
        spread = torch.einsum("nk,nkd->d", hot, (x[:, None] - mean).square() * seen[:, None])
        return {
            "prior": hot.sum(0) / hot.sum(),
            "mean": mean,
            "known": count > 0,
            "var": (spread / count.sum(0)).clamp(min=1e-12),
        }

    def predict(self, state, x):
        fit = -0.5 * (x[:, None] - state["mean"]).square() / state["var"]
        fit = torch.where(state["known"], fit, 0.0).nan_to_num(nan=0.0)
        return torch.log_softmax(state["prior"].log() + self.sharpness * fit.sum(-1), -1)

    def reasons(self, state, x, looks=0):
        values, base = self.explain(state, x)
        return Reasons(values, base, 0.01 * values.abs())

    def explain(self, state, x):
        return torch.func.vmap(lambda row: self._enumerate(state, row))(x)

    def _enumerate(self, state, row):
        d = len(row)
        orders = torch.tensor(list(itertools.permutations(range(d))))
        visible = orders.argsort(1)[:, None] < torch.arange(d + 1)[:, None]  # [orders, d + 1, d]
        cells = torch.where(visible, row, torch.nan)
        v = self.predict(state, cells.view(-1, d)).exp().view(len(orders), d + 1, -1)
        gains = v.diff(dim=1).gather(1, orders.argsort(1)[..., None].expand(-1, -1, self.ways))
        return gains.mean(0), v[0, 0]


@pytest.fixture
def closed_form(monkeypatch):
    monkeypatch.setattr(mapsto.weights, "load", lambda ways, members: NaiveBayes(ways))


def table(n=24, d=4, k=3, seed=0):
    generator = np.random.default_rng(seed)
    y = np.arange(n) % k
    return generator.normal(size=(n, d)) + y[:, None] * np.linspace(0, 1, d), y


def enumerate_patterns(clf, X):
    """Exact Shapley values by their definition, through predict_proba alone."""
    d = X.shape[1]
    masks = list(itertools.product([False, True], repeat=d))
    hide = X.where if isinstance(X, pd.DataFrame) else lambda visible: np.where(visible, X, np.nan)
    v = {m: clf.predict_proba(hide(np.broadcast_to(m, X.shape))) for m in masks}
    phi = np.zeros((len(X), d, v[masks[0]].shape[1]))
    for j, m in itertools.product(range(d), masks):
        if not m[j]:
            kernel = math.factorial(sum(m)) * math.factorial(d - sum(m) - 1) / math.factorial(d)
            phi[:, j] += kernel * (v[(*m[:j], True, *m[j + 1 :])] - v[m])
    return phi


# --- over the closed form: what the face itself has to keep ----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks(closed_form, unchecked):
    ran = [
        check(estimator) for estimator, check in estimator_checks_generator(TableClassifier()) if not _array_api(check)
    ]
    assert len(ran) > 40


def _array_api(check):
    return "array_api" in str(check)  # needs a configuration that this package does not offer


def test_probabilities_are_the_models_own(closed_form):
    X, y = table()
    clf = TableClassifier().fit(X, y)
    model, x = NaiveBayes(3).double(), torch.tensor(X)
    expected = model.predict(model.adapt(mapsto.examples(x, torch.tensor(y))), x).exp().detach().numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(clf.predict_proba(X), expected, atol=ROUNDING)
    assert clf.predict(X).tolist() == expected.argmax(1).tolist()


def test_reasons_are_the_shapley_values_that_anyone_can_enumerate(closed_form):
    X, y = table()
    X[3, 1] = X[4, 0] = np.nan
    clf = TableClassifier().fit(X, y)
    e, exact = clf.explain(X[:6]), enumerate_patterns(clf, X[:6])
    assert exact.std() > 0.02
    np.testing.assert_allclose(e.values, exact, atol=ROUNDING)
    np.testing.assert_allclose(e.predictions, clf.predict_proba(X[:6]), atol=ROUNDING)
    np.testing.assert_allclose(e.base_values, clf.predict_proba(np.full((6, 4), np.nan)), atol=ROUNDING)
    assert (e.values[3, 1] == 0).all()
    assert (e.values[4, 0] == 0).all()


def test_influence_is_refitting_without_the_row(closed_form):
    X, y = table(18)
    clf = TableClassifier().fit(X, y)
    change = clf.influence(X[:5])
    assert change.shape == (5, 18, 3)
    assert np.abs(change).max() > 0.01
    keep = ~np.eye(18, dtype=bool)
    refit = [TableClassifier().fit(X[k], y[k]).predict_proba(X[:5]) for k in keep]
    np.testing.assert_allclose(change, np.stack(refit, 1) - clf.predict_proba(X[:5])[:, None], atol=10 * ROUNDING)


def test_a_class_that_loses_its_only_row_loses_its_probability(closed_form):
    X, y = table(11, k=2)
    y[0] = 2
    clf = TableClassifier().fit(X, y)
    assert clf.notes_[0] == "class '2': a single training row, so its probabilities rest on one example."
    p, change = clf.predict_proba(X), clf.influence(X)
    np.testing.assert_allclose(change[:, 0, 2], -p[:, 2], atol=ROUNDING)
    np.testing.assert_allclose(change.sum(-1), 0, atol=1e-12)


def test_results_do_not_depend_on_the_chunk(closed_form, monkeypatch):
    X, y = table()
    clf = TableClassifier().fit(X, y)
    at_once = clf.predict_proba(X), clf.explain(X).values, clf.influence(X)
    monkeypatch.setattr(chunks, "MOST", 8)
    assert chunks.chunk(clf._numbers_a_row(), 10**9).rows == 8 < len(X)
    for whole, parts in zip(at_once, (clf.predict_proba(X), clf.explain(X).values, clf.influence(X)), strict=True):
        np.testing.assert_allclose(whole, parts, rtol=0, atol=ROUNDING)


def test_a_table_of_mixed_columns(closed_form):
    frame = pd.DataFrame({"ward": list("nsnsns"), "age": [61, 48, None, 70, 33, 50], "seen": ["2024-01-03"] * 6})
    clf = TableClassifier().fit(frame, list("yynnyn"))
    assert clf.feature_names_in_.tolist() == ["ward", "age", "seen"]
    assert clf.classes_.tolist() == ["n", "y"]
    left_out, few = clf.notes_
    assert left_out == "column 'seen': the same value in every training row, so it is left out."
    assert few.startswith("few training rows: class 'n' (3 rows), class 'y' (3 rows).")
    e = clf.explain(frame)
    assert e.feature_names == ["ward", "age", "seen"]
    assert e.class_names == ["n", "y"]
    assert e.data[1].tolist() == ["s", 48, "2024-01-03"]
    assert e.codes[1, :2].tolist() == [1, 48]
    assert (e.values[:, 2] == 0).all()
    assert np.abs(e.values[:, :2]).max() > 0.01


def test_columns_are_found_by_name(closed_form):
    X, y = table()
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = TableClassifier().fit(frame, y)
    np.testing.assert_array_equal(clf.predict_proba(frame[list("dbca")]), clf.predict_proba(frame))
    assert np.abs(TableClassifier().fit(X, y).predict_proba(X[:, ::-1]) - clf.predict_proba(frame)).max() > 0.01


def test_an_unseen_category_is_a_missing_cell_and_said(closed_form):
    frame = pd.DataFrame({"ward": list("nsnsns"), "age": [61, 48, 20, 70, 33, 50]})
    clf = TableClassifier().fit(frame, [0, 1, 0, 1, 1, 0])
    with pytest.warns(UserWarning, match="column 'ward': 'west' never seen"):
        new = clf.predict_proba(frame.assign(ward="west"))
    np.testing.assert_array_equal(new, clf.predict_proba(frame.assign(ward=None)))


def test_a_table_without_anything_to_learn_from_gives_the_base_value(closed_form):
    X, y = np.ones((6, 2)), np.array([0, 1, 1, 1, 0, 1])
    clf = TableClassifier().fit(X, y)
    assert sum("is left out" in note for note in clf.notes_) == 2
    np.testing.assert_allclose(clf.predict_proba(X), [[1 / 3, 2 / 3]] * 6, atol=ROUNDING)
    assert (clf.explain(X).values == 0).all()
    assert clf.influence(X[:1]).shape == (1, 6, 2)


@pytest.mark.parametrize("size", [1e-300, 1e-3, 1e12, 1e300])
def test_the_unit_of_a_column_does_not_matter(closed_form, size):
    X, y = table()
    unit = np.array([size, 1, 1, 1])
    expected = TableClassifier().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(TableClassifier().fit(X * unit, y).predict_proba(X * unit), expected, atol=ROUNDING)


def test_a_large_offset_costs_no_digits(closed_form):
    X, y = table()
    expected = TableClassifier().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(TableClassifier().fit(X + 1e9, y).predict_proba(X + 1e9), expected, atol=1e-5)


def test_a_cell_far_outside_the_training_range_stays_finite(closed_form):
    X, y = table()
    assert np.isfinite(TableClassifier().fit(X, y).predict_proba(np.full((1, 4), 1e300))).all()


def test_what_was_fitted_can_be_saved_and_cloned(closed_form):
    X, y = table()
    clf = TableClassifier().fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), clf.predict_proba(X))
    with pytest.raises(NotFittedError):
        clone(clf).predict(X)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "explain", "influence"])
def test_fit_comes_first(method):
    with pytest.raises(NotFittedError):
        getattr(TableClassifier(), method)(np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (np.eye(3), [1, 1, 1], r"y: got one class only \(1\)"),
        (np.eye(11), range(11), "y: got 11 classes"),
        (np.eye(3), ["a", None, "b"], "y: got NaN in 1 of 3 rows"),
        (np.eye(3), [0.5, 1.25, 2.5], "Unknown label type: continuous"),
        (np.array([[1.0, np.inf], [2.0, 3.0]]), [0, 1], "column '1': got an infinite value"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), [0, 1], "'a' more than once"),
        (np.eye(3), None, "requires y to be passed"),
        (np.eye(3), [0, 1], "inconsistent numbers of samples"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_one_sentence(closed_form, X, y, said):
    with pytest.raises(ValueError, match=said) as refused:
        TableClassifier().fit(X, y)
    assert "\n" not in str(refused.value).strip()


def test_ten_classes_and_1000_rows_and_100_columns_are_read_whole(closed_form):
    X = np.random.default_rng(0).normal(size=(1000, 100))
    clf = TableClassifier().fit(X, np.arange(1000) % 10)
    assert clf.predict_proba(X[:2]).shape == (2, 10)
    assert clf.notes_ == [] and len(clf.rows_) == 1000 and len(clf.used_) == 100


def test_of_more_rows_a_sample_is_read_and_that_is_said(closed_form):
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(3000, 2)), np.repeat([0, 1, 2], [20, 980, 2000])
    X[:, 0] += y
    clf, again = (TableClassifier().fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(clf.rows_, again.rows_)
    np.testing.assert_allclose(np.bincount(y[clf.rows_]), [7, 327, 666], atol=1)  # each class in proportion
    assert any("1000 of 3000 training rows" in note for note in clf.notes_)
    left_out = int(np.setdiff1d(np.arange(3000), clf.rows_)[0])
    change = clf.influence(X[:2], among=[left_out, int(clf.rows_[5])])
    assert (change[:, 0] == 0).all() and np.abs(change[:, 1]).max() > 0
    mask = np.isin(np.arange(3000), clf.rows_[:3])
    np.testing.assert_allclose(clf.influence(X[:2], among=mask), clf.influence(X[:2], among=np.sort(clf.rows_[:3])))


def test_of_more_columns_those_that_go_with_the_outcome_are_read_and_that_is_said(closed_form):
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(60, 307)), np.arange(60) % 3
    X[:, [3, 200, 306]] -= 3.0 * (y == 1)[:, None]
    X[::7, 200] = np.nan
    clf = TableClassifier().fit(X, y)
    assert len(clf.used_) == 100 and {3, 200, 306} <= set(clf.used_)
    assert any("100 of 307 columns" in note for note in clf.notes_)
    assert clf.predict_proba(X[:5]).shape == (5, 3)


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (pd.DataFrame({"a": [1]}), "X: lacks 'b', expected the 2 columns of fit"),
        (pd.DataFrame({"a": [1], "c": [1]}), "X: lacks 'b' and has 'c', unknown to fit"),
        (pd.DataFrame({"a": [1], "b": [1], "c": [1]}), "X: has 'c', unknown to fit"),
        (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "b"]), "'b' more than once"),
        (pd.DataFrame({"a": [1.0], "b": [np.inf]}), "column 'b': got an infinite value"),
        (np.zeros((1, 3)), "X has 3 features, but TableClassifier is expecting 2"),
    ],
)
@pytest.mark.parametrize("method", ["predict", "predict_proba", "explain", "influence"])
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_columns_that_differ_from_those_of_fit_are_refused(closed_form, method, later, said):
    clf = TableClassifier().fit(pd.DataFrame({"a": [1, 2, 3], "b": [1, 5, 2]}), [0, 1, 1])
    with pytest.raises(ValueError, match=said):
        getattr(clf, method)(later)


@pytest.mark.parametrize("members", [0, 1.5, None])
def test_members_are_counted(unchecked, members):
    with pytest.raises(MapstoError, match="members: got"):
        TableClassifier(members=members).fit(*table())


def test_errors_are_of_the_package():
    with pytest.raises(MapstoError):
        TableClassifier().fit(np.eye(3), [1, 1, 1])


# --- mutants: the laws above can fail ---------------------------------------------------------------------------------


class WrongKernel(NaiveBayes):
    """Reasons that do add up, but not by Shapley's weights: the whole gain shared equally."""

    def explain(self, state, x):
        base = self.predict(state, torch.full_like(x, torch.nan)).exp()
        gain = (self.predict(state, x).exp() - base) / x.shape[1]
        return gain[:, None].expand(-1, x.shape[1], -1), base


class ForgetsWeights(NaiveBayes):
    """Adapts to the rows as if each had the same weight."""

    def adapt(self, support):
        return super().adapt(support._replace(w=torch.ones_like(support.w)))


@pytest.mark.parametrize(
    ("mutant", "law"),
    [
        (WrongKernel, test_reasons_are_the_shapley_values_that_anyone_can_enumerate),
        (ForgetsWeights, test_influence_is_refitting_without_the_row),
    ],
)
def test_the_laws_catch_a_wrong_model(monkeypatch, mutant, law):
    monkeypatch.setattr(mapsto.weights, "load", lambda ways, members: mutant(ways))
    with pytest.raises(AssertionError):
        law(None)


@pytest.mark.filterwarnings("ignore:column 'ward'")
@pytest.mark.parametrize("weight", [[1.0, 2.0, 0.0, 3.0], [0.5, 1.25, 0.0, 2.0]])
def test_a_row_of_weight_0_is_deleted_and_one_that_counts_twice_is_there_twice(closed_form, weight):
    X, y = table()
    X = pd.DataFrame(X).assign(ward=["only here" if i == 2 else "ab"[i % 2] for i in range(24)])
    y = np.where(np.arange(24) == 6, 7, y)  # a class of one row, which weighs nothing
    w = np.resize(weight, 24)
    clf, kept = TableClassifier().fit(X, y, w), w > 0
    assert list(clf.classes_) == [0, 1, 2]
    fewer = TableClassifier().fit(X[kept], y[kept], w[kept])
    p = clf.predict_proba(X)
    np.testing.assert_allclose(p, fewer.predict_proba(X), atol=1e-6)
    assert np.abs(p - TableClassifier().fit(X[kept], y[kept]).predict_proba(X)).max() > 1e-3
    if weight[0] == 1.0:
        counted = np.repeat(np.arange(24), w.astype(int))
        np.testing.assert_allclose(p, TableClassifier().fit(X.iloc[counted], y[counted]).predict_proba(X), atol=1e-6)
        change = clf.influence(X[:3])
        assert (change[:, w == 0] == 0).all()
        without = TableClassifier().fit(X, y, np.where(np.arange(24) == 3, 0, w)).predict_proba(X[:3])
        np.testing.assert_allclose(change[:, 3], without - p[:3], atol=1e-5)


@pytest.mark.parametrize("weight", [[1, -1], [np.nan, 1], [0, 0], [1], [[1, 1]], [np.inf, 1]])
def test_weights_that_are_none_are_refused(closed_form, weight):
    with pytest.raises(MapstoError, match="sample_weight: got"):
        TableClassifier().fit(np.eye(2), [0, 1], weight)


def test_fitting_warns_of_nothing(closed_form):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableClassifier().fit(*table())


# --- over the shipped weights -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cancer():
    data = load_breast_cancer(as_frame=True)
    table = data.data.filter(like="worst").iloc[:, :5]
    order = np.random.default_rng(0).permutation(len(table))
    teach, rest = order[:32], order[32:92]
    return TableClassifier().fit(table.iloc[teach], data.target[teach]), table.iloc[rest], data.target[rest].to_numpy()


def test_the_shipped_mapping_predicts(cancer):
    clf, rows, y = cancer
    p = clf.predict_proba(rows)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-12)
    assert roc_auc_score(y, p[:, 1]) > 0.95


def test_the_shipped_reasons_add_up_and_agree_with_exact_ones(cancer):
    clf, rows, _ = cancer
    rows = rows.iloc[:8].copy()
    rows.iloc[0, 1] = rows.iloc[1, 3] = np.nan
    e, exact = clf.explain(rows), enumerate_patterns(clf, rows)
    np.testing.assert_allclose(e.predictions, clf.predict_proba(rows), atol=10 * ROUNDING)
    np.testing.assert_allclose(e.base_values, clf.predict_proba(np.nan * rows), atol=ROUNDING)
    np.testing.assert_allclose(e.values.sum(-1), 0, atol=1e-15)
    assert (e.values[0, 1] == 0).all()
    assert (e.values[1, 3] == 0).all()
    assert exact.std() > 0.02
    assert 1 - np.square(e.values - exact).sum() / np.square(exact - exact.mean()).sum() > 0.9


def test_a_row_with_every_cell_missing_gets_the_base_value(cancer):
    clf, rows, _ = cancer
    e = clf.explain(np.nan * rows.iloc[:2])
    assert (e.values == 0).all()
    np.testing.assert_allclose(clf.predict_proba(np.nan * rows.iloc[:2]), e.base_values, atol=ROUNDING)


def test_the_shipped_answers_are_row_wise(cancer):
    clf, rows, _ = cancer
    alone = np.concatenate([clf.predict_proba(rows.iloc[[i]]) for i in range(5)])
    np.testing.assert_allclose(clf.predict_proba(rows)[:5], alone, rtol=0, atol=ROUNDING)


def test_the_shipped_influence_is_adapting_without_the_row(cancer):
    clf, rows, _ = cancer
    some = [3, 17]
    change = clf.influence(rows.iloc[:3], among=some)
    assert change.shape == (3, 2, 2)
    assert np.abs(change).max() > 1e-3
    for place, row in enumerate(some):
        keep = clf.rows_ != row
        x, y, w = (part[keep] for part in clf.support_)
        state = clf.mapping_.adapt(mapsto.Examples(x, y, w))
        without = clf.mapping_.predict(state, clf._tensor(clf._numbers(rows.iloc[:3]))).exp().numpy()
        np.testing.assert_allclose(change[:, place], without - clf.predict_proba(rows.iloc[:3]), atol=ROUNDING)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks_of_the_shipped_mapping(unchecked):
    for estimator, check in estimator_checks_generator(TableClassifier()):
        if not _array_api(check):
            check(estimator)


def test_names_that_are_numbers_are_checked_as_names():
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)))
    clf = TableClassifier().fit(x, x[0] > 0)
    p = clf.predict_proba(x)
    np.testing.assert_allclose(clf.predict_proba(x[[2, 1, 0]]), p)
    np.testing.assert_allclose(clf.predict_proba(x.rename(columns=str)), p)
    with pytest.raises(MapstoError, match=r"lacks '0', '1', '2' and has '7'"):
        clf.predict_proba(x.set_axis([7, 8, 9], axis=1))


def test_a_missing_cell_among_texts_of_numpy_is_missing():
    texts = np.array([["a", 1.0], ["b", 2.0], ["a", np.nan], ["b", 1.5], ["a", 0.5], [np.nan, 2.5]] * 4)
    y = np.arange(24) % 2
    cells = texts.astype(object)
    cells[texts == "nan"] = None
    assert texts.dtype.kind == "U"
    told, same = (TableClassifier().fit(x, y) for x in (texts, pd.DataFrame(cells).infer_objects()))
    assert [column.kind for column in told.columns_.columns] == ["category", "number"]
    np.testing.assert_allclose(told.predict_proba(texts), same.predict_proba(pd.DataFrame(cells).infer_objects()))


def test_two_classes_may_change_places():
    x, y = load_breast_cancer(return_X_y=True)
    x = x[:, :6]
    one, other = (TableClassifier().fit(x[:40], labels[:40]) for labels in (y, 1 - y))
    np.testing.assert_allclose(one.predict_proba(x[40:90]), other.predict_proba(x[40:90])[:, ::-1], atol=1e-5)


def test_threads_come_back_when_callers_overlap():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    one, other = one_thread(), one_thread()
    one.__enter__()
    other.__enter__()
    assert torch.get_num_threads() == 1
    one.__exit__(None, None, None)
    assert torch.get_num_threads() == 1
    other.__exit__(None, None, None)
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def test_outcomes_of_mixed_storage_keep_their_type() -> None:
    X = np.arange(20.0)[:, None]
    for y, kind in ((np.array([0, 1] * 10, object), "i"), (np.array([True, False] * 10, object), "b")):
        assert TableClassifier().fit(X, y).classes_.dtype.kind == kind


@pytest.mark.parametrize("estimator", [mapsto.TableClassifier, mapsto.TableRegressor])
def test_a_table_without_rows_or_columns_is_refused(estimator) -> None:
    table = pd.DataFrame({"age": np.arange(8.0)})
    for X, y in ((table[:0], []), (table[[]], [0, 1] * 4)):
        with pytest.raises(MapstoError, match=r"^X: got"):
            estimator().fit(X, y)
