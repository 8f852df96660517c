"""Ask a policy about one test task: play it, and explain what it did.

film    = the rollouts before and after each update      reasons = each method on observation ↦ mean action
pushes  = w ∘ ∂(gain of the adapted policy)/∂w, summed over the steps of each path that taught

The gain of a policy that adapts to its own rollouts is its mean advantage on the query rollouts; its slope is that of
the return. The gain of one that adapts to demonstrations is minus its squared error on other demonstrations.
"""

import numpy as np
from torch import Tensor

from ... import views
from ...episodes import Episode, real, unstack
from ...estimate import estimate
from ...explainers import GameExplainer, InputXGradient, ViewExplainer
from ...learners import Learner
from ...measures.faithfulness.trust import explained
from ...tasks.robots.paths import Paths
from ...tasks.robots.played import Played
from ...views import View
from ..task.hiding import Hiding, hiding
from ..task.methods import Methods, explainers_of
from ..task.question import check_index
from ..task.reasons import CANNOT
from ..words import in_line
from .answer import RobotAnswer

_TASKS, _BACKGROUND = 20, 32  # tasks over which returns are averaged, rows that hidden entries come from


def robot_answer(learner: Learner, tasks: Played, index: int, methods: Methods, seed: int) -> RobotAnswer:
    """Play test task `index`, and explain the policy by `methods`, Integrated Gradients if there are none.

    Raises:
        MapstoError: a method is not an explainer of rows, or there is no such task.
    """
    check_index(index)
    environment, played = tasks.environment, tasks.test.experience(learner, index, 1, seed)
    goals, episode = environment.goals(played.tasks), unstack(played.episodes)[0]
    blocks = [_rollouts(paths) for paths in played.paths]
    lessons = [_rollouts(paths) for paths in played.lessons]
    reasons, left_out = _reasons(learner, episode, blocks[-1][0], environment.actions, methods)
    many = tasks.test.experience(learner, 0, _TASKS, seed)
    solved = many.solved()
    return RobotAnswer(
        f"test task {index}",
        type(learner).__name__,
        type(environment).__name__,
        environment.horizon,
        environment.names or [f"entry {j}" for j in range(environment.observations)],
        environment.plane,
        None if goals is None else goals[0].numpy(),
        tasks.lesson,
        [[path.numpy() for path in block] for block in blocks],
        [[path.numpy() for path in block] for block in lessons],
        played.returns()[0].tolist(),
        [estimate(column) for column in many.returns().double().numpy().T],
        None if solved is None else [estimate(column) for column in solved.double().numpy().T],
        _pushes(learner, episode, (len(lessons), len(lessons[0]))),
        reasons,
        left_out,
    )


def _rollouts(paths: Paths) -> list[Tensor]:
    """Return the observations of each rollout of the first task, until it ended."""
    return [path[alive] for path, alive in zip(paths.observation[0], paths.alive[0], strict=True)]


def _pushes(learner: Learner, episode: Episode, blocks: tuple[int, int]) -> np.ndarray:
    """Return by how much each path that taught raised the gain of the adapted policy, as a share of all."""
    pushes = (
        InputXGradient()(views.taught(learner, episode), episode.support.w).view(*blocks, -1).sum(-1)
    )  # [updates, paths]
    return (pushes / pushes.abs().sum().clamp(min=1e-12)).double().cpu().numpy()


def _reasons(
    learner: Learner, episode: Episode, path: Tensor, actions: int, methods: Methods
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return what each entry of the observation did to each component of the mean action, along a rollout."""
    seen = real(episode.support).x
    hidden = hiding(seen[:: max(len(seen) // _BACKGROUND, 1)])
    policy = [views.query(learner, episode.support, target=j) for j in range(actions)]
    values, left_out = {}, {}
    for name, method in explainers_of(methods or ["IntegratedGradients"], hidden).items():
        try:
            values[name] = np.stack([_along(path, method, view, hidden) for view in policy])  # [a, h, o]
        except CANNOT as error:
            left_out[name] = in_line(error)
    return values, left_out


def _along(path: Tensor, method: ViewExplainer | GameExplainer, view: View, hidden: Hiding) -> np.ndarray:
    values = explained(method, lambda row: view, lambda row: hidden.game(view, row), path, chunk_size=_BACKGROUND)
    return values.double().cpu().numpy()
