"""Penalties on the gradient that explains a prediction: it should be stable, and smooth if the rows are images.

    stability       = Σ_x w·‖g(x + ε) − g(x)‖² / Σ_x w·‖g(x)‖²,    ε ~ N(0, noise²)
    total variation = Σ_x w·Σ |g(pixel) − g(neighbour)| / Σ_x w·Σ |g(pixel)|

g(x) is the gradient of the row's largest score with respect to the row. Both penalties stay the same if g is multiplied
by a number, so that smaller scores do not help.

The first is a sampled form of the sensitivity of Yeh et al. 2019, "On the (In)fidelity and Sensitivity of
Explanations", eq. 2, as a mean over changes instead of the maximum. The second is the total variation of Rudin, Osher &
Fatemi 1992, "Nonlinear Total Variation Based Noise Removal Algorithms", with absolute differences along both axes.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad

from .. import checks
from .penalty import AdaptedModel, Penalty

_TINY = 1e-12


@final
class Stability(Penalty):
    """A penalty on models whose gradients change although the row hardly changes.

    The body needs an activation with a second derivative, such as "tanh". The gradient of a network with "relu" is
    piecewise constant, and the penalty has no derivative with respect to where it jumps.

    Args:
        noise: the standard deviation of the random change of each entry of a row.

    Raises:
        MapstoError: if `noise` is not positive.
    """

    def __init__(self, noise: float = 0.1):
        checks.above(0, noise=noise)
        self.noise = noise

    def __call__(self, model: AdaptedModel, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the penalty for rows `x` with weights `w`; the changes of the rows are random."""
        before, after = (slopes(model, rows).flatten(1) for rows in (x, x + self.noise * torch.randn_like(x)))
        return w @ (after - before).square().sum(1) / (w @ before.square().sum(1)).clamp(min=_TINY)


@final
class TotalVariation(Penalty):
    """A penalty on image models whose gradients differ between neighbouring pixels.

    It is the total variation of the gradient (Rudin, Osher & Fatemi 1992, for images), divided by the sum of the
    gradient's absolute values.
    """

    def __call__(self, model: AdaptedModel, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the penalty for images `x` `[n, c, h, w]` with weights `w` `[n]`.

        Raises:
            MapstoError: if the rows are not such images.
        """
        checks.shape(("n", "c", "h", "w"), "only images have neighbouring pixels", x=x)
        g = slopes(model, x)
        variation = sum(g.diff(dim=axis).abs().flatten(1).sum(1) for axis in (2, 3))
        return w @ variation / (w @ g.abs().flatten(1).sum(1)).clamp(min=_TINY)


def slopes(model: AdaptedModel, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """Return the gradient of each row's largest score with respect to the row."""
    return grad(lambda rows: model.scores(rows).amax(1).sum())(x)
