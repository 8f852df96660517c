"""The plane in which a way through a space of many dimensions is seen best.

    W = V − mean V = U·S·Rᵀ,   points = (U·S)[:, :2],   kept = (s₁² + s₂²) / Σ s²

The principal components of the parameters over the steps (Li et al. 2018, "Visualizing the Loss Landscape of Neural
Nets", §7.2). Where we depart: they take the differences from the last step, we those from the mean, so that `kept` is a
share of variance. Their warning holds: a random walk in many dimensions also keeps most of its variance in two
(Antognini & Sohl-Dickstein 2018), and draws a smooth curve; a share alone is no evidence of a simple way.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def plane(vectors: Float[Tensor, "s p"]) -> tuple[Float[Tensor, "s 2"], float]:
    """Return the points of a way in its principal plane, from the first one in (0, 0), and the share that it keeps.

    The first axis points from the first vector towards the last, whichever way the decomposition had it.

    >>> points, kept = plane(torch.tensor([[1.0, 1.0, 0.0], [1.0, 2.0, 0.0], [1.0, 4.0, 0.0]]))
    >>> points.round(decimals=3), kept
    (tensor([[0., 0.],
            [1., 0.],
            [3., 0.]]), 1.0)
    """
    wide = vectors.double()
    u, s, _ = torch.linalg.svd(wide - wide.mean(0), full_matrices=False)
    s = torch.where(s > 1e-10 * s[0], s, 0.0)  # what is left is rounding, as the second axis of a single step
    points = torch.nn.functional.pad(u[:, :2] * s[:2], (0, max(0, 2 - len(s))))  # [s, 2]
    points = points - points[0]
    points = points * torch.where(points[-1] < 0, -1.0, 1.0)
    total = float(s.square().sum())
    return points.to(vectors.dtype), float(s[:2].square().sum()) / total if total > 0 else 1.0
