"""A prior over small tables, infinite and seeded, on which the shipped mapping was trained.

In most tables, columns are drawn (`prior.inputs`) and the outcome follows a rule on a few of them (`prior.rules`). In
others, columns and outcome are nodes of a random causal network, or classes scatter around centres. Noise comes last
(`prior.outcomes`). Most rules read the visible columns, so that many tables can be predicted without error; others read
hidden variables behind the columns. Learning from such a prior follows Müller et al. 2022, arXiv 2112.10510.
"""

from functools import partial

import torch
from torch import Tensor

from ..episodes import Episode, Examples
from .prior import outcomes
from .prior.dice import Dice, ranks, standard
from .prior.inputs import centres, columns, factors, graph
from .prior.rules import RULES, Rule
from .source import Tasks

_GRAPHS, _CENTRES = 0.25, 0.12  # fractions of the tables; the others follow rules


class Tables(Tasks):
    """Random synthetic tables, used to train the network behind `TableClassifier` and `TableRegressor`.

    The tables have missing cells, noise, columns of numbers and of categories, and classes of unequal frequency. All
    tasks of a batch have the same shape. Each task predicts a class y `[n]` or a number y `[n, 1]`. A query row has
    weight 0 if its class is not in the support set. The field `noise` `[queries, columns + 1]` of an episode holds
    random numbers, uniform in [0, 1). In training, these numbers determine which cells are hidden.

    Args:
        rows: the smallest and the largest number of support rows. For each batch, the number is drawn log-uniformly.
        columns: the smallest and the largest number of columns. The number of columns is drawn uniformly in half of the
            batches, log-uniformly in the other half.
        ways: the smallest and the largest number of classes. Half of the batches have the smallest number; in the other
            half, the number is drawn uniformly.
        queries: the number of query rows.
        cells: a limit on the size of a batch, in cells of its tables. Outcomes count as cells, and each cell of a query
            row counts as three. A batch that would exceed the limit has fewer tasks, but at least one. 0 means no
            limit.
        numeric: the fraction of batches whose outcome is a number.
    """

    def __init__(
        self,
        rows: tuple[int, int] = (12, 64),
        columns: tuple[int, int] = (2, 12),
        ways: tuple[int, int] = (2, 2),
        queries: int = 12,
        cells: int = 0,
        numeric: float = 0.0,
    ):
        self.rows, self.columns, self.ways = tuple(rows), tuple(columns), tuple(ways)
        self.queries, self.cells, self.numeric = queries, cells, numeric

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tables of one shape, or fewer if `count` tables would exceed `cells`; see `Tasks.draw`."""
        dice = Dice(generator, 1, 1, 1, 1)
        n, d = (int(dice.log_uniform(low, high + 0.5, 1)) for low, high in (self.rows, self.columns))
        d = int(dice.randint(self.columns[0], self.columns[1] + 1, 1)) if dice.chance(0.5, 1) else d
        k = self.ways[0] if dice.chance(0.5, 1) else int(dice.randint(self.ways[0], self.ways[1] + 1, 1))
        numeric = bool(dice.chance(self.numeric, 1))
        if self.cells:
            count = max(1, min(count, self.cells // ((n + 3 * self.queries) * (d + 1))))
        dice = Dice(generator, count, n + self.queries, d, k)
        return _episode(dice, *_tables(dice, numeric), n)


def _tables(dice: Dice, numeric: bool) -> tuple[Tensor, Tensor]:
    """Draw tables of all kinds, in random order."""
    kinds = list(RULES)
    weights = torch.tensor([RULES[rule][0] for rule in kinds])
    others = torch.tensor([_GRAPHS, 0.0 if numeric else _CENTRES])
    fractions = torch.cat([others, (1 - others.sum()) * weights / weights.sum()])
    kind, many = torch.multinomial(fractions, dice.t, True, generator=dice.generator).unique(return_counts=True)
    parts = []
    for index, count in zip(kind.tolist(), many.tolist(), strict=True):
        some = Dice(dice.generator, count, dice.r, dice.d, 2 if numeric else dice.k)
        table = _from_graph if index == 0 else _from_centres if index == 1 else partial(_from_rule, kinds[index - 2])
        parts.append(table(some, numeric))
    order = dice.rand(dice.t).argsort()
    x, y = (torch.cat(part)[order] for part in zip(*parts, strict=True))
    return x, y


def _from_graph(dice: Dice, numeric: bool) -> tuple[Tensor, Tensor]:
    z, scores = graph(dice)
    x = columns(dice, z, 0.0)
    if numeric:
        return x, outcomes.numbers(dice, scores[..., 0])
    single = dice.chance(0.6, dice.t, 1)
    return x, torch.where(single, outcomes.classes(dice, scores[..., :1]), outcomes.classes(dice, scores))


def _from_centres(dice: Dice, numeric: bool) -> tuple[Tensor, Tensor]:
    z, y = centres(dice)
    return columns(dice, z, 0.0), y


def _from_rule(rule: Rule, dice: Dice, numeric: bool) -> tuple[Tensor, Tensor]:
    z = torch.where(dice.chance(0.3, dice.t, 1, 1), graph(dice)[0], factors(dice))
    binary = RULES[rule][1]
    x = columns(dice, z, binary)
    shown, normal = standard(x), torch.special.ndtri(ranks(x).clamp(1e-4, 1 - 1e-4))
    pick = torch.full((dice.t, 1, 1), 0.5) if binary else dice.rand(dice.t, 1, 1)
    u = torch.where(pick < 0.4, standard(z), torch.where(pick < 0.7, shown, normal))
    scores = rule(dice, u)
    return x, outcomes.numbers(dice, scores[..., 0]) if numeric else outcomes.classes(dice, scores)


def _episode(dice: Dice, x: Tensor, y: Tensor, n: int) -> Episode:
    """Hide cells, mislabel rows, and separate the `n` support rows from the query rows."""
    t, r, d, k, m = dice.t, dice.r, dice.d, dice.k, dice.r - n
    lost = dice.rand(t, r, d) < dice.chance(0.25, t, 1, 1) * 0.3 * dice.rand(t, 1, 1)
    x = torch.where(lost, torch.nan, x)
    if y.is_floating_point():
        y, shown = y[..., None], torch.ones(t, m)
    else:
        wrong = dice.rand(t, r) < dice.chance(0.2, t, 1) * 0.2 * dice.rand(t, 1)
        y = torch.where(wrong, dice.randint(0, k, t, r), y)
        in_support = (y[:, :n, None] == torch.arange(k)).any(1)  # [t, k]
        relabel = (dice.rand(t, k) + in_support).argsort(-1).argsort(-1)  # the last class is always in the support
        y = relabel.gather(1, y)
        shown = (y[:, :n, None] == torch.arange(k)).any(1).gather(1, y[:, n:])  # [t, m]
    support = Examples(x[:, :n], y[:, :n], torch.full((t, n), 1 / n))
    return Episode(support, Examples(x[:, n:], y[:, n:], shown / m), dice.rand(t, m, d + 1))
