"""The prior prediction of a support set, class frequencies or a mean, and its update by evidence.

    p_c ∝ π_c · exp(e_c)          ŷ = ȳ + s · e

Each of `e` readings ("members") uses other codes for the classes, or another sign for the numbers, so that the average
of the readings prefers no class and no direction. The functions take `t` tasks at once.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Frequencies(NamedTuple):
    """The outcome of tasks with classes."""

    known: Float[Tensor, "t k"]  # each class's share of the weight
    codes: Int[Tensor, "t e k"]  # the code of each class in each reading

    @property
    def outputs(self) -> slice:
        """The outputs of a body for these classes, in the order of their codes."""
        return slice(0, self.codes.shape[-1])

    def named(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return evidence in the order of the classes, given it in the order of the codes."""
        codes = self.codes.view(*self.codes.shape[:2], *[1] * (evidence.dim() - 3), -1)
        return evidence.gather(-1, codes.expand(evidence.shape))

    def answer(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return log-probabilities: −∞ for a class without an example, equal ones if there is no example."""
        possible = (self.known > 0) | (self.known <= 0).all(-1, keepdim=True)
        prior = torch.where(self.known > 0, self.known, 1.0).log().masked_fill(~possible, -torch.inf)
        return (evidence + prior.view(len(prior), *[1] * (evidence.dim() - 2), -1)).log_softmax(-1)

    def value(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return probabilities, the unit of attributions."""
        return self.answer(evidence).exp()

    def average(self, answers: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t ... k"]:
        """Return the logarithm of the readings' mean probability."""
        ruled_out = answers.isneginf().all(1, keepdim=True)  # otherwise the derivative of log 0
        total = torch.logsumexp(answers.masked_fill(ruled_out, 0.0), 1)
        return (total - math.log(answers.shape[1])).masked_fill(ruled_out[:, 0], -torch.inf)


class Moments(NamedTuple):
    """The outcome of tasks with numbers."""

    mean: Float[Tensor, " t"]
    spread: Float[Tensor, " t"]  # one standard deviation
    sign: Float[Tensor, "t e"]  # of the numbers in each reading

    @property
    def outputs(self) -> slice:
        """The output of a body for numbers: the one after the classes."""
        return slice(CLASSES, CLASSES + 1)

    def named(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return the readings' evidence with the sign of the numbers."""
        return evidence * self.sign.view(*self.sign.shape, *[1] * (evidence.dim() - 2))

    def answer(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return numbers in their own unit."""
        shape = (len(self.mean), *[1] * (evidence.dim() - 1))
        return self.mean.view(shape) + self.spread.view(shape) * evidence

    def value(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return numbers in their own unit, the unit of attributions."""
        return self.answer(evidence)

    def average(self, answers: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t ... k"]:
        """Return the mean of the readings."""
        return answers.mean(1)


CLASSES = 10  # the number of classes that a body can distinguish
Outcome = Frequencies | Moments


def frequencies(y: Int[Tensor, "t n"], w: Float[Tensor, "t n"], ways: int) -> Float[Tensor, "t k"]:
    """Return each class's share of the weight."""
    total = w.sum(-1, keepdim=True)
    mine = y[..., None] == torch.arange(ways, device=y.device)
    return (mine * w[..., None]).sum(-2) / torch.where(total > 0, total, 1.0)


def moments(y: Float[Tensor, "t n 1"], w: Float[Tensor, "t n"], members: int) -> Moments:
    """Return the weighted mean and standard deviation; every other reading has sign −1."""
    total = w.sum(-1)
    share = w / torch.where(total > 0, total, 1.0)[:, None]
    mean = (share * y[..., 0]).sum(-1)
    variance = (share * (y[..., 0] - mean[:, None]).square()).sum(-1)
    differ = variance > 1e-12 * (1e-12 + mean.square())
    spread = torch.where(differ, variance, 1.0).sqrt() * differ  # without the derivative of √0
    sign = 1.0 - 2.0 * (torch.arange(members, device=y.device) % 2)
    return Moments(mean, spread, sign.to(y).expand(len(y), -1))


def canonical_codes(
    z: Float[Tensor, "t n d"], y: Int[Tensor, "t n"], w: Float[Tensor, "t n"], ways: int, members: int
) -> Int[Tensor, "t e k"]:
    """Return codes of the classes that depend on their rows `z`, not on their names, shifted by one in each reading.

    Classes are ordered by the mean, over their rows, of the sum of `z`. So renaming the classes, or reordering rows or
    columns, only renames or reorders the answers, unless two classes have equal means.
    """
    mine = (y[..., None] == torch.arange(ways, device=y.device)) * w[..., None]  # [t, n, k]
    mass = mine.sum(1)
    key = (mine * z.sum(-1, keepdim=True)).sum(1) / torch.where(mass > 0, mass, 1.0)
    rank = torch.where(mass > 0, key, torch.inf).argsort(-1).argsort(-1)[:, None]  # [t, 1, k], absent classes last
    present = (mass > 0).sum(-1)[:, None, None]
    moved = (rank + torch.arange(members, device=y.device)[:, None]) % present.clamp(min=1)
    return torch.where(rank < present, moved, rank)
