"""Treat the parameters of a network as one vector of coordinates, all updated by the same small network.

The small network of a learned optimizer does not read a gradient x itself, but two numbers of moderate size:

    read(x) = (log|x| / p, sign x)  if |x| ≥ e^{−p},  else  (−1, e^p·x)

Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent", §2.1 and appendix A, with p = 10;
Ravi & Larochelle 2017 use 10, Munkhdalai & Yu 2017 use 7.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import checks
from .differentiation import Differentiation

Params = dict[str, Tensor]


def joined(params: Params) -> Float[Tensor, " c"]:
    """Return all entries of all parameters as one vector."""
    return torch.cat([p.flatten() for p in params.values()])


def parted(theta: Float[Tensor, " c"], like: Params) -> Params:
    """Return the entries of the vector as parameters with the names and shapes of `like`; the inverse of `joined`."""
    pieces = theta.split([p.numel() for p in like.values()])
    return {name: piece.reshape(p.shape) for (name, p), piece in zip(like.items(), pieces, strict=True)}


def read(x: Float[Tensor, "..."], p: float = 10.0) -> Float[Tensor, "... 2"]:
    """Return the log-magnitude and the sign of each number, both scaled to roughly −1 … 1.

    The first is log|x| / p and the second sign x. If |x| < e^{−p}, the two are −1 and e^p·x instead.

    >>> read(torch.tensor([-1.0, 0.0]))
    tensor([[ 0., -1.],
            [-1.,  0.]])
    """
    large = x.abs() >= math.exp(-p)
    size = torch.where(large, torch.where(large, x, 1.0).abs().log() / p, -1.0)
    return torch.stack([size, torch.where(large, x.sign(), math.exp(p) * x)], -1)


def gradient_and_value(
    differentiation: Differentiation, objective: Callable[..., Tensor]
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return a function that returns the gradient by θ and the value of ℓ, where ℓ is `objective(θ, ...)`.

    `differentiation` decides how the gradient is differentiated further. The value ℓ is computed as the derivative of
    a·ℓ by a number a, so that it comes from the same call as the gradient.
    """
    both = differentiation.gradient(lambda scaled, *rest: scaled[1] * objective(scaled[0], *rest))
    return lambda theta, *rest: both((theta, theta.new_ones(())), *rest)


def free(body: nn.Module) -> list[str]:
    """Return the names of the parameters of `body` that are not frozen.

    Raises:
        MapstoError: if all parameters are frozen or there are none.
    """
    names = [name for name, p in body.named_parameters() if p.requires_grad]
    checks.expect(
        bool(names), "body", f"{type(body).__name__} without a parameter to adapt", "at least one", "unfreeze some"
    )
    return names
