"""Whether a model's inner units do something, and whether its layers keep what earlier layers held.

    dead         max h − min h = 0                            over all query rows of all tasks
    saturated    h at a flat end of its activation function   for more than 99 % of the rows
    idle         |p(h) − p(mean h)| ≤ 0.001                   for every row, if neither dead nor saturated
    readable     accuracy (or variance explained, R²) of B̃h   B̃: ridge regression that leaves the row out
    lost         = readable from the best earlier layer − readable from this layer

Saturation: Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", §3.
Readable: Alain & Bengio 2017, "Understanding intermediate layers using linear classifier probes". A layer cannot hold
more information than the input, but it can hold it more plainly; it loses information that later layers can read only
if the accuracy falls.
"""

import itertools
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...adaptation import watching
from ...adaptation.batching import kernels_for
from ...adaptation.learner import Learner
from ...episodes import Episode, Examples, State
from ...errors import MapstoError
from ...estimate import Estimate, estimate
from .correct import real
from .readable import held_out

USELESS, LOST = 0.25, 0.1
"""The largest fraction of useless units that is sound, and the largest loss."""
ALMOST_ALL, CHANGE, ROWS = 0.99, 1e-3, 1000
_FLAT = (
    nn.ReLU, nn.ReLU6, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign, nn.Tanh,
    nn.Hardtanh, nn.Sigmoid, nn.Hardsigmoid, nn.Hardswish,
)  # fmt: skip


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


@dataclass
class _Place:
    """An inner layer, and what is known of its units so far."""

    part: nn.Module | None  # its module, if it can be replaced
    axis: int  # of the units
    ends: list[float]  # where the activation function before it is flat
    low: Tensor = field(default_factory=lambda: torch.tensor(torch.inf))
    high: Tensor = field(default_factory=lambda: torch.tensor(-torch.inf))
    flat: Tensor = field(default_factory=lambda: torch.tensor(0.0))
    rows: int = 0
    matters: set[int] = field(default_factory=set)

    def add(self, h: Tensor) -> None:
        """Take account of the outputs of one task."""
        h = h.movedim(self.axis, -1).flatten(0, -2)  # [rows · places, u]
        self.low, self.high = torch.minimum(self.low.to(h), h.amin(0)), torch.maximum(self.high.to(h), h.amax(0))
        near = torch.zeros_like(h, dtype=torch.bool)
        tolerance = 0.01 * (max(self.ends) - min(self.ends)) if len(self.ends) == 2 else 1e-6
        for end in self.ends:
            near |= (h - end).abs() <= tolerance
        self.flat, self.rows = self.flat.to(h) + near.sum(0), self.rows + len(h)

    @property
    def dead(self) -> Tensor:
        """Whether each unit never changed, up to rounding."""
        return self.high - self.low <= 1e-6 * torch.maximum(self.high.abs(), self.low.abs())

    @property
    def saturated(self) -> Tensor:
        """Whether each unit changed, but was nearly always at a flat end."""
        return (self.flat > ALMOST_ALL * self.rows) & ~self.dead


def inside(learner: Learner, tasks: list[Episode]) -> Inside:
    """Return the useless units and the largest loss of information of a learner's inner layers."""
    places: dict[str, _Place] | None = None
    probed: list[tuple[dict[str, Tensor], Tensor]] = []
    scale, rows = _scale(learner, tasks), 0
    for task in tasks:
        query = real(task.query)
        with kernels_for(learner):
            state = learner.adapt_to(task)
            features, scores = _features(learner, state, query.x), learner.predict(state, query.x)
            if places is None:
                places = _places(learner, state, features, query.x, scores)
            for name, place in places.items():
                place.add(features[name])
            if rows < ROWS:
                _ablate(learner, state, query, places, scale)
                first = {"input": query.x} if query.x.is_floating_point() else {}
                probed.append((first | {name: features[name] for name in places}, query.y))
        rows += len(query.x)
    pooled = all(len(task.support.w) == 0 for task in tasks)
    readable = held_out(_joined(probed) if pooled else probed, learner.criterion.outcome == "classes", ROWS)
    return _judged(places or {}, readable)


