"""Tables with known reasons: the class follows a rule on a few columns, whose order is shuffled in each task.

    x ~ N(0, I),  P(y = 1 | x) = σ(−sharpness · s(x)),  then the columns of each task are permuted at random

    syn1  s = x₁·x₂                                          syn4  x₁₁ < 0: syn1, else syn2
    syn2  s = x₃² + x₄² + x₅² + x₆² − 4                      syn5  x₁₁ < 0: syn1, else syn3
    syn3  s = −10·sin(0.2·x₇) + |x₈| + x₉ + exp(−x₁₀) − 2.4  syn6  x₁₁ < 0: syn2, else syn3

These are the synthetic data of Chen et al. 2018 (L2X) and Yoon et al. 2019 (INVASE). Syn3 follows the code that
INVASE's authors published, although the docstring of that code states −10·sin(2·x₇) + 2|x₈|. We added the permutation,
so that a learner cannot remember which columns matter and must read it from the support set.
"""

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .. import checks
from ..episodes import Episode
from .sampling import Shots, bounds, choose, episode, orders, weights
from .source import Tasks

Rule = Literal["syn1", "syn2", "syn3", "syn4", "syn5", "syn6"]
_SWITCH = 10  # x₁₁
_COLUMNS = {"syn1": (0, 1), "syn2": (2, 3, 4, 5), "syn3": (6, 7, 8, 9)}
_PAIRS: dict[str, tuple[Rule, Rule]] = {"syn4": ("syn1", "syn2"), "syn5": ("syn1", "syn3"), "syn6": ("syn2", "syn3")}


class Truth(NamedTuple):
    """The true explanation of each task, with one row for each row of the episode."""

    support: Bool[Tensor, "T n d"]  # True where the column decides the row's class
    query: Bool[Tensor, "T m d"]
    mislabelled: Bool[Tensor, "T n"]  # support rows whose label was flipped
    spurious: Bool[Tensor, "T d"]  # the column whose sign agrees with the label in the support set only


