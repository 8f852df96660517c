"""Two-class tasks whose log-odds are a straight line (plane) of their own: what logistic regression is made for.

    P(y = 1 | x) = σ(x·a + b),  x ~ N(0, I),  a ~ N(centre, slope² I),  b ~ N(0, intercept²)

Tasks share `centre`, so there is something to be meta-learned; the best possible log loss, that of someone who is told
a and b, is `bayes` (Bishop 2006, "Pattern Recognition and Machine Learning", §4.3.2).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..episodes import Episode
from .sampling import Shots, bounds, episode, weights, whole
from .source import Tasks


class Logistic(Tasks):
    """Classification tasks x `[n, features]` ↦ y `[n]` in {0, 1}.

    `shots` support points (a pair draws their number anew for each task, padding the rest) and `queries` query points;
    `centre` is the mean of every slope, `slope` and `intercept` are the standard deviations of a and b.

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
    ):
        self.features = whole("features", features)
        self.shots, self.queries = bounds("shots", shots), whole("queries", queries)
        self.centre, self.slope, self.intercept = centre, slope, intercept

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks; see `Tasks.draw`."""
        x, log_odds = self._log_odds(generator, count)
        y = (torch.rand(log_odds.shape, generator=generator) < log_odds.sigmoid()).long()  # [T, n]
        return episode(x, y, weights(generator, count, self.shots))

    def bayes(self, index: int, count: int, seed: int = 0) -> float:
        """Return the expected log loss, in nats, of the true probabilities on the queries of `batch(index, …)`."""
        _, log_odds = self._log_odds(self.generator(index, count, seed), count)
        p = log_odds[:, -self.queries :].sigmoid()
        return float(F.binary_cross_entropy(p, p))

    def _log_odds(self, generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        a = self.centre + self.slope * torch.randn(count, self.features, generator=generator)
        b = self.intercept * torch.randn(count, 1, generator=generator)
        x = torch.randn(count, self.shots[1] + self.queries, self.features, generator=generator)  # [T, n, d]
        return x, torch.einsum("tnd,td->tn", x, a) + b
