"""The nonlinearities that networks can be built with, by name or by class."""

from collections.abc import Callable
from functools import partial

from torch import nn

from ..errors import MapstoError

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.1),
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
Activation = str | Callable[[], nn.Module]


def activate(activation: Activation) -> nn.Module:
    """Return a new layer of the named nonlinearity, or of the given class.

    >>> activate("tanh"), activate(nn.ELU)
    (Tanh(), ELU(alpha=1.0))
    """
    if not isinstance(activation, str):
        return activation()
    if activation not in ACTIVATIONS:
        raise MapstoError(
            f"activation: got {activation!r}, expected one of {', '.join(ACTIVATIONS)}, or a module class."
        )
    return ACTIVATIONS[activation]()