def _features(learner: Learner, state: State, x: Tensor) -> dict[str, Tensor]:
    """Return the features `[n, ...]`, with 0 in place of numbers that are not finite."""
    features = learner.features(state, x)
    return {
        name: (h if h.dim() > 1 else h[:, None]).nan_to_num(0.0, 0.0, 0.0)
        for name, h in features.items()
        if h.is_floating_point() and h.dim() > 0 and len(h) == len(x)
    }


def _places(
    learner: Learner, state: State, features: dict[str, Tensor], x: Tensor, scores: Tensor
) -> dict[str, _Place]:
    """Return the inner layers: those whose output goes to a layer with a weight matrix, or that come last.

    An output that equals the input, the score or an earlier output is left out.
    """
    seen, sequence = [x.nan_to_num(0.0).flatten(1), scores.flatten(1)], []
    for name, h in features.items():
        part = _part(learner, name)
        new = isinstance(part, _FLAT) or not any(_same(h.flatten(1), other) for other in seen)
        if new or _has_matrix(part):
            sequence.append((name, part, new))
            seen.append(h.flatten(1))
    places: dict[str, _Place] = {}
    ends: list[float] = []
    for (name, part, new), (_, after, _) in itertools.pairwise([*sequence, ("", None, False)]):
        ends = flat_ends(part) if isinstance(part, _FLAT) else ends
        if new and (after is None or _has_matrix(after)):
            axis = 1 if part is not None and features[name].dim() > 3 else -1
            places[name] = _Place(part if _runs_once(learner, state, x, name, part) else None, axis, ends)
            ends = []
    return places


def flat_ends(activation: nn.Module) -> list[float]:
    """Return the values of an activation function where it is flat, far from 0.

    >>> flat_ends(nn.ReLU()), flat_ends(nn.Tanh())
    ([0.0], [-1.0, 1.0])
    """
    far = [activation(torch.tensor([z, z + 1.0])) for z in (-1000.0, 999.0)]
    return [float(values.mean()) + 0.0 for values in far if abs(float(values[0] - values[1])) < 1e-3]


def _has_matrix(part: nn.Module | None) -> bool:
    return part is not None and any(p.dim() > 1 for p in part.parameters(recurse=False))


def _part(learner: Learner, name: str) -> nn.Module | None:
    try:
        return watching.part(learner, name)
    except MapstoError:
        return None


def _runs_once(learner: Learner, state: State, x: Tensor, name: str, part: nn.Module | None) -> bool:
    if part is None:
        return False
    try:
        return len(watching.only_output(name, part, lambda: learner.predict(state, x))) == len(x)
    except MapstoError:
        return False


def _same(h: Tensor, other: Tensor) -> bool:
    return h.shape == other.shape and h.dtype == other.dtype and torch.allclose(h, other)


def _ablate(learner: Learner, state: State, query: Examples, places: dict[str, _Place], scale: Tensor) -> None:
    """Note the units whose replacement by their mean over the rows changes a prediction."""

    def outcome() -> Tensor:
        scores = learner.predict(state, query.x)
        return scores.softmax(-1) if learner.criterion.outcome == "classes" else scores / scale

    before = outcome()
    for place in places.values():
        if place.part is None:
            continue
        for unit in set(range(len(place.low))) - place.matters:

            def still(output: Tensor, axis: int = place.axis, unit: int = unit) -> Tensor:
                moved = output.clone()
                rows = moved.select(axis, unit)
                rows.copy_(rows.mean(0, keepdim=True).expand_as(rows))
                return moved

            if not ((watching.replace(place.part, still, outcome) - before).abs() <= CHANGE).all():
                place.matters.add(unit)


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


def _judged(places: dict[str, _Place], readable: dict[str, Float[np.ndarray, " t"]]) -> Inside:
    layers = {}
    for name, place in places.items():
        active = set((~(place.dead | place.saturated)).nonzero()[:, 0].tolist())
        layers[name] = Layer(
            len(place.dead), int(place.dead.sum()), int(place.saturated.sum()),
            None if place.part is None else len(active - place.matters),
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
