"""The gradient of a score at one point: how the score changes with each entry, to first order.

    Gradient:       a = ∂view/∂point           (Simonyan, Vedaldi & Zisserman 2014, eq. 4, with its sign)
    InputXGradient: a = point ⊙ ∂view/∂point   (Shrikumar et al. 2016; Ancona et al. 2018, Table 1)

Both describe the score near the point only. Their values need not add up to the score, and they are small where the
score is saturated.
"""

from collections.abc import Callable
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vjp, vmap

from .. import checks
from ..errors import MapstoError
from ..games import View
from .explainer import ViewExplainer


@final
class Gradient(ViewExplainer):
    """Attribute to each entry of the input the derivative of the score with respect to this entry.

    Values `∂view/∂point` are in the unit of the score per unit of the entry.

    >>> import torch
    >>> Gradient()(lambda x: x[0] * x[1], torch.tensor([2.0, 3.0]))
    tensor([3., 2.])
    """

    def attribute(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the gradient in the shape of `point`; if the view has k scores, a last axis `k` is added."""
        return gradient(view, point)


@final
class InputXGradient(ViewExplainer):
    """Attribute to each input entry its value times the derivative of the score with respect to this entry.

    Values `point ⊙ ∂view/∂point` are in the unit of the score. If the view is a linear function without a constant
    term, they add up to the score (Shrikumar et al. 2016, "Not Just a Black Box").

    >>> import torch
    >>> InputXGradient()(lambda x: x @ torch.tensor([2.0, -1.0]), torch.tensor([3.0, 4.0]))
    tensor([ 6., -4.])
    """

    def attribute(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return point times gradient, in the shape of `point`; if the view has k scores, a last axis `k` is added."""
        return scale(gradient(view, point), point)


def gradient(view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return the gradient `∂view/∂point`, in the shape of `point`; if the view has k scores, a last axis `k` is added.

    The gradient is 0 if the view does not use the point.

    Raises:
        MapstoError: if `point` does not hold floating-point numbers, the view returns more than one axis of scores, or
            its scores depend on the point without a derivative.
    """
    checks.expect(point.is_floating_point(), "point", point.dtype, "floating-point numbers, which can be moved")
    return _with_gradients(lambda: _slopes(view, point))


def _slopes(view: View, point: Tensor) -> Tensor:
    scores, pulled = vjp(lambda point: _differentiable(view, point), point)  # type: ignore[misc]
    each = vmap(lambda one: pulled(one)[0])  # also of one score: its level keeps those of vjp apart within a route
    slopes = each(torch.eye(scores.numel()).to(scores).view(-1, *scores.shape))
    return slopes[0] if scores.ndim == 0 else slopes.movedim(0, -1)


def scale(slopes: Float[Tensor, "..."], by: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Multiply gradients `[...]` or `[..., k]` by a tensor `[...]` of the point's shape."""
    return slopes * by.reshape(by.shape + (1,) * (slopes.ndim - by.ndim))


def _with_gradients(compute: Callable[[], Tensor]) -> Tensor:
    """Return `compute()`, with gradients switched on inside; under `torch.no_grad`, the result has no graph.

    If gradients are off, the backward pass takes another formula for torch.linalg.solve, which is wrong under vmap
    (torch 2.13). The unused derivative of vjp switches them on for tensors that are made inside only.
    """
    if torch.is_grad_enabled():
        return compute()
    return vjp(lambda unused: (unused, compute()), torch.zeros(()), has_aux=True)[2]  # type: ignore[misc]


def _differentiable(view: View, point: Tensor) -> Tensor:
    scores = view(point)
    remedy = "pick one row of it, or flatten it"
    one_axis = scores.ndim <= 1
    checks.expect(
        one_axis, "view", f"an output of shape {tuple(scores.shape)}", "a scalar or one axis of scores", remedy
    )
    if scores.requires_grad:
        return scores
    if _uses(view, point):  # a derivative of 0 everywhere would look like "nothing matters"
        raise MapstoError(
            f"view: its output ({scores.dtype}) has no gradient by the point, expected a differentiable way between "
            "them (nothing detached, rounded or compared); use a method that hides parts, such as Occlusion or Shapley."
        )
    return scores.to(point.dtype)  # a constant: the gradient is 0 (MAML without inner steps ignores support weights)


def _uses(view: View, point: Tensor) -> bool:
    """Return whether the output depends on the point in any way, differentiable or not."""
    try:
        vmap(view, out_dims=None)(point[None])  # fails if the output is a batch, so depends on the point
    except (ValueError, RuntimeError):
        return True
    return False
