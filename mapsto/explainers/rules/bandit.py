"""Bernoulli arms whose means are known from draws only: bounds that hold, which arms are best, is one above a mark?

    upper(p̂, n, β) = max{q : n·kl(p̂, q) ≤ β},   kl(p, q) = p·ln(p/q) + (1 − p)·ln((1 − p)/(1 − q))

and `lower` its mirror image (Kaufmann & Kalyanakrishnan 2013): each fails with probability at most e^−β after a fixed
number n of draws (Chernoff). `best` is their KL-LUCB for the m best arms, with the exploration rate that they prove it
for; we draw a batch where they draw once, and stop at a budget. `certify` looks at one arm after twice as many draws
each time, the i-th look spending the share 1/((i+1)(i+2)) of the risk, so that its bounds hold whenever it stops.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Pull = Callable[[np.ndarray, int], np.ndarray]  # arms [a], draws of each ↦ how many of these succeed [a]
_K1, _ALPHA = 405.5, 1.1  # they ask for any α > 1 and k₁ > 2e + 1 + e/(α − 1) + (e + 1)/(α − 1)²
_HALVINGS, _TINY = 40, 1e-300


class Tally(NamedTuple):
    """Successes and draws of each arm."""

    successes: Int[np.ndarray, " a"]
    draws: Int[np.ndarray, " a"]

    @property
    def means(self) -> Float[np.ndarray, " a"]:
        """The share of successes."""
        return self.successes / self.draws


class Certificate(NamedTuple):
    """What is known of one arm's mean: its estimate from fresh draws, and bounds that hold with confidence."""

    mean: float
    lower: float
    upper: float
    draws: int


def upper(mean: Float[np.ndarray, "..."], draws: Int[np.ndarray, "..."], beta: float) -> Float[np.ndarray, "..."]:
    """Return the largest means that `draws` draws with this share of successes leave plausible.

    >>> upper(np.array([0.0]), np.array([100]), np.log(20)).round(4)
    array([0.0295])
    """
    return _edge(mean, np.ones_like(mean), draws, beta)


def lower(mean: Float[np.ndarray, "..."], draws: Int[np.ndarray, "..."], beta: float) -> Float[np.ndarray, "..."]:
    """Return the smallest means that `draws` draws with this share of successes leave plausible."""
    return _edge(mean, np.zeros_like(mean), draws, beta)


def best(
    pull: Pull, arms: int, m: int, epsilon: float, delta: float, batch: int, budget: int
) -> tuple[Int[np.ndarray, " m"], Tally]:
    """Return the `m` arms of the largest means, up to `epsilon`, with probability 1 − `delta`; and all arms' tallies.

    Stops early, without that promise, after `budget` draws beyond the first `batch` of each arm.
    """
    everyone = np.arange(arms)
    tally = Tally(pull(everyone, batch), np.full(arms, batch))
    for t in range(1, budget // (2 * batch) + 1):
        top = _top(tally, m)
        critical = _critical(tally, top, rate(t, arms, delta), epsilon)
        if not len(critical):
            break
        won, drawn = np.zeros((2, arms), np.int64)
        won[critical], drawn[critical] = pull(critical, batch), batch
        tally = Tally(tally.successes + won, tally.draws + drawn)
    return _top(tally, m), tally


def certify(pull: Callable[[int], int], mark: float, delta: float, batch: int, budget: int) -> Certificate:
    """Draw from one arm until its bounds lie on one side of `mark`, or `budget` draws are spent.

    The bounds hold together with probability 1 − `delta`, whatever made it stop.
    """
    wins, n, look = 0, 0, 0
    while True:
        more = min(max(n, batch), budget - n)
        wins, n = wins + pull(more), n + more
        beta = float(np.log(2 * (look + 1) * (look + 2) / delta))
        mean, draws = np.array(wins / n), np.array(n)
        found = Certificate(wins / n, float(lower(mean, draws, beta)), float(upper(mean, draws, beta)), n)
        if found.lower >= mark or found.upper < mark or n >= budget:
            return found
        look += 1


def rate(t: int, arms: int, delta: float) -> float:
    """Return the exploration rate β(t, δ) = ln(k₁·K·t^α/δ) + ln ln(k₁·K·t^α/δ)."""
    x = float(np.log(_K1 * arms * t**_ALPHA / delta))
    return x + float(np.log(x))


def _edge(mean: np.ndarray, far: np.ndarray, draws: np.ndarray, beta: float) -> np.ndarray:
    """Halve the way between the mean, which is plausible, and `far`; the end that is returned errs outwards."""
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
    """Return the two arms that keep the choice open: the weakest of the top, the most promising of the others."""
    others = np.setdiff1d(np.argsort(-tally.means, kind="stable"), top, assume_unique=True)  # the best first
    if not len(others):
        return others
    _, first = np.unique(tally.draws[others], return_index=True)
    rivals = others[first]  # of arms drawn as often, the one with the best mean has the highest bound
    low = lower(tally.means[top], tally.draws[top], beta)
    high = upper(tally.means[rivals], tally.draws[rivals], beta)
    settled = high.max() - low.min() < epsilon
    return np.empty(0, np.int64) if settled else np.array([top[low.argmin()], rivals[high.argmax()]])
