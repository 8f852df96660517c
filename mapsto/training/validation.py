"""Validation, which chooses among checkpoints: the mean loss on tasks that the learner was not trained on."""

from collections.abc import Callable

import torch

from .. import checks
from ..adaptation.batching import each_task
from ..adaptation.learner import Learner, evaluating
from ..episodes import Source, first_tasks, to
from ..processes import ALONE, Processes

Validation = Callable[[Learner], float]
"""A function of the learner whose result should be small."""


class ValidationLoss:
    """learner ↦ mean of its `query_loss` over `episodes` tasks of a source, computed at most `batch` tasks at a time.

    Raises:
        MapstoError: if `episodes` or `batch` is below 1.
    """

    def __init__(self, tasks: Source, episodes: int = 200, batch: int = 25, seed: int = 0):
        checks.count(episodes=episodes, batch=batch)
        self.tasks, self.episodes, self.batch, self.seed = tasks, episodes, batch, seed

    def __call__(self, learner: Learner, processes: Processes = ALONE) -> float:
        """Return the mean loss of `learner` after adaptation, without changing its parameters or gradients.

        The processes share the tasks if all of them call this.
        """
        device = next(learner.parameters()).device
        total, tasks = 0.0, 0
        for episodes in first_tasks(self.tasks, self.episodes, self.batch, self.seed):
            with torch.no_grad(), evaluating(learner), torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)  # for losses that draw at random, such as those of explainer networks
                losses = each_task(learner, learner.query_loss, to(episodes, device), processes=processes)
            total, tasks = total + float(losses.sum()), tasks + len(losses)  # a source may return fewer than `count`
        return total / tasks
