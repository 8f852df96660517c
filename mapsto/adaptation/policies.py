"""Gaussian policies, and the loss whose gradient is minus the policy gradient.

    scores = (μ, log σ),   log π(a) = −½ Σ ((a − μ)/σ)² − Σ log σ − (d/2)·log 2π,   ratio = π(a) / π_old(a)
    loss = −Σ w·return − Σ w·(min(ratio·A, clip(ratio, 1 − ε, 1 + ε)·A) − A)

At the policy that took the actions, every ratio is 1: the value of the loss is minus the mean return, and its gradient
is −Σ w·A·∇log π(a), that of REINFORCE (Williams 1992). Away from it, the loss is the clipped surrogate of Schulman et
al. 2017, "Proximal Policy Optimization Algorithms", eq. 7. In an inner loop, its second derivative is the estimator of
low-variance curvature of Rothfuss et al. 2019, "ProMP", eq. 8.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks
from ..episodes import Examples

CLIP = 0.2  # ε of PPO
_LARGE = 20.0  # the largest log ratio, so that no ratio is infinite


class Taken(NamedTuple):
    """The targets of rows of a robot's experience: one action each, and what is known of it."""

    action: Float[Tensor, "... a"]
    advantage: Float[Tensor, "..."]  # by how much the action was better than expected, in standard deviations
    log_p: Float[Tensor, "..."]  # log-density of the action under the policy that took it
    worth: Float[Tensor, "..."]  # its weighted mean over the rows of a task is the mean return of an episode

    def packed(self) -> Float[Tensor, "... m"]:
        """Return the fields as one target vector for each row."""
        return torch.cat([self.action, torch.stack([self.advantage, self.log_p, self.worth], -1)], -1)


def taken(y: Float[Tensor, "... m"]) -> Taken:
    """Return the fields of packed targets."""
    return Taken(y[..., :-3], *y[..., -3:].unbind(-1))


def sample(scores: Float[Tensor, "... k"], noise: Float[Tensor, "... a"]) -> Float[Tensor, "... a"]:
    """Return the action of a Gaussian policy for standard normal `noise`."""
    mean, log_std = _parts(scores, noise.shape[-1])
    return mean + log_std.exp() * noise


def log_density(scores: Float[Tensor, "... k"], action: Float[Tensor, "... a"]) -> Float[Tensor, "..."]:
    """Return log π(action) of a Gaussian policy with independent components."""
    mean, log_std = _parts(scores, action.shape[-1])
    z = (action - mean) * (-log_std).exp()
    return (-0.5 * z.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)


def _parts(scores: Float[Tensor, "... k"], actions: int) -> tuple[Tensor, Tensor]:
    fits, remedy = scores.shape[-1] == 2 * actions, "let the body of the learner be a mt.models.GaussianPolicy of them"
    checks.expect(fits, "scores", f"{scores.shape[-1]} for actions of {actions} numbers", f"{2 * actions}", remedy)
    mean, log_std = scores.chunk(2, -1)
    return mean, log_std


def policy_gradient(
    scores: Float[Tensor, "n k"], y: Float[Tensor, "n m"], w: Float[Tensor, " n"], clip: float = CLIP
) -> Float[Tensor, ""]:
    """Return minus the mean return of the policy that took the actions, and minus the clipped gain over it.

    Raises:
        MapstoError: if the scores are not a mean and a log standard deviation for each component of the actions.
    """
    return -(w * (taken(y).worth + gains(scores, y, clip) - taken(y).advantage)).sum()


def gains(scores: Float[Tensor, "n k"], y: Float[Tensor, "n m"], clip: float = CLIP) -> Float[Tensor, " n"]:
    """Return the clipped advantage of each row over the policy that took the actions: min(ratio·A, clip(ratio)·A)."""
    action, advantage, log_p, _ = taken(y)
    ratio = (log_density(scores, action) - log_p).clamp(max=_LARGE).exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def mean_return(scores: Float[Tensor, "n k"], query: Examples) -> dict[str, Tensor]:
    """Return the mean return of the episodes of a query set."""
    return {"return": (query.w * taken(query.y).worth).sum() / query.w.sum().clamp(min=1e-12)}
