"""The inner layers of a model, and which of their units never change or are stuck at an end.

    dead         max h − min h = 0                            over all rows
    saturated    h at a flat end of its activation function   for more than 99 % of the rows

Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", §3. A unit of an
image's layer is a channel, with each of its places counting as a row; otherwise units lie on the last axis.
"""

import itertools
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ...adaptation import watching
from ...adaptation.learner import Learner
from ...episodes import State
from ...errors import MapstoError

ALMOST_ALL = 0.99
_FLAT = (
    nn.ReLU, nn.ReLU6, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign, nn.Tanh,
    nn.Hardtanh, nn.Sigmoid, nn.Hardsigmoid, nn.Hardswish,
)  # fmt: skip


@dataclass
class Inner:
    """An inner layer, and what is known of its units so far."""

    part: nn.Module | None  # its module, if it can be replaced
    axis: int  # of the units
    ends: list[float]  # where the activation function before it is flat
    # of each unit so far: the lowest and the highest value, and the number of rows at a flat end
    low: Float[Tensor, "..."] = field(default_factory=lambda: torch.tensor(torch.inf))
    high: Float[Tensor, "..."] = field(default_factory=lambda: torch.tensor(-torch.inf))
    flat: Float[Tensor, "..."] = field(default_factory=lambda: torch.tensor(0.0))
    varies: Bool[Tensor, "..."] = field(default_factory=lambda: torch.tensor(False))  # over the rows of some task
    rows: int = 0
    matters: set[int] = field(default_factory=set)  # units on which a prediction depends

    def add(self, h: Float[Tensor, "n ..."]) -> None:
        """Take account of the outputs of one task."""
        h = h.movedim(self.axis, -1).flatten(0, -2)  # [rows · places, u]
        low, high = h.amin(0), h.amax(0)
        self.low, self.high = torch.minimum(self.low.to(h), low), torch.maximum(self.high.to(h), high)
        self.varies = self.varies.to(h.device) | ~_equal(low, high)
        near = torch.zeros_like(h, dtype=torch.bool)
        tolerance = 0.01 * (max(self.ends) - min(self.ends)) if len(self.ends) == 2 else 1e-6
        for end in self.ends:
            near |= (h - end).abs() <= tolerance
        self.flat, self.rows = self.flat.to(h) + near.sum(0), self.rows + len(h)

    @property
    def dead(self) -> Bool[Tensor, " u"]:
        """Whether each unit never changed, up to rounding."""
        return _equal(self.low, self.high)

    @property
    def saturated(self) -> Bool[Tensor, " u"]:
        """Whether each unit changed, but was nearly always at a flat end."""
        return (self.flat > ALMOST_ALL * self.rows) & ~self.dead


def inner_layers(
    learner: Learner, state: State, features: dict[str, Tensor], x: Shaped[Tensor, "n ..."], scores: Tensor
) -> dict[str, Inner]:
    """Return the inner layers: those whose output goes to a layer with a weight matrix, or that come last.

    An output that equals the input, the score or an earlier output is left out. Features that no module returns, such
    as attention weights, are inner layers only if no feature is the output of a module.
    """
    parts = _parts(learner, state, x, features)
    seen, sequence = [x.nan_to_num(0.0).flatten(1), scores.nan_to_num(0.0, 0.0, 0.0).flatten(1)], []
    for name in parts or features:
        part, h = parts.get(name), features[name].flatten(1)
        new = isinstance(part, _FLAT) or not any(_same(h, other) for other in seen)
        if new or _has_matrix(part):
            sequence.append((name, part, new))
            seen.append(h)
    inner: dict[str, Inner] = {}
    ends: list[float] = []
    for (name, part, new), (_, after, _) in itertools.pairwise([*sequence, ("", None, False)]):
        ends = flat_ends(part) if isinstance(part, _FLAT) else ends
        if new and (after is None or _has_matrix(after)):
            axis = 1 if part is not None and features[name].dim() > 3 else -1
            inner[name] = Inner(part if _runs_once(learner, state, x, name, part) else None, axis, ends)
            ends = []
    return inner


def flat_ends(activation: nn.Module) -> list[float]:
    """Return the values of an activation function where it is flat, far from 0.

    >>> flat_ends(nn.ReLU()), flat_ends(nn.Tanh())
    ([0.0], [-1.0, 1.0])
    """
    far = [activation(torch.tensor([z, z + 1.0])) for z in (-1000.0, 999.0)]
    return [float(values.mean()) + 0.0 for values in far if abs(float(values[0] - values[1])) < 1e-3]


def _equal(low: Tensor, high: Tensor) -> Tensor:
    return high - low <= 1e-6 * torch.maximum(high.abs(), low.abs())


def _has_matrix(part: nn.Module | None) -> bool:
    return part is not None and any(p.dim() > 1 for p in part.parameters(recurse=False))


def _parts(learner: Learner, state: State, x: Tensor, features: dict[str, Tensor]) -> dict[str, nn.Module]:
    """Return the modules whose outputs are features, by the names of the features, which may leave out a prefix."""
    modules = dict(learner.named_modules())
    outputs = watching.watch(learner, lambda: learner.predict(state, x))
    outputs = {path: h.nan_to_num(0.0, 0.0, 0.0) for path, h in outputs.items() if h.is_floating_point()}
    parts = {}
    for name, h in features.items():
        paths = [path for path, output in outputs.items() if f".{path}".endswith(f".{name}") and _same(output, h)]
        if paths:
            parts[name] = modules[min(paths, key=len)]
    return parts


def _runs_once(learner: Learner, state: State, x: Tensor, name: str, part: nn.Module | None) -> bool:
    if part is None:
        return False
    try:
        return len(watching.only_output(name, part, lambda: learner.predict(state, x))) == len(x)
    except MapstoError:
        return False


def _same(h: Tensor, other: Tensor) -> bool:
    return h.shape == other.shape and h.dtype == other.dtype and torch.allclose(h, other)
