"""The prior over tables: every rule keeps its docstring's promise, and a batch is what `Tables` says of it."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from mapsto.tasks import Tables, tables
from mapsto.tasks.prior import inputs, outcomes, rules
from mapsto.tasks.prior.dice import Dice, ranks, standard
from mapsto.tasks.prior.rules import RULES

EACH = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
VECTORS = {rules.leaves, rules.truth_table, rules.neighbours}  # of these each class has a score, be they two or more


def dice(t=40, r=64, d=6, k=2, seed=0):
    return Dice(torch.Generator().manual_seed(seed), t, r, d, k)


def rows(t=40, r=64, d=6, seed=9):
    return torch.randn(t, r, d, generator=torch.Generator().manual_seed(seed))


def permuted(u, columns, seed=3):
    """`u` with each of some columns reordered over the rows, for itself."""
    order = torch.rand(u.shape, generator=torch.Generator().manual_seed(seed)).argsort(1)
    shuffled = u.gather(1, order)
    return torch.stack([(shuffled if j in columns else u)[..., j] for j in range(u.shape[-1])], -1)


def differs(a, b):
    """In which of `t` tables scores differ."""
    return ((a - b).abs() > 1e-4).flatten(1).any(1)


# --- what all rules keep ----------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("d", [1, 2, 6])
def test_scores_are_finite_and_of_one_shape(rule, k, d):
    scores = rule(dice(d=d, k=k), rows(d=d))
    of_one = rule in (rules.contrast, rules.counts, rules.conjunctions, rules.pairs)
    assert scores.shape == (40, 64, 1 if of_one or (k == 2 and rule not in VECTORS) else k)
    assert scores.isfinite().all()


def law_of_rows(rule):
    """Equal rows have equal scores: a score is a function of the row."""
    u = rows(r=32).repeat(1, 2, 1)
    scores = rule(dice(), u)
    assert (scores.std(1).amax(-1) > 0.05).float().mean() > 0.8
    torch.testing.assert_close(scores[:, :32], scores[:, 32:], rtol=0, atol=1e-4)


@EACH
def test_equal_rows_have_equal_scores(rule):
    law_of_rows(rule)


def test_the_law_of_rows_finds_noise():
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        law_of_rows(lambda dice, u: rules.linear(dice, u) + 0.1 * dice.randn(*u.shape[:2], 1))


MOST = {
    rules.linear: 6, rules.contrast: 3, rules.leaves: 5, rules.truth_table: 4, rules.counts: 8, rules.conjunctions: 6,
    rules.smooth: 3, rules.pairs: 3, rules.neighbours: 4, rules.levels: 3,
}  # fmt: skip


@pytest.mark.parametrize("rule", MOST, ids=lambda rule: rule.__name__)
def test_a_rule_rests_on_a_few_columns(rule):
    """As many as its docstring says at most, and one at least in nearly every table."""
    u = rows(t=80, d=12)
    scores = rule(dice(t=80, d=12), u)
    used = torch.stack([differs(scores, rule(dice(t=80, d=12), permuted(u, {j}))) for j in range(12)]).sum(0)
    assert used.max() == MOST[rule] and (used > 0).float().mean() > 0.9


@EACH
def test_scores_follow_the_columns(rule):
    u = rows()
    assert differs(rule(dice(), u), rule(dice(), permuted(u, range(6)))).float().mean() > 0.7  # others are constant


# --- what each rule keeps ---------------------------------------------------------------------------------------------


def law_of_least_variance(of):
    """A score is the principal component of least variance of some two or three standardised columns (NumPy)."""
    u = rows(t=20, d=5) @ torch.randn(20, 5, 5, generator=torch.Generator().manual_seed(1))
    scores = standard(of(dice(t=20, d=5), u)[..., 0])
    for table, score in zip(standard(u).double().numpy(), scores.double().numpy(), strict=True):
        errors = []
        for some in itertools.chain(itertools.combinations(range(5), 2), itertools.combinations(range(5), 3)):
            v = table[:, some]
            found = v @ np.linalg.svd(v, full_matrices=False)[2][-1]
            found = found / found.std()
            errors.append(min(np.abs(found - score).max(), np.abs(found + score).max()))
        assert min(errors) < 1e-2 < np.median(errors)


def test_a_contrast_is_the_direction_of_least_variance():
    law_of_least_variance(rules.contrast)
    with pytest.raises(AssertionError):
        law_of_least_variance(lambda dice, u: rules.contrast(dice, u).square())


def law_of_pairs_only(rule):
    """No three columns act together: the mixed difference over the eight corners of three of them is 0."""
    start, other = (torch.randn(40, 30, 4, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    corners = torch.tensor(list(itertools.product([False, True], repeat=3)))
    mask = torch.zeros(8, 1, 4, dtype=torch.bool)
    mask[:, 0, :3] = corners
    u = torch.where(mask, other[:, None], start[:, None])  # [t, corner, base, d]
    scores = rule(dice(r=240, d=4), u.flatten(1, 2))[..., 0].unflatten(1, (8, 30))
    sign = (1 - 2.0 * corners).prod(1)
    two = (scores * (sign * ~corners[:, 0])[:, None]).sum(1)
    assert (two.abs() > 0.1).any(1).any(), "no two columns act together either"
    torch.testing.assert_close((scores * sign[:, None]).sum(1), torch.zeros(40, 30), rtol=0, atol=1e-3)


def test_terms_of_one_or_two_columns_add_up():
    law_of_pairs_only(rules.additive)
    for mutant in (rules.smooth, rules.leaves):
        with pytest.raises(AssertionError, match="Tensor-likes are not close"):
            law_of_pairs_only(mutant)


def explained(rule):
    """The share of each score's variance that a line in all columns explains (NumPy)."""
    u = rows(d=8)
    scores = rule(dice(d=8), u)[..., 0].double().numpy()
    shares = []
    for x, y in zip(u.double().numpy(), scores, strict=True):
        x = np.column_stack([x, np.ones(len(x))])
        shares.append(1 - (y - x @ np.linalg.lstsq(x, y, rcond=None)[0]).var() / y.var())
    return np.array(shares)


