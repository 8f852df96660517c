"""What a support set says of its outcome alone, and how evidence moves it: class frequencies, or a mean number.

    p_c ∝ π_c · exp(e_c)          ŷ = ȳ + s · e

Each of `e` readings ("members") calls the classes by other codes, or turns the sign of the numbers, so that the
average of the readings prefers no class and no direction. Outcomes come for `t` tasks at once.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Frequencies(NamedTuple):
    """Of classes."""

    known: Float[Tensor, "t k"]  # each class's share of the weight
    codes: Int[Tensor, "t e k"]  # how each reading calls each class

    @property
    def outputs(self) -> slice:
        """Which outputs of a body speak of these classes, by their codes."""
        return slice(0, self.codes.shape[-1])

    def named(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Bring evidence from the order of the codes into that of the classes."""
        codes = self.codes.view(*self.codes.shape[:2], *[1] * (evidence.dim() - 3), -1)
        return evidence.gather(-1, codes.expand(evidence.shape))

    def answer(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return log-probabilities; −∞ for a class that nobody taught, equal ones if nobody taught any."""
        taught = (self.known > 0) | (self.known <= 0).all(-1, keepdim=True)
        prior = torch.where(self.known > 0, self.known, 1.0).log().masked_fill(~taught, -torch.inf)
        return (evidence + prior.view(len(prior), *[1] * (evidence.dim() - 2), -1)).log_softmax(-1)

    def value(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return probabilities: what reasons are shares of."""
        return self.answer(evidence).exp()

    def average(self, answers: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t ... k"]:
        """Average the readings' probabilities, as logarithms."""
        ruled_out = answers.isneginf().all(1, keepdim=True)  # whose slope would be that of log 0
        total = torch.logsumexp(answers.masked_fill(ruled_out, 0.0), 1)
        return (total - math.log(answers.shape[1])).masked_fill(ruled_out[:, 0], -torch.inf)


class Moments(NamedTuple):
    """Of numbers."""

    mean: Float[Tensor, " t"]
    spread: Float[Tensor, " t"]  # one standard deviation
    sign: Float[Tensor, "t e"]  # how each reading turns them

    @property
    def outputs(self) -> slice:
        """Which output of a body speaks of numbers: the one behind the classes."""
        return slice(CLASSES, CLASSES + 1)

    def named(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Turn the readings' evidence to the sign of the numbers."""
        return evidence * self.sign.view(*self.sign.shape, *[1] * (evidence.dim() - 2))

    def answer(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return numbers in their own unit."""
        shape = (len(self.mean), *[1] * (evidence.dim() - 1))
        return self.mean.view(shape) + self.spread.view(shape) * evidence

    def value(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return numbers in their own unit: what reasons are shares of."""
        return self.answer(evidence)

    def average(self, answers: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t ... k"]:
        """Average the readings."""
        return answers.mean(1)


CLASSES = 10  # how many classes a body can tell apart
Outcome = Frequencies | Moments


def frequencies(y: Int[Tensor, "t n"], w: Float[Tensor, "t n"], ways: int) -> Float[Tensor, "t k"]:
    """Return each class's share of the weight."""
    total = w.sum(-1, keepdim=True)
    mine = y[..., None] == torch.arange(ways, device=y.device)
    return (mine * w[..., None]).sum(-2) / torch.where(total > 0, total, 1.0)


def moments(y: Float[Tensor, "t n 1"], w: Float[Tensor, "t n"], members: int) -> Moments:
    """Return the weighted mean and standard deviation; every other reading turns the sign."""
    total = w.sum(-1)
    share = w / torch.where(total > 0, total, 1.0)[:, None]
    mean = (share * y[..., 0]).sum(-1)
    variance = (share * (y[..., 0] - mean[:, None]).square()).sum(-1)
    differ = variance > 1e-12 * (1e-12 + mean.square())
    spread = torch.where(differ, variance, 1.0).sqrt() * differ  # no slope of √0
    sign = 1.0 - 2.0 * (torch.arange(members, device=y.device) % 2)
    return Moments(mean, spread, sign.to(y).expand(len(y), -1))


def canonical_codes(
    z: Float[Tensor, "t n d"], y: Int[Tensor, "t n"], w: Float[Tensor, "t n"], ways: int, members: int
) -> Int[Tensor, "t e k"]:
    """Number the taught classes by what their rows `z` hold, never by their names; each reading one place further.

    A class's place is that of the mean, over its rows, of the sum of `z`. Renaming the classes, or reordering rows or
    columns, therefore renames or reorders the answers and changes nothing else, unless two classes have equal means.
    """
    mine = (y[..., None] == torch.arange(ways, device=y.device)) * w[..., None]  # [t, n, k]
    mass = mine.sum(1)
    key = (mine * z.sum(-1, keepdim=True)).sum(1) / torch.where(mass > 0, mass, 1.0)
    rank = torch.where(mass > 0, key, torch.inf).argsort(-1).argsort(-1)[:, None]  # [t, 1, k], nobody's classes last
    taught = (mass > 0).sum(-1)[:, None, None]
    moved = (rank + torch.arange(members, device=y.device)[:, None]) % taught.clamp(min=1)
    return torch.where(rank < taught, moved, rank)
