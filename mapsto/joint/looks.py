"""Make the Shapley values of one forward pass more exact by a few looks at the model.

    δ = W (v − ĝ)(S),     φ = φ̂ + κ·δ,     κ = ε / (ε + σ²)

A look asks the model for its prediction v(S) with only the columns S visible. ĝ is the game that the mapping predicts,
and φ̂ are its values. It is a control variate: only the difference v − ĝ is sampled, by the design W of `kriging`. ε is
the squared error that the mapping predicts of φ̂, and σ² the squared standard error of δ. So κ is the weight by which
two independent estimates of the error are combined: 0 if the looks say nothing new, 1 if they are exact. What is left
of the squared error is κ·σ².
"""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ..explainers import kriging
from ..explainers.coalitions import Design
from ..explainers.learned.amortised_shapley import added_up
from ..explainers.learned.attribution import PairwiseGame
from ..learners.in_context import Reading

if TYPE_CHECKING:
    from .self_explaining import SelfExplaining

_AT_ONCE = 2**18  # numbers of the tokens that are in memory at a time


def looked(
    mapping: "SelfExplaining",
    reading: Reading,
    x: Float[Tensor, "n d"],
    game: PairwiseGame,
    values: Float[Tensor, "n d k"],
    errors: Float[Tensor, "n d k"],
    looks: int,
) -> tuple[Float[Tensor, "n d k"], Float[Tensor, "n d k"]]:
    """Return the values and their expected errors after `looks` looks at each row, in the unit of `in_tasks`.

    `game` is the game that the mapping predicts for the rows.

    Raises:
        MapstoError: if the coalitions of so few looks do not determine the values.
    """
    design = kriging.design(x.shape[1], looks, dtype=x.dtype)
    visible = torch.isfinite(x)
    apart = differences(mapping, reading, x[None], game, design)[0]  # [n, c, k]
    delta = torch.einsum("jc,nck->njk", design.weights, apart) * visible[..., None]
    outcomes = apart.movedim(1, 0).flatten(1).double()  # [c, n·k]
    sampling = kriging.error(x.shape[1], looks, 0, outcomes).unflatten(1, (len(x), -1)).movedim(1, 0).to(x.dtype)
    predicted, sampled = errors.square(), sampling.square().nan_to_num(torch.inf)  # too few looks to tell
    weight = predicted / (predicted + sampled).clamp(min=1e-20)
    total = values.sum(1)
    return added_up(values + weight * delta, visible, total), (predicted * (1 - weight)).sqrt() * visible[..., None]


def residual(
    mapping: "SelfExplaining", reading: Reading, x: Float[Tensor, "t m d"], game: PairwiseGame, design: Design
) -> Float[Tensor, "t m d k"]:
    """Return how far the Shapley values of the model's own game are from those of the predicted `game`, by a design."""
    apart = differences(mapping, reading, x, game, design)
    return torch.einsum("jc,tmck->tmjk", design.weights, apart) * torch.isfinite(x)[..., None]


def differences(
    mapping: "SelfExplaining", reading: Reading, x: Float[Tensor, "t m d"], game: PairwiseGame, design: Design
) -> Float[Tensor, "t m c k"]:
    """Return how far the predictions for the coalitions of a design are from those of the predicted `game`."""
    shown = torch.where(design.masks.bool(), x[:, :, None], torch.nan).flatten(1, 2)  # [t, m·c, d]
    learner, outcome = mapping.learner, reading.outcome
    at_once = max(1, _AT_ONCE // (reading.question.shape[1] * (x.shape[2] + 1) * reading.question.shape[2]))
    evidence = [learner.evidence(reading, learner.look(reading, part)) for part in shown.split(at_once, 1)]
    v = outcome.value(torch.cat(evidence, 2)).unflatten(2, (x.shape[1], -1))
    g = mapping.play(reading, game, design.masks.to(x))
    return (v - g).mean(1) / outcome.unit[:, None, None, None]
