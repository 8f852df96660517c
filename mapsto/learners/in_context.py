"""Adaptation in one forward pass: a transformer, meta-trained over many small tables, reads the support set.

The state is what the body remembers of the support (keys and values); a query is answered against it. Each class is
asked about alone ("this class or another?"), with the same weights, and the answers are normalised:
`p_c ∝ σ(f_c)`, so that any number of classes works and permuting classes permutes answers (of two classes: with an
even number of members, every other of which asks about the other class; prior-fitted networks:
Müller et al. 2022, arXiv 2112.10510; tables: Hollmann et al. 2023, arXiv 2207.01848).

A missing cell (NaN) is an absent column: the body is trained to be asked with columns missing, so that
`predict(state, x_S)` is a real conditional prediction and the value `v(S)` of a game.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from ..episodes import Examples, State
from ..errors import MapstoError
from .labels import classes
from .learner import Learner
from .watching import watch

IDENTITIES, IDENTITY = 128, 8  # how many columns can be told apart, and by how many numbers


class Reading(NamedTuple):
    """What is kept of the support: `t` tasks, `b = t · members · streams` readings of them by the body."""

    memories: list  # of the body
    log_weight: Float[Tensor, "b n"]
    x: Float[Tensor, "t n d"]
    w: Float[Tensor, "t n"]
    tokens: Float[Tensor, "t e d v"]  # column identities as tokens, per member
    question: Float[Tensor, "t e s v"]  # the label token of a query, per member and class
    known: Float[Tensor, "t k"]  # the weight of each class


class InContext(Learner):
    """(D, x) ↦ scores in one forward pass, no gradient step.

    Scores are log-probabilities `[n, ways]`; a class that no support example has gets −∞; an empty support gives equal
    scores. `x` is `[n, d]` with NaN where a cell is missing.

    Args:
        body: reads tokens, see `models.SetTransformer`: has `width`, `remember(tokens, log_weight)` and
            `forward(tokens, memories, log_weight)`.
        ways: number of classes.
        members: readings averaged (in probability), each with other column identities; for two classes each pair,
            one of which asks about either class.
    """

    family = "model-based"
    identities: Float[Tensor, "i j"]

    def __init__(self, body: nn.Module, ways: int = 2, members: int = 1):
        super().__init__()
        width = int(body.width)  # type: ignore[arg-type]
        self.body, self.ways, self.members = body, ways, members
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("identities", torch.randn(IDENTITIES, IDENTITY, generator=generator))
        self.identity = nn.Linear(IDENTITY, width, bias=False)
        first, last = nn.Linear(10, width), nn.Linear(width, width)
        nn.init.orthogonal_(last.weight, gain=3.0)  # like values look alike from the start
        self.cell = nn.Sequential(first, nn.GELU(approximate="tanh"), last)
        self.missing = nn.Parameter(0.02 * torch.randn(width))
        self.label = nn.Parameter(0.5 * torch.randn(3, width))  # another class, this class, not known
        self.told = nn.Parameter(0.5 * torch.randn(3, width))  # the same, as the cells of a row hear it
        self.setting = nn.Linear(3, width)
        self.readout = nn.Linear(width, 1)

    def adapt(self, support: Examples) -> State:
        """Read `support`; see `Learner.adapt`."""
        tasks = pytree.tree_map(lambda leaf: leaf[None], support._replace(y=classes(support.y)))
        return self.read(tasks, torch.zeros(1, dtype=torch.long, device=support.x.device), self.ways)

    def predict(self, state: State, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Return log-probabilities; see `Learner.predict`."""
        log_odds = self.log_odds(self.look(state, x[None]))
        return self.average(self.log_probability(log_odds, state.known))[0]

    def features(self, state: State, x: Float[Tensor, "n d"]) -> dict[str, Tensor]:
        """Return the body's last tokens: `cells` `[n, e, s, d, v]` and `label` `[n, e, s, v]`, e members, s streams."""
        tokens = self.look(state, x[None])[0].movedim(2, 0)
        return {"cells": tokens[..., :-1, :], "label": tokens[..., -1, :]}

    def attentions(self, support: Examples, x: Float[Tensor, " d"]) -> Float[Tensor, "l r r"]:
        """Return who attends to whom in each layer: r places for the null row, the n examples, and the query row `x`.

        Averaged over heads, columns and readings; the null row, which is learned and attends to nothing, to itself.
        `attention_rollout(attentions)[-1, 1:-1]` is how much of each example is in what is made of `x`.

        Raises:
            MapstoError: a body without layers named `attention` that attend over the rows, as `SetTransformer` has.
        """
        state: list[State] = []
        taught = watch(self.body, lambda: state.append(self.adapt(support)))
        asked = watch(self.body, lambda: self.predict(state[0], x[None]))
        names = [name for name in asked if name.rpartition(".")[2] == "attention"]
        if not names:
            raise MapstoError(f"body: {type(self.body).__name__} has no layer named attention; use a SetTransformer.")
        layers = torch.stack([torch.cat([taught[name], asked[name]], -2) for name in names])  # [l, b, c, h, n+1, n+1]
        rows = layers.mean((1, 2, 3))
        null = F.one_hot(torch.zeros_like(support.w[:1]).long(), rows.shape[-1]).to(rows)  # [1, n+1]
        return F.pad(torch.cat([null.expand(len(rows), 1, -1), rows], 1), (0, 1))  # nobody attends to the query row

    def read(self, support: Examples, offset: Int[Tensor, " t"], ways: int) -> Reading:
        """Adapt to `t` tasks at once (`x [t, n, d]`), their columns known by the identities from `offset` on.

        Each member asks about each class, a stream of tokens each; for two classes about one of them.
        """
        t, n, d = support.x.shape
        mass, known = _masses(support, ways)
        streams = 1 if ways == 2 else ways
        log_weight = torch.where(mass > 0, mass, 1.0).log().masked_fill(mass <= 0, -torch.inf)  # [t, n]
        log_weight = log_weight[:, None].expand(t, self.members * streams, n).flatten(0, 1)
        reading = torch.arange(self.members, device=support.x.device)
        reading = reading // 2 if ways == 2 else reading  # the two that ask about either class, told the same
        column = offset[:, None, None] + 53 * reading[:, None] + torch.arange(d, device=support.x.device)  # [t, e, d]
        tokens = self.identity(self.identities[column % IDENTITIES])
        setting = self.setting(self._setting(mass, known))  # [t, e, s, v]
        cells = self._cells(support.x, support.x, support.w)[:, None, None] + tokens[:, :, None, None]  # [t,e,1,n,d,v]
        asked = self._asked(support.y, ways).long()  # [t, e, s, n]
        cells = cells + self.told[asked][..., None, :]
        label = self.label[asked] + setting[:, :, :, None]  # [t, e, s, n, v]
        memories = self.body.remember(_rows(cells, label), log_weight)  # type: ignore[operator]
        question = self.label[2] + setting
        return Reading(memories, log_weight, support.x, support.w, tokens + self.told[2], question, known)

    def look(self, reading: Reading, x: Float[Tensor, "t m d"]) -> Float[Tensor, "t e s m c v"]:
        """Return the body's tokens of `m` query rows of each task: one a column, and the label token last."""
        cells = self._cells(x, reading.x, reading.w)[:, None, None] + reading.tokens[:, :, None, None]
        label = reading.question[:, :, :, None].expand(-1, -1, -1, x.shape[1], -1)
        tokens = self.body(_rows(cells, label), reading.memories, reading.log_weight)
        return tokens.unflatten(0, reading.question.shape[:3])

    def log_odds(self, tokens: Float[Tensor, "t e s m c v"]) -> Float[Tensor, "t e m s"]:
        """Read each stream's answer, the log-odds of its class, from the label token."""
        return self.readout(tokens[..., -1, :])[..., 0].movedim(2, -1)

    def log_probability(
        self, log_odds: Float[Tensor, "t e ... s"], known: Float[Tensor, "t k"]
    ) -> Float[Tensor, "t e ... k"]:
        """Normalise the streams' log-odds over the classes that the support has: `p_c ∝ σ(f_c)`."""
        if log_odds.shape[-1] == 1:
            sign = torch.where(torch.arange(self.members, device=log_odds.device) % 2 == 0, 1.0, -1.0).to(log_odds)
            signed = log_odds * sign.view(-1, *[1] * (log_odds.dim() - 2))
            log_odds = torch.cat([-signed, signed], -1)
        absent = (known <= 0) & (known > 0).any(-1, keepdim=True)
        absent = absent.view(len(known), *[1] * (log_odds.dim() - 2), -1)
        return F.logsigmoid(log_odds).masked_fill(absent, -torch.inf).log_softmax(-1)

    def average(self, log_probability: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t ... k"]:
        """Average the members' probabilities."""
        if self.members == 1:
            return log_probability[:, 0]
        return torch.logsumexp(log_probability, 1) - math.log(self.members)

    def _asked(self, y: Int[Tensor, "t n"], ways: int) -> Tensor:
        """Whether a label is the class that a member's stream asks about: `[t, e, s, n]`."""
        if ways == 2:
            classes = 1 - torch.arange(self.members, device=y.device)[:, None] % 2  # [e, 1]
        else:
            classes = torch.arange(ways, device=y.device).expand(self.members, -1)  # [e, k]
        return y[:, None, None] == classes[None, :, :, None]

    def _setting(self, mass: Tensor, known: Tensor) -> Tensor:
        """What is known of the task beforehand: its rows, its classes, the asked class's share: `[t, e, s, 3]`."""
        member = torch.arange(self.members, device=mass.device)
        share = known[:, 1 - member % 2, None] if known.shape[-1] == 2 else known[:, None].expand(-1, self.members, -1)
        rows = (mass.sum(-1) + 1).log().view(-1, 1, 1).expand_as(share)
        ways = (known > 0).sum(-1).clamp(min=1).to(mass.dtype).log().view(-1, 1, 1).expand_as(share)
        return torch.stack([rows / 4 - 1, ways - 1, ((share + 0.02) / (1.02 - share)).log()], -1)

    def _cells(self, x: Float[Tensor, "t r d"], support: Float[Tensor, "t n d"], w: Float[Tensor, "t n"]) -> Tensor:
        """Embed cells by what the support's column makes of them: standard score, rank, share of equal values."""
        here = torch.isfinite(support)
        value = torch.where(here, support, 0.0)
        weight = w[..., None] * here  # [t, n, d]
        total = weight.sum(1, keepdim=True)
        weight = weight / torch.where(total > 0, total, 1.0)
        mean = (weight * value).sum(1, keepdim=True)
        variance = (weight * (value - mean).square()).sum(1, keepdim=True)
        deviation = torch.where(variance > 1e-12 * (1 + mean.square()), variance, 1.0).sqrt()
        seen = torch.isfinite(x)
        query = torch.where(seen, x, mean)  # [t, r, d]
        score = (query - mean) / deviation
        below = (weight[:, None] * (value[:, None] < query[:, :, None])).sum(2)
        equal = (weight[:, None] * (value[:, None] == query[:, :, None])).sum(2)
        rank = 2 * below + equal - 1  # in [−1, 1], 0 at the median
        waves = [f(torch.pi * 2.0**i * rank) for i in range(3) for f in (torch.sin, torch.cos)]
        bounded = score / (1 + (score / 4).square()).sqrt()
        cells = self.cell(torch.stack([bounded, score.tanh(), rank, equal, *waves], -1).to(x.dtype))
        return torch.where(seen[..., None], cells, self.missing)


def _masses(support: Examples, ways: int) -> tuple[Tensor, Tensor]:
    """Return each example's weight in rows (1 where weights are equal), and each class's share of the weight."""
    total = support.w.sum(-1, keepdim=True)
    safe = torch.where(total > 0, total, 1.0)
    square = support.w.square().sum(-1, keepdim=True)
    rows = safe.square() / torch.where(total > 0, square, 1.0)  # Kish's effective sample size
    classes = torch.arange(ways, device=support.y.device)
    known = ((support.y[..., None] == classes) * support.w[..., None]).sum(-2) / safe  # [t, k]
    return support.w * rows / safe, known


def _rows(cells: Tensor, label: Tensor) -> Tensor:
    """Put each row's label token behind its cells: `[t·e·s, rows, d+1, v]`."""
    cells = cells.expand(*label.shape[:3], *cells.shape[3:])
    return torch.cat([cells, label[..., None, :]], -2).flatten(0, 2)
