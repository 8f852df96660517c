"""Bernoulli bandits: bounds of unknown success rates, the best arms, and whether an arm's rate is above a mark.

    upper(p̂, n, β) = max{q : n·kl(p̂, q) ≤ β},   kl(p, q) = p·ln(p/q) + (1 − p)·ln((1 − p)/(1 − q))

p̂ is an arm's fraction of successes in n draws. `lower` is the mirror image of `upper` (Kaufmann & Kalyanakrishnan
2013): each fails with probability at most e^−β after a fixed number of draws (Chernoff). `best` is their algorithm
KL-LUCB for the m best arms, with the exploration rate of their proof. Here it draws a batch at a time, and stops at a
budget. `certify` checks one arm each time its draws have doubled. The i-th check, counted from 0, may fail with the
fraction 1/((i+1)(i+2)) of the allowed probability, so that the bounds hold whenever it stops.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Pull = Callable[[np.ndarray, int], np.ndarray]  # arms [a], draws of each ↦ successes [a]
_K1, _ALPHA = 405.5, 1.1  # any α > 1 and k₁ > 2e + 1 + e/(α − 1) + (e + 1)/(α − 1)² will do
_HALVINGS, _TINY = 40, 1e-300


class Tally(NamedTuple):
    """The numbers of successes and of draws of each arm."""

    successes: Int[np.ndarray, " a"]
    draws: Int[np.ndarray, " a"]

    @property
    def means(self) -> Float[np.ndarray, " a"]:
        """The fraction of successes of each arm."""
        return self.successes / self.draws


class Certificate(NamedTuple):
    """The fraction of successes in fresh draws of an arm, with confidence bounds of its true rate."""

    mean: float
    lower: float
    upper: float
    draws: int


def upper(mean: Float[np.ndarray, "..."], draws: Int[np.ndarray, "..."], beta: float) -> Float[np.ndarray, "..."]:
    """Return the upper confidence bounds of arms with these fractions of successes (`mean`) in `draws` draws.

    Each bound fails with probability at most `exp(−beta)`.

    >>> upper(np.array([0.0]), np.array([100]), np.log(20)).round(4)
    array([0.0295])
    """
    return _edge(mean, np.ones_like(mean), draws, beta)


def lower(mean: Float[np.ndarray, "..."], draws: Int[np.ndarray, "..."], beta: float) -> Float[np.ndarray, "..."]:
    """Return the lower confidence bounds of arms with these fractions of successes (`mean`) in `draws` draws.

    Each bound fails with probability at most `exp(−beta)`.
    """
    return _edge(mean, np.zeros_like(mean), draws, beta)


def best(
    pull: Pull, arms: int, m: int, epsilon: float, delta: float, batch: int, budget: int
) -> tuple[Int[np.ndarray, " m"], Tally]:
    """Return the `m` arms of highest success rate, and the successes and draws of all arms.

    With probability 1 − `delta`, no other arm is better than a returned one by more than `epsilon`. This guarantee is
    lost if `budget` draws beyond the first `batch` of each arm are spent before.

    Args:
        pull: a function (arm numbers, number of draws of each) ↦ the number of successes of each.
        arms: the number of arms.
        m: the number of arms to return.
        epsilon: the difference in success rate that does not matter.
        delta: the allowed probability of a wrong choice.
        batch: the number of draws of an arm at a time.
        budget: the largest number of draws beyond the first batches.
    """
    everyone = np.arange(arms)
    tally = Tally(pull(everyone, batch), np.full(arms, batch))
    for t in range(1, budget // (2 * batch) + 1):
        top = _top(tally, m)
        critical = _critical(tally, top, rate(t, arms, delta), epsilon)
        if not len(critical):
            break
        wins, draws = np.zeros((2, arms), np.int64)
        wins[critical], draws[critical] = pull(critical, batch), batch
        tally = Tally(tally.successes + wins, tally.draws + draws)
    return _top(tally, m), tally


def certify(pull: Callable[[int], int], mark: float, delta: float, batch: int, budget: int) -> Certificate:
    """Draw from one arm until its confidence bounds lie on one side of `mark`, or until `budget` draws are spent.

    Both bounds hold with probability 1 − `delta`, whenever the draws stop. `pull` returns the successes in a number of
    draws, and `batch` is the first number.
    """
    wins, n, look = 0, 0, 0
    while True:
        more = min(max(n, batch), budget - n)
        wins, n = wins + pull(more), n + more
        beta = float(np.log(2 * (look + 1) * (look + 2) / delta))
        mean, draws = np.array(wins / n), np.array(n)
        certificate = Certificate(wins / n, float(lower(mean, draws, beta)), float(upper(mean, draws, beta)), n)
        if certificate.lower >= mark or certificate.upper < mark or n >= budget:
            return certificate
        look += 1


def rate(t: int, arms: int, delta: float) -> float:
    """Return KL-LUCB's exploration rate β(t, δ) = ln(k₁·K·t^α/δ) + ln ln(k₁·K·t^α/δ) for K arms at step t."""
    x = float(np.log(_K1 * arms * t**_ALPHA / delta))
    return x + float(np.log(x))


def _edge(mean: np.ndarray, far: np.ndarray, draws: np.ndarray, beta: float) -> np.ndarray:
    """Bisect between the mean and `far`, and return the end nearer to `far`, so that the bound errs outwards."""
    near, heads, tails = mean, draws * mean, draws * (1 - mean)
    level = heads * np.log(np.maximum(mean, _TINY)) + tails * np.log(np.maximum(1 - mean, _TINY)) - beta
    for _ in range(_HALVINGS):  # kl in terms that stay finite; this loop is where the bandit spends its time
        q = (near + far) / 2
        inside = heads * np.log(np.maximum(q, _TINY)) + tails * np.log(np.maximum(1 - q, _TINY)) >= level
        near, far = np.where(inside, q, near), np.where(inside, far, q)
    return far


def _top(tally: Tally, m: int) -> Int[np.ndarray, " m"]:
    return np.argsort(-tally.means, kind="stable")[:m]  # ties: the first, so that the caller's order decides


def _critical(tally: Tally, top: np.ndarray, beta: float, epsilon: float) -> Int[np.ndarray, " c"]:
    """Return the two arms that leave the choice open: the weakest of the top arms, and the strongest rival.

    Returns none if the choice is settled up to `epsilon`.
    """
    others = np.setdiff1d(np.argsort(-tally.means, kind="stable"), top, assume_unique=True)  # the best first
    if not len(others):
        return others
    _, first = np.unique(tally.draws[others], return_index=True)
    rivals = others[first]  # of arms drawn as often, the one with the best mean has the highest bound
    low = lower(tally.means[top], tally.draws[top], beta)
    high = upper(tally.means[rivals], tally.draws[rivals], beta)
    settled = high.max() - low.min() < epsilon
    return np.empty(0, np.int64) if settled else np.array([top[low.argmin()], rivals[high.argmax()]])
