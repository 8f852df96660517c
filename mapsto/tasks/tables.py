"""A prior over small classification tables, infinite and seeded: what the shipped mapping has learned from.

A third of the tables are read off random causal networks (columns and class are nodes of one noisy, sparse graph, after
Hollmann et al. 2023, arXiv 2207.01848, §4), some have a class decided by a score of a few columns (lines, steps, waves,
products) or by a few rules, some have classes that scatter around centres. Columns are then skewed, rounded, made
binary or nominal.
"""

import torch
from torch import Tensor

from ..episodes import Episode, Examples
from .source import Tasks


class Tables(Tasks):
    """Tables with missing cells, mixed columns, noise and imbalance; all tasks of one batch have one shape.

    An episode's `noise` `[queries, columns + 1]`, uniform in [0, 1), says what to hide in training. Queries
    of a class that the support does not show have weight 0.

    Args:
        rows: smallest and largest number of support rows (their logarithm is uniform).
        columns: smallest and largest number of columns.
        ways: smallest and largest number of classes; four batches in ten have the smallest.
        queries: query rows.
        cells: if positive, a batch holds fewer tasks than asked for where support cells × classes would exceed it.
    """

    def __init__(
        self,
        rows: tuple[int, int] = (12, 64),
        columns: tuple[int, int] = (2, 12),
        ways: tuple[int, int] = (2, 2),
        queries: int = 12,
        cells: int = 0,
    ):
        self.rows, self.columns, self.ways, self.queries, self.cells = (
            tuple(rows),
            tuple(columns),
            tuple(ways),
            queries,
            cells,
        )

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tables of one shape."""
        low, high = torch.tensor(self.rows, dtype=torch.float).log()
        n = int((low + (high - low) * torch.rand((), generator=generator)).exp().round())
        d, k = (int(torch.randint(a, b + 1, (), generator=generator)) for a, b in (self.columns, self.ways))
        if self.ways[0] < self.ways[1] and torch.rand((), generator=generator) < 0.4:
            k = self.ways[0]
        if self.cells:
            streams = 1 if k == 2 else k
            count = max(1, min(count, self.cells // ((n + 3 * self.queries) * (d + 1) * streams)))
        return _Draw(generator, count, n + self.queries, d, k).episode(n)


class _Draw:
    """One batch of `t` tables with `r` rows, `d` columns, `k` classes."""

    def __init__(self, generator: torch.Generator, t: int, r: int, d: int, k: int):
        self.generator, self.t, self.r, self.d, self.k = generator, t, r, d, k

    def rand(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator)

    def randn(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def chance(self, p: float, *shape: int) -> Tensor:
        return self.rand(*shape) < p

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low * (high / low) ** self.rand(*shape)

    def episode(self, n: int) -> Episode:
        """Put the families together: `n` support rows, the others queries."""
        x, y = self.graphs()
        for family, (inputs, labels) in ((0.4, self.scores()), (0.2, self.rules()), (0.25, self.centres())):
            chosen = self.chance(family, self.t, 1)
            x, y = torch.where(chosen[..., None], inputs, x), torch.where(chosen, labels, y)
        flip = self.chance(1.0, self.t, self.r) & (
            self.rand(self.t, self.r) < self.chance(0.2, self.t, 1) * 0.2 * self.rand(self.t, 1)
        )
        y = torch.where(flip, torch.randint(self.k, y.shape, generator=self.generator), y)
        taught = (y[:, :n, None] == torch.arange(self.k)).any(1)  # [t, k]
        relabel = (self.rand(self.t, self.k) + taught).argsort(-1).argsort(-1)  # the last class is always taught
        y = relabel.gather(1, y)
        x = self.columns(x)
        x = torch.where(
            self.rand(self.t, self.r, self.d) < self.chance(0.25, self.t, 1, 1) * 0.3 * self.rand(self.t, 1, 1),
            torch.nan,
            x,
        )
        shown = (y[:, :n, None] == torch.arange(self.k)).any(1).gather(1, y[:, n:])  # [t, m]
        m = self.r - n
        support = Examples(x[:, :n], y[:, :n], torch.full((self.t, n), 1 / n))
        query = Examples(x[:, n:], y[:, n:], shown / m)
        return Episode(support, query, self.rand(self.t, m, self.d + 1))

    def graphs(self) -> tuple[Tensor, Tensor]:
        """Columns and class are nodes of a random network of causes, anywhere in it: causes, effects, bystanders."""
        width = max(12, self.d + 4)
        causes = (torch.arange(width) < 1 + (self.rand(self.t, 1) * 7).long()).float()[:, None]  # [t, 1, h]
        z = self.randn(self.t, self.r, width) * causes
        nodes = []
        for _ in range(3):
            sparse = self.rand(self.t, width, width) < self.log_uniform(0.08, 0.9, self.t, 1, 1)
            z = _standard(z @ (self.randn(self.t, width, width) * sparse)) * self.log_uniform(0.5, 2, self.t, 1, width)
            z = self.bend(z + 0.5 * self.randn(self.t, 1, width))
            z = z + self.log_uniform(0.01, 0.6, self.t, 1, 1) * self.rand(self.t, 1, width) * self.randn(*z.shape)
            nodes.append(z)
        z = torch.cat(nodes, -1)
        order = self.rand(self.t, 3 * width).argsort(-1)[:, None].expand(-1, self.r, -1)
        z = _standard(z.gather(2, order))
        x, cause = z[..., : self.d], z[..., self.d :]
        scores = cause[..., : self.k]  # one node a class, or one node cut into classes
        return x, torch.where(self.chance(0.6, self.t, 1), self.cut(cause[..., 0]), self.sample(scores))

    def scores(self) -> tuple[Tensor, Tensor]:
        """A few columns add up to each class's score, by lines, waves, steps and products."""
        x = self.factors()
        strength = (self.rand(self.t, self.d).argsort(-1) < 1 + (self.rand(self.t, 1) * 8).long()).float()
        strength = strength * self.log_uniform(0.2, 2, self.t, self.d)  # relevance, shared by the kinds of term
        k = self.k if self.k > 2 else 1
        weight = self.randn(4, self.t, self.d, k) * strength[None, :, :, None]
        share = self.rand(4, self.t, 1, 1).pow(3)
        tilt = self.randn(self.t, 1, self.d)
        wave = torch.sin(x * self.log_uniform(0.5, 3, self.t, 1, self.d) + 3 * tilt)
        partner = self.rand(self.t, self.d).argsort(-1)[:, None].expand(-1, self.r, -1)
        step = (x > tilt).float()
        lever = x - 0.5 * tilt * self.chance(0.7, self.t, 1, 1)  # off its centre a product has slopes of its own
        product = torch.where(
            self.chance(0.3, self.t, 1, 1), step * step.gather(2, partner), lever * lever.gather(2, partner)
        )
        terms = (x, wave, 2 * step - 1, product)
        s = sum(a * _standard(term @ w) for a, term, w in zip(share, terms, weight, strict=True)) + 1e-3 * self.randn(
            self.t, self.r, k
        )
        s = _standard(s)
        ordered = self.cut(s[..., 0])
        return x, ordered if k == 1 else torch.where(self.chance(0.4, self.t, 1), ordered, self.sample(s))

    def rules(self) -> tuple[Tensor, Tensor]:
        """Thresholds on a few columns part the rows into up to 32 cells, each with scores of its own."""
        x = self.factors()
        first = torch.randint(self.d, (self.t, 1, 5), generator=self.generator)
        other = (first[..., :1] + torch.arange(5)) % self.d  # a conjunction of several columns, or boxes within few
        column = torch.where(self.chance(0.5, self.t, 1, 1), first, other)
        above = x.gather(2, column.expand(-1, self.r, -1)) > 0.8 * self.randn(self.t, 1, 5)
        depth = 1 + (5 * self.rand(self.t, 1, 1)).long()
        leaf = (above * (torch.arange(5) < depth) * 2 ** torch.arange(5)).sum(-1)  # [t, r]
        scores = (1.5 * self.randn(self.t, 32, self.k)).gather(1, leaf[..., None].expand(-1, -1, self.k))
        return x, self.sample(scores)

    def centres(self) -> tuple[Tensor, Tensor]:
        """Classes scatter around one or two centres each, along correlated columns."""
        share = self.log_uniform(0.2, 1, self.t, self.k)
        y = (
            (self.rand(self.t, self.r, 1) > (share / share.sum(-1, keepdim=True)).cumsum(-1)[:, None])
            .sum(-1)
            .clamp(max=self.k - 1)
        )
        apart = self.log_uniform(0.3, 3, self.t, 1, 1) * self.rand(self.t, 1, self.d).pow(2)
        second = (self.chance(0.5, self.t, self.r) & self.chance(0.4, self.t, 1)).long()
        centre = self.randn(self.t, 2 * self.k, self.d) * apart
        spread = self.log_uniform(0.5, 1.5, self.t, self.k, self.d) ** self.chance(0.5, self.t, 1, 1).float()
        index = (y + self.k * second)[..., None].expand(-1, -1, self.d)
        return centre.gather(1, index) + self.factors() * spread.gather(1, y[..., None].expand(-1, -1, self.d)), y

    def factors(self) -> Tensor:
        """Correlated columns: a few latent factors and noise."""
        latent = self.randn(self.t, self.r, 4) @ (self.randn(self.t, 4, self.d) * self.chance(0.5, self.t, 4, self.d))
        own = self.log_uniform(0.1, 3, self.t, 1, 1)
        return _standard(latent * self.chance(0.7, self.t, 1, 1) + own * self.randn(self.t, self.r, self.d))

    def bend(self, z: Tensor) -> Tensor:
        """Pass each node through a function of its own."""
        kinds = (
            z,
            z.tanh(),
            z.relu(),
            torch.sin(2 * z),
            z.abs(),
            torch.sign(z),
            z.square() / 2,
            torch.exp(-z.square()),
        )
        favourite = torch.randint(len(kinds), (self.t, 1, 1), generator=self.generator)
        own = torch.randint(len(kinds), (self.t, 1, z.shape[-1]), generator=self.generator)
        kind = torch.where(self.chance(0.5, self.t, 1, 1), favourite, own)
        return torch.stack(kinds).gather(0, kind.expand(z.shape)[None])[0]

    def cut(self, score: Tensor) -> Tensor:
        """Cut a score into `k` classes at random quantiles, after noise: ordered classes."""
        noisy = score + self.log_uniform(0.01, 0.8, self.t, 1) * self.randn(*score.shape)
        rank = noisy.argsort(1).argsort(1) / self.r
        share = self.rand(self.t, self.k) + 0.15
        edges = (share / share.sum(1, keepdim=True)).cumsum(1)[:, None, :-1]  # [t, 1, k-1]
        return (rank[..., None] > edges).sum(-1)

    def sample(self, scores: Tensor) -> Tensor:
        """Draw classes from scores: `argmax` of scores plus bias and Gumbel noise."""
        gumbel = -(-self.rand(*scores.shape).clamp(1e-6, 1 - 1e-6).log()).log()
        return (
            scores + 0.7 * self.randn(self.t, 1, self.k) + self.log_uniform(0.01, 0.6, self.t, 1, 1) * gumbel
        ).argmax(-1)

    def columns(self, x: Tensor) -> Tensor:
        """Make columns skewed, heavy-tailed, binary, whole-numbered or nominal, each table with its own taste."""
        z = _standard(x)
        taste = self.log_uniform(0.02, 1, self.t, 6)
        taste = taste + torch.tensor([0.6, 0.2, 0.1, 0.1, 0.1, 0.05])
        kind = (
            (self.rand(self.t, self.d, 1) > (taste / taste.sum(-1, keepdim=True)).cumsum(-1)[:, None])
            .sum(-1)[:, None]
            .clamp(max=5)
        )
        share = torch.special.ndtr(z)  # about uniform
        levels = 3 + (self.rand(self.t, 1, self.d) * 8).floor()
        whole = (
            (share ** self.log_uniform(0.4, 2.5, self.t, 1, self.d) * levels).floor().clamp(min=0).minimum(levels - 1)
        )
        names = self.rand(self.t, self.d, 11).argsort(-1).float().transpose(1, 2)  # [t, code, d]
        nominal = names.gather(1, whole.long())
        kinds = (
            z,
            torch.exp(self.log_uniform(0.3, 1.5, self.t, 1, self.d) * z.clamp(-6, 6)),
            z * z.abs(),
            (share > 0.1 + 0.8 * self.rand(self.t, 1, self.d)).float(),
            whole,
            nominal,
        )
        return torch.stack(kinds).gather(0, kind.expand(x.shape)[None])[0]


def _standard(z: Tensor) -> Tensor:
    """Give every column mean 0 and deviation 1 over the rows (0 where it is constant)."""
    centred = z - z.mean(1, keepdim=True)
    return centred / centred.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)
