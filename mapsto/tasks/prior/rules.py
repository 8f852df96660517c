"""Rules for an outcome: inputs u `[t, r, d]` ↦ scores `[t, r, m]`, a single score (m = 1) or one for each class.

Each rule reads a few random columns. The noise of the outcome is added later (`outcomes`).
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from .dice import Dice, ranks, standard
from .inputs import LEVELS

Scores = Float[Tensor, "t r m"]


def additive(dice: Dice, u: Float[Tensor, "t r d"]) -> Scores:
    """Return a sum of lines, waves, steps and products of up to eight columns."""
    t, r, d, m = dice.t, dice.r, dice.d, _scores(dice)
    relevant = dice.rand(t, d).argsort(-1) < 1 + (dice.rand(t, 1) * 8).long()
    strength = relevant.float() * dice.log_uniform(0.2, 2, t, d)  # the same for all kinds of term
    weight = dice.randn(4, t, d, m) * strength[None, :, :, None]
    size, tilt = dice.rand(4, t, 1, 1).pow(3), dice.randn(t, 1, d)
    wave = torch.sin(u * dice.log_uniform(0.5, 3, t, 1, d) + 3 * tilt)
    partner = dice.rand(t, d).argsort(-1)[:, None].expand(-1, r, -1)
    step = (u > tilt).float()
    lever = u - 0.5 * tilt * dice.chance(0.7, t, 1, 1)  # away from its centre, a product also has linear terms
    both, bent = (part * part.gather(2, partner) for part in (step, lever))
    terms = (u, wave, 2 * step - 1, torch.where(dice.chance(0.3, t, 1, 1), both, bent))
    return standard(torch.stack([a * standard(x @ w) for a, x, w in zip(size, terms, weight, strict=True)]).sum(0))


def linear(dice: Dice, u: Float[Tensor, "t r d"]) -> Scores:
    """Return a weighted sum of up to six columns."""
    relevant = dice.rand(dice.t, dice.d).argsort(-1) < 1 + (dice.rand(dice.t, 1) * 6).long()
    return standard(u @ (dice.randn(dice.t, dice.d, _scores(dice)) * relevant[..., None]))


def contrast(dice: Dice, u: Float[Tensor, "t r d"]) -> Scores:
    """Return the direction in which two or three columns vary least, such as the difference of correlated columns."""
    keep = dice.first(2, 3) & (torch.arange(3) < dice.d)  # never the same column twice
    v = standard(dice.some(u, 3)) * keep
    covariance = v.mT @ v / dice.r + torch.diag_embed((~keep[:, 0]).float() * 9) + 1e-4 * torch.eye(3)
    return standard(v @ torch.linalg.eigh(covariance).eigenvectors[..., :1])


def leaves(dice: Dice, u: Float[Tensor, "t r d"]) -> Scores:
    """Return a random score for each cell between thresholds: up to five thresholds, on several columns or on one."""
    t, d = dice.t, dice.d
    first = dice.randint(0, d, t, 1, 5)
    column = torch.where(dice.chance(0.5, t, 1, 1), first, (first[..., :1] + torch.arange(5)) % d)
    above = u.gather(2, column.expand(-1, dice.r, -1)) > 0.8 * dice.randn(t, 1, 5)
    leaf = (above * dice.first(1, 5) * 2 ** torch.arange(5)).sum(-1)  # [t, r]
    return (1.5 * dice.randn(t, 32, dice.k)).gather(1, leaf[..., None].expand(-1, -1, dice.k))


def truth_table(dice: Dice, u: Float[Tensor, "t r d"]) -> Scores:
    """Return a random class for each combination of two to four literals; in a third of the tables, exclusive or."""
    t, k, depth = dice.t, dice.k, 4
    true = _literals(dice, u, depth)
    cell = (true * dice.first(2, depth) * 2 ** torch.arange(depth)).sum(-1)
    table = dice.rand(t, 2**depth, k).argsort(-1).float().gather(1, cell[..., None].expand(-1, -1, k))
    either = true[..., :2].sum(-1) % 2
    parity = F.pad(torch.stack([either, 1 - either], -1).float(), (0, k - 2), value=-1.0)
    return torch.where(dice.chance(0.33, t, 1, 1), parity, table)


def counts(dice: Dice, u: Float[Tensor, "t r d"]) -> Scores:
    """Return the number of literals that hold, of up to eight."""
    m = min(dice.d, 8)
    return (_literals(dice, u, m) & dice.first(min(3, m), m)).sum(-1, keepdim=True).float()


def conjunctions(dice: Dice, u: Float[Tensor, "t r d"]) -> Scores:
    """Return (a and b) or (c and d) or (e and f), sometimes with fewer or shorter terms."""
    true = _literals(dice, u, 6).unflatten(-1, (3, 2))
    both = true[..., 0] & (true[..., 1] | dice.chance(0.3, dice.t, 1, 3))
    return (both & dice.first(1, 3)).any(-1, keepdim=True).float()


def smooth(dice: Dice, u: Float[Tensor, "t r d"]) -> Scores:
    """Return a smooth random function of up to three columns: waves in 24 directions (Rahimi and Recht 2007)."""
    t, m, waves = dice.t, 3, 24
    v = dice.some(u, m) * dice.first(1, m)
    frequency = dice.randn(t, m, waves) * dice.log_uniform(0.4, 2.5, t, 1, 1)
    shape = torch.cos(v @ frequency + 2 * math.pi * dice.rand(t, 1, waves))
    return standard(shape @ dice.randn(t, waves, _scores(dice)))


def pairs(dice: Dice, u: Float[Tensor, "t r d"]) -> Scores:
    """Return the distance, product, maximum, minimum, radius or common sign of two columns, or the product with a sign.

    In some tables a third column is added.
    """
    a, b, c = dice.some(u, 3).unbind(-1)
    gap = a - b + 0.3 * dice.randn(dice.t, 1)
    kinds = torch.stack([
        gap.abs(), a * b, torch.maximum(a, b), torch.minimum(a, b), a.square() + b.square(), a.sign() * b.sign(),
        a * b.sign(),
    ])  # fmt: skip
    score = kinds.gather(0, dice.randint(0, len(kinds), 1, dice.t, 1).expand(1, *a.shape))[0]
    return (standard(score) + dice.chance(0.3, dice.t, 1) * dice.rand(dice.t, 1) * c)[..., None]


def neighbours(dice: Dice, u: Float[Tensor, "t r d"]) -> Scores:
    """Return the class of the nearest of up to 24 points, in up to four columns."""
    t, m = dice.t, 4
    keep = dice.first(1, m)
    v = dice.some(u, m) * keep
    row = dice.rand(t, dice.r).argsort(-1)[:, :24, None].expand(-1, -1, m)
    points = v.gather(1, row) + 0.5 * dice.randn(*row.shape) * keep
    far = torch.arange(row.shape[1]) >= 2 + (dice.rand(t, 1) * (row.shape[1] - 2)).long()
    nearest = ((v[:, :, None] - points[:, None]).square().sum(-1) + 1e6 * far[:, None]).argmin(-1)  # [t, r]
    mine = (torch.arange(row.shape[1]) + dice.randint(0, dice.k, t, 1)) % dice.k
    return F.one_hot(mine.gather(1, nearest), dice.k).float()


def levels(dice: Dice, u: Float[Tensor, "t r d"]) -> Scores:
    """Return the sum of the effects of the levels of up to three columns; some effects rise with the level."""
    t, m, k = dice.t, 3, _scores(dice)
    number = (2 + dice.rand(t, 1, m).square() * (LEVELS - 2)).floor()
    level = (ranks(dice.some(u, m)) * number).long().clamp(max=LEVELS - 1)
    effect = dice.randn(t, LEVELS, m, k)
    effect = torch.where(dice.chance(0.3, t, 1, m, 1), effect.abs().cumsum(1) / 4, effect)
    score = effect.gather(1, level[..., None].expand(-1, -1, -1, k))
    return (score * (dice.first(1, m)[..., None] * dice.log_uniform(0.3, 1, t, 1, m, 1))).sum(2)


Rule = Callable[[Dice, Tensor], Tensor]
# rule ↦ its weight among the rules, and the fraction of its tables whose columns are all binary
RULES: dict[Rule, tuple[float, float]] = {
    additive: (3.0, 0.0), linear: (1.5, 0.0), contrast: (2.0, 0.0), leaves: (1.5, 0.3), truth_table: (2.0, 0.6),
    counts: (1.0, 0.6), conjunctions: (1.0, 0.6), smooth: (1.5, 0.0), pairs: (3.0, 0.0), neighbours: (1.0, 0.0),
    levels: (1.5, 0.0),
}  # fmt: skip


def _scores(dice: Dice) -> int:
    """Return the number of scores: 1 for two classes, otherwise one for each class."""
    return dice.k if dice.k > 2 else 1


def _literals(dice: Dice, u: Float[Tensor, "t r d"], m: int) -> Bool[Tensor, "t r m"]:
    """Return whether `m` columns are above, or below, a threshold, which is half-way or random."""
    v = dice.some(u, m)
    middle = (v.amin(1, keepdim=True) + v.amax(1, keepdim=True)) / 2
    edge = torch.where(dice.chance(0.5, dice.t, 1, m), middle, 0.5 * dice.randn(dice.t, 1, m))
    return (v > edge) ^ dice.chance(0.5, dice.t, 1, m)
