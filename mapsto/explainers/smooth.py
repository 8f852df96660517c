"""Smooth explanations: the mean of an explainer's attributions at noisy copies of the point.

    a = 1/samples Σ_i explainer(view, point + ε_i),     ε_i = noise ⊙ n_i,  n_i ∼ N(0, 1)

Smilkov, Thorat, Kim, Viégas & Wattenberg 2017, "SmoothGrad: removing noise by adding noise", §3, with any explainer in
place of the gradient. There are two departures. Noise comes in pairs ±ε, so that odd terms cancel exactly: a gradient
that is linear near the point (a quadratic view) does not change at all. And every point gets the same noise, so that
results differ only because points do.
"""

from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from .. import checks
from ..games import View
from .explainer import Explain, ViewExplainer


@final
class Smooth(ViewExplainer):
    """Average the attributions of another explainer over noisy copies of the point, to make them smoother.

    The result is in the unit of the other explainer's attributions.

    Args:
        explainer: a function (view, point) ↦ attribution. It is a `ViewExplainer`, or a function that applies a
            `GameExplainer`, such as `lambda view, x: Shapley()(game(view, x, baseline=0.0))`.
        samples: the number of noisy copies. It must be even, because each noise vector is used with both signs.
        noise: the standard deviation of the noise, in the unit of the point. It is a number, or a tensor that
            broadcasts to the point, such as one number for each column of a table. An entry with standard deviation 0
            does not change. The SmoothGrad paper uses 10 to 20 % of the range of an image's values.
        seed: the random seed of the noise.
        chunk_size: the number of copies to explain at a time, to limit memory; None explains all at once.

    >>> from mapsto.explainers import Gradient
    >>> Smooth(Gradient(), samples=2, noise=0.5)(lambda x: x[0] * x[1], torch.tensor([2.0, 3.0]))
    tensor([3., 2.])
    """

    def __init__(
        self,
        explainer: Explain,
        samples: int = 32,
        noise: float | Tensor = 0.1,
        seed: int = 0,
        chunk_size: int | None = None,
    ):
        checks.expect(
            samples >= 2 and samples % 2 == 0, "samples", samples, "an even number from 2, for pairs of noise"
        )
        positive = bool((torch.as_tensor(noise) >= 0).all())
        checks.expect(positive, "noise", noise, "standard deviations from 0, in the units of the point")
        self.explainer, self.samples, self.noise = explainer, samples, noise
        checks.count(0, seed=seed)
        checks.chunk(chunk_size=chunk_size)
        self.seed, self.chunk_size = seed, chunk_size

    def attribute(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the mean attribution over the noisy copies, in the shape of one attribution.

        Raises:
            MapstoError: if `noise` does not broadcast to the point.
        """
        near = vmap(lambda shift: self.explainer(view, point + shift), chunk_size=self.chunk_size)
        return near(self._shifts(point)).mean(0)

    def _shifts(self, point: Tensor) -> Float[Tensor, "s ..."]:
        noise = checks.spread("noise", self.noise, point)
        normal = np.random.default_rng(self.seed).standard_normal((self.samples // 2, *point.shape))
        unit = torch.tensor(normal, dtype=point.dtype, device=point.device)  # [s/2, ...]
        return torch.cat([unit, -unit]) * noise
