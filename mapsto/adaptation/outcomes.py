"""Predict from the class frequencies or the mean of a support set, updated by the evidence of a network.

    p_c ∝ π_c · exp(e_c)          ŷ = ȳ + s · e

π are the class frequencies of the support set, and ȳ and s the mean and the standard deviation of its targets. The
evidence e comes from a network: an unnormalised score of each class, or a deviation from the mean in standard
deviations.

The network reads a support set `e` times. Each of these readings ("members") numbers the classes differently, or
multiplies the targets by 1 or −1, so that the average of the readings prefers no class and no direction. All functions
take `t` tasks at once.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Frequencies(NamedTuple):
    """The prior of tasks with classes: the frequency of each class, and its code in each reading."""

    known: Float[Tensor, "t k"]  # the fraction of the total weight that each class has
    codes: Int[Tensor, "t e k"]  # the code of each class in each reading

    @property
    def outputs(self) -> slice:
        """The slice of the body's outputs that belongs to these classes, in the order of their codes."""
        return slice(0, self.codes.shape[-1])

    def named(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return the evidence in the order of the classes, given the evidence in the order of the codes."""
        codes = self.codes.view(*self.codes.shape[:2], *[1] * (evidence.dim() - 3), -1)
        return evidence.gather(-1, codes.expand(evidence.shape))

    def answer(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return the log-probabilities of the classes; −∞ for a class without an example.

        If no class has an example, all classes have the same prior probability.
        """
        possible = (self.known > 0) | (self.known <= 0).all(-1, keepdim=True)
        prior = torch.where(self.known > 0, self.known, 1.0).log().masked_fill(~possible, -torch.inf)
        return (evidence + prior.view(len(prior), *[1] * (evidence.dim() - 2), -1)).log_softmax(-1)

    @property
    def unit(self) -> Float[Tensor, " t"]:
        """The size of a usual attribution: 1, as attributions are in probability."""
        return self.known.new_ones(len(self.known))

    def value(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return the probabilities of the classes, which are the unit of attributions."""
        return self.answer(evidence).exp()

    def average(self, answers: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t ... k"]:
        """Return the logarithm of the mean probability over the readings."""
        ruled_out = answers.isneginf().all(1, keepdim=True)  # otherwise the derivative of log 0
        total = torch.logsumexp(answers.masked_fill(ruled_out, 0.0), 1)
        return (total - math.log(answers.shape[1])).masked_fill(ruled_out[:, 0], -torch.inf)


class Moments(NamedTuple):
    """The prior of tasks with numbers: their mean and standard deviation, and the sign of each reading."""

    mean: Float[Tensor, " t"]
    spread: Float[Tensor, " t"]  # one standard deviation
    sign: Float[Tensor, "t e"]  # the sign by which the numbers are multiplied in each reading

    @property
    def outputs(self) -> slice:
        """The slice of the body's outputs that is used for numbers: the one output after those for classes."""
        return slice(CLASSES, CLASSES + 1)

    def named(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return the evidence of each reading, with the sign of the reading undone."""
        return evidence * self.sign.view(*self.sign.shape, *[1] * (evidence.dim() - 2))

    def answer(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return the predicted numbers in the unit of the targets."""
        shape = (len(self.mean), *[1] * (evidence.dim() - 1))
        return self.mean.view(shape) + self.spread.view(shape) * evidence

    @property
    def unit(self) -> Float[Tensor, " t"]:
        """The size of a usual attribution: the standard deviation of the targets."""
        return torch.where(self.spread > 0, self.spread, 1.0)

    def value(self, evidence: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t e ... k"]:
        """Return the predicted numbers in the unit of the targets, which is also the unit of attributions."""
        return self.answer(evidence)

    def average(self, answers: Float[Tensor, "t e ... k"]) -> Float[Tensor, "t ... k"]:
        """Return the mean over the readings."""
        return answers.mean(1)


CLASSES = 10  # the largest number of classes that a body can distinguish
Outcome = Frequencies | Moments


def frequencies(y: Int[Tensor, "t n"], w: Float[Tensor, "t n"], ways: int) -> Float[Tensor, "t k"]:
    """Return the fraction of the total weight that each class has."""
    total = w.sum(-1, keepdim=True)
    mine = y[..., None] == torch.arange(ways, device=y.device)
    return (mine * w[..., None]).sum(-2) / torch.where(total > 0, total, 1.0)


def moments(y: Float[Tensor, "t n 1"], w: Float[Tensor, "t n"], members: int) -> Moments:
    """Return the weighted mean and standard deviation of the targets; every second reading has sign −1."""
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
    """Return the codes (numbers) of the classes in each reading, computed from their rows `z`, not their names.

    In the first reading, the classes are numbered in the order of the mean, over their rows, of the sum of `z`. Each
    further reading shifts the codes by one. So the predictions do not depend on the names of the classes or on the
    order of rows and columns, unless two classes have equal means.
    """
    mine = (y[..., None] == torch.arange(ways, device=y.device)) * w[..., None]  # [t, n, k]
    mass = mine.sum(1)
    key = (mine * z.sum(-1, keepdim=True)).sum(1) / torch.where(mass > 0, mass, 1.0)
    rank = torch.where(mass > 0, key, torch.inf).argsort(-1).argsort(-1)[:, None]  # [t, 1, k], absent classes last
    present = (mass > 0).sum(-1)[:, None, None]
    moved = (rank + torch.arange(members, device=y.device)[:, None]) % present.clamp(min=1)
    return torch.where(rank < present, moved, rank)
