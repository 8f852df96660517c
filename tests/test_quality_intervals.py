"""95 % intervals of shares, means, areas and calibration errors hold the truth about 95 times in 100."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.metrics import roc_auc_score

from mapsto.measures.evaluation import intervals, ranking
from mapsto.measures.evaluation.calibration import calibration_interval, expected_calibration_error
from mapsto.measures.evaluation.intervals import Interval

ROWS = (30, 60, 100)


def law_of_coverage(
    draw: Callable[[], Interval], truth: float, times: int = 400, least: float = 0.92, most: float = 0.98
) -> None:
    """Assert that intervals hold the truth in 92 to 98 of 100 samples; a little more is said of what is discrete."""
    sample = [draw() for _ in range(times)]
    covered = np.mean([one.low - 1e-9 <= truth <= one.high + 1e-9 for one in sample])
    assert least - 0.012 < covered < most + 0.012, covered


# shares


@pytest.mark.parametrize(("events", "rows"), [(0, 12), (12, 12), (3, 7), (26, 27), (1, 1)])
def test_the_interval_of_a_share_is_exact(events: int, rows: int) -> None:
    found = intervals.share(np.arange(rows) < events)
    expected = stats.binomtest(events, rows).proportion_ci(0.95, "exact")
    assert found is not None and found == pytest.approx((events / rows, expected.low, expected.high))


def test_no_row_has_no_share() -> None:
    assert intervals.share(np.zeros(0, bool)) is None


def test_repeated_rows_of_a_group_count_once() -> None:
    events = np.arange(20) < 14
    alone, naive = intervals.share(events), intervals.share(np.repeat(events, 5))
    grouped = intervals.share(np.repeat(events, 5), np.repeat(np.arange(20), 5))
    assert alone and naive and grouped and grouped.value == alone.value
    widths = [one.high - one.low for one in (naive, alone, grouped)]
    assert widths[0] < 0.6 * widths[1] and widths[1] < widths[2] < 1.1 * widths[1]
    perfect = intervals.share(np.ones(100, bool), np.repeat(np.arange(20), 5))
    assert perfect == pytest.approx(intervals.share(np.ones(20, bool)))


def test_rows_of_groups_that_have_nothing_in_common_are_independent() -> None:
    rng = np.random.default_rng(1)
    found = [intervals.independent(rng.normal(size=400), np.repeat(np.arange(200), 2)) for _ in range(50)]
    assert 0.9 < np.mean(found) <= 1


# means


def test_the_interval_of_a_symmetric_sample_is_student_s() -> None:
    values = np.array([-3.0, -1.0, 0.0, 1.0, 3.0]) + 7
    expected = stats.t.interval(0.95, 4, 7, stats.sem(values))
    assert intervals.mean(values) == pytest.approx((7, *expected))


def test_the_interval_of_a_mean_solves_hall_s_equation() -> None:
    values = np.array([0.1, 0.2, 0.1, 0.4, 0.1, 2.0, 0.3])
    n, s, k = len(values), values.std(ddof=1), ((values - values.mean()) ** 3).mean() / values.std(ddof=1) ** 3

    def excess(true: float, quantile: float) -> float:
        t = (values.mean() - true) / s
        return n**0.5 * (t + k * t**2 / 3 + k**2 * t**3 / 27 + k / (6 * n)) - stats.t.ppf(quantile, n - 1)

    low, high = (optimize.brentq(excess, -50, 50, args=(q,)) for q in (0.975, 0.025))
    assert intervals.mean(values) == pytest.approx((values.mean(), low, high))
    assert high - values.mean() > 1.5 * (values.mean() - low)  # a mean of rare large losses is rather too low


def test_a_mean_over_groups_counts_repeated_rows_once_and_one_value_knows_nothing() -> None:
    values = np.random.default_rng(0).exponential(size=12)
    groups = np.repeat(np.arange(12), 3)
    assert intervals.mean(np.repeat(values, 3), groups) == pytest.approx(intervals.mean(values))
    assert intervals.mean(np.repeat(values, 3)).high < intervals.mean(values).high
    assert intervals.mean(values[:1]) == (values[0], -np.inf, np.inf)
    assert intervals.mean(np.repeat(values, 3)[:3], groups[:3]).high == np.inf


def losses(rng: np.random.Generator, rows: int, confident: float) -> np.ndarray:
    """Return the log losses of a logistic model whose log odds are `confident` times too large."""
    y = rng.random(rows) < 0.4
    odds = confident * (np.log(0.4 / 0.6) + 1.5 * rng.normal(size=rows) + 1.5**2 * (y - 0.5))
    return np.logaddexp(0, np.where(y, -odds, odds))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("confident", [1, 1.6])
def test_the_interval_of_a_log_loss_holds_it(rows: int, confident: float) -> None:
    rng = np.random.default_rng(rows)
    truth = losses(rng, 200_000, confident).mean()
    law_of_coverage(lambda: intervals.mean(losses(rng, rows, confident)), truth)


def test_the_law_of_coverage_finds_student_s_interval_of_a_skewed_loss() -> None:
    rng = np.random.default_rng(0)

    def student() -> Interval:
        values = losses(rng, 30, 1.6)
        return Interval(values.mean(), *stats.t.interval(0.95, 29, values.mean(), stats.sem(values)))

    with pytest.raises(AssertionError):
        law_of_coverage(student, losses(rng, 200_000, 1.6).mean())


# areas


def scores(rng: np.random.Generator, rows: int, apart: float, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of two classes whose scores are normal and `apart`, with an exact share of positives."""
    y = rng.permutation(rows) < round(share * rows)
    q = stats.norm.cdf(rng.normal(size=rows) + apart * y)
    return np.stack([1 - q, q], 1), y.astype(int)


