"""A network's parameters as one vector of coordinates, which one small network reads and moves alike.

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
    """Return the vector as parameters with the names and shapes of `like`."""
    pieces = theta.split([p.numel() for p in like.values()])
    return {name: piece.reshape(p.shape) for (name, p), piece in zip(like.items(), pieces, strict=True)}


def read(x: Float[Tensor, "..."], p: float = 10.0) -> Float[Tensor, "... 2"]:
    """Return size and sign of numbers of any order of magnitude, both about within −1 … 1.

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
    """Return `(∇_θ ℓ, ℓ)` as a function of θ and the other arguments of ℓ, by any route.

    The value ℓ is the derivative of a·ℓ by a, so that it comes from the same call as the gradient.
    """
    both = differentiation.gradient(lambda scaled, *rest: scaled[1] * objective(scaled[0], *rest))
    return lambda theta, *rest: both((theta, theta.new_ones(())), *rest)


def free(body: nn.Module) -> list[str]:
    """Return the names of the parameters that are not frozen, or raise MapstoError if there are none."""
    names = [name for name, p in body.named_parameters() if p.requires_grad]
    checks.expect(
        bool(names), "body", f"{type(body).__name__} without a parameter to adapt", "at least one", "unfreeze some"
    )
    return names
