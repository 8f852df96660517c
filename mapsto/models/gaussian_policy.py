"""A robot's policy: a network from observations to the mean of a normally distributed action, whose spread is learned.

μ = net(observation),   σ = exp(log_std),   action ~ N(μ, diag σ²)      (Williams 1992; Duan et al. 2016, §4)
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import checks
from .activations import Activation
from .mlp import MLP


class GaussianPolicy(nn.Module):
    """Map observations `[n, observations]` to the mean and the log standard deviation of actions `[n, 2·actions]`.

    The standard deviation of each component of the action is a parameter, the same for all observations. Train the
    policy with `loss="policy_gradient"` on `mt.tasks.Rollouts`.

    Args:
        observations: the number of entries of an observation.
        actions: the number of components of an action.
        hidden: the widths of the hidden layers.
        activation: the activation between them, see `MLP`.
        log_std: the initial log standard deviation, in units of the actions.

    Raises:
        MapstoError: if a size is below 1, or the activation is unknown.

    >>> GaussianPolicy(3, 2)(torch.zeros(5, 3)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        observations: int,
        actions: int,
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        log_std: float = 0.0,
    ):
        super().__init__()
        checks.count(observations=observations, actions=actions)
        self.net = MLP(observations, *hidden, actions, activation=activation)
        self.log_std = nn.Parameter(torch.full((actions,), float(log_std)))

    def forward(self, x: Float[Tensor, "n o"]) -> Float[Tensor, "n k"]:
        """Return the mean and the log standard deviation of the action at each observation."""
        mean = self.net(x)
        return torch.cat([mean, self.log_std.expand_as(mean)], -1)
