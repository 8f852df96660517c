"""Expected gradients: Integrated Gradients from a background of rows instead of one baseline.

    a = Σ_b Σ_i w_i/B · (point − background_b) ⊙ ∂view/∂point (background_b + t_i·(point − background_b))

Erion, Janizek, Sturmfels, Lundberg & Lee 2021, "Improving performance of deep learning models with axiomatic
attribution priors and expected gradients" (a mean over baselines and places t); the estimate that shap's
`GradientExplainer` and captum's `GradientShap` make ("gradient SHAP": Lundberg & Lee 2017). The whole background with
`t_i, w_i` of Gauss–Legendre is the mean of Integrated Gradients over its rows: deterministic, and complete to
quadrature error, `Σa = view(point) − mean_b view(background_b)`. Departures if sampled: every row is drawn equally
often (up to one), and the places on the lines from a row are spread evenly over [0, 1], one drawn within each of equal
shares. The mean stays the same, its error is smaller.
"""

from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from .. import checks
from ..games import View
from .explainer import ViewExplainer, number
from .gradient import gradient, scale


@final
class ExpectedGradients(ViewExplainer):
    """Attribute by the mean gradient on the lines from the background's rows, times the lines, in units of output.

    If `samples` is None, all lines from the rows `[b, ...]` of `background` are followed in `steps` steps each: `b ·
    steps` gradients. A number takes that many gradients at rows and places drawn from `seed`, whatever the size of the
    background (`steps` is then not used). `chunk_size` gradients at a time bounds memory.

    >>> background = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    >>> ExpectedGradients(background, steps=2)(lambda x: x[0] * x[1], torch.tensor([2.0, 3.0]))
    tensor([1.5000, 4.5000])
    """

    def __init__(
        self,
        background: Float[Tensor, "b ..."],
        samples: int | None = None,
        seed: int = 0,
        steps: int = 16,
        chunk_size: int | None = None,
    ):
        checks.expect(len(background) > 0, "background", "no rows", "at least one", "take some from the training data")
        checks.count(steps=steps, samples=1 if samples is None else samples)
        self.background, self.samples, self.seed = background, samples, seed
        self.steps, self.chunk_size = steps, chunk_size

    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the values of `point`'s entries: its shape, and one more axis `k` if the view has k scores.

        Raises:
            MapstoError: if the background's rows do not have the shape of the point.
        """
        checks.shape(("b", *point.shape), "rows of the shape of the point", background=self.background)
        rows, *places = self._whole() if self.samples is None else self._sampled(self.samples)
        starts = self.background.to(dtype=point.dtype, device=point.device)[rows]  # [s, ...]
        t, w = (torch.tensor(part, dtype=point.dtype, device=point.device) for part in places)  # [s] each

        def value(start: Tensor, t: Tensor, w: Tensor) -> Tensor:
            way = point - start
            return scale(gradient(view, start + t * way), w * way)

        return number(vmap(value, chunk_size=self.chunk_size)(starts, t, w).sum(0))  # of [s, ...(k)]

    def _whole(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return all rows, each with all places and weights of the quadrature."""
        b, (nodes, weights) = len(self.background), np.polynomial.legendre.leggauss(self.steps)
        return np.arange(b).repeat(self.steps), np.tile((nodes + 1) / 2, b), np.tile(weights / (2 * b), b)

    def _sampled(self, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the rows in random orders, and for each of them places spread over the way: one in each round's share.

        Within the shares the places of one round are spread over the rows, which counts where rows are seen once.
        """
        generator, b = np.random.default_rng(self.seed), len(self.background)
        rounds = -(-samples // b)
        rows, others = (generator.permuted(np.tile(np.arange(b), (rounds, 1)), axis=1) for _ in range(2))  # [r, b]
        share = generator.permuted(np.tile(np.arange(rounds)[:, None], b), axis=0)  # [r, b], of each row in any order
        within = (others + generator.random((rounds, b))) / b
        places = (np.take_along_axis(share, rows, 1) + within) / rounds
        return rows.ravel()[:samples], places.ravel()[:samples], np.full(samples, 1 / samples)
