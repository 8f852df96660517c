"""The number by which a checkpoint is chosen: the mean loss of the learner on tasks it was not trained on."""

import torch

from ..adaptation.batching import each_task
from ..adaptation.learner import Learner
from ..episodes import Source, to
from . import checks


class ValidationLoss:
    """learner ↦ its mean `query_loss` over `episodes` tasks of a source, `batch` at a time; less is better."""

    def __init__(self, tasks: Source, episodes: int = 200, batch: int = 25, seed: int = 0):
        checks.whole(episodes=episodes, batch=batch)
        self.tasks, self.episodes, self.batch, self.seed = tasks, episodes, batch, seed

    def __call__(self, learner: Learner) -> float:
        """Return the mean loss of `learner` after adaptation; its parameters and gradients stay untouched."""
        device = next(learner.parameters()).device
        total, tasks = 0.0, 0
        for index, start in enumerate(range(0, self.episodes, self.batch)):
            count = min(self.batch, self.episodes - start)
            episodes = to(self.tasks.batch(index, count, self.seed), device)
            with torch.no_grad():
                losses = each_task(learner, learner.query_loss, episodes)
            total, tasks = total + float(losses.sum()), tasks + len(losses)  # a source may give fewer than asked for
        return total / tasks
