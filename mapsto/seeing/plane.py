"""The plane that shows a path through a space of many dimensions best.

    W = V − mean V = U·S·Rᵀ,   points = (U·S)[:, :2],   kept = (s₁² + s₂²) / Σ s²

The principal components of the parameters over the steps (Li et al. 2018, "Visualizing the Loss Landscape of Neural
Nets", §7.2). Departure: they subtract the last step, here the mean is subtracted, so that `kept` is a share of
variance. Their warning holds: a random walk in many dimensions also keeps most of its variance in two (Antognini &
Sohl-Dickstein 2018), and draws a smooth curve; a large share alone is no evidence of a simple path.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def plane(vectors: Float[Tensor, "s p"]) -> tuple[Float[Tensor, "s 2"], float]:
    """Return the points of a path in its principal plane, with the first one at (0, 0), and the share of variance kept.

    The first axis points from the first vector towards the last, whatever the sign of the decomposition.

    >>> points, kept = plane(torch.tensor([[1.0, 1.0, 0.0], [1.0, 2.0, 0.0], [1.0, 4.0, 0.0]]))
    >>> points.round(decimals=3), kept
    (tensor([[0., 0.],
            [1., 0.],
            [3., 0.]]), 1.0)
    """
    wide = vectors.double()
    u, s, _ = torch.linalg.svd(wide - wide.mean(0), full_matrices=False)
    s = torch.where(s > 1e-10 * s[0], s, 0.0)  # the rest is rounding, such as the second axis of a single step
    points = torch.nn.functional.pad(u[:, :2] * s[:2], (0, max(0, 2 - len(s))))  # [s, 2]
    points = points - points[0]
    points = points * torch.where(points[-1] < 0, -1.0, 1.0)
    total = float(s.square().sum())
    return points.to(vectors.dtype), float(s[:2].square().sum()) / total if total > 0 else 1.0
