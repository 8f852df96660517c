"""Turn scores into outcomes, classes or numbers; half of the tables (for numbers 30 %) have little or no noise."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .dice import Dice, standard


def classes(dice: Dice, scores: Float[Tensor, "t r m"]) -> Int[Tensor, "t r"]:
    """Add noise, then cut a single score at random quantiles (equal scores stay together), or take the largest."""
    deviation = scores.std(1, keepdim=True).clamp(min=1e-6)
    noise = dice.log_uniform(0.02, 0.8, dice.t, 1, 1) * ~dice.chance(0.5, dice.t, 1, 1) * deviation
    if scores.shape[-1] == 1:
        return _cut(dice, scores + noise * dice.randn(*scores.shape))
    gumbel = -(-dice.rand(*scores.shape).clamp(1e-6, 1 - 1e-6).log()).log()
    bias = 0.7 * dice.randn(dice.t, 1, dice.k) * dice.chance(0.5, dice.t, 1, 1) * deviation
    return (scores + bias + noise * gumbel).argmax(-1)


def numbers(dice: Dice, score: Float[Tensor, "t r"]) -> Float[Tensor, "t r"]:
    """Add noise (sometimes growing with the score, or heavy-tailed), and bend, round or cut the scale."""
    t, r = dice.t, dice.r
    score = standard(score)
    faint, strong = dice.log_uniform(0.01, 0.1, t, 1), dice.log_uniform(0.1, 1.5, t, 1)
    noise = torch.where(dice.chance(0.3, t, 1), faint, strong)
    noise = noise * torch.where(dice.chance(0.25, t, 1), (0.7 * score).exp(), 1.0)
    noise = noise * torch.where(dice.chance(0.2, t, 1), dice.rand(t, r).clamp(min=0.05).rsqrt(), 1.0)
    y = standard(score + noise * dice.randn(t, r))
    steps = dice.randint(3, 12, t, 1) / 3
    bent = torch.exp(dice.log_uniform(0.3, 1.2, t, 1) * y.clamp(-4, 4))
    kinds = torch.stack([y, y, y, y, bent, y * y.abs().sqrt(), (y * steps).round(), y.clamp(min=-1)])
    return standard(kinds.gather(0, dice.randint(0, len(kinds), 1, t, 1).expand(1, t, r))[0])


def _cut(dice: Dice, score: Float[Tensor, "t r 1"]) -> Int[Tensor, "t r"]:
    size = dice.rand(dice.t, dice.k) + 0.15
    place = (size / size.sum(1, keepdim=True)).cumsum(1)[:, :-1]
    ordered = score[..., 0].sort(1).values
    edges = ordered.gather(1, (place * dice.r).long().clamp(max=dice.r - 1))[:, None]  # [t, 1, k−1]
    top = ordered[:, -1:, None]
    return ((score > edges) | ((edges >= top) & (score >= edges))).sum(-1)
