"""Penalties on an adapted model that make it easier to explain, for `Regularised`.

    sparsity    = Σ_x w·(Σ_j |a_j|)² / (J·Σ_j a_j²)           "hoyer", or Σ_x w·mean_j |a_j|  "l1"
    instability = Σ_x w·‖g(x + ε) − g(x)‖² / Σ_x w·‖g(x)‖²,    ε ~ N(0, noise²)
    variation   = Σ_x w·(Σ |g(pixel) − g(neighbour)|) / Σ_x w·(Σ |g|)

a are the J activations of a layer. The squared Hoyer measure is the share of the activations that are active if those
that are active are equal (Hoyer 2004; Yang et al. 2020, "DeepHoyer", eq. 3). g is the gradient of each row's largest
output in the row. Training with a penalty on g needs an activation with a second derivative, such as "tanh"; a "relu"
hides from the penalty where its kinks are.
"""

from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad

from .. import checks
from .penalties import Read

_TINY = 1e-12


@final
class Sparsity:
    """A penalty, for `Regularised`, on the number of units of a layer that are active for a row.

    Args:
        layer: the name of the layer, one of those of `learner.features`. All its axes but the first count as units.
        measure: "hoyer", which does not change if all activations are scaled, or "l1", their mean absolute value.

    Raises:
        MapstoError: if `measure` is unknown. A call raises MapstoError if the model has no such layer.
    """

    def __init__(self, layer: str, measure: Literal["hoyer", "l1"] = "hoyer"):
        checks.one_of(("hoyer", "l1"), measure=measure)
        self.layer, self.measure = layer, measure

    def __call__(self, read: Read, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the penalty for rows `x` with weights `w`: from 1/J to 1 for "hoyer" and weights that sum to 1."""
        size = outputs(read, x, self.layer).flatten(1).abs()  # [n, J]
        if self.measure == "l1":
            return w @ size.mean(1)
        return w @ (size.sum(1).square() / (size.shape[1] * size.square().sum(1)).clamp(min=_TINY))


@final
class Stability:
    """A penalty, for `Regularised`, on gradients that change if the row hardly does.

    Args:
        noise: the standard deviation of the change of each entry.
        layer: the name of the layer whose largest output is explained; if None, the last one.

    Raises:
        MapstoError: if `noise` is not positive. A call raises MapstoError if the model has no such layer.
    """

    def __init__(self, noise: float = 0.1, layer: str | None = None):
        checks.above(0, noise=noise)
        self.noise, self.layer = noise, layer

    def __call__(self, read: Read, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the penalty for rows `x` with weights `w`; it draws the changes at random."""
        here, there = (slopes(read, rows, self.layer).flatten(1) for rows in (x, x + self.noise * torch.randn_like(x)))
        return w @ (here - there).square().sum(1) / (w @ here.square().sum(1)).clamp(min=_TINY)


@final
class Smoothness:
    """A penalty, for `Regularised`, on gradients that differ between neighbouring pixels: their total variation.

    Args:
        layer: the name of the layer whose largest output is explained; if None, the last one.

    Raises:
        MapstoError: if the rows are not images `[n, c, h, w]`, or the model has no such layer (both in a call).
    """

    def __init__(self, layer: str | None = None):
        self.layer = layer

    def __call__(self, read: Read, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the penalty for images `x` with weights `w`."""
        checks.shape(("n", "c", "h", "w"), "total variation is that of images", x=x)
        g = slopes(read, x, self.layer)
        variation = sum(g.diff(dim=axis).abs().flatten(1).sum(1) for axis in (2, 3))
        return w @ variation / (w @ g.abs().flatten(1).sum(1)).clamp(min=_TINY)


def slopes(read: Read, x: Float[Tensor, "n ..."], layer: str | None) -> Float[Tensor, "n ..."]:
    """Return the gradient of each row's largest output in the row."""
    return grad(lambda rows: outputs(read, rows, layer).flatten(1).amax(1).sum())(x)


def outputs(read: Read, x: Tensor, layer: str | None) -> Float[Tensor, "n ..."]:
    """Return the outputs of a layer, or of the last one.

    Raises:
        MapstoError: if the model has no such layer.
    """
    features = read(x)
    names = list(features)
    checks.expect(
        bool(names) and (layer is None or layer in features), "layer", repr(layer), ", ".join(names) or "none"
    )
    return features[names[-1] if layer is None else layer]
