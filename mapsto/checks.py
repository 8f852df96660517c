"""What several layers ask of a tensor before they use it."""

import torch
from jaxtyping import Float
from torch import Tensor

from .errors import MapstoError


def spread(name: str, value: float | Tensor, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return the argument `name`, a number or a tensor, in the point's shape, dtype and device.

    Raises:
        MapstoError: it does not broadcast to the point's shape.

    >>> spread("baseline", 0.5, torch.zeros(2))
    tensor([0.5000, 0.5000])
    """
    value = torch.as_tensor(value, dtype=point.dtype, device=point.device)
    try:
        return value.broadcast_to(point.shape)
    except RuntimeError as error:
        raise MapstoError(
            f"{name}: got shape {tuple(value.shape)}, expected one that broadcasts to {tuple(point.shape)}, that "
            "of the point; pass a number or a tensor of the point's shape."
        ) from error


def readable(values: Tensor) -> bool:
    """Whether the numbers are there: not while `torch.func` or the compiler traces, nor on a device without data."""
    tracing = torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None
    return not (tracing or values.is_meta)