def test_a_linear_rule_is_a_line_and_pairs_are_none():
    assert explained(rules.linear).min() > 1 - 1e-6
    assert np.median(explained(rules.pairs)) < 0.9


@pytest.mark.parametrize("k", [2, 3])
def test_a_truth_table_reads_literals_only(k):
    """Rows in which the same literals hold have the same scores: a permutation of the classes, or exclusive or."""
    u = rows()
    true = rules._literals(dice(k=k), u, 4)  # the rule's own first draws
    scores = rules.truth_table(dice(k=k), u)
    parity = 0
    for hold, score in zip(true.numpy(), scores.numpy(), strict=True):
        seen = {}
        for pattern, row in zip(map(tuple, hold), map(tuple, score), strict=True):
            assert seen.setdefault(pattern, row) == row
        if all(set(row) <= {0, 1, -1} and row[:2] == (p[0] ^ p[1], 1 - (p[0] ^ p[1])) for p, row in seen.items()):
            parity += 1
        else:
            assert {tuple(sorted(row)) for row in seen.values()} == {tuple(range(k))}
    assert 5 <= parity <= 24  # a third of 40


def law_of_monotone_rules(rule, m, most):
    """One more literal that holds never lowers the score, and the scores are whole numbers."""
    u = rows()
    true = rules._literals(dice(), u, m)
    score = rule(dice(), u)[..., 0]
    assert set(score.unique().tolist()) == set(range(most + 1))
    more = (true[:, :, None] <= true[:, None]).all(-1)  # [t, r, r]
    assert more.float().mean() > 0.02
    assert (score[:, :, None] <= score[:, None])[more].all(), "more literals, fewer points"


def test_counts_count_and_conjunctions_hold_or_do_not():
    law_of_monotone_rules(rules.counts, 6, 6)
    law_of_monotone_rules(rules.conjunctions, 6, 1)
    with pytest.raises(AssertionError, match="fewer points"):
        law_of_monotone_rules(lambda dice, u: rules._literals(dice, u, 6).sum(-1, keepdim=True) % 2, 6, 1)


def test_counts_are_sums_of_literals():
    u = rows()
    true, scores = rules._literals(dice(), u, 6).float(), rules.counts(dice(), u)[..., 0]
    sums = true.cumsum(-1)  # of the first 1 … 6
    same = (sums == scores[..., None]).all(1)  # [t, 6]
    assert same.any(1).all() and same[:, 2:].any(0).all() and not same[:, :2].any()