def area(p: np.ndarray, y: np.ndarray, **more: np.ndarray) -> Interval:
    ranks = ranking.ranking(p, y, **more)
    assert ranks is not None
    return ranking.interval(ranks)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("apart", [0.0, 1.0, 2.0])
def test_the_interval_of_an_area_holds_it(rows: int, apart: float) -> None:
    rng = np.random.default_rng(rows)
    law_of_coverage(lambda: area(*scores(rng, rows, apart)), stats.norm.cdf(apart / 2**0.5))


def test_three_positives_of_80_are_enough_for_an_honest_interval() -> None:
    rng = np.random.default_rng(3)
    law_of_coverage(lambda: area(*scores(rng, 80, 1.0, 3 / 80)), stats.norm.cdf(1 / 2**0.5))


def test_a_perfect_ranking_of_twelve_rows_is_not_certain() -> None:
    y = np.arange(12) // 6
    found = area(np.stack([1 - y, y], 1) * 0.8 + 0.1, y)
    assert found.value == found.high == 1 and 0.65 < found.low < 0.8
    many = np.arange(1200) // 600
    assert area(np.stack([1 - many, many], 1) * 1.0, many).low > 0.99


def test_the_interval_of_an_area_solves_newcombe_s_equation() -> None:
    p, y = scores(np.random.default_rng(3), 40, 1.2)
    m, n = y.sum(), (1 - y).sum()
    value, half = roc_auc_score(y, p[:, 1]), (m + n) / 2 - 1

    def excess(a: float) -> float:
        variance = a * (1 - a) * (1 + half * ((1 - a) / (2 - a) + a / (1 + a))) / (m * n)
        return (value - a) ** 2 - stats.norm.ppf(0.975) ** 2 * variance

    low, high = optimize.brentq(excess, 1e-6, value), optimize.brentq(excess, value, 1 - 1e-6)
    assert area(p, y) == pytest.approx((value, low, high), abs=3e-4)


def test_an_area_is_that_of_scikit_learn_and_its_deviations_those_of_delong() -> None:
    p, y = scores(np.random.default_rng(0), 50, 1.0)
    p = np.round(p, 1)  # ties
    found = ranking.ranking(p, y)
    assert found is not None and found.auc == pytest.approx(roc_auc_score(y, p[:, 1]))
    ours, others = p[y == 1, 1], p[y == 0, 1]
    wins = (ours[:, None] > others) + 0.5 * (ours[:, None] == others)
    expected = np.zeros(50)
    expected[y == 1] = (wins.mean(1) - found.auc) / len(ours)
    expected[y == 0] = (wins.mean(0) - found.auc) / len(others)
    np.testing.assert_allclose(found.deviations, expected, atol=1e-12)


def test_only_rows_of_one_stratum_are_compared() -> None:
    q, y = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 1, 0, 1])  # right within each half, wrong between them
    p, halves = np.stack([1 - q, q], 1), np.array([0, 0, 1, 1])
    assert area(p, y).value == 0.75 and area(p, y, strata=halves).value == 1
    assert ranking.ranking(p, np.array([0, 0, 1, 1]), halves) is None
    shifted = stats.norm.cdf(stats.norm.ppf(p) + np.array([[1, -1]]) * 3 * halves[:, None])
    assert area(shifted, y, strata=halves).value == 1


