"""Class labels as rows of zeros and ones."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..errors import MapstoError


def one_hot(y: Shaped[Tensor, "n ..."], ways: int, like: Tensor) -> Float[Tensor, "n k"]:
    """Return `[y_i = k]` in the dtype of `like`, or raise MapstoError where `y` is no vector of class indices.

    >>> one_hot(torch.tensor([2, 0]), 3, torch.empty(0))
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    if y.dim() != 1 or y.is_floating_point():
        raise MapstoError(
            f"y: got {y.dtype} of shape {tuple(y.shape)}, expected one class index a row (int64 [n]); this learner "
            "classifies, so give it a task with classes."
        )
    return (y[:, None] == torch.arange(ways, device=y.device)).to(like.dtype)