def law_of_levels(rule):
    """Whatever keeps the order of a column's cells keeps the scores."""
    u = rows()
    scores = rule(dice(k=3), u)
    assert differs(scores, rule(dice(k=3), permuted(u, range(6)))).float().mean() > 0.9
    torch.testing.assert_close(rule(dice(k=3), torch.exp(u) + 5), scores, rtol=0, atol=0)


def test_levels_are_of_ranks():
    law_of_levels(rules.levels)
    with pytest.raises(AssertionError, match="not equal"):
        law_of_levels(rules.smooth)


@pytest.mark.parametrize("r", [64, 10])
def test_the_class_of_the_nearest_point_is_scikit_learns(r):
    """The points are drawn as the rule draws them; which is nearest is scikit-learn's answer."""
    u, again, k = rows(t=20, r=r), dice(t=20, r=r, k=3), 3
    keep = again.first(1, 4)
    v = again.some(u, 4) * keep
    row = again.rand(20, r).argsort(-1)[:, :24]
    points = v.gather(1, row[..., None].expand(-1, -1, 4)) + 0.5 * again.randn(*row.shape, 4) * keep
    many = 2 + (again.rand(20, 1) * (row.shape[1] - 2)).long()[:, 0]
    first = again.randint(0, k, 20, 1)
    scores = rules.neighbours(dice(t=20, r=r, k=3), u)
    assert (scores.sum(-1) == 1).all() and (scores.amax(-1) == 1).all()
    for t in range(20):
        classes = (torch.arange(int(many[t])) + first[t]) % k
        nearest = KNeighborsClassifier(1).fit(points[t, : many[t]], classes)
        assert (nearest.predict(v[t]) == scores[t].argmax(-1).numpy()).mean() > 0.99  # but for ties in float32


def law_of_smoothness(rule):
    """Along a line through the table the score moves by small steps."""
    at, along = (torch.randn(40, 1, 6, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    u = at + along * torch.linspace(-1, 1, 500)[None, :, None]
    scores = standard(rule(dice(r=500), u))
    assert scores.std(1).median() > 0.9
    assert scores.diff(dim=1).abs().max() < 0.3


def test_a_smooth_function_has_no_jumps():
    law_of_smoothness(rules.smooth)
    with pytest.raises(AssertionError):
        law_of_smoothness(rules.leaves)


def test_leaves_are_few_and_split_along_the_axes():
    """At most 2⁵ different rows of scores, and moving an unread column moves none (see above)."""
    scores = rules.leaves(dice(r=400, k=3), rows(r=400))
    many = [len(table.unique(dim=0)) for table in scores]
    assert max(many) <= 32 and min(many) <= 2 < max(many)


# --- outcomes ---------------------------------------------------------------------------------------------------------


class Calm(Dice):
    """No noise: what is drawn with a chance of one half comes true."""

    def chance(self, p, *shape):
        return torch.ones(shape, dtype=torch.bool) if p == 0.5 else super().chance(p, *shape)


def law_of_equal_scores(made, k):
    """Without noise equal scores have one class; more score, no lower a class; not all rows have the same."""
    score = torch.randint(0, 6, (made.t, made.r, 1), generator=torch.Generator().manual_seed(2)).float()
    y = outcomes.classes(made, score)
    assert y.min() >= 0 and y.max() == k - 1
    more = score[:, :, None, 0] <= score[:, None, :, 0]
    assert (y[:, :, None] <= y[:, None])[more].all(), "equal scores, two classes"
    assert (y.amax(1) > y.amin(1)).all()


@pytest.mark.parametrize("k", [2, 3, 5])
def test_equal_scores_stay_together(k):
    law_of_equal_scores(Calm(torch.Generator().manual_seed(0), 60, 50, 3, k), k)
    with pytest.raises(AssertionError, match="equal scores, two classes"):
        law_of_equal_scores(dice(60, 50, 3, k), k)  # half of the tables are noisy


@pytest.mark.parametrize("k", [3, 5])
def test_of_several_scores_the_largest_wins_after_a_preference_of_the_table(k):
    scores = torch.randint(0, 3, (60, 50, k), generator=torch.Generator().manual_seed(2)).float()
    y = outcomes.classes(Calm(torch.Generator().manual_seed(0), 60, 50, 3, k), scores)
    assert y.min() == 0 and y.max() == k - 1
    for table, mine in zip(scores, y, strict=True):
        seen = {}
        assert all(seen.setdefault(tuple(row.tolist()), int(c)) == int(c) for row, c in zip(table, mine, strict=True))
    raised = scores.clone()
    raised[..., 0] += 50.0  # whatever the preference
    assert (
        outcomes.classes(Calm(torch.Generator().manual_seed(0), 60, 50, 3, k), raised * 1) == 0
    ).float().mean() > 0.9


@pytest.mark.parametrize("k", [2, 3])
def test_constant_scores_are_one_class_or_the_noise(k):
    y = outcomes.classes(Calm(torch.Generator().manual_seed(0), 20, 30, 3, k), torch.zeros(20, 30, 1))
    assert (y.amax(1) == y.amin(1)).all() and y.max() < k


def test_numbers_are_standardised_and_follow_the_score():
    score = rows(t=200, r=80, d=1)[..., 0]
    y = outcomes.numbers(dice(t=200, r=80), score)
    torch.testing.assert_close(y.mean(1), torch.zeros(200), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.square().mean(1), torch.ones(200), rtol=0, atol=1e-3)
    together = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(y.numpy(), score.numpy(), strict=True)])
    assert together.min() > -0.3 and np.median(together) > 0.6 and (together > 0.95).mean() > 0.1
    assert outcomes.numbers(dice(t=20, r=80), torch.zeros(20, 80)).isfinite().all()


