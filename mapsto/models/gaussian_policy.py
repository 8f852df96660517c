"""A robot's policy: a network from observations to the mean of a normally distributed action, whose spread is learned.

μ = net(observation),   σ = exp(pace · spread),   action ~ N(μ, diag σ²)      (Williams 1992; Duan et al. 2016, §4)
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

    The standard deviation of each component of the action is given by a parameter `spread`, the same for all
    observations. Train the policy with `loss="policy_gradient"` on `mt.tasks.Rollouts`. Meta-training shrinks the
    initial spread, which leaves nothing to explore with; `MAML(..., learn=["net.*"])` keeps it, and still adapts it.

    Args:
        observations: the number of entries of an observation.
        actions: the number of components of an action.
        hidden: the widths of the hidden layers.
        activation: the activation between them, see `MLP`.
        log_std: the initial log standard deviation, in units of the actions.
        pace: a gradient step moves the log standard deviation by pace² times the step of a parameter without it. With a
            large pace, a policy explores widely before it adapts, and acts precisely after that.

    Raises:
        MapstoError: if a size is below 1, `pace` is not above 0, or the activation is unknown.

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
        pace: float = 1.0,
    ):
        super().__init__()
        checks.count(observations=observations, actions=actions)
        checks.above(0, pace=pace)
        self.net = MLP(observations, *hidden, actions, activation=activation)
        self.pace, self.spread = pace, nn.Parameter(torch.full((actions,), log_std / pace))

    def forward(self, x: Float[Tensor, "n o"]) -> Float[Tensor, "n k"]:
        """Return the mean and the log standard deviation of the action at each observation."""
        mean = self.net(x)
        return torch.cat([mean, (self.pace * self.spread).expand_as(mean)], -1)
