"""Check the labels of a task, which are class indices or numbers, and turn class indices into one-hot rows."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from .. import checks


def one_hot(y: Shaped[Tensor, "n ..."], ways: int, like: Tensor) -> Float[Tensor, "n k"]:
    """Return the one-hot labels `[y_i = k]` in the dtype of `like`.

    Raises:
        MapstoError: if `y` is not a vector of class indices, or an index is not in 0 … ways − 1.

    >>> one_hot(torch.tensor([2, 0]), 3, torch.empty(0))
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    return (below(ways, y)[:, None] == torch.arange(ways, device=y.device)).to(like.dtype)


def below(ways: int, y: Shaped[Tensor, "n ..."]) -> Int[Tensor, " n"]:
    """Return `y` after checking that it is a vector of class indices in 0 … ways − 1.

    The range is not checked under `vmap` or in a compiled function.

    Raises:
        MapstoError: if the check fails.
    """
    y = classes(y)
    if torch.compiler.is_compiling() or len(y) == 0:
        return y
    try:
        least, most = int(y.min()), int(y.max())
    except RuntimeError:  # of vmap
        return y
    wrong = least if least < 0 else most
    checks.expect(0 <= wrong < ways, "y", f"class {wrong}", f"one of 0 to {ways - 1}")
    return y


def targets(loss: str, y: Shaped[Tensor, "n ..."], ways: int, like: Tensor) -> Float[Tensor, "n k"]:
    """Return one target for each of `ways` outputs: one-hot labels for classes, otherwise `y` itself.

    Raises:
        MapstoError: if `y` does not fit the loss or the number of outputs.
    """
    if loss == "cross_entropy":
        return one_hot(y, ways, like)
    checks.shape(("n", ways), f"these are {ways} targets for each row", y=numbers(y))
    return y


def classes(y: Shaped[Tensor, "n ..."]) -> Int[Tensor, " n"]:
    """Return `y` after checking that it is a vector of class indices.

    Raises:
        MapstoError: if the check fails.
    """
    checks.expect(
        y.dim() == 1 and not y.is_floating_point(), "y", f"{y.dtype} of shape {tuple(y.shape)}",
        "one class index for each row (int64 [n])",
        "this learner classifies: give it a task with classes, or loss='mse' if it has that argument",
    )  # fmt: skip
    return y


def numbers(y: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
    """Return `y` after checking that it is a row of floating-point numbers for each example.

    Raises:
        MapstoError: if the check fails.
    """
    checks.expect(
        y.dim() == 2 and y.is_floating_point(), "y", f"{y.dtype} of shape {tuple(y.shape)}",
        "a row of numbers for each example (floating [n, k], such as y[:, None])",
        "this learner regresses: give it a task with targets",
    )  # fmt: skip
    return y
