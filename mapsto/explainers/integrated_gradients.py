"""Integrated Gradients: add up the gradients along the straight line from a baseline to the point.

    a = (point − baseline) ⊙ Σ_i w_i · ∂view/∂point (baseline + t_i·(point − baseline))

(Sundararajan, Taly & Yan 2017, eq. 1), with `t_i, w_i` the `steps` nodes and weights of Gauss–Legendre quadrature on
[0, 1]. The values add up to `view(point) − view(baseline)`, up to the quadrature error. They are exact if the view is a
polynomial of degree ≤ 2·steps along the line. For smooth views the error falls as the (2·steps + 1)-th power of the
line's length; with a kink (ReLU) it falls only as 1/steps.
"""

from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from .. import checks
from ..games import View, fastest
from .explainer import ViewExplainer
from .gradient import gradient, scale


@final
class IntegratedGradients(ViewExplainer):
    """Attribute a score to the input's entries by the mean gradient on the line from a baseline to the point.

    The attribution of an entry is its mean gradient on this straight line, multiplied by the entry's change from the
    baseline to the point. Values are in the unit of the score. Apart from the error of integration, their sum is
    `view(point) − view(baseline)`.

    Args:
        steps: the number of places on the line at which the gradient is computed.
        baseline: the input to compare the point with: a number, or a tensor that broadcasts to the point.
        chunk_size: the number of gradients to compute at a time, to limit memory; if None, as many as is fastest.

    >>> import torch
    >>> IntegratedGradients(steps=2)(lambda x: x[0] * x[1] ** 2, torch.tensor([2.0, 3.0]))
    tensor([ 6., 12.])
    """

    def __init__(self, steps: int = 64, baseline: float | Tensor = 0.0, chunk_size: int | None = None):
        checks.count(steps=steps)
        checks.chunk(chunk_size=chunk_size)
        self.steps, self.baseline, self.chunk_size = steps, baseline, chunk_size
        nodes, weights = np.polynomial.legendre.leggauss(steps)  # on [−1, 1]
        self.t, self.w = ((nodes + 1) / 2).tolist(), (weights / 2).tolist()

    def attribute(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the attributions, in the shape of `point`; if the view has k scores, a last axis `k` is added.

        Raises:
            MapstoError: if the baseline does not broadcast to the point.
        """
        baseline = checks.spread("baseline", self.baseline, point)
        way = point - baseline
        t, w = (torch.tensor(values, dtype=point.dtype, device=point.device) for values in (self.t, self.w))
        slopes = vmap(lambda t: gradient(view, baseline + t * way), chunk_size=self.chunk_size or fastest(point))(
            t
        )  # [s, ...(k)]
        return scale(torch.tensordot(w, slopes, 1), way)
