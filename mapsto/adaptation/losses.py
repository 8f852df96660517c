"""The losses of one task: weighted sums `Σ w·ℓ` over rows, which are not divided by `Σ w`.

So a row of weight 0 has no effect, as if it were deleted.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from .. import checks
from ..episodes import Examples
from .labels import below, numbers


def cross_entropy(scores: Float[Tensor, "n k"], y: Int[Tensor, " n"], w: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Return `−Σ w·log softmax(scores)[y]`; a row of weight 0 adds 0 even if its class has score −∞."""
    surprise = -F.log_softmax(scores, -1).gather(-1, below(scores.shape[-1], y)[:, None])[:, 0]
    return (w * torch.where((w != 0) | surprise.isfinite(), surprise, 0.0)).sum()


def mse(scores: Float[Tensor, "n k"], y: Float[Tensor, "n k"], w: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Return `Σ w·mean_k (scores − y)²` over rows; a row of weight 0 adds 0 even if one of its targets is NaN."""
    checks.shape(scores.shape, "give one target for each output", y=numbers(y))
    error = scores - y
    error = torch.where((w != 0)[:, None] | error.isfinite(), error, 0.0)
    return (w * error.square().mean(-1)).sum()


def _accuracy(scores: Tensor, query: Examples) -> dict[str, Tensor]:
    right = (scores.argmax(-1) == query.y).to(scores.dtype)
    return {"accuracy": (query.w * right).sum() / query.w.sum().clamp(min=1e-12)}


LOSSES = {"cross_entropy": cross_entropy, "mse": mse}
METRICS = {"cross_entropy": _accuracy, "mse": lambda scores, query: {}}
