"""Whether a model's inner units do something, and whether its layers keep what earlier layers held.

    idle         |p(h) − p(mean h)| ≤ 0.001 for every row, and neither dead nor saturated, see `units`
    readable     accuracy (or fraction of variance explained) of a linear prediction of the outcome, see `readable`
    lost         = readable from the best earlier layer − readable from this layer

Readable: Alain & Bengio 2017, "Understanding intermediate layers using linear classifier probes". A layer cannot hold
more information than the input, but it can hold it more plainly; it loses information that later layers can read only
if the accuracy falls.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...adaptation import watching
from ...adaptation.batching import kernels_for
from ...adaptation.learner import Learner
from ...episodes import Episode, Examples, State, real
from ...estimate import Estimate, estimate
from .readable import held_out
from .units import Inner, inner_layers

USELESS, LOST = 0.25, 0.1
"""The largest fraction of useless units that is sound, and the largest loss."""
CHANGE, ROWS = 1e-3, 1000


class Layer(NamedTuple):
    """The units of one inner layer."""

    units: int
    dead: int  # never change
    saturated: int  # nearly always at a flat end of their activation function
    idle: int | None  # other units on which no prediction depends; None if it cannot be measured
    readable: Estimate | None  # accuracy, or fraction of variance explained, of a linear prediction of the outcome


class Inside(NamedTuple):
    """Useless units and the loss of information in the inner layers of a model."""

    units: int  # number of inner units
    dead: int
    saturated: int
    idle: int
    lost: Estimate | None  # largest loss, or that in `lost_in`
    lost_in: str | None  # first layer that loses too much; None if there is none
    layers: dict[str, Layer]
    passed: bool
    reason: str


def inside(learner: Learner, tasks: list[Episode]) -> Inside:
    """Return the useless units and the largest loss of information of a learner's inner layers."""
    inner: dict[str, Inner] | None = None
    probed: list[tuple[dict[str, Tensor], Tensor]] = []
    scale, rows, finite = _scale(learner, tasks), 0, True
    for task in tasks:
        query = real(task.query)
        with kernels_for(learner):
            state = learner.adapt_to(task)
            features, scores = _features(learner, state, query.x), learner.predict(state, query.x)
            finite = finite and all(bool(h.isfinite().all()) for h in features.values())
            features = {name: h.nan_to_num(0.0, 0.0, 0.0) for name, h in features.items()}
            if inner is None:
                inner = inner_layers(learner, state, features, query.x, scores)
            for name, layer in inner.items():
                layer.add(features[name])
            if rows < ROWS:
                _ablate(learner, state, query, inner, scale)
                first = {"input": query.x} if query.x.is_floating_point() else {}
                probed.append((first | {name: features[name] for name in inner}, query.y))
        rows += len(query.x)
    pooled = all(len(task.support.w) == 0 for task in tasks)
    readable = held_out(_joined(probed) if pooled else probed, learner.criterion.outcome == "classes", ROWS)
    result = _judged(inner or {}, readable)
    if finite:
        return result
    return result._replace(passed=False, reason=f"{result.reason}; some values are not finite")


def _features(learner: Learner, state: State, x: Tensor) -> dict[str, Tensor]:
    """Return the features `[n, ...]` that hold numbers for each row."""
    return {
        name: h if h.dim() > 1 else h[:, None]
        for name, h in learner.features(state, x).items()
        if h.is_floating_point() and h.dim() > 0 and len(h) == len(x)
    }


def _ablate(learner: Learner, state: State, query: Examples, inner: dict[str, Inner], scale: Tensor) -> None:
    """Note the units whose replacement by their mean over the rows changes a prediction."""

    def outcome() -> Tensor:
        scores = learner.predict(state, query.x)
        return scores.softmax(-1) if learner.criterion.outcome == "classes" else scores / scale

    before = outcome()
    for layer in inner.values():
        if layer.part is None:
            continue
        for unit in set(range(len(layer.low))) - layer.matters:

            def still(output: Tensor, axis: int = layer.axis, unit: int = unit) -> Tensor:
                moved = output.clone()
                rows = moved.select(axis, unit)
                rows.copy_(rows.mean(0, keepdim=True).expand_as(rows))
                return moved

            if not ((watching.replace(layer.part, still, outcome) - before).abs() <= CHANGE).all():
                layer.matters.add(unit)


def _scale(learner: Learner, tasks: list[Episode]) -> Tensor:
    """Return the standard deviation of the targets, if they are numbers."""
    y = torch.cat([real(task.query).y for task in tasks])
    if learner.criterion.outcome == "classes":
        return torch.ones((), device=y.device)
    spread = y.std(0, correction=0)
    return torch.where(spread > 0, spread, 1.0)


def _joined(probed: list[tuple[dict[str, Tensor], Tensor]]) -> list[tuple[dict[str, Tensor], Tensor]]:
    """Return the rows of all tasks as those of one, which minibatches of one data set are."""
    layers = {name: torch.cat([features[name] for features, _ in probed]) for name in probed[0][0]}
    return [(layers, torch.cat([y for _, y in probed]))]


def _judged(inner: dict[str, Inner], readable: dict[str, Float[np.ndarray, " t"]]) -> Inside:
    layers = {}
    for name, layer in inner.items():
        active = set((layer.varies & ~(layer.dead | layer.saturated)).nonzero()[:, 0].tolist())
        layers[name] = Layer(
            len(layer.dead), int(layer.dead.sum()), int(layer.saturated.sum()),
            None if layer.part is None else len(active - layer.matters),
            estimate(readable[name]) if name in readable else None,
        )  # fmt: skip
    every = layers.values()
    units, dead, saturated = (sum(layer[:3][i] for layer in every) for i in range(3))
    idle = sum(layer.idle or 0 for layer in every)
    lost, lost_in, before = _loss(readable)
    useful = dead + saturated + idle <= USELESS * units
    reason = f"of {units} inner units {dead} never change, {saturated} are stuck at an end, {idle} have no effect"
    reason = reason if units else "there is no inner layer to look at"
    reason += "" if useful else f", more than {100 * USELESS:.0f} %"
    if lost_in is not None and lost is not None:
        reason += f"; layer {lost_in!r} loses {lost.mean:.2f} of what could be read from {before!r}"
    elif lost is not None:
        reason += f"; no layer loses more than {max(lost.mean, 0.0):.2f} of what could be read before"
    return Inside(units, dead, saturated, idle, lost, lost_in, layers, useful and lost_in is None, reason)


def _loss(readable: dict[str, Float[np.ndarray, " t"]]) -> tuple[Estimate | None, str | None, str]:
    """Return the loss in the first layer that loses too much, that layer, and the best layer before it.

    If no layer loses too much, return the largest loss.
    """
    best, values, losses = "", None, []
    for name, now in readable.items():
        if values is not None:
            lost = estimate(values - now)
            if lost.mean > LOST and not lost.mean <= lost.interval:
                return lost, name, best
            losses.append(lost)
        if values is None or now.mean() > values.mean():
            best, values = name, now
    return max(losses, key=lambda lost: lost.mean, default=None), None, ""
