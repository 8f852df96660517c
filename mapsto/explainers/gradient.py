"""The gradient of an output at one point: the first-order effect of each entry.

    Gradient:       a = ∂view/∂point           (Simonyan, Vedaldi & Zisserman 2014, eq. 4, with its sign)
    InputXGradient: a = point ⊙ ∂view/∂point   (Shrikumar et al. 2016; Ancona et al. 2018, Table 1)

Both describe the output near the point only: neither is complete, so a saturated score gets small values.
"""

from typing import final

from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap

from .. import checks
from ..errors import MapstoError
from ..games import View
from .explainer import ViewExplainer, number


@final
class Gradient(ViewExplainer):
    """Attribute by `∂view/∂point`, in units of output per unit of input.

    >>> import torch
    >>> Gradient()(lambda x: x[0] * x[1], torch.tensor([2.0, 3.0]))
    tensor([3., 2.])
    """

    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the gradient at `point`: its shape, and one more axis `k` if the view has k scores."""
        return number(gradient(view, point))


@final
class InputXGradient(ViewExplainer):
    """Attribute by `point ⊙ ∂view/∂point`, in units of output; complete if the view is linear through 0.

    Shrikumar et al. 2016, "Not Just a Black Box".

    >>> import torch
    >>> InputXGradient()(lambda x: x @ torch.tensor([2.0, -1.0]), torch.tensor([3.0, 4.0]))
    tensor([ 6., -4.])
    """

    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return `point` times the gradient: its shape, and one more axis `k` if the view has k scores."""
        return number(scale(gradient(view, point), point))


def gradient(view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return `∂view/∂point`, `[...]` or `[..., k]` with the scores last; 0 if the view does not use the point.

    Raises:
        MapstoError: if the view returns more than one axis of scores, or uses the point in a way that is not
            differentiable.
    """
    checks.expect(point.is_floating_point(), "point", point.dtype, "floating-point numbers, which can be moved")
    slopes = jacrev(lambda point: _differentiable(view, point))(point)  # [...] or [k, ...]
    return slopes if slopes.ndim == point.ndim else slopes.movedim(0, -1)


def scale(slopes: Float[Tensor, "..."], by: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Multiply slopes `[...]` or `[..., k]` by a tensor `[...]` of the point's shape."""
    return slopes * by.reshape(by.shape + (1,) * (slopes.ndim - by.ndim))


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
    return scores.to(point.dtype)  # a constant, such as MAML without steps in its teaching weights: the gradient is 0


def _uses(view: View, point: Tensor) -> bool:
    """Return whether the output depends on the point by any operations: if it does, a batch of points makes a batch."""
    try:
        vmap(view, out_dims=None)(point[None])  # refuses to return a batch
    except (ValueError, RuntimeError):
        return True
    return False
