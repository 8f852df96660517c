"""A prior over small tables, infinite and seeded: what the shipped mapping has learned from.

Columns are drawn (`prior.inputs`), the outcome follows a rule of a few of them (`prior.rules`), or columns and outcome
are nodes of one random causal network, or classes scatter around centres; noise comes last (`prior.outcomes`). Most
rules read the columns as they are shown, so that many tables can be predicted without error; others read what lies
behind the columns. The idea of learning from such a prior: Müller et al. 2022, arXiv 2112.10510.
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

_GRAPHS, _CENTRES = 0.25, 0.12  # shares of the tables; the others follow rules


class Tables(Tasks):
    """Tables with missing cells, mixed columns, noise and imbalance; all tasks of one batch have one shape.

    An episode's `noise` `[queries, columns + 1]`, uniform in [0, 1), says what to hide in training. Queries
    of a class that the support does not show have weight 0. Numbers to predict are `y` `[n, 1]`.

    Args:
        rows: smallest and largest number of support rows (their logarithm is uniform).
        columns: smallest and largest number of columns; in half of the batches the logarithm is uniform.
        ways: smallest and largest number of classes; at least half of the batches have the smallest.
        queries: query rows.
        cells: if positive, a batch holds fewer tasks than asked for if its cells would exceed it.
        numeric: share of the batches whose outcome is a number.
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
        """Draw `count` tables of one shape."""
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
    """Draw tables of every kind, in random order."""
    kinds = list(RULES)
    shares = torch.tensor([RULES[rule][0] for rule in kinds])
    others = torch.tensor([_GRAPHS, 0.0 if numeric else _CENTRES])
    shares = torch.cat([others, (1 - others.sum()) * shares / shares.sum()])
    kind, many = torch.multinomial(shares, dice.t, True, generator=dice.generator).unique(return_counts=True)
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
    one = dice.chance(0.6, dice.t, 1)
    return x, torch.where(one, outcomes.classes(dice, scores[..., :1]), outcomes.classes(dice, scores))


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
    """Hide cells, mislabel rows, and part `n` support rows from the queries."""
    t, r, d, k, m = dice.t, dice.r, dice.d, dice.k, dice.r - n
    lost = dice.rand(t, r, d) < dice.chance(0.25, t, 1, 1) * 0.3 * dice.rand(t, 1, 1)
    x = torch.where(lost, torch.nan, x)
    if y.is_floating_point():
        y, shown = y[..., None], torch.ones(t, m)
    else:
        wrong = dice.rand(t, r) < dice.chance(0.2, t, 1) * 0.2 * dice.rand(t, 1)
        y = torch.where(wrong, dice.randint(0, k, t, r), y)
        taught = (y[:, :n, None] == torch.arange(k)).any(1)  # [t, k]
        relabel = (dice.rand(t, k) + taught).argsort(-1).argsort(-1)  # the last class is always taught
        y = relabel.gather(1, y)
        shown = (y[:, :n, None] == torch.arange(k)).any(1).gather(1, y[:, n:])  # [t, m]
    support = Examples(x[:, :n], y[:, :n], torch.full((t, n), 1 / n))
    return Episode(support, Examples(x[:, n:], y[:, n:], shown / m), dice.rand(t, m, d + 1))
