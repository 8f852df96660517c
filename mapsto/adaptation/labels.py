"""What a task asks for: classes, as rows of zeros and ones, or numbers. A task of the other kind is refused."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from ..errors import MapstoError


def one_hot(y: Shaped[Tensor, "n ..."], ways: int, like: Tensor) -> Float[Tensor, "n k"]:
    """Return `[y_i = k]` in the dtype of `like`, or raise MapstoError where `y` is no vector of class indices.

    >>> one_hot(torch.tensor([2, 0]), 3, torch.empty(0))
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    return (below(ways, y)[:, None] == torch.arange(ways, device=y.device)).to(like.dtype)


def below(ways: int, y: Shaped[Tensor, "n ..."]) -> Int[Tensor, " n"]:
    """Return `y`, or raise MapstoError where it holds no class of `ways`; under `vmap` and in a graph nobody looks."""
    y = classes(y)
    if len(y) == 0 or torch.compiler.is_compiling():
        return y
    try:
        least, most = int(y.min()), int(y.max())
    except RuntimeError:  # of vmap
        return y
    if least < 0 or most >= ways:
        raise MapstoError(f"y: got class {least if least < 0 else most}, expected one of 0 to {ways - 1}.")
    return y


def targets(loss: str, y: Shaped[Tensor, "n ..."], ways: int, like: Tensor) -> Float[Tensor, "n k"]:
    """Return what `ways` outputs are taught: zeros and ones for classes, else `y`, or raise MapstoError."""
    if loss == "cross_entropy":
        return one_hot(y, ways, like)
    if numbers(y).shape[1:] != (ways,):
        raise MapstoError(f"y: got targets of shape {tuple(y.shape)}, expected [n, {ways}] for ways={ways}.")
    return y


def classes(y: Shaped[Tensor, "n ..."]) -> Int[Tensor, " n"]:
    """Return `y`, or raise MapstoError where it is no vector of class indices."""
    if y.dim() != 1 or y.is_floating_point():
        raise MapstoError(
            f"y: got {y.dtype} of shape {tuple(y.shape)}, expected one class index a row (int64 [n]); this learner "
            "classifies, so give it a task with classes, or loss='mse' where it has one."
        )
    return y


def numbers(y: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
    """Return `y`, or raise MapstoError where it is no row of numbers for each example."""
    if y.dim() != 2 or not y.is_floating_point():
        raise MapstoError(
            f"y: got {y.dtype} of shape {tuple(y.shape)}, expected a row of numbers an example (floating [n, k], as "
            "y[:, None]); this learner regresses, so give it a task with targets."
        )
    return y
