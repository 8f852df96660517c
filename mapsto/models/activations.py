"""The nonlinearities of networks, by name or by class."""

from collections.abc import Callable
from functools import partial

from torch import nn

from .. import checks

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
    """Return a new activation layer, given its name or its class.

    Raises:
        MapstoError: if the name is unknown.

    >>> activate("tanh"), activate(nn.ELU)
    (Tanh(), ELU(alpha=1.0))
    """
    if not isinstance(activation, str):
        return activation()
    names = f"one of {', '.join(ACTIVATIONS)}, or a module class"
    checks.expect(activation in ACTIVATIONS, "activation", repr(activation), names)
    return ACTIVATIONS[activation]()
