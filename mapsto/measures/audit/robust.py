"""Whether predictions stay right when the inputs of the query rows move a little.

    noise    x + 0.1·s∘n,  x + 0.3·s∘n                     n ~ N(0, 1) for each entry of each row
    shift    x + 0.3·s∘d                                   d = ±1 for each entry, the same for all rows of a task
    attack   x + 0.1·s∘sign(∇_x loss)                      (Goodfellow et al. 2015, §4)
    kept     = (quality after the move − quality of a guess) / (quality before − quality of a guess)

s is the standard deviation of each entry over the query rows of all tasks, so the units of measurement do not matter.
The loss is the squared error or, for classes, the largest score of a wrong class minus the score of the right class.
Unlike cross-entropy, it keeps its slope if the model is very sure.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ...adaptation.batching import kernels_for
from ...adaptation.learner import Learner
from ...episodes import Episode, Examples, State, real
from ...estimate import Estimate, estimate
from ..robustness.attacks import FGSM
from .correct import Correct, averages, quality

LITTLE, MUCH = 0.1, 0.3
"""The sizes of the moves, in standard deviations of each input."""
LEAST = {"little_noise": 0.5, "much_noise": 0.25, "shift": 0.25, "attack": 0.5}
"""The fraction of the lead over guessing that has to be kept after each move."""
_WORDS = {"little_noise": "with little noise", "much_noise": "with much noise", "shift": "after a shift"}
_WORDS["attack"] = "under attack"


class Moved(NamedTuple):
    """The predictions after the inputs have moved."""

    quality: Estimate  # accuracy, or mean squared error
    kept: float  # fraction of the lead over guessing that is left; NaN if there was no clear lead


class Robust(NamedTuple):
    """How well predictions withstand small moves of the inputs; everything is None if inputs are whole numbers."""

    little_noise: Moved | None  # noise of 0.1 standard deviations
    much_noise: Moved | None  # noise of 0.3 standard deviations
    shift: Moved | None  # all rows shifted by 0.3 standard deviations
    attack: Moved | None  # each row moved by 0.1 standard deviations in the worst direction, to first order
    passed: bool | None
    reason: str


def robust(learner: Learner, tasks: list[Episode], before: Correct, seed: int) -> Robust:
    """Return how much of the lead over guessing, which is in `before`, a learner keeps when the query inputs move."""
    queries = [real(task.query) for task in tasks]
    if not queries[0].x.is_floating_point():
        return Robust(None, None, None, None, None, "the inputs are whole numbers, which cannot move a little")
    spread = deviations(torch.cat([query.x for query in queries]))
    generator = torch.Generator().manual_seed(seed)
    after: dict[str, list[Tensor]] = {name: [] for name in LEAST}
    for task, query in zip(tasks, queries, strict=True):
        with kernels_for(learner):
            state = learner.adapt_to(task)
            for name, x in _moves(learner, state, query, spread, generator).items():
                after[name].append(quality(learner, learner.predict(state, x), query.y))
    sign = 1 if learner.criterion.outcome == "classes" else -1
    weights = [query.w for query in queries]
    return _judged({name: estimate(sign * averages(values, weights)) for name, values in after.items()}, before, sign)


def deviations(x: Float[Tensor, "n ..."]) -> Float[Tensor, "..."]:
    """Return the standard deviation of each entry over the rows; missing cells (NaN) do not count.

    >>> deviations(torch.tensor([[1.0, 5.0], [3.0, torch.nan]]))
    tensor([1., 0.])
    """
    centred = x.double() - x.double().nanmean(0)
    return centred.square().nanmean(0).sqrt().nan_to_num(0.0).to(x)


def _moves(
    learner: Learner, state: State, query: Examples, spread: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    x = query.x
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)
    signs = (2 * torch.randint(2, x.shape[1:], generator=generator) - 1).to(x)
    return {
        "little_noise": x + LITTLE * spread * noise,
        "much_noise": x + MUCH * spread * noise,
        "shift": x + MUCH * spread * signs,
        "attack": x + spread * _attack(learner, state, query, spread),
    }


def _attack(learner: Learner, state: State, query: Examples, spread: Tensor) -> Tensor:
    """Return the move of each row that raises its loss, in standard deviations."""

    def loss(move: Tensor) -> Tensor:
        scores = learner.predict(state, query.x + spread * move)
        if learner.criterion.outcome == "numbers":
            return (scores - query.y).square().sum()
        right = F.one_hot(query.y, scores.shape[-1]).bool()
        return (torch.where(right, -torch.inf, scores).amax(-1) - scores.gather(-1, query.y[:, None])[:, 0]).sum()

    start = torch.zeros_like(query.x)
    return FGSM(LITTLE)(loss, start) if bool(loss(start).isfinite()) else start  # adaptation may have diverged


def _judged(after: dict[str, Estimate], before: Correct, sign: int) -> Robust:
    lead = before.lead.mean if before.better else math.nan
    kept = {name: sign * (value.mean - before.guessing) / lead for name, value in after.items()}
    low = [name for name, least in LEAST.items() if not kept[name] >= least]
    reason = "it has no clear lead over guessing that it could keep"
    if before.better:
        reason = "of its lead over guessing it keeps "
        reason += ", ".join(f"{100 * kept[name]:.0f} % {_WORDS[name]}" for name in LEAST)
        reason += "".join(f"; too little {_WORDS[name]} (at least {100 * LEAST[name]:.0f} % is sound)" for name in low)
    moved = {name: Moved(value, kept[name]) for name, value in after.items()}
    return Robust(**moved, passed=not low, reason=reason)
