"""Ask a policy about one test task: play it, and explain what it did.

film    = the rollouts before and after each update      reasons = each method on observation ↦ mean action
pushes  = w ∘ ∂(gain of the adapted policy)/∂w, summed over the steps of each rollout that taught

The gain of the adapted policy is its mean advantage on its own rollouts; its slope is that of the return.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ... import views
from ...adaptation.policies import gains
from ...episodes import Episode, Examples, real, unstack
from ...estimate import estimate
from ...explainers import GameExplainer, InputXGradient
from ...learners import Learner
from ...tasks import Rollouts
from ...tasks.robots.paths import Paths
from ..task.hiding import hiding
from ..task.methods import Methods, explainers_of
from ..task.question import check_index
from ..task.reasons import CANNOT
from ..words import in_line
from .answer import RobotAnswer

_TASKS = 20  # over which returns are averaged


def robot_answer(learner: Learner, tasks: Rollouts, index: int, methods: Methods, seed: int) -> RobotAnswer:
    """Play test task `index`, and explain the policy by `methods`, Integrated Gradients if there are none.

    Raises:
        MapstoError: a method is not an explainer of rows, or there is no such task.
    """
    check_index(index)
    environment, played = tasks.environment, tasks.test.experience(index, 1, seed)
    goals, episode = environment.goals(played.tasks), unstack(played.episodes)[0]
    blocks = [_rollouts(paths) for paths in played.paths]
    reasons, left_out = _reasons(learner, episode, blocks[-1][0], methods or ["IntegratedGradients"])
    many = tasks.returns(tasks.test.batch(0, _TASKS, seed)).double().numpy()
    return RobotAnswer(
        f"test task {index}",
        type(learner).__name__,
        type(environment).__name__,
        environment.horizon,
        environment.names or [f"entry {j}" for j in range(environment.observations)],
        environment.plane,
        None if goals is None else goals[0].numpy(),
        [[path.numpy() for path in block] for block in blocks],
        tasks.returns(played.episodes)[0].tolist(),
        [estimate(column) for column in many.T],
        _pushes(learner, episode, (tasks.updates, tasks.rollouts)),
        reasons,
        left_out,
    )


def _rollouts(paths: Paths) -> list[Tensor]:
    """Return the observations of each rollout of the first task, until it ended."""
    return [path[alive] for path, alive in zip(paths.observation[0], paths.alive[0], strict=True)]


def _pushes(learner: Learner, episode: Episode, blocks: tuple[int, int]) -> np.ndarray:
    """Return by how much each rollout that taught raised the return of the adapted policy, as a share of all."""
    view = views.taught(learner, episode, gains)
    pushes = InputXGradient()(view, episode.support.w).view(*blocks, -1).sum(-1)  # [updates, rollouts]
    return (pushes / pushes.abs().sum().clamp(min=1e-12)).double().cpu().numpy()


def _reasons(
    learner: Learner, episode: Episode, path: Tensor, methods: Methods
) -> tuple[dict[str, np.ndarray], Mapping[str, str]]:
    """Return what each entry of the observation did to each component of the mean action, along a rollout."""
    support, left_out = real(episode.support), {}
    hidden, values = hiding(support.x[torch.linspace(0, len(support.x) - 1, 32).long()]), {}
    actions = range(learner.predict(learner.adapt(episode.support), path[:1]).shape[1] // 2)
    for name, method in explainers_of(methods, hidden).items():
        try:
            parts = []
            for j in actions:
                view = views.query(learner, episode.support, target=j)
                subject = (lambda row: hidden.game(view, row)) if isinstance(method, GameExplainer) else view  # noqa: B023
                parts.append(method.over(subject, path, chunk_size=32))
            values[name] = torch.stack(parts).double().cpu().numpy()  # [a, h, o]
        except CANNOT as error:
            left_out[name] = in_line(error)
    return values, left_out