# --- columns ----------------------------------------------------------------------------------------------------------


def test_columns_look_as_they_say():
    """A column is z bent without turning (numbers), or intervals of z: two, several in order, or several by name."""
    z = standard(rows(t=100, r=200))
    x = inputs.columns(dice(t=100, r=200), z, 0.0)
    kinds = {"number": 0, "binary": 0, "whole": 0, "nominal": 0}
    for cells, source in zip(x.movedim(2, 1).flatten(0, 1).numpy(), z.movedim(2, 1).flatten(0, 1).numpy(), strict=True):
        cells = cells[source.argsort()]
        values, rising = np.unique(cells), (np.diff(cells) >= 0).all()
        if len(values) > inputs.LEVELS:
            assert rising and len(values) > 190
            kinds["number"] += 1
            continue
        assert set(values) <= set(range(inputs.LEVELS))
        assert (np.diff(cells) != 0).sum() == len(values) - 1  # each value is an interval of z
        kinds["binary" if set(values) <= {0, 1} and rising else "whole" if rising else "nominal"] += 1
    assert min(kinds.values()) > 15 and kinds["number"] > 300, kinds
    only = inputs.columns(dice(t=20, r=200), z[:20], 1.0)
    assert set(only.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("draw", [inputs.factors, lambda dice: inputs.graph(dice)[0]])
def test_inputs_are_standardised_and_correlated(draw):
    x = draw(dice(t=60, r=200)).double()
    deviation = x.square().mean(1).sqrt()
    torch.testing.assert_close(x.mean(1), torch.zeros(60, 6).double(), rtol=0, atol=1e-4)
    assert ((deviation - 1).abs() < 1e-3).double().mean() > 0.8 and deviation.max() < 1.001  # others are constant
    strong = (x.mT @ x / 200 - torch.diag_embed(deviation.square())).abs().amax((1, 2))
    assert (strong > 0.5).double().mean() > 0.2


def test_ranks_are_scipys():
    from scipy.stats import rankdata

    x = torch.randint(0, 5, (2, 9, 3), generator=torch.Generator().manual_seed(0)).float()
    expected = (rankdata(x.numpy(), axis=1) - 0.5) / 9
    np.testing.assert_allclose(ranks(x), expected, atol=1e-6)


# --- tables -----------------------------------------------------------------------------------------------------------


SMALL = dict(rows=(8, 16), columns=(2, 5), queries=6)


@pytest.mark.parametrize(("numeric", "centres"), [(False, 0.12), (True, 0.0)])
def test_each_kind_of_table_has_its_share(monkeypatch, numeric, centres):
    counts = dict.fromkeys(["graph", "centres", *RULES], 0)

    def counted(kind, some):
        counts[kind] += some.t
        return torch.zeros(some.t, 1, 1), torch.zeros(some.t, 1)

    monkeypatch.setattr(tables, "_from_graph", lambda some, numeric: counted("graph", some))
    monkeypatch.setattr(tables, "_from_centres", lambda some, numeric: counted("centres", some))
    monkeypatch.setattr(tables, "_from_rule", lambda rule, some, numeric: counted(rule, some))
    t = 40000
    tables._tables(dice(t=t, r=1, d=1), numeric)
    weights = np.array([RULES[rule][0] for rule in RULES])
    shares = np.array([0.25, centres, *(0.75 - centres) * weights / weights.sum()])
    found = np.array(list(counts.values())) / t
    np.testing.assert_allclose(found, shares, atol=4 * (0.25 * 0.75 / t) ** 0.5)
    assert ((found > 0) == (shares > 0)).all()


@pytest.mark.parametrize("options", [{}, {"ways": (2, 4)}, {"numeric": 1.0}])
def test_a_batch_is_a_function_of_its_index_count_and_seed(options):
    tasks = Tables(**SMALL, **options)

    def tensors(*args):
        torch.manual_seed(np.random.randint(10**6))  # the global state does not matter
        episode = tasks.batch(*args)
        return [*episode.support, *episode.query, episode.noise]

    one = tensors(5, 4, 1)
    assert all(torch.equal(a.nan_to_num(99), b.nan_to_num(99)) for a, b in zip(one, tensors(5, 4, 1), strict=True))
    for other in ((6, 4, 1), (5, 4, 2)):
        again = tensors(*other)
        assert again[0].shape != one[0].shape or not torch.equal(again[0].nan_to_num(99), one[0].nan_to_num(99))
    noise = one[-1]
    assert noise.shape == (4, 6, one[0].shape[-1] + 1) and noise.min() >= 0 and noise.max() < 1


def test_shapes_stay_in_their_ranges():
    tasks = Tables(rows=(8, 16), columns=(2, 5), ways=(2, 4), queries=6, cells=600)
    batches = [tasks.batch(i, 10) for i in range(50)]
    n, d, k = zip(*[(*b.support.x.shape[1:], int(b.support.y.max()) + 1) for b in batches], strict=True)
    assert (min(n), max(n)) == (8, 16) and (min(d), max(d)) == (2, 5) and (min(k), max(k)) == (2, 4)
    for b, rows_, columns in zip(batches, n, d, strict=True):
        cells = (rows_ + 3 * 6) * (columns + 1)
        assert len(b.support.x) == max(1, min(10, 600 // cells))


def test_queries_of_classes_that_nobody_teaches_weigh_nothing():
    tasks, unseen = Tables(rows=(8, 10), columns=(2, 5), ways=(4, 4), queries=6), 0
    for index in range(10):
        support, query = tasks.batch(index, 20)[:2]
        assert support.y.min() >= 0 and query.y.min() >= 0 and query.y.max() < 4
        assert (support.y.amax(1) == 3).all()  # so that the labels say how many classes there are
        torch.testing.assert_close(support.w.sum(1), torch.ones(20))
        for taught, y, w in zip(support.y, query.y, query.w, strict=True):
            seen = np.isin(y, taught)
            unseen += int((~seen).sum())
            np.testing.assert_allclose(w, seen / 6, rtol=1e-6)
    assert unseen > 20


def test_numbers_are_columns_of_numbers_in_a_share_of_the_batches():
    numeric = 0
    for index in range(100):
        support, query, _, _ = Tables(**SMALL, numeric=0.3).batch(index, 1)
        if support.y.is_floating_point():
            numeric += 1
            assert support.y.shape == (1, support.x.shape[1], 1) and query.y.shape == (1, 6, 1)
            assert support.y.isfinite().all() and query.y.isfinite().all() and (query.w == 1 / 6).all()
    assert 12 <= numeric <= 48  # 30 expected, 4.6 the deviation


def test_missing_cells_are_few_and_in_few_tables():
    x = torch.cat([Tables((200, 200), (6, 6)).batch(i, 30).support.x for i in range(8)])
    assert not x.isinf().any()
    share = x.isnan().float().mean((1, 2))
    assert share.max() < 0.3 + 4 * (0.21 / 1200) ** 0.5  # a probability below 0.3, of 1200 cells
    assert share.max() > 0.15 and 0.12 < (share > 0).float().mean() < 0.4  # a quarter of 240 tables
