"""Bounds, the choice of the best arms, and certificates: against a root search, by counting failures, by mutants."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq

from mapsto.explainers.rules import bandit
from mapsto.explainers.rules.bandit import Certificate, Tally

CASES = [(0, 10), (3, 10), (64, 64), (950, 1000), (1, 5000)]


def divergence(p: float, q: float) -> float:
    """Kullback–Leibler, term by term, as the textbook has it."""
    total = 0.0
    if p > 0:
        total += p * np.log(p / q)
    if p < 1:
        total += (1 - p) * np.log((1 - p) / (1 - q))
    return total


@pytest.mark.parametrize("beta", [0.5, 3.0, 20.0])
@pytest.mark.parametrize(("successes", "draws"), CASES)
def test_bounds_are_the_roots(successes: int, draws: int, beta: float) -> None:
    p, n, tiny = successes / draws, np.array([draws]), 1e-15
    low, high = bandit.lower(np.array([p]), n, beta)[0], bandit.upper(np.array([p]), n, beta)[0]

    def off(q: float) -> float:
        return draws * divergence(p, q) - beta

    expected_low = 0.0 if successes == 0 else brentq(off, tiny, p - tiny if p == 1 else p, xtol=1e-14)
    expected_high = 1.0 if successes == draws else brentq(off, p if p else tiny, 1 - 1e-12, xtol=1e-14)
    assert low == pytest.approx(expected_low, abs=1e-9)
    assert high == pytest.approx(expected_high, abs=1e-9)
    assert low <= p <= high and high - low > 1e-5


def test_bounds_hold_as_often_as_they_say() -> None:
    rng, beta = np.random.default_rng(0), np.log(1 / 0.05)
    for p in (0.5, 0.95):
        means = rng.binomial(200, p, size=20_000) / 200
        above = (bandit.lower(means, np.full(20_000, 200), beta) > p).mean()
        below = (bandit.upper(means, np.full(20_000, 200), beta) < p).mean()
        assert 0.001 < above <= 0.05 and 0.001 < below <= 0.05  # not vacuous, and within the promise


def arms(means: list[float], seed: int) -> bandit.Pull:
    rng = np.random.default_rng(seed)
    return lambda which, draws: rng.binomial(draws, np.array(means)[which])


MEANS = [0.5, 0.9, 0.55, 0.6, 0.85, 0.5, 0.6, 0.65]  # the best two: 1 and 4
Best = Callable[..., tuple[np.ndarray, Tally]]


def mistakes(best: Best) -> float:
    found = [set(best(arms(MEANS, seed), 8, 2, 0.1, 0.05, 50, 100_000)[0].tolist()) for seed in range(20)]
    return float(np.mean([pair != {1, 4} for pair in found]))


def stops_at_once(pull: bandit.Pull, count: int, m: int, *_: float) -> tuple[np.ndarray, Tally]:
    tally = Tally(pull(np.arange(count), 10), np.full(count, 10))
    return np.argsort(-tally.means)[:m], tally


def test_the_best_arms_are_found() -> None:
    assert mistakes(bandit.best) <= 0.05


def test_a_bandit_that_stops_at_once_is_found_out() -> None:
    with pytest.raises(AssertionError):
        assert mistakes(stops_at_once) <= 0.05


def draws_where_they_count(best: Best) -> None:
    """The second best arm decides: over ten seeds it is drawn 5 to 7 times as often as the worst; evenly would be 1."""
    draws = sum(best(arms(MEANS, seed), 8, 2, 0.1, 0.05, 10, 100_000)[1].draws for seed in range(10))
    assert draws[4] > 3 * draws[[0, 5]].max()


def test_draws_go_to_the_arms_that_are_hard_to_tell_apart() -> None:
    draws_where_they_count(bandit.best)
    with pytest.raises(AssertionError):
        draws_where_they_count(stops_at_once)


def test_the_budget_ends_a_choice_between_equals() -> None:
    calls: list[int] = []

    def pull(which: np.ndarray, draws: int) -> np.ndarray:
        calls.append(len(which) * draws)
        return np.full(len(which), draws // 2)

    top, _ = bandit.best(pull, 5, 2, 0.001, 0.05, 10, 200)
    assert top.tolist() == [0, 1]  # ties: the caller's order
    assert sum(calls) == 5 * 10 + 200


def test_all_arms_are_the_best_of_as_many() -> None:
    top, tally = bandit.best(arms([0.2, 0.8], 0), 2, 2, 0.1, 0.05, 10, 1000)
    assert set(top.tolist()) == {0, 1} and tally.draws.tolist() == [10, 10]


def test_the_arms_share_the_risk_of_exploration() -> None:
    assert bandit.rate(3, 8, 0.1) == pytest.approx(bandit.rate(3, 1, 0.1 / 8), rel=1e-12)
    rates = [bandit.rate(t, 8, 0.1) for t in (1, 2, 100)]
    assert rates[0] < rates[1] < rates[2]
    slope, e = bandit._ALPHA - 1, np.e  # what Kaufmann & Kalyanakrishnan's Theorem 1 asks of its constants
    assert slope > 0 and 2 * e + 1 + e / slope + (e + 1) / slope**2 < bandit._K1


Certify = Callable[..., Certificate]


def false_claims(certify: Certify, mean: float, mark: float) -> float:
    """How often an arm below the mark is called above it."""

    def claim(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        return certify(lambda n: int(rng.binomial(n, mean)), mark, 0.05, 16, 1000).lower >= mark

    return float(np.mean([claim(seed) for seed in range(100)]))


def without_bounds(pull: Callable[[int], int], mark: float, delta: float, batch: int, budget: int) -> Certificate:
    mean = pull(batch) / batch
    return Certificate(mean, mean, mean, batch)


def looks_too_often(pull: Callable[[int], int], mark: float, delta: float, batch: int, budget: int) -> Certificate:
    """A bound for one fixed number of draws, looked at after every draw."""
    wins, n = 0, 0
    while True:
        wins, n = wins + pull(1), n + 1
        above = wins / n > mark and n * divergence(wins / n, mark) >= np.log(1 / delta)
        if above or n >= budget:
            return Certificate(wins / n, mark if above else 0.0, 1.0, n)


def test_few_arms_below_the_mark_are_certified() -> None:
    assert false_claims(bandit.certify, 0.89, 0.9) <= 0.05


@pytest.mark.parametrize("mutant", [without_bounds, looks_too_often])
def test_certificates_without_confidence_are_found_out(mutant: Certify) -> None:
    mean = 0.9 - 1e-9 if mutant is looks_too_often else 0.89
    with pytest.raises(AssertionError):
        assert false_claims(mutant, mean, 0.9) <= 0.05


def test_arms_above_the_mark_are_certified_and_bounds_hold() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = bandit.certify(lambda n, rng=rng: int(rng.binomial(n, 0.97)), 0.9, 0.01, 64, 5000)
        assert found.lower >= 0.9 and found.lower <= 0.97 <= found.upper and found.draws <= 1024


def test_each_look_spends_its_share_of_the_risk() -> None:
    """Look i of a certificate, after 16·2^i draws, may be wrong with δ/((i + 1)(i + 2)), shared by its two bounds."""
    for look, budget in enumerate((16, 32, 64, 128)):
        found = bandit.certify(lambda n: n - n // 4, 0.75, 0.05, 16, budget)  # at the mark, so every look is taken
        for end in (found.lower, found.upper):
            risk = 2 * np.exp(-budget * divergence(0.75, end))
            assert risk == pytest.approx(0.05 / ((look + 1) * (look + 2)), rel=1e-6)
        assert found.lower < 0.75 < found.upper and found.draws == budget


def test_the_budget_ends_a_test_at_the_mark() -> None:
    found = bandit.certify(lambda n: n - n // 10, 0.9, 0.05, 64, 1000)
    assert found.draws == 1000 and found.lower < 0.9 <= found.upper
