"""Expected gradients: Integrated Gradients, averaged over a background of baseline rows.

    a = Σ_b Σ_i w_i/B · (point − background_b) ⊙ ∂view/∂point (background_b + t_i·(point − background_b))

B is the number of background rows; t_i in [0, 1] is a place on the line from a row to the point, and w_i its weight.

Erion, Janizek, Sturmfels, Lundberg & Lee 2021, "Improving performance of deep learning models with axiomatic
attribution priors and expected gradients" (a mean over baselines and places t). shap's `GradientExplainer` and captum's
`GradientShap` make the same estimate ("gradient SHAP": Lundberg & Lee 2017).

If all rows are used, `t_i, w_i` are those of Gauss–Legendre quadrature, and the result is the mean of Integrated
Gradients over the rows. It is deterministic, and adds up to view(point) − mean_b view(background_b), up to the
quadrature error. If gradients are sampled, there are two departures from the paper. The rows are drawn equally often
(their counts differ by at most one). And the places on the lines from a row are spread evenly: one is drawn in each of
equal parts of [0, 1]. The expectation stays the same, and the error is smaller.
"""

from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from .. import checks
from ..games import View
from .explainer import ViewExplainer
from .gradient import gradient, scale


@final
class ExpectedGradients(ViewExplainer):
    """Attribute a score to the input's entries by Integrated Gradients, averaged over many baseline rows.

    For each background row, the gradients on the straight line from this row to the point are averaged, and the average
    is multiplied by the point minus the row. The attribution is the mean of these products over the background rows.
    Values are in the unit of the score. Apart from the error of integration or sampling, they add up to the point's
    score minus the mean score of the background rows.

    Args:
        background: the baseline rows, `[b, ...]`, each of the point's shape.
        samples: the number of gradients to compute. Each is computed at a random place on the line from a random row to
            the point. If None, every row is used, with `steps` gradients for each row.
        seed: the random seed; it is used only if `samples` is given.
        steps: the number of gradients on each line; it is used only if `samples` is None.
        chunk_size: the number of gradients to compute at a time, to limit memory; None computes all at once.

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
        checks.count(0, seed=seed)
        checks.chunk(chunk_size=chunk_size)
        self.background, self.samples, self.seed = background, samples, seed
        self.steps, self.chunk_size = steps, chunk_size

    def attribute(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the attributions, in the shape of `point`; if the view has k scores, a last axis `k` is added.

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

        return vmap(value, chunk_size=self.chunk_size)(starts, t, w).sum(0)  # of [s, ...(k)]

    def _whole(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return every row with every place of the quadrature: the row numbers, the places and their weights."""
        b, (nodes, weights) = len(self.background), np.polynomial.legendre.leggauss(self.steps)
        return np.arange(b).repeat(self.steps), np.tile((nodes + 1) / 2, b), np.tile(weights / (2 * b), b)

    def _sampled(self, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return `samples` row numbers, with one place on the line and one weight for each.

        Every round visits each row once, in random order. The line is cut into as many equal parts as there are rounds,
        and a row gets a different part in each round. Within these parts, the places of one round are spread evenly
        over the rows, which matters most if there is only one round.
        """
        generator, b = np.random.default_rng(self.seed), len(self.background)
        rounds = -(-samples // b)
        rows, others = (generator.permuted(np.tile(np.arange(b), (rounds, 1)), axis=1) for _ in range(2))  # [r, b]
        share = generator.permuted(np.tile(np.arange(rounds)[:, None], b), axis=0)  # [r, b], of each row in any order
        within = (others + generator.random((rounds, b))) / b
        places = (np.take_along_axis(share, rows, 1) + within) / rounds
        return rows.ravel()[:samples], places.ravel()[:samples], np.full(samples, 1 / samples)