@pytest.mark.parametrize("rows", ROWS)
def test_the_interval_of_three_classes_holds_their_mean_area(rows: int) -> None:
    rng = np.random.default_rng(rows)

    def draw(rows: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(0, 3, rows)
        e = np.exp(rng.normal(size=(rows, 3)) + 1.2 * np.eye(3)[y])
        return e / e.sum(1, keepdims=True), y

    law_of_coverage(lambda: area(*draw(rows)), area(*draw(200_000)).value)


@pytest.mark.parametrize("rows", ROWS)
def test_the_interval_of_a_difference_of_areas_holds_it(rows: int) -> None:
    rng = np.random.default_rng(rows)

    def draw() -> Interval:
        y = rng.permutation(rows) < 0.4 * rows
        both = 0.8**0.5 * rng.normal(size=rows)  # what both models see
        q = [stats.norm.cdf(both + 0.2**0.5 * rng.normal(size=rows) + apart * y) for apart in (1.5, 0.8)]
        first, second = (ranking.ranking(np.stack([1 - one, one], 1), y.astype(int)) for one in q)
        assert first is not None and second is not None
        return ranking.difference(first, second)

    law_of_coverage(draw, stats.norm.cdf(1.5 / 2**0.5) - stats.norm.cdf(0.8 / 2**0.5))


def test_a_difference_of_areas_is_paired_and_antisymmetric() -> None:
    p, y = scores(np.random.default_rng(0), 60, 1.0)
    noisy = np.clip(p[:, 1] + 0.05 * np.random.default_rng(1).normal(size=60), 0, 1)
    one, other = ranking.ranking(p, y), ranking.ranking(np.stack([1 - noisy, noisy], 1), y)
    assert one is not None and other is not None
    there, back = ranking.difference(one, other), ranking.difference(other, one)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    alone = ranking.interval(one)
    assert there.high - there.low < 0.6 * (alone.high - alone.low)  # nearly the same predictions
    same = ranking.difference(one, one)
    assert same.value == 0 and same.high - same.low < 0.3 * (alone.high - alone.low)


def test_a_perfect_area_is_not_certainly_better_than_a_perfect_one() -> None:
    y = np.arange(12) // 6
    first, second = (ranking.ranking(np.stack([1 - y, y], 1) * scale, y) for scale in (1.0, 0.9))
    assert first is not None and second is not None
    found = ranking.difference(first, second)
    assert found.value == 0 and found.low < -0.2 and found.high > 0.2


def test_what_ranks_nothing_has_an_area_of_one_half_for_sure() -> None:
    assert area(np.full((30, 2), 0.5), np.arange(30) % 2) == (0.5, 0.5, 0.5)


def test_rows_of_a_group_widen_the_interval_of_an_area() -> None:
    p, y = scores(np.random.default_rng(0), 40, 1.0)
    once, thrice = ranking.ranking(p, y), ranking.ranking(np.repeat(p, 3, 0), np.repeat(y, 3))
    assert once is not None and thrice is not None
    groups = np.repeat(np.arange(40), 3)
    widths = [one.high - one.low for one in (
        ranking.interval(thrice), ranking.interval(once), ranking.interval(thrice, groups)
    )]  # fmt: skip
    assert widths[0] < 0.7 * widths[1] and 0.95 < widths[2] / widths[1] < 1.1


# groups of different sizes


def visits(rng: np.random.Generator, patients: int, alike: float) -> tuple[np.ndarray, np.ndarray]:
    """Return normal numbers and the patient of each: visits of one patient correlate by `alike`, six on average."""
    groups = np.repeat(np.arange(patients), rng.geometric(1 / 6, patients))
    shared = rng.normal(size=patients)[groups]
    return alike**0.5 * shared + (1 - alike) ** 0.5 * rng.normal(size=len(groups)), groups


@pytest.mark.parametrize("patients", [8, 25])
@pytest.mark.parametrize("alike", [0.0, 0.95])
def test_intervals_of_patients_with_few_and_many_visits_hold_the_truth(patients: int, alike: float) -> None:
    rng = np.random.default_rng(patients)

    def share_below_one() -> Interval:
        x, groups = visits(rng, patients, alike)
        return intervals.share(x < 1, groups) or Interval(0, 0, 0)

    def area_of_patients() -> Interval:
        x, groups = visits(rng, patients, alike)
        y = rng.permutation(np.arange(patients) % 2)[groups]
        q = stats.norm.cdf(x + y)
        ranks = ranking.ranking(np.stack([1 - q, q], 1), y)
        assert ranks is not None
        return ranking.interval(ranks, groups)

    for draw, truth in (
        (share_below_one, stats.norm.cdf(1)),
        (lambda: intervals.mean(*visits(rng, patients, alike)), 0),
        (area_of_patients, stats.norm.cdf(1 / 2**0.5)),
    ):
        law_of_coverage(draw, truth, least=0.91, most=1)


def test_groups_of_one_row_are_rows() -> None:
    values = np.random.default_rng(0).exponential(size=20)
    alone = np.arange(20)
    assert intervals.mean(values, alone) == pytest.approx(intervals.mean(values))
    assert intervals.independent(values - values.mean(), alone) == pytest.approx(1)


def test_a_group_moves_a_mean_as_far_as_leaving_it_out_does() -> None:
    values, groups = np.array([1.0, 2.0, 4.0, 8.0, 9.0, 3.0]), np.array([0, 0, 0, 1, 1, 2])
    without = np.array([values[groups != g].mean() for g in range(3)])
    variance = 2 / 3 * ((without - without.mean()) ** 2).sum()  # the jackknife's
    found = intervals.left_out(values - values.mean(), groups)
    assert found.var(ddof=1) / 3 == pytest.approx(variance)


def test_a_patient_moves_an_area_as_far_as_leaving_that_patient_out_does() -> None:
    p, y = scores(np.random.default_rng(0), 12, 1.0, 0.5)
    p, y = p[np.argsort(y)], np.sort(y)
    groups = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 3, 4, 5])  # every patient is of one class
    ranks = ranking.ranking(p, y)
    assert ranks is not None
    without = np.array([roc_auc_score(y[groups != g], p[groups != g, 1]) for g in range(6)])
    found = intervals.left_out(ranks.deviations * 12, groups, y)
    np.testing.assert_allclose(found, 5 * (ranks.auc - without), atol=1e-12)


