"""Bayesian knowledge tracing: hidden knowledge of each skill, seen only through right and wrong answers.

    P(correct) = k·σ(logit(1 − slip) − d) + (1 − k)·σ(logit(guess) − d)            k = P(skill is known), d = difficulty
    k ← k + (1 − k)·learning   for the skill that was asked,     k ← k·(1 − forgetting)   for every other skill

Corbett & Anderson 1995, "Knowledge Tracing", with forgetting, and with a difficulty that shifts the log-odds of an item
(Pardos & Heffernan 2011, "KT-IDEM"). Given the parameters, skills are independent, so the forward filter is exact. If
the parameters are unknown, it is averaged over them by Gauss-Legendre quadrature.
"""

import itertools
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..episodes import Episode


class Parameters(NamedTuple):
    """The parameters of pupils, all of them probabilities; see the formula above."""

    start: Float[Tensor, "..."]  # that a skill is known before the first answer
    learning: Float[Tensor, "..."]  # that an unknown skill is learned by one answer
    forgetting: Float[Tensor, "..."]  # that a known skill is forgotten in one step in which it is not asked
    guess: Float[Tensor, "..."]  # of a right answer to an item of difficulty 0 without knowing the skill
    slip: Float[Tensor, "..."]  # of a wrong answer to an item of difficulty 0 in spite of knowing the skill


class Nodes(NamedTuple):
    """Points of the space of parameters, and the logarithms of their prior probabilities."""

    parameters: Parameters
    log_weight: Float[Tensor, "... N"]


def correct(
    knows: Float[Tensor, "..."], difficulty: Float[Tensor, "..."], parameters: Parameters
) -> Float[Tensor, "..."]:
    """Return the probability of a right answer, given the probability that the skill is known."""
    known = torch.sigmoid(torch.logit(1 - parameters.slip) - difficulty)
    unknown = torch.sigmoid(torch.logit(parameters.guess) - difficulty)
    return knows * known + (1 - knows) * unknown


def after(
    knows: Float[Tensor, "... S"], asked: Float[Tensor, "... S"], parameters: Parameters
) -> Float[Tensor, "... S"]:
    """Return the probabilities that skills are known after a step; `asked` is 1 for the skill that was asked."""
    learning, forgetting = parameters.learning[..., None], parameters.forgetting[..., None]
    return asked * (knows + (1 - knows) * learning) + (1 - asked) * knows * (1 - forgetting)


def quadrature(ranges: tuple[tuple[float, float], ...], order: int) -> Nodes:
    """Return Gauss-Legendre nodes for independent parameters that are uniform on `ranges`.

    A range of one point has one node, any other range has `order` of them. Predictions after n answers are ratios of
    integrals whose integrands are polynomials in the first three parameters, so errors fall quickly with `order`.
    """
    lines = [np.polynomial.legendre.leggauss(1 if low == high else order) for low, high in ranges]
    points = [low + (high - low) * (1 + u) / 2 for (low, high), (u, _) in zip(ranges, lines, strict=True)]
    grid = torch.tensor(list(itertools.product(*points)), dtype=torch.float64)
    mass = torch.tensor([np.prod(w) for w in itertools.product(*(w / 2 for _, w in lines))], dtype=torch.float64)
    return Nodes(Parameters(*grid.unbind(1)), mass.log())


def predictions(tasks: Episode, nodes: Nodes) -> Float[Tensor, "T m"]:
    """Return the exact probability of a right answer to each query, given the support answers and a prior.

    Row i of a support set is step i; a row of weight 0 before the query is a step in which nothing was asked. `nodes`
    hold the prior, the same one for all tasks `[N]` or one for each task `[T, N]`.
    """
    (x, y, w), query = tasks.support, tasks.query.x.double()
    skills, difficulty = x[..., :-2].double(), x[..., -2].double()
    p, steps = nodes.parameters, (10 * query[:, :1, -1]).round()  # [T, 1]
    evidence = nodes.log_weight.expand(len(x), -1)  # [T, N]
    knows = p.start[..., None].expand(len(x), evidence.shape[1], skills.shape[-1])  # [T, N, S]
    for i in range(x.shape[1]):
        asked, real = skills[:, i, None], w[:, i, None] > 0  # [T, 1, S], [T, 1]
        knows, likelihood = _told(knows, asked, y[:, i, None] == 1, difficulty[:, i, None], p)
        evidence = evidence + torch.where(real, likelihood.log(), 0.0)
        knows = torch.where((i < steps)[..., None], after(knows, asked, p), knows)
    share = evidence.softmax(1)[..., None]
    each = correct(knows @ query[..., :-2].mT, query[:, None, :, -2], Parameters(*(part[..., None] for part in p)))
    return (share * each).sum(1)


def _told(
    knows: Float[Tensor, "T N S"],
    asked: Float[Tensor, "T 1 S"],
    right: Bool[Tensor, "T 1"],
    difficulty: Float[Tensor, "T 1"],
    p: Parameters,
) -> tuple[Float[Tensor, "T N S"], Float[Tensor, "T N"]]:
    """Return the probabilities of knowing after an answer by Bayes' rule, and the likelihood of the answer."""
    k = (knows * asked).sum(-1)
    chance = correct(k, difficulty, p)
    if_known = correct(torch.ones_like(k), difficulty, p)
    chance, if_known = (torch.where(right, part, 1 - part) for part in (chance, if_known))
    return torch.where(asked > 0, (k * if_known / chance)[..., None], knows), chance
