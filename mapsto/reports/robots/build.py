"""Ask a policy about one test task: play it, and explain what it did.

film    = the rollouts before and after each update      reasons = each method on observation ↦ mean action
pushes  = w ∘ ∂(gain of the adapted policy)/∂w, summed over the steps of each rollout that taught

The gain of the adapted policy is its mean advantage on its own rollouts; its slope is that of the return.
"""

import numpy as np
from torch import Tensor

from ... import views
from ...adaptation.policies import gains
from ...episodes import Episode, real, unstack
from ...estimate import estimate
from ...explainers import GameExplainer, InputXGradient, ViewExplainer
from ...learners import Learner
from ...measures.faithfulness.trust import explained
from ...tasks import Rollouts
from ...tasks.robots.paths import Paths
from ...views import View
from ..task.hiding import Hiding, hiding
from ..task.methods import Methods, explainers_of
from ..task.question import check_index
from ..task.reasons import CANNOT
from ..words import in_line
from .answer import RobotAnswer

_TASKS, _BACKGROUND = 20, 32  # tasks over which returns are averaged, rows that hidden entries come from


def robot_answer(learner: Learner, tasks: Rollouts, index: int, methods: Methods, seed: int) -> RobotAnswer:
    """Play test task `index`, and explain the policy by `methods`, Integrated Gradients if there are none.

    Raises:
        MapstoError: a method is not an explainer of rows, or there is no such task.
    """
    check_index(index)
    environment, played = tasks.environment, tasks.test.experience(learner, index, 1, seed)
    goals, episode = environment.goals(played.tasks), unstack(played.episodes)[0]
    blocks = [_rollouts(paths) for paths in played.paths]
    reasons, left_out = _reasons(learner, episode, blocks[-1][0], methods or ["IntegratedGradients"])
    many = tasks.test.experience(learner, 0, _TASKS, seed)
    return RobotAnswer(
        f"test task {index}",
        type(learner).__name__,
        type(environment).__name__,
        environment.horizon,
        environment.names or [f"entry {j}" for j in range(environment.observations)],
        environment.plane,
        None if goals is None else goals[0].numpy(),
        [[path.numpy() for path in block] for block in blocks],
        played.returns()[0].tolist(),
        [estimate(column) for column in many.returns().double().numpy().T],
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
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return what each entry of the observation did to each component of the mean action, along a rollout."""
    seen = real(episode.support).x
    hidden = hiding(seen[:: max(len(seen) // _BACKGROUND, 1)])
    scores = learner.predict(learner.adapt(episode.support), path[:1]).shape[1]
    policy = [views.query(learner, episode.support, target=j) for j in range(scores // 2)]
    values, left_out = {}, {}
    for name, method in explainers_of(methods, hidden).items():
        try:
            values[name] = np.stack([_along(path, method, view, hidden) for view in policy])  # [a, h, o]
        except CANNOT as error:
            left_out[name] = in_line(error)
    return values, left_out


def _along(path: Tensor, method: ViewExplainer | GameExplainer, view: View, hidden: Hiding) -> np.ndarray:
    values = explained(method, lambda row: view, lambda row: hidden.game(view, row), path, chunk_size=_BACKGROUND)
    return values.double().cpu().numpy()
