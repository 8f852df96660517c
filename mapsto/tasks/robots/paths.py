"""Play a policy in an environment, and record every step.

advantage_t = G_t − b(s_t, t),    G_t = Σ_{u ≥ t} γ^{u−t}·r_u,    b = β·(s, s², t, t², t³, 1) by least squares

The baseline b is fitted to the rollouts of each task alone (Duan et al. 2016, "Benchmarking Deep Reinforcement Learning
for Continuous Control", §4). Advantages are then standardised, so that the size of the rewards does not matter.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from ... import checks
from .environment import Environment

Act = Callable[[Tensor, Tensor], Tensor]  # observations [T, r, o] and standard normal noise [T, r, a] ↦ actions
_RIDGE = 1e-5
_REMEDY = "let the environment return one for each task and rollout"


class Paths(NamedTuple):
    """The steps of `r` episodes of each of `T` tasks; steps after the end of an episode are not `alive`."""

    observation: Float[Tensor, "T r h o"]
    action: Float[Tensor, "T r h a"]
    reward: Float[Tensor, "T r h"]  # 0 after the end
    alive: Bool[Tensor, "T r h"]
    solved: Bool[Tensor, "T r"] | None = None  # whether the episode was ever at its aim, if the environment tells

    def returns(self) -> Float[Tensor, "T r"]:
        """Return the sum of the rewards of each episode."""
        return self.reward.sum(-1)


def play(
    environment: Environment, tasks: Shaped[Tensor, "T ..."], rollouts: int, act: Act, generator: torch.Generator
) -> Paths:
    """Play `rollouts` episodes of each task, until all have ended or the horizon is reached.

    Raises:
        MapstoError: if an observation, a reward or `done` has another shape, or a reward is not finite.
    """
    shape, wide = (len(tasks), rollouts, environment.horizon), environment.observations
    observation = environment.reset(tasks, rollouts, generator)
    checks.shape((*shape[:2], wide), _REMEDY, observation=observation)
    noise = torch.randn(environment.horizon, *shape[:2], environment.actions, generator=generator).to(observation)
    observations = observation.new_zeros(*shape, wide)
    actions = observation.new_zeros(*shape, environment.actions)
    rewards, alive = observation.new_zeros(shape), torch.zeros(shape, dtype=torch.bool, device=observation.device)
    going = torch.ones(shape[:2], dtype=torch.bool, device=observation.device)
    solved: Tensor | None = None
    for t in range(environment.horizon):
        action = act(observation, noise[t])
        observations[:, :, t], actions[:, :, t], alive[:, :, t] = observation, action, going
        observation, reward, done = environment.step(action)
        checks.shape((*shape[:2], wide), _REMEDY, observation=observation)
        checks.shape(shape[:2], _REMEDY, reward=reward, done=done)
        rewards[:, :, t] = torch.where(going, reward, 0.0)
        if (now := environment.solved()) is not None:
            solved = (now & going) if solved is None else solved | (now & going)
        going = going & ~done
        if not going.any():
            break
    checks.finite("mend the environment, or end the episode before", reward=rewards)
    return Paths(observations, actions, rewards, alive, solved)


def advantages(paths: Paths, discount: float) -> Float[Tensor, "T r h"]:
    """Return the standardised advantage of every step, 0 after the end of an episode."""
    ahead = to_go(paths.reward, discount)
    gain = torch.where(paths.alive, ahead - baseline(paths, ahead), 0.0)
    steps = paths.alive.sum((1, 2), keepdim=True)
    mean = gain.sum((1, 2), keepdim=True) / steps
    centred = torch.where(paths.alive, gain - mean, 0.0)
    spread = (centred.square().sum((1, 2), keepdim=True) / steps).sqrt()
    return centred / (spread + 1e-8)


def to_go(reward: Float[Tensor, "... h"], discount: float) -> Float[Tensor, "... h"]:
    """Return the discounted sum of the rewards from each step on.

    >>> to_go(torch.tensor([1.0, 2.0, 4.0]), 0.5)
    tensor([3., 4., 4.])
    """
    sums = [reward[..., -1]]
    for r in reward.flip(-1).unbind(-1)[1:]:
        sums.append(r + discount * sums[-1])
    return torch.stack(sums[::-1], -1)


def baseline(paths: Paths, ahead: Float[Tensor, "T r h"]) -> Float[Tensor, "T r h"]:
    """Return the return to go that linear regression expects at each step, from the observation and the time."""
    s = paths.observation.double()
    t = torch.linspace(0, 1, s.shape[2], dtype=s.dtype, device=s.device)[:, None].expand(*s.shape[:3], 1)
    features = torch.cat([s, s.square(), t, t.square(), t**3, torch.ones_like(t)], -1).flatten(1, 2)  # [T, n, f]
    used = features * paths.alive.flatten(1)[..., None]
    gram = used.mT @ used
    gram = gram + _RIDGE * torch.eye(gram.shape[-1], dtype=s.dtype, device=s.device)
    beta = torch.linalg.solve(gram, used.mT @ ahead.double().flatten(1)[..., None])  # [T, f, 1]
    return (features @ beta)[..., 0].view_as(ahead).to(ahead)