def test_a_class_of_one_patient_says_little_of_other_patients() -> None:
    p, y = scores(np.random.default_rng(0), 60, 2.0, 0.5)
    groups = np.where(y == 1, 60, np.arange(60))  # all 30 positive rows are of one patient
    ranks = ranking.ranking(p, y)
    assert ranks is not None
    rows = intervals.independent(ranks.deviations * 60, groups, y) * 60
    assert rows == pytest.approx(60**2 / (30**2 + 30))  # each group counts as one row
    assert ranking.interval(ranks, groups).low < 0.5 < ranking.interval(ranks).low


def test_two_groups_of_very_different_sizes_give_wide_intervals_that_can_be_written() -> None:
    values, groups = np.random.default_rng(0).normal(size=101), np.arange(101) // 100
    found, share = intervals.mean(values, groups), intervals.share(values > 0, groups)
    assert share is not None and 0 <= share.low < 0.1 and 0.9 < share.high <= 1
    assert 1 < found.high - found.low < 1000


# calibration


@pytest.mark.parametrize("rows", [30, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.parametrize("confident", [1.0, 1.5])
def test_the_interval_of_a_calibration_error_holds_it(rows: int, confident: float) -> None:
    rng = np.random.default_rng(rows)

    def draw(rows: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.random(rows) < 0.5
        q = 1 / (1 + np.exp(-confident * (1.2 * rng.normal(size=rows) + 1.2**2 * (y - 0.5))))
        return np.stack([1 - q, q], 1), y.astype(int)

    truth = expected_calibration_error(*draw(500_000)) if confident > 1 else 0.0
    law_of_coverage(lambda: calibration_interval(*draw(rows)), truth, 200, 0.9)


def test_a_confident_fool_is_not_calibrated() -> None:
    p, y = np.tile([0.01, 0.99], (40, 1)), np.arange(40) % 2
    found = calibration_interval(p, y)
    assert found.value == pytest.approx(0.49) and 0.3 < found.low < 0.4 and 0.58 < found.high < 0.7
    grouped = calibration_interval(np.repeat(p, 4, 0), np.repeat(y, 4), np.repeat(np.arange(40), 4))
    assert grouped.high - grouped.low == pytest.approx(found.high - found.low, rel=0.3)
