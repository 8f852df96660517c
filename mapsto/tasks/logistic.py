"""Two-class tasks whose log-odds are a straight line (plane), as logistic regression assumes, or a parabola.

    P(y = 1 | x) = σ(x·a + h(x)·c + b),  h_j(x) = (x_j² − 1)/√2,  x ~ N(0, I)
    a ~ N(centre, slope² I),  b ~ N(0, intercept²),  c ~ N(0, curvature² I)

`curvature` is 0 by default. Like x, h(x) has mean 0 and variance 1; the two are uncorrelated. All tasks share `centre`,
which a meta-learner can learn. The method `bayes` returns the best possible log loss, which takes knowledge of a, b and
c (Bishop 2006, "Pattern Recognition and Machine Learning", §4.3.2).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import checks
from ..episodes import Episode
from .sampling import Shots, bounds, episode, weights
from .source import Tasks


class Logistic(Tasks):
    """Two-class tasks with P(y = 1) = σ(a·x + b), x `[n, features]` and y `[n]`; each task has its own a and b.

    If `curvature` is above 0, the log-odds are curved: Σ_j c_j·(x_j² − 1)/√2 is added to them, where the entries of c
    have mean 0 and standard deviation `curvature`.

    Each task has `shots` support points and `queries` query points. If `shots` is a pair (low, high), each task has a
    random number of shots; the remaining support rows, up to `high`, are padding with weight 0. The entries of the
    vector a have mean `centre` and standard deviation `slope`. The number b has mean 0 and standard deviation
    `intercept`.

    Raises:
        MapstoError: if a size is below 1, or `curvature` is below 0.

    >>> Logistic(features=3, shots=5).batch(0, count=2).support.y.shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        features: int = 2,
        shots: Shots = 10,
        queries: int = 10,
        centre: float = 1.0,
        slope: float = 1.0,
        intercept: float = 0.5,
        curvature: float = 0.0,
    ):
        checks.count(features=features, queries=queries)
        checks.at_least(0, curvature=curvature)
        self.features, self.shots, self.queries = features, bounds("shots", shots), queries
        self.centre, self.slope, self.intercept, self.curvature = centre, slope, intercept, curvature

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks; see `Tasks.draw`."""
        x, log_odds = self._log_odds(generator, count)
        y = (torch.rand(log_odds.shape, generator=generator) < log_odds.sigmoid()).long()  # [T, n]
        return episode(x, y, weights(generator, count, self.shots))

    def bayes(self, index: int, count: int, seed: int = 0) -> float:
        """Return the best possible expected log loss on the query sets of `batch(index, count, seed)`, in nats.

        It is the expected log loss of the true probabilities, averaged over all query rows.
        """
        _, log_odds = self._log_odds(self.generator(index, count, seed), count)
        p = log_odds[:, -self.queries :].sigmoid()
        return float(F.binary_cross_entropy(p, p))

    def _log_odds(self, generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        a = self.centre + self.slope * torch.randn(count, self.features, generator=generator)
        b = self.intercept * torch.randn(count, 1, generator=generator)
        x = torch.randn(count, self.shots[1] + self.queries, self.features, generator=generator)  # [T, n, d]
        log_odds = torch.einsum("tnd,td->tn", x, a) + b
        if self.curvature:
            c = self.curvature * torch.randn(count, self.features, generator=generator)
            log_odds = log_odds + torch.einsum("tnd,td->tn", (x.square() - 1) / math.sqrt(2), c)
        return x, log_odds
