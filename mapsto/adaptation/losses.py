"""The losses of one task: weighted sums `Σ w·ℓ` over rows, which are not divided by `Σ w`.

So a row of weight 0 has no effect, as if it were deleted. Besides the two losses with a name, learners accept any
function `loss(scores, y, w)` that returns a scalar, such as a Huber or a quantile loss, or that of a policy gradient.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from .. import checks
from ..episodes import Examples
from ..errors import MapstoError
from .labels import below, numbers
from .policies import mean_return, policy_gradient


def cross_entropy(scores: Float[Tensor, "n k"], y: Int[Tensor, " n"], w: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Return `−Σ w·log softmax(scores)[y]`; a row of weight 0 adds 0 even if its scores are infinite or NaN."""
    lost = (w == 0) & ~scores.detach().amax(-1).isfinite()  # no softmax: NaN, +∞, or −∞ for all classes
    scores = torch.where(lost[:, None], 0.0, scores)
    surprise = -F.log_softmax(scores, -1).gather(-1, below(scores.shape[-1], y)[:, None])[:, 0]
    return (w * torch.where((w != 0) | surprise.isfinite(), surprise, 0.0)).sum()


def mse(scores: Float[Tensor, "n k"], y: Float[Tensor, "n k"], w: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Return `Σ w·mean_k (scores − y)²` over rows; a row of weight 0 adds 0 even if one of its targets is NaN."""
    checks.shape(scores.shape, "give one target for each output", y=numbers(y))
    error = scores - y
    if not _all_count(w):
        error = torch.where((w != 0)[:, None] | error.isfinite(), error, 0.0)
    return (w * error.square().mean(-1)).sum()


def _all_count(w: Tensor) -> bool:
    """Return whether no row has weight 0, if this is known at once; then a loss needs no guard against such rows."""
    return w.device.type == "cpu" and checks.readable(w) and bool((w != 0).all())


def _accuracy(scores: Tensor, query: Examples) -> dict[str, Tensor]:
    right = (scores.argmax(-1) == query.y).to(scores.dtype)
    return {"accuracy": (query.w * right).sum(-1) / query.w.sum(-1).clamp(min=1e-12)}


@dataclass(frozen=True)
class Loss:
    """A loss of one task, `loss(scores, y, w)`, with the metrics that are logged beside it."""

    name: str
    function: Callable[[Any, Tensor, Tensor], Tensor]
    outcome: Literal["classes", "numbers"] | None = None  # the kind of the scores; None if it is not known
    metrics: Callable[[Tensor, Examples], dict[str, Tensor]] = lambda scores, query: {}

    def __call__(self, scores: Any, y: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the loss of `n` rows of scores with targets `y` and weights `w`.

        Raises:
            MapstoError: if the function does not return a scalar.
        """
        value = self.function(scores, y, w)
        if not isinstance(value, Tensor) or value.dim():
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            remedy = "sum over the rows, such as (w * l).sum()"
            raise MapstoError(f"loss: got {got} from {self.name}, expected a scalar; {remedy}.")
        return value

    def rows(self, scores: Float[Tensor, "n k"], y: Tensor) -> Float[Tensor, " n"]:
        """Return the loss of each row alone, with weight 1."""
        pairs = zip(scores.split(1), y.split(1), strict=True)
        return torch.stack([self(row, target, row.new_ones(1)) for row, target in pairs])


LOSSES = {
    "cross_entropy": Loss("cross_entropy", cross_entropy, "classes", _accuracy),
    "mse": Loss("mse", mse, "numbers"),
    "policy_gradient": Loss("policy_gradient", policy_gradient, metrics=mean_return),
}
LossName = Literal["mse", "cross_entropy", "policy_gradient"]
LossChoice = LossName | Callable[[Any, Tensor, Tensor], Any]
"""The name of a loss, or a function `loss(scores, y, w)` that returns a scalar tensor."""


def chosen(loss: LossChoice) -> Loss:
    """Return the loss with this name, or the function as a loss.

    Raises:
        MapstoError: if the name is unknown, or the function is a loss of torch or does not take three arguments.

    >>> chosen("mse").outcome, chosen(lambda scores, y, w: (w * (scores[:, 0] - y).abs()).sum()).outcome
    ('numbers', None)
    """
    if isinstance(loss, Loss):
        return loss
    if callable(loss):
        _refuse_others(loss)
        return Loss(getattr(loss, "__qualname__", type(loss).__name__), loss)
    checks.one_of(LOSSES, loss=loss)
    return LOSSES[loss]


def _refuse_others(loss: Callable[..., Any]) -> None:
    """Raise MapstoError for a loss of torch, whose third argument is no weight of rows, or one without three."""
    call = loss.forward if isinstance(loss, nn.Module) else loss
    loss = loss.func if isinstance(loss, partial) else loss
    name = getattr(loss, "__qualname__", type(loss).__name__)
    torchs = type(loss).__module__ == nn.modules.loss.__name__ or getattr(loss, "__module__", "") == F.__name__
    try:
        inspect.signature(call).bind(None, None, None)
        takes_three = True
    except TypeError:
        takes_three = False
    except ValueError:  # a builtin without a signature
        takes_three = True
    checks.expect(
        takes_three and not torchs, "loss", name, "a function that is called as loss(scores, y, w) and returns a "
        "scalar", "weigh the rows: lambda scores, y, w: (w * F.cross_entropy(scores, y, reduction='none')).sum()",
    )  # fmt: skip