class Planted(Tasks):
    """Two-class tables x `[n, features]` ↦ y `[n]` whose labels follow a known rule on a few columns (syn1 to syn6).

    The method `truth` has the same arguments as `batch` and returns which columns matter. The episodes do not hold this
    information, so that no learner can read it.

    Args:
        rule: the name of the rule, such as "syn1"; the module docstring has the formulas.
        shots: the number of support rows. If `shots` is a pair (low, high), each task has a random number of shots; the
            remaining support rows, up to `high`, are padding with weight 0.
        queries: the number of query rows.
        sharpness: the multiplier on the rule's score, before labels are drawn from it. With 1, labels are as random as
            in the publications (the best possible AUC on syn1 is 0.70). With `math.inf`, labels follow the rule without
            noise.
        features: the number of columns. Columns after the first 11 never matter.
        mislabelled: the number of support rows with a flipped label in each task.
        spurious: if True, the sign of one irrelevant column agrees with the label in the support set, but not in the
            query set.

    Raises:
        MapstoError: if the rule is unknown or a number is out of range.

    >>> import math
    >>> tasks = Planted("syn1", shots=64, queries=5, sharpness=math.inf)
    >>> tasks.batch(7, count=2).query.x.shape, tasks.truth(7, count=2).query.sum(-1)[0]
    (torch.Size([2, 5, 11]), tensor([2, 2, 2, 2, 2]))
    """

    def __init__(
        self,
        rule: Rule = "syn1",
        shots: Shots = 64,
        queries: int = 64,
        sharpness: float = 1.0,
        features: int = 11,
        mislabelled: int = 0,
        spurious: bool = False,
    ):
        checks.one_of(get_args(Rule), rule=rule)
        checks.count(_SWITCH + 1, features=features)
        checks.expect(sharpness > 0, "sharpness", sharpness, "a number above 0 (math.inf: no label noise)")
        checks.count(queries=queries)
        self.rule, self.sharpness, self.features = rule, sharpness, features
        self.shots, self.queries = bounds("shots", shots), queries
        checks.count(0, mislabelled=mislabelled)
        checks.between(0, self.shots[0], mislabelled=mislabelled)
        self.mislabelled, self.spurious = mislabelled, spurious

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks with `generator`; see `Tasks.draw`."""
        columns, flipped, x = self._inputs(generator, count)
        chance = torch.sigmoid(-self.sharpness * score(self.rule, x))  # [T, n]
        y = (torch.rand(chance.shape, generator=generator) < chance).long() ^ flipped
        if self.spurious:
            here = (torch.arange(x.shape[1]) < self.shots[1])[:, None] & self._agreeing()  # [n, d]
            x = torch.where(here, x.abs() * (2 * y - 1)[..., None], x)
        return episode(_permute(x, columns), y, weights(generator, count, self.shots))

    def truth(self, index: int, count: int, seed: int = 0) -> Truth:
        """Return which columns determine the class of each row in `batch(index, count, seed)`.

        In the rules syn4 to syn6, column x₁₁ decides which formula applies; it is one of the columns returned.
        """
        columns, flipped, x = self._inputs(self.generator(index, count, seed), count)
        mask, n = _permute(relevant(self.rule, x), columns), self.shots[1]
        return Truth(mask[:, :n], mask[:, n:], flipped[:, :n], self._agreeing()[columns])

    def _inputs(
        self, generator: torch.Generator, count: int
    ) -> tuple[Int[Tensor, "T d"], Bool[Tensor, "T n"], Float[Tensor, "T n d"]]:
        """Draw the order of the columns, the rows to mislabel, and the inputs in the published order."""
        columns, rows = orders(generator, count, self.features), self.shots[1] + self.queries
        which = choose(generator, torch.full((count,), self.shots[0]), self.mislabelled)
        flipped = torch.zeros(count, rows, dtype=torch.bool).scatter(1, which, True)
        return columns, flipped, torch.randn(count, rows, self.features, generator=generator)

    def _agreeing(self) -> Bool[Tensor, " d"]:
        """Mark the first column that the rule never reads, in the published order."""
        read = {column for branch in _PAIRS.get(self.rule, (self.rule,)) for column in _COLUMNS[branch]}
        first = next(column for column in range(self.features) if column not in read)
        return (torch.arange(self.features) == first) & self.spurious


def score(rule: Rule, x: Float[Tensor, "... d"]) -> Float[Tensor, "..."]:
    """Return s(x) for columns in the published order; a negative score makes class 1 more probable.

    >>> score("syn2", torch.ones(11))
    tensor(0.)
    """
    if rule in _PAIRS:
        below, above = _PAIRS[rule]
        return torch.where(x[..., _SWITCH] < 0, score(below, x), score(above, x))
    if rule == "syn1":
        return x[..., 0] * x[..., 1]
    if rule == "syn2":
        return x[..., 2:6].square().sum(-1) - 4
    return -10 * torch.sin(0.2 * x[..., 6]) + x[..., 7].abs() + x[..., 8] + torch.exp(-x[..., 9]) - 2.4


def relevant(rule: Rule, x: Float[Tensor, "... d"]) -> Bool[Tensor, "... d"]:
    """Return the columns that s(x) reads, in the branch that x takes, for columns in the published order."""
    if rule in _PAIRS:
        below, above = (relevant(branch, x) for branch in _PAIRS[rule])
        return torch.where(x[..., _SWITCH, None] < 0, below, above) | _among((_SWITCH,), x)
    return _among(_COLUMNS[rule], x)


def _among(columns: tuple[int, ...], x: Tensor) -> Tensor:
    return torch.isin(torch.arange(x.shape[-1]), torch.tensor(columns)).expand(x.shape)


def _permute(rows: Tensor, columns: Tensor) -> Tensor:
    return rows.gather(-1, columns[:, None].expand(rows.shape))
