"""The slope of an output at one point: the first-order answer to "what would change it?".

    Gradient:       a = ∂view/∂point           (Simonyan, Vedaldi & Zisserman 2014, eq. 4, with its sign)
    InputXGradient: a = point ⊙ ∂view/∂point   (Shrikumar et al. 2016; Ancona et al. 2018, Table 1)

Both describe the output near the point only: neither is complete, so a saturated score gets small values.
"""

from typing import final

from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap

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
        """Return the gradient at `point`: its shape, with one more axis `k` where the view has k scores."""
        return number(gradient(view, point))


@final
class InputXGradient(ViewExplainer):
    """Attribute by `point ⊙ ∂view/∂point`, in units of output; complete where the view is linear through 0.

    Shrikumar et al. 2016, "Not Just a Black Box".

    >>> import torch
    >>> InputXGradient()(lambda x: x @ torch.tensor([2.0, -1.0]), torch.tensor([3.0, 4.0]))
    tensor([ 6., -4.])
    """

    def __call__(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return `point` times the gradient: its shape, with one more axis `k` where the view has k scores."""
        return number(scale(gradient(view, point), point))


def gradient(view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return `∂view/∂point` with the scores on the last axis, `[...]` or `[..., k]`; 0 where the point has no say.

    Raises `MapstoError` where the view returns more than one axis of scores, or the point reaches it only by a way that
    is not differentiable.
    """
    if not point.is_floating_point():
        raise MapstoError(f"point: got {point.dtype}, expected floating-point numbers, which alone can be moved.")
    slopes = jacrev(lambda point: _differentiable(view, point))(point)  # [...] or [k, ...]
    return slopes if slopes.ndim == point.ndim else slopes.movedim(0, -1)


def scale(slopes: Float[Tensor, "..."], by: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Multiply slopes `[...]` or `[..., k]` by a tensor `[...]` of the point's shape."""
    return slopes * by.reshape(by.shape + (1,) * (slopes.ndim - by.ndim))


def _differentiable(view: View, point: Tensor) -> Tensor:
    scores = view(point)
    if scores.ndim > 1:
        raise MapstoError(
            f"view: got an output of shape {tuple(scores.shape)}, expected a scalar or one axis of scores; pick one "
            "row of it, or flatten it."
        )
    if scores.requires_grad:
        return scores
    if _has_a_say(view, point):  # a derivative of 0 everywhere would look like "nothing matters"
        raise MapstoError(
            f"view: its output ({scores.dtype}) has no gradient by the point, expected a differentiable way between "
            "them (nothing detached, rounded or compared); use a method that hides parts, as Occlusion or Shapley."
        )
    return scores.to(point.dtype)  # a constant, as MAML without steps is of its teaching weights: its slope is 0


def _has_a_say(view: View, point: Tensor) -> bool:
    """Whether the output is made from the point, by whatever operations: those of a batch of points make a batch."""
    try:
        vmap(view, out_dims=None)(point[None])  # refuses to return a batch
    except (ValueError, RuntimeError):
        return True
    return False
